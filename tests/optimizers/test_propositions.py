"""The paper's three propositions, each as a statement that a machine can refute."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from following import Array, assert_same_path, follow, no_gradient, noisy_quadratic, parameter
from following import weights as initial

import unyoke
from unyoke.equation import Direction

pytestmark = pytest.mark.usefixtures("definition")

UPDATES = 200
α, λ = 0.02, 0.004

# A fixed preconditioner M = diag(s)^{-1}, as a direction of one's own.
s = np.exp(np.random.default_rng(5).uniform(-1, 1, (4, 6)))


def fixed_preconditioner(scale: Array) -> Direction:
    """step = α M g, with M = diag(scale)^{-1}; the formula is about whole tensors."""

    def formula(grad: torch.Tensor, lr: float) -> torch.Tensor:
        return lr * grad / torch.from_numpy(scale)

    return Direction(
        name="preconditioned",
        formula=formula,
        coefficients=lambda lr: {"lr": lr},
        scope="tensor",
    )


def preconditioned(scale: Array, weight_decay: float, penalty: Array | float = 0.0) -> Array:
    """The path with decoupled decay, or with the gradient of a penalty added to f's."""
    optimizer = unyoke.Optimizer(
        [parameter()],
        lr=α,
        weight_decay=weight_decay,
        direction=fixed_preconditioner(scale),
        decay="decoupled",
    )
    return follow(optimizer, lambda θ, t: noisy_quadratic(θ, t) + penalty * θ, UPDATES)


class TestProposition1:
    """SGD with decay λ on f is SGD without decay on f + (λ'/2)‖θ‖², λ' = λ/α."""

    def test_decay_is_l2_for_plain_sgd(self) -> None:
        decay = unyoke.SGDW([parameter()], lr=α, momentum=0.0, weight_decay=λ)
        l2 = unyoke.SGD([parameter()], lr=α, momentum=0.0, weight_decay=λ / α)
        assert_same_path(
            follow(decay, noisy_quadratic, UPDATES), follow(l2, noisy_quadratic, UPDATES)
        )

    def test_and_the_two_hyperparameters_are_coupled(self) -> None:
        """At another α the same λ' is another λ: this is what decoupling removes."""
        decay = unyoke.SGDW([parameter()], lr=α / 2, momentum=0.0, weight_decay=λ)
        l2 = unyoke.SGD([parameter()], lr=α / 2, momentum=0.0, weight_decay=λ / α)
        difference = follow(decay, noisy_quadratic, UPDATES) - follow(l2, noisy_quadratic, UPDATES)
        assert abs(difference[-1]).max() > 1e-2

    def test_heavy_ball_multiplies_the_decay_of_l2(self) -> None:
        """With momentum the decay that L2 settles at is α λ'/(1 − β1) per update."""
        β, penalty = 0.9, 1e-3
        l2 = unyoke.SGD([parameter()], lr=α, momentum=β, weight_decay=penalty)
        path = follow(l2, no_gradient, 2000)
        per_update = -np.log(path[-1] / path[-1001]) / 1000
        # Corrections are of relative order α λ'/(1 − β)² = 2e-3.
        np.testing.assert_allclose(per_update, α * penalty / (1 - β), rtol=3e-3)


class TestProposition2:
    """With M ≠ kI no λ' makes L2 equivalent to decay: equality needs λθ = αλ'Mθ for all θ."""

    @staticmethod
    def best_penalty(scale: Array) -> tuple[float, float]:
        """The λ' of least squares, and what it leaves, relative to the decay's own effect."""
        θ = initial()
        wanted = λ * θ  # what one update of decoupled decay takes
        offered = α * θ / scale  # what one update takes per unit of λ'
        best = float((wanted * offered).sum() / (offered**2).sum())
        return best, float(np.linalg.norm(wanted - best * offered) / np.linalg.norm(wanted))

    def test_no_penalty_fits_a_preconditioner(self) -> None:
        best, left = self.best_penalty(s)
        assert left > 0.2
        decayed = preconditioned(s, λ)
        nearest = min(
            abs(decayed - preconditioned(s, 0.0, factor * best)).max()
            for factor in np.geomspace(0.25, 4, 17)
        )
        effect = abs(decayed - preconditioned(s, 0.0)).max()
        assert nearest > 0.1 * effect

    def test_one_fits_a_multiple_of_the_identity(self) -> None:
        k = np.full_like(s, 2.5)
        best, left = self.best_penalty(k)
        assert left < 1e-14
        assert_same_path(preconditioned(k, λ), preconditioned(k, 0.0, best))

    @pytest.mark.parametrize("penalty", [1e-3, 0.1, 10.0])
    def test_adam_s_first_step_has_size_α_whatever_the_penalty(self, penalty: float) -> None:
        """L2 enters through g and is divided by √v: it cannot make the step longer."""
        p = parameter()
        optimizer = unyoke.Adam([p], lr=α, weight_decay=penalty, eps=1e-15)
        path = follow(optimizer, noisy_quadratic, 1)
        np.testing.assert_allclose(abs(path[1] - path[0]), α, rtol=1e-9)


class TestProposition3:
    """With fixed M = diag(s)^{-1}, decay λ is no decay on f + (λ'/2)‖θ⊙√s‖², λ' = λ/α."""

    def test_decay_is_a_scale_adjusted_penalty(self) -> None:
        assert_same_path(preconditioned(s, λ), preconditioned(s, 0.0, λ / α * s))

    def test_the_printed_factor_of_one_over_two_α_is_not_it(self) -> None:
        """The statement as printed has λ'/(2α): off by 1/α, and visibly so."""
        difference = preconditioned(s, λ) - preconditioned(s, 0.0, λ / α**2 * s)
        assert abs(difference[-1]).max() > 0.1
