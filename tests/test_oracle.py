"""The oracle against closed forms, against the paper's own figures, and against torch.optim."""

from __future__ import annotations

import ast
import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import oracle
import pytest
import torch
from oracle import Array, algorithm_1, algorithm_2, trajectory

UPDATES = 60
α, λ = 0.01, 0.003


def weights(seed: int = 0, shape: tuple[int, ...] = (4, 6)) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def noisy_quadratic(θ: Array, t: int) -> Array:
    """A gradient that depends on the weights and on the update, so that order matters."""
    return 0.7 * θ + np.random.default_rng(t).standard_normal(θ.shape)


def no_gradient(θ: Array, t: int) -> Array:
    return np.zeros_like(θ)


def last(iterates: Any, updates: int) -> Array:
    return next(itertools.islice(iterates, updates - 1, None))


def test_oracle_is_independent_of_what_it_judges() -> None:
    tree = ast.parse(Path(oracle.__file__).read_text(encoding="utf-8"))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [])
        + [alias.name for alias in node.names if isinstance(node, ast.Import)]
    }
    assert "numpy" in imported
    assert not imported & {"torch", "unyoke"}


class TestAlgorithms:
    def test_sgdw_without_momentum_under_a_constant_gradient(self) -> None:
        """θ_t = (1−λ)^t θ_0 − α g (1 − (1−λ)^t)/λ."""
        θ, g = weights(), weights(1)
        found = last(
            algorithm_1(θ, lambda θ, t: g, oracle.constant(), α=α, β1=0.0, λ_SGDW=λ), UPDATES
        )
        kept = (1 - λ) ** UPDATES
        np.testing.assert_allclose(found, kept * θ - α * g * (1 - kept) / λ, rtol=1e-12)

    def test_momentum_sums_a_geometric_series(self) -> None:
        """θ_0 − θ_t = α g Σ_i (1 − β^i)/(1 − β)."""
        θ, g, β = weights(), weights(1), 0.9
        found = last(algorithm_1(θ, lambda θ, t: g, oracle.constant(), α=α, β1=β), UPDATES)
        moved = sum((1 - β**i) / (1 - β) for i in range(1, UPDATES + 1))
        np.testing.assert_allclose(found, θ - α * g * moved, rtol=1e-12)

    @pytest.mark.parametrize("λ_L2", [0.0, 0.1, 10.0])
    def test_first_step_of_adam_has_size_α_whatever_the_regularization(self, λ_L2: float) -> None:
        θ = weights()
        found = last(algorithm_2(θ, noisy_quadratic, oracle.constant(), α=α, ε=0.0, λ_L2=λ_L2), 1)
        np.testing.assert_allclose(abs(found - θ), α, rtol=1e-12)

    @pytest.mark.parametrize("name", ["SGDW", "AdamW"])
    def test_zero_gradients_leave_the_product_of_the_decays(self, name: str) -> None:
        """θ_t = Π(1 − η_i λ) θ_0: the decay follows the schedule and not α."""
        θ, η = weights(), oracle.cosine(UPDATES)
        for rate in (1e-6, 10.0):
            iterates = (
                algorithm_1(θ, no_gradient, η, α=rate, β1=0.9, λ_SGDW=λ)
                if name == "SGDW"
                else algorithm_2(θ, no_gradient, η, α=rate, λ_AdamW=λ)
            )
            product = math.prod(1 - η(t) * λ for t in range(UPDATES))
            assert product < 0.95
            np.testing.assert_allclose(last(iterates, UPDATES), product * θ, rtol=1e-12)

    @pytest.mark.parametrize("decay", ["l2", "decoupled"])
    @pytest.mark.parametrize("direction", ["heavy_ball", "adam"])
    def test_parts_compose_to_the_algorithms(self, direction: str, decay: str) -> None:
        """Direction and decay rule, written apart, are Algorithms 1 and 2 written whole."""
        θ, η = weights(), oracle.warm_restarts(10)
        names = {"l2": "λ_L2", "decoupled": "λ_SGDW" if direction == "heavy_ball" else "λ_AdamW"}
        whole: Callable[..., Any] = algorithm_1 if direction == "heavy_ball" else algorithm_2
        expected = last(
            whole(θ, noisy_quadratic, η, α=α, β1=0.8, **{names[decay]: λ}),
            UPDATES,
        )
        hyper = {"momentum": 0.8} if direction == "heavy_ball" else {"betas": (0.8, 0.999)}
        found = trajectory(
            θ,
            noisy_quadratic,
            direction=direction,
            decay=decay,
            lr=α,
            weight_decay=λ,
            schedule=η,
            updates=UPDATES,
            **hyper,
        )
        np.testing.assert_allclose(found[-1], expected, rtol=1e-12)


class TestSchedules:
    def test_cosine(self) -> None:
        η = oracle.cosine(8)
        expected = [1.0, math.cos(math.pi / 16) ** 2, math.cos(math.pi / 8) ** 2]
        np.testing.assert_allclose([η(0), η(1), η(2)], expected, rtol=1e-14)
        assert [η(4), η(8), η(9)] == pytest.approx([0.5, 0.0, 0.0])

    def test_step_drops_at_the_figure_s_fractions(self) -> None:
        η = oracle.step_drops(100)
        drops = [t for t in range(1, 120) if η(t) != η(t - 1)]
        assert drops == [30, 60, 80]
        assert η(110) == pytest.approx(1e-3)

    def test_a_number_is_the_decimal_that_was_written(self) -> None:
        """0.575 · 100 is 57.5 and 5 · 1.7 is 8.5; in binary both are less."""
        η = oracle.step_drops(100, at=(0.575,))
        assert (η(57), η(58)) == (1.0, 0.1)
        assert [oracle.current_run(t, 5, 1.7) for t in (4, 5, 13, 14)] == [
            (4, 5),
            (0, 9),
            (8, 9),
            (0, 14),
        ]

    def test_restarts_at_100_300_700_1500(self) -> None:
        """The paper's own example: T_0 = 100, T_mult = 2."""
        η = oracle.warm_restarts(100)
        assert [t for t in range(2000) if η(t) == 1.0] == [0, 100, 300, 700, 1500]

    def test_warmup_climbs_to_the_next_schedule(self) -> None:
        η = oracle.warmup(3, oracle.cosine(2))
        assert [η(t) for t in range(6)] == pytest.approx([0.25, 0.5, 0.75, 1.0, 0.5, 0.0])

    @pytest.mark.parametrize(
        ("epochs", "printed"), [(25, 2.53e-4), (100, 1.265e-4), (400, 6.3e-5), (1800, 2.98e-5)]
    )
    def test_normalized_decay_as_the_paper_prints_it(self, epochs: int, printed: float) -> None:
        updates = 50000 * epochs / 128
        # 6.3e-5 is printed with two digits.
        assert oracle.normalized(0.025, updates) == pytest.approx(printed, rel=6e-3)

    def test_normalized_decay_falls_by_root_two_at_each_restart(self) -> None:
        λ_t = oracle.normalized_over_runs(0.05, 100)
        found = [λ_t(t) for t in (0, 99, 100, 299, 300)]
        expected = [0.05 / math.sqrt(n) for n in (100, 100, 200, 200, 400)]
        np.testing.assert_allclose(found, expected, rtol=1e-14)


TORCH: list[tuple[str, str, type[torch.optim.Optimizer], dict[str, Any], dict[str, Any]]] = [
    # direction, decay, torch's class, its own arguments, shared hyperparameters
    ("momentum", "l2", torch.optim.SGD, {}, {"momentum": 0.9}),
    ("momentum", "l2", torch.optim.SGD, {}, {"momentum": 0.0}),
    ("momentum", "l2", torch.optim.SGD, {}, {"momentum": 0.9, "dampening": 0.5}),
    ("gradient", "l2", torch.optim.SGD, {}, {}),
    ("nesterov", "l2", torch.optim.SGD, {"nesterov": True}, {"momentum": 0.9}),
    ("adam", "l2", torch.optim.Adam, {}, {"betas": (0.8, 0.99), "eps": 1e-3}),
    ("adam", "lr_coupled", torch.optim.AdamW, {}, {"betas": (0.8, 0.99), "eps": 1e-3}),
    ("amsgrad", "l2", torch.optim.Adam, {"amsgrad": True}, {"betas": (0.8, 0.5)}),
    ("amsgrad", "lr_coupled", torch.optim.AdamW, {"amsgrad": True}, {"betas": (0.8, 0.5)}),
    ("nadam", "l2", torch.optim.NAdam, {}, {"momentum_decay": 0.1}),
    ("nadam", "lr_coupled", torch.optim.NAdam, {"decoupled_weight_decay": True}, {"eps": 1e-3}),
    ("radam", "l2", torch.optim.RAdam, {}, {"betas": (0.9, 0.99), "eps": 1e-3}),
    ("radam", "lr_coupled", torch.optim.RAdam, {"decoupled_weight_decay": True}, {"eps": 1e-3}),
    ("adamax", "l2", torch.optim.Adamax, {}, {"betas": (0.8, 0.9), "eps": 1e-3}),
    (
        "adagrad",
        "l2",
        torch.optim.Adagrad,
        {},
        {"lr_decay": 0.1, "initial_accumulator_value": 0.2, "eps": 1e-3},
    ),
    ("adadelta", "l2", torch.optim.Adadelta, {}, {"rho": 0.8, "eps": 1e-3}),
    ("rmsprop", "l2", torch.optim.RMSprop, {}, {"alpha": 0.9, "eps": 1e-3}),
    ("rmsprop", "l2", torch.optim.RMSprop, {}, {"centered": True}),
    ("rmsprop", "l2", torch.optim.RMSprop, {}, {"centered": True, "momentum": 0.9}),
]


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    """torch.optim.NAdam keeps its product of momenta in the default dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def torch_trajectory(optimizer_class: Any, θ: Array, updates: int, **arguments: Any) -> Array:
    parameter = torch.nn.Parameter(torch.from_numpy(θ.copy()))
    optimizer = optimizer_class([parameter], **arguments)
    iterates = [θ]
    for t in range(1, updates + 1):
        parameter.grad = torch.from_numpy(noisy_quadratic(parameter.detach().numpy(), t))
        optimizer.step()
        iterates.append(parameter.detach().numpy().copy())
    return np.array(iterates)


@pytest.mark.parametrize("weight_decay", [0.0, 0.2])
@pytest.mark.parametrize(
    ("direction", "decay", "torch_class", "own", "shared"),
    TORCH,
    ids=[f"{row[2].__name__}-{row[0]}-{row[1]}-{'-'.join([*row[3], *row[4]])}" for row in TORCH],
)
def test_oracle_agrees_with_torch(
    direction: str,
    decay: str,
    torch_class: type[torch.optim.Optimizer],
    own: dict[str, Any],
    shared: dict[str, Any],
    weight_decay: float,
) -> None:
    θ = weights()
    expected = torch_trajectory(
        torch_class, θ, UPDATES, lr=α, weight_decay=weight_decay, **own, **shared
    )
    found = trajectory(
        θ,
        noisy_quadratic,
        direction=direction,
        decay=decay,
        lr=α,
        weight_decay=weight_decay,
        updates=UPDATES,
        **shared,
    )
    assert abs(expected[-1] - θ).max() > 5e-3
    # Sums of squares and quotients, 60 updates, and torch orders its products otherwise.
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)


class TestOtherDirections:
    def run(self, direction: str, gradient: oracle.Gradient, **arguments: Any) -> Array:
        settings = {"decay": "none", "lr": α, "updates": UPDATES, **arguments}
        return trajectory(weights(), gradient, direction=direction, **settings)

    @pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch < 2.9 has no Muon")
    def test_muon_agrees_with_torch_up_to_its_bfloat16(self) -> None:
        for shape in [(4, 6), (9, 3)]:
            θ = weights(shape=shape)
            expected = torch_trajectory(torch.optim.Muon, θ, 1, lr=α, weight_decay=0.3)
            found = trajectory(
                θ,
                noisy_quadratic,
                direction="muon",
                decay="lr_coupled",
                lr=α,
                weight_decay=0.3,
                updates=1,
            )
            # torch runs the Newton–Schulz steps in bfloat16: two to three digits of the step.
            assert abs(found[-1] - expected[-1]).max() < 0.03 * abs(expected[-1] - θ).max()

    def test_newton_schulz_brings_singular_values_near_one(self) -> None:
        values = np.linalg.svd(oracle.newton_schulz(weights()), compute_uv=False)
        assert 0.5 < values.min() <= values.max() < 1.5

    def test_lion_steps_have_size_α(self) -> None:
        steps = np.diff(self.run("lion", noisy_quadratic), axis=0)
        np.testing.assert_allclose(abs(steps), α, rtol=1e-10)

    def test_nadamw_is_adam_under_a_constant_gradient_but_for_its_look_ahead(self) -> None:
        """m̄/(1−β1^t) = (1 − β1^{t+1})/(1 − β1^t) g: the step is Adam's times that."""
        g = weights(1)
        steps = -np.diff(self.run("nesterov_adam", lambda θ, t: g, eps=0.0), axis=0)
        for t in (1, 2, UPDATES):
            factor = (1 - 0.9 ** (t + 1)) / (1 - 0.9**t)
            np.testing.assert_allclose(steps[t - 1], α * factor * np.sign(g), rtol=1e-10)

    def test_nd_adam_keeps_every_row_on_the_unit_sphere(self) -> None:
        θ = weights()
        θ = θ / np.linalg.norm(θ, axis=1, keepdims=True)
        found = trajectory(
            θ, noisy_quadratic, direction="nd_adam", decay="none", lr=α, updates=UPDATES
        )
        np.testing.assert_allclose(np.linalg.norm(found, axis=2), 1.0, rtol=1e-14)
        assert abs(found[-1] - θ).max() > α

    def test_nd_adam_turns_by_its_learning_rate_at_first(self) -> None:
        """The first update of a unit has m̂/√v̂ = g/‖g‖, so its vector moves by α."""
        θ = weights()
        θ = θ / np.linalg.norm(θ, axis=1, keepdims=True)
        found = trajectory(θ, noisy_quadratic, direction="nd_adam", decay="none", lr=α, updates=1)
        angles = np.arccos((found[0] * found[1]).sum(axis=1))
        np.testing.assert_allclose(angles, math.atan(α), rtol=1e-6)

    @pytest.mark.parametrize("direction", ["adabayes", "adabayes_fp"])
    def test_little_information_gives_sgd(self, direction: str) -> None:
        """σ²_post → σ² = lr·lr_sgd/(lr_init B), so the step is lr_sgd times the first moment."""
        scale, B, lr_sgd = 1e-6, 10, 0.05
        g = scale * weights(1)
        found = self.run(
            direction, lambda θ, t: g, lr=1e-3, batch_size=B, lr_sgd=lr_sgd, **self.tiny(direction)
        )
        np.testing.assert_allclose(-np.diff(found, axis=0), [lr_sgd * g] * UPDATES, rtol=1e-4)

    @pytest.mark.parametrize("direction", ["adabayes", "adabayes_fp"])
    def test_much_information_gives_adam(self, direction: str) -> None:
        """σ²_post → lr/√⟨g²⟩ where lr |g| ≪ 1: under a constant gradient the step is lr."""
        lr, B = 1e-7, 1000
        g = 10 + abs(weights(1))
        updates = 4000 if direction == "adabayes" else UPDATES  # settles in 1/(lr B g) updates
        found = self.run(
            direction,
            lambda θ, t: g,
            lr=lr,
            batch_size=B,
            lr_sgd=1.0,
            updates=updates,
            **self.tiny(direction),
        )
        np.testing.assert_allclose(found[-2] - found[-1], lr, rtol=2e-3)

    @staticmethod
    def tiny(direction: str) -> dict[str, float]:
        return {"eps": 1e-300} if direction == "adabayes_fp" else {}


class TestDecayRules:
    def shrunk(self, decay: str, **arguments: Any) -> Array:
        return trajectory(
            weights(),
            no_gradient,
            direction="momentum",
            decay=decay,
            momentum=0.0,
            lr=α,
            weight_decay=λ,
            updates=UPDATES,
            **arguments,
        )[-1]

    @pytest.mark.parametrize(
        ("decay", "per_update"),
        [
            ("none", 0.0),
            ("l2", α * λ),
            ("l2_first_moment", α * λ),
            ("l2_second_moment", 0.0),
            ("decoupled", λ),
            ("lr_coupled", α * λ),
            ("cautious", λ),
            ("corrected", α * λ),
            ("toward_initial", 0.0),
            ("toward_average", 0.0),
        ],
    )
    def test_what_zero_gradients_leave(self, decay: str, per_update: float) -> None:
        kept = (1 - per_update) ** UPDATES
        np.testing.assert_allclose(self.shrunk(decay), kept * weights(), rtol=1e-13)

    def test_corrected_follows_the_square_of_the_schedule(self) -> None:
        η = oracle.cosine(UPDATES)
        kept = math.prod(1 - η(t) ** 2 * α * λ for t in range(UPDATES))
        found = self.shrunk("corrected", schedule=η)
        np.testing.assert_allclose(found, kept * weights(), rtol=1e-13)

    def test_cautious_spares_the_weights_that_the_step_moves_away_from_zero(self) -> None:
        θ = np.array([1.0, 1.0, -1.0, -1.0, 1.0])
        g = np.array([1.0, -1.0, 1.0, -1.0, 0.0])
        found = trajectory(
            θ,
            lambda θ, t: g,
            direction="momentum",
            decay="cautious",
            lr=α,
            weight_decay=λ,
            updates=1,
        )[-1]
        decayed = np.array([True, False, False, True, True])
        np.testing.assert_allclose(found, θ - α * g - λ * θ * decayed, rtol=1e-15)

    def test_l2_in_one_moment_only(self) -> None:
        """The first step of Adam is g_first/|g_second|."""
        θ, g = weights(), weights(1)
        for decay, first, second in [
            ("l2_first_moment", g + λ * θ, g),
            ("l2_second_moment", g, g + λ * θ),
        ]:
            found = trajectory(
                θ,
                lambda θ, t: g,
                direction="adam",
                decay=decay,
                lr=α,
                weight_decay=λ,
                updates=1,
                eps=0.0,
            )[-1]
            np.testing.assert_allclose(found, θ - α * first / abs(second), rtol=1e-12)

    @pytest.mark.parametrize("anchor", ["toward_initial", "toward_average"])
    def test_an_anchored_decay_settles_between_gradient_and_anchor(self, anchor: str) -> None:
        """Toward θ_0 under a constant gradient: θ_t = θ_0 − α g (1 − (1−λ)^t)/λ."""
        g, pull = weights(1), 0.1
        found = trajectory(
            weights(),
            lambda θ, t: g,
            direction="momentum",
            decay=anchor,
            momentum=0.0,
            lr=α,
            weight_decay=pull,
            updates=UPDATES,
        )[-1]
        displacement = α * g * (1 - (1 - pull) ** UPDATES) / pull
        if anchor == "toward_initial":
            np.testing.assert_allclose(found, weights() - displacement, rtol=1e-12)
        else:  # the anchor follows, so the weights get further
            assert (abs(found - weights()) > abs(displacement)).all()

    def test_constraint_brings_the_norm_down_to_κ(self) -> None:
        θ = weights()
        κ = 0.25 * float((θ**2).sum())
        found = trajectory(
            θ,
            no_gradient,
            direction="momentum",
            decay="constrained",
            lr=α,
            weight_decay=1e-3 * θ.size,
            updates=2000,
            bound_factor=0.25,
        )
        norms = (found**2).sum(axis=(1, 2))
        assert norms[0] > 3.9 * κ
        assert norms[-1] < 1.01 * κ
