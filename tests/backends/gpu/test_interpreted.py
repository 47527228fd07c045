"""The gpu backend's kernels in Triton's interpreter, against eager: no GPU is needed.

The interpreter computes each operation in NumPy, in float32 and in the order in which the kernel
says it, as torch does in eager. What may differ is the last bit, where torch's vector code
contracts a product and a sum: so TOLERANCE is a few float32 ulps of the largest number.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from interpreting import interpret
from stepping import NEEDS_TRITON, difference, random, refusal, stepped

import unyoke
from unyoke import decays, directions
from unyoke.backends.gpu import tables

pytest.importorskip("triton", reason=NEEDS_TRITON)
pytestmark = pytest.mark.filterwarnings("ignore:weight_decay=.* is per update")

TOLERANCE = 4 * torch.finfo(torch.float32).eps
ELEMENTWISE = [name for name in directions.ALL if refusal(name, "none") is None]


@pytest.fixture(autouse=True)
def _interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    interpret(monkeypatch)


def check(tolerance: float = TOLERANCE, **options: Any) -> None:
    found, expected = stepped("gpu", **options), stepped("eager", **options)
    assert difference(found, expected) <= tolerance
    start = stepped("eager", **{**options, "updates": 0})
    moved = [
        float((a - b).detach().abs().max()) / float(b.detach().abs().max())
        for a, b in zip(
            expected.param_groups[0]["params"], start.param_groups[0]["params"], strict=True
        )
        if a.numel()
    ]
    assert max(moved) > 10 * tolerance, "nothing moves, so the comparison says nothing"


# The formulas


@pytest.mark.parametrize("decay", ["decoupled", "l2", "cautious"])
@pytest.mark.parametrize("direction", ELEMENTWISE)
def test_every_direction(direction: str, decay: str) -> None:
    if (reason := refusal(direction, decay)) is not None:
        pytest.skip(reason)
    check(direction=direction, decay=decay, shapes=((5, 16), (3,)))


@pytest.mark.parametrize("decay", decays.ALL)
@pytest.mark.parametrize("direction", ["adam", "heavy_ball"])
def test_every_decay(direction: str, decay: str) -> None:
    if (reason := refusal(direction, decay)) is not None:
        pytest.skip(reason)
    check(direction=direction, decay=decay)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.complex64])
def test_every_dtype(dtype: torch.dtype) -> None:
    """Low precision is rounded once from float32: hardly ever to the other neighbour."""
    ulp = torch.finfo(dtype).eps
    check(tolerance=4e-16 if dtype == torch.float64 else max(ulp, TOLERANCE), dtype=dtype, lr=0.2)


def test_nan_and_infinity_go_where_eager_puts_them() -> None:
    def broken(grad: torch.Tensor, t: int, number: int) -> torch.Tensor:
        flat = grad.flatten()
        flat[:3] = torch.tensor([float("nan"), float("inf"), -float("inf")])[: flat.numel()]
        return grad

    for direction in ("adam", "lion", "amsgrad"):
        found = stepped("gpu", grad=broken, direction=direction, updates=1)
        expected = stepped("eager", grad=broken, direction=direction, updates=1)
        assert difference(found, expected) <= TOLERANCE
        assert expected.param_groups[0]["params"][0].isnan().any()


def test_maximize() -> None:
    check(maximize=True)


# Formats. At 4,096 elements and more, so that the state is kept in them; large enough for whole
# blocks, a part of a block and several chunks.

LARGE = ((4160,), (41, 101))


@pytest.mark.slow
@pytest.mark.parametrize("state_dtype", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("rounding", ["nearest", "kahan", "stochastic"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_format(dtype: torch.dtype, rounding: str, state_dtype: str) -> None:
    check_format({"state_dtype": state_dtype, "rounding": rounding, "dtype": dtype})


@pytest.mark.parametrize("rounding", ["nearest", "kahan"])
@pytest.mark.parametrize("state_dtype", ["bfloat16", "int8"])
def test_double_precision_with_narrow_state(state_dtype: str, rounding: str) -> None:
    check_format({"state_dtype": state_dtype, "rounding": rounding, "dtype": torch.float64})


def check_format(options: dict[str, Any]) -> None:
    """The same random bits, so the same codes; a last bit decides otherwise once in thousands."""
    found = stepped("gpu", shapes=LARGE, **options)
    expected = stepped("eager", shapes=LARGE, **options)
    for weight, other in zip(
        found.param_groups[0]["params"], expected.param_groups[0]["params"], strict=True
    ):
        ours, theirs = found.state[weight], expected.state[other]
        assert ours.keys() == theirs.keys()
        for name in ours.keys() - {"compensation"}:
            same = torch.isclose(ours[name].float(), theirs[name].float(), rtol=TOLERANCE, atol=0)
            assert same.float().mean() >= 0.999, name
        rest, its_rest = ours.get("compensation", 0.0), theirs.get("compensation", 0.0)
        kept = weight.detach().double() + rest
        near = (kept - (other.detach().double() + its_rest)).abs() <= TOLERANCE
        assert near.double().mean() >= 0.999


def test_eight_bit_blocks_with_nan() -> None:
    def broken(grad: torch.Tensor, t: int, number: int) -> torch.Tensor:
        grad.view(-1)[200] = float("nan")
        return grad

    found = stepped("gpu", ((4100,),), grad=broken, state_dtype="int8")
    expected = stepped("eager", ((4100,),), grad=broken, state_dtype="int8")
    assert difference(found, expected) <= TOLERANCE
    (state,) = expected.state.values()
    assert state["exp_avg_scale"].isnan().tolist() == [False, True] + [False] * 31


# Memory


def transposed(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.t().contiguous().t() if tensor.dim() == 2 else tensor.clone()


def beside_a_canary(tensor: torch.Tensor) -> torch.Tensor:
    """One element into a storage, so that nothing is aligned to 16 bytes."""
    memory = torch.full((tensor.numel() + 2,), 7.0)
    memory[1:-1] = tensor.flatten()
    return memory[1:-1].view(tensor.shape)


@pytest.mark.parametrize("place", [transposed, beside_a_canary])
def test_layouts(place: Any) -> None:
    shapes = ((5, 16), (41, 101), (3,))
    found, expected = stepped("gpu", shapes, place=place), stepped("eager", shapes, place=place)
    assert difference(found, expected) <= TOLERANCE
    if place is beside_a_canary:
        for weight in found.param_groups[0]["params"]:
            memory = torch.empty(0).set_(weight.detach().untyped_storage())
            assert memory[0] == memory[-1] == 7.0


def test_eight_bit_blocks_unaligned() -> None:
    options: dict[str, Any] = {"place": beside_a_canary, "state_dtype": "int8"}
    found, expected = stepped("gpu", ((4100,),), **options), stepped("eager", ((4100,),), **options)
    assert difference(found, expected) <= TOLERANCE


@pytest.mark.parametrize("state_dtype", [torch.float32, "int8"])
def test_several_blocks(monkeypatch: pytest.MonkeyPatch, state_dtype: Any) -> None:
    """As programs of their own, and in one program."""
    for programs in (1 << 14, 1):
        monkeypatch.setattr(tables, "PROGRAMS", programs)
        check(shapes=((5000,), (70,)), state_dtype=state_dtype)


def test_moved_resized_and_replaced_tensors_are_noticed() -> None:
    def run(backend: str) -> unyoke.Optimizer:
        optimizer = stepped(backend, ((4, 4), (3,)))
        weight, other = optimizer.param_groups[0]["params"]
        weight.data = weight.data.clone()
        other.grad = random((3,), 7)
        optimizer.step()
        weight.grad = random((4, 4), 8).t()
        weight.data = weight.data.t()
        for name in ("exp_avg", "exp_avg_sq"):
            optimizer.state[weight][name].data = optimizer.state[weight][name].t()
        optimizer.step()
        weight.grad = None
        other.data, other.grad = other.data.half(), None
        other.grad = random((3,), 9, torch.float16)
        optimizer.step()
        return optimizer

    assert difference(run("gpu"), run("eager")) <= TOLERANCE


# Coefficients


def test_parameters_at_different_updates() -> None:
    """Without a gradient at first: then there are two sets of coefficients in one launch."""
    check(grad=lambda grad, t, number: None if t == 0 and number == 1 else grad, updates=3)


@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
def test_stacked_models(rounding: str) -> None:
    """A rate and a decay for each model, in one launch."""
    check(
        shapes=((3, 5, 7), (3, 2), (3, 33, 32)),
        lr=torch.tensor([0.01, 0.02, 0.0]),
        weight_decay=torch.tensor([0.004, 0.0, 0.1]),
        rounding=rounding,
    )


def test_rates_in_tensors() -> None:
    check(lr=torch.tensor(0.02), weight_decay=torch.tensor(0.003))


def test_a_move_is_noticed_though_the_step_was_refused() -> None:
    """Its address is known by then; the table on the device must follow all the same."""
    optimizer = stepped("gpu", ((6,), (4, 6)), updates=4)
    first, second = optimizer.param_groups[0]["params"]
    grad, old = second.grad, first.data
    first.data = old.clone()
    second.grad = grad.t().contiguous().t()
    with pytest.raises(RuntimeError, match="a kernel needs one order"):
        optimizer.step()
    second.grad = grad
    before = old.clone()
    optimizer.step()
    assert torch.equal(old, before)
    assert not torch.equal(first.detach(), before)
