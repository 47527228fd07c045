"""State formats and roundings of weights in compiled code: eager's bits, random ones included."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from following_backends import assert_same_bits, everything, trajectory

import unyoke
from unyoke.storage import formats

pytestmark = pytest.mark.usefixtures("ieee_root")

# Under SMALL elements state stays plain; blocks that are whole, cut off, and cut by a chunk's end.
SHAPES = [(3, 5), (4096,), (70_001,), (100, 130)]
STATES = ["float32", "bfloat16", "int8"]


def assert_same_path(dtype: torch.dtype = torch.float32, **settings: Any) -> list[torch.Tensor]:
    found = {}
    for backend in ("cpu", "eager"):
        torch.manual_seed(8)  # the seed of the random bits
        found[backend] = trajectory(backend, SHAPES, dtype, lr=0.02, weight_decay=4e-3, **settings)
    assert_same_bits(found["cpu"], found["eager"])
    return found["cpu"]


@pytest.mark.parametrize("rounding", formats.ROUNDINGS)
@pytest.mark.parametrize("state_dtype", STATES)
def test_adam(state_dtype: str, rounding: str) -> None:
    found = assert_same_path(state_dtype=state_dtype, rounding=rounding)
    short = {
        "float32": {torch.float32},
        "bfloat16": {torch.bfloat16, torch.float32},
        "int8": {torch.int8, torch.uint8, torch.float32},
    }[state_dtype]
    assert short == {tensor.dtype for tensor in found}


@pytest.mark.parametrize("count", [1, 4000, 4097, 4223, 33_000])
def test_what_is_left_over_from_whole_blocks_touches_no_neighbour(count: int) -> None:
    """It is updated elsewhere and copied back: weights, codes and compensations, and no more."""
    before = torch.arange(count + 64, dtype=torch.float32)
    found = {}
    for backend in ("cpu", "eager"):
        torch.manual_seed(8)
        memory = before.clone()
        weight = torch.nn.Parameter(memory[32:-32])
        settings = {"state_dtype": "int8", "rounding": "kahan", "backend": backend}
        optimizer = unyoke.AdamW([weight], lr=0.1, **settings)
        for _ in range(3):
            weight.grad = torch.linspace(-1, 1, count)
            optimizer.step()
        assert torch.equal(memory[:32], before[:32])
        assert torch.equal(memory[-32:], before[-32:])
        found[backend] = everything(optimizer)
    assert_same_bits(found["cpu"], found["eager"])


@pytest.mark.parametrize("state_dtype", STATES)
@pytest.mark.parametrize("rounding", formats.ROUNDINGS)
def test_a_gradient_may_be_the_weight_itself(state_dtype: str, rounding: str) -> None:
    """Loops are told that their columns lie apart; an element is read before it is written."""
    found = {}
    for backend in ("cpu", "eager"):
        torch.manual_seed(8)
        weight = torch.nn.Parameter(torch.linspace(-2, 2, 5000))
        settings = {"state_dtype": state_dtype, "rounding": rounding, "backend": backend}
        optimizer = unyoke.SGDW([weight], lr=0.1, **settings)
        for _ in range(3):
            weight.grad = weight.data
            optimizer.step()
        found[backend] = everything(optimizer)
    assert_same_bits(found["cpu"], found["eager"])


@pytest.mark.slow
@pytest.mark.parametrize("rounding", ["kahan", "stochastic"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_nothing_moves_where_the_step_is_zero(dtype: torch.dtype, rounding: str) -> None:
    """The sign of a zero neither."""
    weight = torch.nn.Parameter(torch.tensor([0.0, -0.0, 1.5, -3.0]).to(dtype))
    optimizer = unyoke.SGDW([weight], weight_decay=0.0, rounding=rounding, backend="cpu")
    weight.grad = torch.zeros_like(weight)
    before = weight.detach().clone()
    optimizer.step()
    assert torch.equal(weight.detach().signbit(), before.signbit())
    assert torch.equal(weight.detach(), before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "state_dtype", "rounding"),
    [
        (torch.bfloat16, "int8", "stochastic"),
        (torch.float16, "bfloat16", "kahan"),
        (torch.float64, "int8", "kahan"),
    ],
    ids=str,
)
def test_weights_of_other_dtypes(dtype: torch.dtype, state_dtype: str, rounding: str) -> None:
    assert_same_path(dtype, state_dtype=state_dtype, rounding=rounding)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("direction", "state_dtype"), [("amsgrad", "bfloat16"), ("amsgrad", "int8"), ("lion", "int8")]
)
def test_one_and_three_states(direction: str, state_dtype: str) -> None:
    """The third state takes its random bits from a second word."""
    assert_same_path(direction=direction, state_dtype=state_dtype, rounding="stochastic")


def test_a_nan_spoils_its_block_and_no_other() -> None:
    weight = torch.nn.Parameter(torch.ones(5000))
    optimizer = unyoke.AdamW([weight], backend="cpu", state_dtype="int8")
    weight.grad = torch.ones(5000)
    weight.grad[300] = float("nan")
    optimizer.step()
    scales = optimizer.state[weight]["exp_avg_scale"]
    assert scales.isnan().nonzero().flatten().tolist() == [300 // 128]
    assert weight.isnan().nonzero().flatten().tolist() == [300]


@pytest.mark.parametrize("seed", [5, (1 << 30) + 12_345])  # more digits than a float32 has
def test_stacked_models_draw_eagers_random_bits(seed: int) -> None:
    found = []
    for backend in ("cpu", "eager"):
        weight = torch.nn.Parameter(torch.linspace(-1, 1, 900).reshape(3, 300).bfloat16())
        lr = torch.tensor([0.01, 0.02, 0.03], dtype=torch.float64)
        optimizer = unyoke.AdamW([weight], lr, seed=seed, rounding="stochastic", backend=backend)
        for _ in range(3):
            weight.grad = weight.detach().clone()
            optimizer.step()
        found.append(weight.detach())
    assert torch.equal(*found)
