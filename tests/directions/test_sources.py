"""Every direction against where it comes from: torch, or for the others the oracle.

A new direction fails here until somebody says what it was held against.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

import unyoke
from unyoke import directions

UPDATES = 60


@dataclass(frozen=True)
class Same:
    """A direction, and what torch calls it."""

    direction: str
    optimizer: Any
    torchs: dict[str, Any] = field(default_factory=dict)
    shared: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "-".join([self.direction, *map(str, self.torchs), *map(str, self.shared)])


ADAM = {"betas": (0.8, 0.99), "eps": 1e-4}
RMSPROP = {"alpha": 0.9, "eps": 1e-4}
optim = torch.optim
SAME = [
    Same("gradient", optim.SGD),
    Same("heavy_ball", optim.SGD, shared={"momentum": 0.9}),  # while lr is constant
    Same("momentum", optim.SGD, shared={"momentum": 0.9, "dampening": 0.3}),
    Same("nesterov", optim.SGD, torchs={"nesterov": True}, shared={"momentum": 0.9}),
    Same("adam", optim.Adam),
    Same("adam", optim.Adam, shared=ADAM),
    Same("amsgrad", optim.Adam, torchs={"amsgrad": True}, shared=ADAM),
    Same("nadam", optim.NAdam, shared={**ADAM, "momentum_decay": 0.01}),
    Same("nadam", optim.NAdam),
    Same("radam", optim.RAdam, shared={"betas": (0.8, 0.9), "eps": 1e-4}),
    Same("radam", optim.RAdam, shared={"betas": (0.8, 0.5)}),  # never rectified: ρ_∞ = 3
    Same("radam", optim.RAdam),
    Same("adamax", optim.Adamax, shared=ADAM),
    Same("adagrad", optim.Adagrad),
    Same("adagrad", optim.Adagrad, shared={"lr_decay": 0.1, "initial_accumulator_value": 0.5}),
    Same("adadelta", optim.Adadelta, shared={"rho": 0.8, "eps": 1e-4}),
    Same("rmsprop", optim.RMSprop, shared=RMSPROP),
    Same("rmsprop_momentum", optim.RMSprop, shared={**RMSPROP, "momentum": 0.7}),
    Same("rmsprop_centered", optim.RMSprop, torchs={"centered": True}, shared=RMSPROP),
    Same(
        "rmsprop_centered_momentum",
        optim.RMSprop,
        torchs={"centered": True},
        shared={**RMSPROP, "momentum": 0.7},
    ),
]
OTHERWISE = {
    "adabelief": "adabelief-pytorch 0.2.1, in test_authors.py",
    "adan": "the authors' adan.py, in test_authors.py",
    "ademamix": "the authors' schedules, below",
    "cautious_adam": "the authors' c_adamw.py, in test_masks.py",
    "grams_adam": "the authors' grams.py, in test_masks.py",
    "mars": "the authors' mars.py, in test_authors.py",
    "schedule_free_adam": "the authors' schedulefree 1.4.1, in test_schedule_free.py",
    "schedule_free_sgd": "the authors' schedulefree 1.4.1, in test_schedule_free.py",
    "stable_adam": "the authors' StableAdamWUnfused, in test_authors.py",
    "adopt": "the authors' adopt.py, in test_authors.py",
    "signum": "MXNet's signum_update, in test_authors.py",
    "nesterov_adam": "timm's NAdamW",
    "lion": "lion-pytorch and timm's Lion",
    "adabayes": "the author's adabayes.py",
    "adabayes_fp": "the author's adabayesfp.py",
    "nd_adam": "the oracle, from the paper",
    "muon": "torch.optim.Muon, in test_norms.py",
    "muon_momentum": "torch.optim.Muon(nesterov=False), in test_norms.py",
    "normuon": "the oracle, from the paper; the closed form in test_norms.py",
    "lamb": "timm's Lamb(decoupled_decay=True, always_adapt=True, max_grad_norm=None)",
    "lars": "timm's Lars(always_adapt=True)",
}
"""Held against these sources by hand, and by the tests against the oracle."""


def test_every_direction_has_a_source() -> None:
    assert {same.direction for same in SAME} | OTHERWISE.keys() == set(directions.names())


def path(optimizer: torch.optim.Optimizer) -> np.ndarray[Any, Any]:
    """Where the first parameter goes under gradients that depend on it and on the update."""
    (p,) = optimizer.param_groups[0]["params"]
    generator = torch.Generator().manual_seed(1)
    iterates = []
    for _ in range(UPDATES):
        noise = torch.randn(p.shape, dtype=torch.float64, generator=generator)
        p.grad = (0.7 * p.detach() + noise.to(p.dtype)).to(p.dtype)
        optimizer.step()
        iterates.append(p.detach().double().numpy().copy())
    return np.array(iterates)


def largest_difference(same: Same, dtype: torch.dtype, **settings: Any) -> float:
    """Between the two paths, in units of the largest weight."""
    start = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    settings = {"lr": 0.02, **settings, **same.shared}
    ours = unyoke.Optimizer(
        [torch.nn.Parameter(start.to(dtype, copy=True))],
        direction=same.direction,
        decay="l2",
        backend="eager",
        **settings,
    )
    torchs = same.optimizer(
        [torch.nn.Parameter(start.to(dtype, copy=True))], foreach=False, **settings, **same.torchs
    )
    found, expected = path(ours), path(torchs)
    scale = abs(expected).max()
    assert abs(expected[-1] - expected[0]).max() > 1e-3 * scale, "the path does not move"
    return float(abs(found - expected).max() / scale)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("same", SAME, ids=str)
def test_float64(same: Same, weight_decay: float) -> None:
    """The last digit or two; NAdam's product of μ is in float32 on torch's side."""
    tolerance = 1e-9 if same.direction == "nadam" else 1e-15
    assert largest_difference(same, torch.float64, weight_decay=weight_decay) < tolerance


@pytest.mark.parametrize("same", SAME, ids=str)
def test_float32(same: Same) -> None:
    """5 units in the last place of the largest weight after 60 updates."""
    assert largest_difference(same, torch.float32, weight_decay=0.1) < 5 * 2.0**-23


def test_the_comparison_would_see_another_formula() -> None:
    """Neighbours in the table above are not within its tolerances of each other."""
    swapped = [
        ("adam", optim.RAdam),
        ("adam", optim.NAdam),
        ("amsgrad", optim.Adam),
        ("rmsprop", optim.Adagrad),
        ("momentum", optim.SGD),
    ]
    for direction, optimizer in swapped:
        assert largest_difference(Same(direction, optimizer), torch.float64) > 1e-5


@pytest.mark.parametrize("name", ["NAdam", "RAdam"])
def test_torch_s_own_decoupled_form(name: str) -> None:
    """decoupled_weight_decay=True multiplies by lr: decay='lr_coupled' here."""
    start = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    settings = {"lr": 0.02, "weight_decay": 0.1}
    ours = getattr(unyoke, name)(
        [torch.nn.Parameter(start.clone())], decay="lr_coupled", backend="eager", **settings
    )
    torchs = getattr(optim, name)(
        [torch.nn.Parameter(start.clone())], decoupled_weight_decay=True, **settings
    )
    np.testing.assert_allclose(path(ours), path(torchs), rtol=0, atol=1e-9)


def test_a_constant_gradient_does_not_break_centered_rmsprop() -> None:
    """v − ḡ² rounds below 0 there, and torch's root is NaN."""
    ends = []
    for make in (
        lambda p: unyoke.RMSprop([p], centered=True, alpha=0.5, backend="eager"),
        lambda p: optim.RMSprop([p], centered=True, alpha=0.5),
    ):
        p = torch.nn.Parameter(torch.zeros(1000))
        g = torch.rand(1000, generator=torch.Generator().manual_seed(0))
        optimizer = make(p)
        for _ in range(60):
            p.grad = g.clone()
            optimizer.step()
        ends.append(p.detach())
    assert ends[0].isfinite().all()
    assert ends[1].isnan().any(), "torch has changed: say so in the documentation"


class TestAdEMAMix:
    """arXiv 2409.03137: a scalar walked by hand, as the authors' step goes."""

    BETAS = (0.9, 0.999, 0.9999)

    def walked(
        self, alpha: float, beta3_warmup: int, alpha_warmup: int, decay: float
    ) -> list[float]:
        β1, β2, β3 = self.BETAS
        θ, fast, slow, v, path = 1.0, 0.0, 0.0, 0.0, []

        def updates_to_half(β: float) -> float:
            return float(np.log(0.5) / np.log(β + 1e-8)) - 1

        for t in range(1, UPDATES + 1):
            now = alpha * min(1.0, t / alpha_warmup) if alpha_warmup else alpha
            β = β3
            if t < beta3_warmup:
                share = t / beta3_warmup
                half = (1 - share) * updates_to_half(β1) + share * updates_to_half(β3)
                β = 0.5 ** (1 / (half + 1))
            g = 0.7 * θ + np.sin(t)
            fast = β1 * fast + (1 - β1) * g
            slow = β * slow + (1 - β) * g
            v = β2 * v + (1 - β2) * g * g
            root = np.sqrt(v) / np.sqrt(1 - β2**t) + 1e-8
            θ -= 0.02 * ((fast / (1 - β1**t) + now * slow) / root + decay * θ)
            path.append(float(θ))
        return path

    @pytest.mark.parametrize(("beta3_warmup", "alpha_warmup"), [(0, 0), (45, 0), (0, 45), (40, 25)])
    @pytest.mark.parametrize("decay", [0.0, 0.1])
    def test_is_the_authors(self, beta3_warmup: int, alpha_warmup: int, decay: float) -> None:
        p = torch.nn.Parameter(torch.ones((), dtype=torch.float64))
        warmups = {"beta3_warmup": beta3_warmup, "alpha_warmup": alpha_warmup}
        optimizer = unyoke.AdEMAMix([p], 0.02, self.BETAS, 5.0, weight_decay=decay, **warmups)
        found = []
        for t in range(1, UPDATES + 1):
            p.grad = 0.7 * p.detach() + np.sin(t)
            optimizer.step()
            found.append(float(p.detach()))
        np.testing.assert_allclose(found, self.walked(5.0, decay=decay, **warmups), rtol=1e-12)

    def test_without_the_slow_average_it_is_adam(self) -> None:
        ends = []
        for cls, own in ((unyoke.AdEMAMixW, {"alpha": 0.0}), (unyoke.AdamW, {})):
            p = torch.nn.Parameter(torch.linspace(-1, 1, 6, dtype=torch.float64))
            path(cls([p], lr=0.02, weight_decay=1e-3, backend="eager", **own))
            ends.append(p.detach())
        torch.testing.assert_close(*ends, rtol=1e-13, atol=1e-13)

    def test_the_slow_average_changes_where_it_goes(self) -> None:
        apart = np.subtract(self.walked(5.0, 0, 0, 0.0), self.walked(0.0, 0, 0, 0.0))
        assert abs(apart).max() > 1e-3
