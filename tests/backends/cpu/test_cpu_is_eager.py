"""The cpu backend computes what eager computes: the same bits, for every rule and dtype.

Both run the same formula in IEEE arithmetic, so no tolerance is needed, with two exceptions.
torch's square root is not IEEE's; here eager gets one that is. And exponentials, which IEEE does
not define, differ by some units in the last place.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from following_backends import (
    SHAPES,
    assert_same_bits,
    everything,
    normal,
    trajectory,
)
from pairs import ELEMENTWISE

import unyoke
from unyoke import decays, directions
from unyoke.backends.cpu.table import FLOATS
from unyoke.equation import direction
from unyoke.primitives import Element, absolute, maximum, sign, sqrt, where

pytestmark = pytest.mark.usefixtures("ieee_root")

SETTINGS: dict[str, Any] = {"lr": 0.02, "weight_decay": 0.004}
# Compiling takes half a second for each rule and dtype. So every direction goes with one decay and
# every decay with one direction in float32, and three rules of different kinds in every dtype.
SOME = [pair for pair in ELEMENTWISE if "decoupled" in pair or "adam" in pair]
KINDS = [("adam", "decoupled"), ("lion", "cautious"), ("nesterov", "l2")]


def test_every_part_of_the_registries_is_here() -> None:
    elementwise = {name for name, part in directions.ALL.items() if part.scope == "element"}
    assert {direction for direction, _ in SOME} >= {
        name for name in elementwise if (name, "decoupled") in ELEMENTWISE
    }
    assert {decay for _, decay in SOME} == {
        name for name, part in decays.ALL.items() if part.scope == "element"
    }


@pytest.mark.filterwarnings("ignore:weight_decay=.* is per update")
@pytest.mark.parametrize(("direction", "decay"), SOME)
def test_every_rule(direction: str, decay: str) -> None:
    shapes = list(SHAPES.values())
    ours, expected = (
        trajectory(backend, shapes, direction=direction, decay=decay, **SETTINGS)
        for backend in ("cpu", "eager")
    )
    assert_same_bits(ours, expected)


@pytest.mark.slow
def test_a_rule_of_your_own() -> None:
    """With a constant and a helper that it closes over, whole numbers, and every primitive."""
    steepness = 3

    def softly(x: Element) -> Element:
        return x / (1 + absolute(x) * steepness)

    @direction(coefficients=lambda lr: {"lr": lr})
    def own(grad: Element, lr: Element) -> Any:
        """A step of our own."""
        bounded = maximum(softly(grad), -0.25) + sqrt(absolute(grad)) * sign(grad)
        return lr * where(grad > 1, 2, bounded)

    ours, expected = (
        trajectory(backend, [(37,)], direction=own, decay="decoupled", **SETTINGS)
        for backend in ("cpu", "eager")
    )
    assert_same_bits(ours, expected)


@pytest.mark.slow
@pytest.mark.parametrize(("direction", "decay"), KINDS)
@pytest.mark.parametrize("dtype", sorted(FLOATS, key=str), ids=str)
def test_every_dtype(direction: str, decay: str, dtype: torch.dtype) -> None:
    shapes = list(SHAPES.values())
    ours, expected = (
        trajectory(backend, shapes, dtype, direction=direction, decay=decay, **SETTINGS)
        for backend in ("cpu", "eager")
    )
    assert_same_bits(ours, expected)


@pytest.mark.parametrize("dtype", sorted(FLOATS, key=str), ids=str)
def test_nan_and_infinity(dtype: torch.dtype) -> None:
    """They reach the same elements, at the ends and in the middle of a vector and of its rest."""
    odd = torch.tensor([float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 1e-45])
    results = []
    for backend in ("cpu", "eager"):
        generator = torch.Generator().manual_seed(0)
        weight = torch.nn.Parameter(normal((43,), generator, dtype))
        optimizer = unyoke.AdamW([weight], backend=backend, **SETTINGS)
        for start in (0, 13, 37, 20):
            weight.grad = normal((43,), generator, dtype)
            weight.grad[start : start + 6] = odd.to(dtype)
            optimizer.step()
        results.append(everything(optimizer))
    assert_same_bits(*results)
    assert 0 < results[0][0].isnan().sum() < 43


def test_a_nan_with_every_bit_set_is_not_rounded_to_zero() -> None:
    """Added to, as rounding to bfloat16 does, its bits would run over into the sign."""
    weight = torch.nn.Parameter(torch.ones(19))
    weight.grad = torch.full((19,), 0x7FFFFFFF, dtype=torch.int32).view(torch.float32)
    weight.data = weight.data.to(torch.bfloat16)
    unyoke.SGDW([weight], lr=1.0, momentum=0.0, weight_decay=0.0, backend="cpu").step()
    assert weight.isnan().all()


def test_denormals_are_kept() -> None:
    """As torch does unless it is told to flush them."""
    weight = torch.nn.Parameter(torch.full((19,), 3e-40))
    optimizer = unyoke.SGDW([weight], lr=1.0, momentum=0.0, weight_decay=0.0, backend="cpu")
    weight.grad = torch.full((19,), 1e-40)
    optimizer.step()
    assert torch.equal(weight, torch.full((19,), 3e-40) - torch.full((19,), 1e-40))
    assert (weight > 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_maximize_and_a_rate_in_a_tensor(dtype: torch.dtype) -> None:
    rates = [0.02, torch.tensor(0.02, dtype=dtype), torch.tensor([0.02], dtype=dtype)]
    for rate in rates[:2]:
        ours, expected = (
            trajectory(backend, [(37,), (4, 5)], dtype, lr=rate, maximize=True, weight_decay=0.004)
            for backend in ("cpu", "eager")
        )
        assert_same_bits(ours, expected)


def test_parameters_that_were_updated_different_numbers_of_times() -> None:
    """Each has its own bias correction."""
    results = []
    for backend in ("cpu", "eager"):
        generator = torch.Generator().manual_seed(0)
        weights = [torch.nn.Parameter(normal((n,), generator, torch.float32)) for n in (9, 33, 5)]
        optimizer = unyoke.AdamW(weights, backend=backend, **SETTINGS)
        for t in range(9):
            for number, weight in enumerate(weights):
                frozen = t % (number + 1) != 0
                weight.grad = None if frozen else normal(weight.shape, generator, torch.float32)
            optimizer.step()
        results.append(everything(optimizer))
    assert_same_bits(*results)
    assert len({float(step) for step in results[0] if step.dim() == 0}) == 3


def test_two_dtypes_in_one_group() -> None:
    results = []
    for backend in ("cpu", "eager"):
        generator = torch.Generator().manual_seed(0)
        weights = [
            torch.nn.Parameter(normal((n,), generator, dtype))
            for n, dtype in enumerate((*FLOATS, *FLOATS), start=3)
        ]
        optimizer = unyoke.AdamW(weights, backend=backend, **SETTINGS)
        for _ in range(3):
            for weight in weights:
                weight.grad = normal(weight.shape, generator, weight.dtype)
            optimizer.step()
        results.append(everything(optimizer))
    assert_same_bits(*results)


def test_gradients_are_never_written_and_autograd_hears_of_the_update() -> None:
    weight = torch.nn.Parameter(torch.randn(50))
    weight.grad = torch.randn(50)
    before = weight.grad.clone()
    square = (weight * weight).sum()
    unyoke.AdamW([weight], backend="cpu", decay="l2").step()
    assert torch.equal(weight.grad, before)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        square.backward()
