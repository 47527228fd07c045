"""The named optimizers against torch.optim where the definitions coincide."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from following import Array, assert_same_path, follow, noisy_quadratic, parameter, weights

import unyoke

pytestmark = pytest.mark.usefixtures("definition")

UPDATES = 100
ADAM = {"betas": (0.8, 0.99), "eps": 1e-4}
SGD = {"lr": 0.02, "weight_decay": 0.1}

# ours, its arguments, torch's, its arguments, shared arguments
SAME: dict[str, tuple[Any, dict[str, Any], Any, dict[str, Any], dict[str, Any]]] = {
    "SGD": (unyoke.SGD, {}, torch.optim.SGD, {}, {**SGD, "momentum": 0.9}),
    "SGD, by direction": (
        unyoke.SGD,
        {"direction": "momentum"},
        torch.optim.SGD,
        {},
        {**SGD, "momentum": 0.9},
    ),
    "SGD, dampened": (
        unyoke.SGD,
        {},
        torch.optim.SGD,
        {},
        {**SGD, "momentum": 0.9, "dampening": 0.4},
    ),
    "SGD, no momentum": (unyoke.SGD, {}, torch.optim.SGD, {}, {**SGD, "dampening": 0.4}),
    "SGD, heavy ball at a constant rate": (
        unyoke.SGDW,
        {"decay": "l2"},
        torch.optim.SGD,
        {},
        {**SGD, "momentum": 0.9},
    ),
    "SGD, Nesterov": (
        unyoke.SGD,
        {},
        torch.optim.SGD,
        {},
        {**SGD, "momentum": 0.9, "nesterov": True},
    ),
    "Adam": (unyoke.Adam, {}, torch.optim.Adam, {}, {"lr": 0.02, "weight_decay": 0.1, **ADAM}),
    "AdamW, coupled": (
        unyoke.AdamW,
        {"decay": "lr_coupled"},
        torch.optim.AdamW,
        {},
        {"lr": 0.02, "weight_decay": 0.1, **ADAM},
    ),
    "AdamW": (
        unyoke.AdamW,
        {"weight_decay": 0.02 * 0.1},  # λ = lr · wd
        torch.optim.AdamW,
        {"weight_decay": 0.1},
        {"lr": 0.02, **ADAM},
    ),
    "AdamW, defaults": (unyoke.AdamW, {}, torch.optim.AdamW, {}, {}),
    "Adam, defaults": (unyoke.Adam, {}, torch.optim.Adam, {}, {}),
}


def both(name: str, dtype: torch.dtype, **more: Any) -> tuple[Array, Array]:
    ours, own, torchs, torch_own, shared = SAME[name]
    paths = [
        follow(
            optimizer([parameter(dtype=dtype)], **shared, **arguments, **more),
            noisy_quadratic,
            UPDATES,
        )
        for optimizer, arguments in ((ours, own), (torchs, torch_own))
    ]
    return paths[0], paths[1]


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)], ids=str
)
def test_same_path_as_torch(name: str, dtype: torch.dtype, tolerance: float) -> None:
    """float32: torch orders its products otherwise; 1e-6 is eight units in the last place."""
    if name.startswith("AdamW") and dtype is torch.float32:
        tolerance = 4e-6  # torch rounds 1 − lr·wd to float32: up to 3e-8 in each of 100 updates
    ours, torchs = both(name, dtype)
    assert_same_path(ours, torchs, tolerance)


@pytest.mark.parametrize("name", ["SGD", "SGD, no momentum"])
def test_without_decay_sgd_is_torch_bit_for_bit(name: str) -> None:
    ours, own, torchs, torch_own, shared = SAME[name]
    shared = {**shared, "weight_decay": 0.0, "lr": 2.0**-6}  # a power of two: products are exact
    paths = [
        follow(
            optimizer([parameter(dtype=torch.float32)], **shared, **arguments),
            noisy_quadratic,
            UPDATES,
        )
        for optimizer, arguments in ((ours, own), (torchs, torch_own))
    ]
    np.testing.assert_array_equal(paths[0], paths[1])


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_maximize_is_torch_s(name: str) -> None:
    ours, torchs = both(name, torch.float64, maximize=True)
    assert_same_path(ours, torchs, 1e-12)


def test_adamw_without_decay_is_adam() -> None:
    paths = [
        follow(cls([parameter()], lr=0.02, weight_decay=0.0), noisy_quadratic, UPDATES)
        for cls in (unyoke.AdamW, unyoke.Adam)
    ]
    np.testing.assert_array_equal(paths[0], paths[1])


def test_heavy_ball_and_momentum_differ_as_soon_as_a_schedule_moves_the_rate() -> None:
    """Algorithm 1 keeps the learning rate inside the buffer, torch outside."""
    paths = [
        follow(
            unyoke.SGDW(
                [parameter()],
                lr=0.02,
                direction=direction,
                schedule=unyoke.schedules.cosine(UPDATES),
            ),
            noisy_quadratic,
            UPDATES,
        )
        for direction in ("heavy_ball", "momentum")
    ]
    np.testing.assert_allclose(paths[0][1], paths[1][1], rtol=1e-14)
    assert abs(paths[0][-1] - paths[1][-1]).max() > 1e-3


class TestSignatures:
    """What code written for torch.optim relies on."""

    @pytest.mark.parametrize(
        ("cls", "positional"),
        [
            (unyoke.AdamW, ["params", "lr", "betas", "eps", "weight_decay", "amsgrad"]),
            (unyoke.SGDW, ["params", "lr", "momentum", "weight_decay"]),
        ],
    )
    def test_order_of_arguments(self, cls: type, positional: list[str]) -> None:
        parameters = inspect.signature(cls).parameters.values()
        assert [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD] == positional

    @pytest.mark.parametrize(
        ("cls", "expected"),
        [
            (
                unyoke.AdamW,
                {
                    "lr": 1e-3,
                    "betas": (0.9, 0.999),
                    "eps": 1e-8,
                    "weight_decay": 1e-5,
                    "decay": "decoupled",
                },
            ),
            (unyoke.Adam, {"lr": 1e-3, "weight_decay": 0.0, "decay": "l2"}),
            (
                unyoke.SGDW,
                {"lr": 1e-3, "momentum": 0.9, "weight_decay": 1e-5, "decay": "decoupled"},
            ),
            (unyoke.SGD, {"lr": 1e-3, "momentum": 0.0, "weight_decay": 0.0, "decay": "l2"}),
        ],
    )
    def test_defaults(self, cls: Any, expected: dict[str, Any]) -> None:
        group = cls([parameter()]).param_groups[0]
        assert {name: group[name] for name in expected} == expected

    def test_sgdw_is_algorithm_1_by_default(self) -> None:
        assert unyoke.SGDW([parameter()]).direction.name == "heavy_ball"

    @pytest.mark.parametrize("cls", [unyoke.SGD, unyoke.SGDW, unyoke.Adam, unyoke.AdamW])
    def test_every_one_is_a_torch_optimizer(self, cls: Any) -> None:
        optimizer = cls([parameter()])
        assert isinstance(optimizer, torch.optim.Optimizer)
        assert isinstance(optimizer, unyoke.Optimizer)

    def test_state_has_torch_s_keys(self) -> None:
        for ours, torchs in [
            (unyoke.AdamW([p := parameter()]), torch.optim.AdamW([q := parameter()])),
        ]:
            for optimizer, own in ((ours, p), (torchs, q)):
                own.grad = torch.from_numpy(weights(1))
                optimizer.step()
            assert set(ours.state[p]) == set(torchs.state[q]) == {"step", "exp_avg", "exp_avg_sq"}
        sgdw = unyoke.SGDW([p := parameter()], direction="momentum")
        sgdw.init_state()
        assert "momentum_buffer" in sgdw.state[p]
