"""What a kernel does with an element is written once: a format or a rounding is one entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numba
import pytest
import torch
from bits import exact_root
from following_backends import SHAPES, assert_same_bits, trajectory
from interpreting import interpret

import unyoke
from unyoke import decays, directions
from unyoke.backends import Work, element
from unyoke.backends.cpu import compiled, source
from unyoke.equation import combine
from unyoke.primitives import bits_of, float_of, int32, maximum
from unyoke.storage import formats, rounding
from unyoke.storage.encodings import BLOCK
from unyoke.storage.formats import BFLOAT16, PLAIN, SIGNED, UNSIGNED, Format
from unyoke.storage.rounding import ROUNDINGS, WeightRounding

F32 = torch.float32


def encode_upper_half(value: Any, random: Any) -> Any:
    """Somebody's own format: the upper 8 of a positive float32's 31 bits, rounded at random."""
    return int32(maximum(int32(bits_of(value) + random), int32(0)) >> 23)


def decode_upper_half(code: Any) -> Any:
    return float_of(int32(code << 23))


def some_bits(value: Any) -> Any:
    return 1 << 22


def subtract_on_a_grid(weight: Any, delta: Any) -> Any:
    """Somebody's own rounding: to the nearest 1024th."""
    return ((((weight - delta) * 1024.0 + 12582912.0) - 12582912.0) * 0.0009765625,)


OWN = Format("8 upper bits", torch.uint8, encode_upper_half, decode_upper_half, 23, some_bits)


@pytest.fixture
def interpreter(monkeypatch: pytest.MonkeyPatch) -> str:
    interpret(monkeypatch)
    return "gpu"


def of_own_format(backend: str) -> list[torch.Tensor]:
    torch.manual_seed(8)  # the seed of the random bits
    shapes = [(3, 5), (4096,), (41, 130)]
    return trajectory(backend, shapes, direction="adagrad", state_dtype="int8")


def test_a_new_format_is_one_entry(monkeypatch: pytest.MonkeyPatch, interpreter: str) -> None:
    monkeypatch.setattr(torch, "sqrt", exact_root)
    monkeypatch.setitem(formats._BY_DTYPE, torch.uint8, OWN)
    monkeypatch.setattr(formats, "UNSIGNED", OWN)
    expected = of_own_format("eager")
    assert any(tensor.dtype == torch.uint8 and tensor.unique().numel() > 9 for tensor in expected)
    for backend in ("cpu", interpreter):
        assert_same_bits(of_own_format(backend), expected)


def test_a_new_rounding_is_one_entry(monkeypatch: pytest.MonkeyPatch, interpreter: str) -> None:
    own = {None: WeightRounding("on a grid", subtract_on_a_grid)}
    monkeypatch.setitem(ROUNDINGS, "on a grid", own)  # type: ignore[arg-type]
    shapes = list(SHAPES.values())[:6]
    settings: Mapping[str, Any] = {"direction": "lion", "rounding": "on a grid"}
    expected = trajectory("eager", shapes, **settings)
    for backend in ("cpu", interpreter):
        assert_same_bits(trajectory(backend, shapes, **settings), expected)


def recipe(rounded: str = "nearest", weight: torch.dtype = F32, kinds: Any = None) -> Any:
    rule = combine(directions.get("amsgrad"), decays.get("decoupled"))
    kinds = kinds or (PLAIN,) * 3
    dtypes = tuple(kind.dtype or F32 for kind in kinds)
    return element.Recipe(
        rule, weight, weight, dtypes, kinds, rounding.rounding_of(rounded, weight)
    )


class Stubs(dict):
    """Names of a kernel's text that do nothing, so that Python can run it on no memory."""

    def __missing__(self, name: str) -> Any:
        results = {"update": (0, 0, 0, 0), "subtract_nearest": (0,)}
        return lambda *given: results.get(name, 0)


@pytest.mark.parametrize("size", [100, 512, 513, 640, 641, 4000])
def test_what_is_fetched_ahead_lies_in_the_chunk(size: int) -> None:
    kernel, start = recipe(kinds=(SIGNED, UNSIGNED, UNSIGNED)), 1280
    words = {"chunks": (0, start, size, 0), "addresses": [k << 32 for k in range(8)]}
    jobs = {"job": ["addresses", 1, "chunks", 0, "own"], "own": [0] * 4} | words
    fetched: list[int] = []
    names = Stubs(
        range=range,
        compiled=lambda function: function,
        word_at=lambda table, place: jobs[table][place],
        prefetch=fetched.append,
        int32=int,
    )
    exec(source.text(kernel), names)
    assert names["run"]("job", 0, 1) == 0
    whole = max(0, size - source.AHEAD) // BLOCK * BLOCK
    for number, column in enumerate(kernel.columns):
        first = (start + source.AHEAD) * column.dtype.itemsize
        expected = range(first, first + whole * column.dtype.itemsize, source.LINE)
        assert [place & 0xFFFFFFFF for place in fetched if place >> 32 == number] == [*expected]


@pytest.mark.slow
@pytest.mark.parametrize(("state", "is_wide"), [(PLAIN, False), (BFLOAT16, True)])
def test_kernels_of_narrow_state_take_wide_vectors(state: Format, is_wide: bool) -> None:
    kernel = recipe(kinds=(state, PLAIN, PLAIN))
    scope = compiled.names(kernel, {"update": kernel.rule.function}, {})
    exec(source.text(kernel), scope)
    scope["run"].compile((numba.int64,) * 3)
    [llvm] = scope["run"].inspect_llvm().values()
    assert ('"prefer-vector-width"="512"' in llvm) == is_wide


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (recipe(), []),
        (recipe("kahan"), []),
        (recipe(kinds=(PLAIN, BFLOAT16, PLAIN)), [0]),
        (recipe(kinds=(SIGNED, UNSIGNED, UNSIGNED)), [0, 1]),
        (recipe("stochastic"), [2, 3]),
        (recipe("kahan", torch.bfloat16, (SIGNED, PLAIN, PLAIN)), [0, 2, 3]),
    ],
)
def test_words_are_drawn_for_what_takes_them(found: Any, expected: list[int]) -> None:
    assert found.words == expected


@pytest.mark.parametrize("rounded", ["nearest", "kahan", "stochastic"])
@pytest.mark.parametrize("kinds", [(PLAIN,) * 3, (BFLOAT16, PLAIN, UNSIGNED)])
def test_every_name_is_made_before_it_is_read(rounded: str, kinds: Any) -> None:
    """And every column but the gradient gets a new value."""
    own = recipe(rounded, kinds=kinds)
    known = {f"old_{column.name}" for column in own.columns if not column.is_narrow}
    known |= {f"code_{column.name}" for column in own.narrow} | {f"word{w}" for w in own.words}
    last = set[str]()
    for stage in element.stages(own):
        assert set(stage.reads) <= known
        known |= set(stage.makes)
        last |= set(stage.makes)
    kept = {column.stored() for column in own.columns if column.name != "grad"}
    assert kept <= last


def test_a_weight_that_was_cast_to_what_its_rounding_does_not_take_is_refused() -> None:
    weight = torch.nn.Parameter(torch.ones(4))
    for backend in ("eager", "cpu"):
        optimizer = unyoke.SGDW([weight], rounding="stochastic", backend=backend)
        weight.data = weight.data.half()
        weight.grad = torch.ones_like(weight)
        with pytest.raises(ValueError, match=r"is for float32 and bfloat16 weights.*float16"):
            optimizer.step()
        assert torch.equal(weight, torch.ones_like(weight))
        weight.data = weight.data.float()
        weight.grad = None


def test_tensors_stand_in_the_order_of_the_columns() -> None:
    own = recipe("kahan", kinds=(SIGNED, PLAIN, UNSIGNED))
    weight, grad = torch.zeros(3), torch.ones(3)
    names = [*own.rule.state, "exp_avg_scale", "max_exp_avg_sq_scale", "compensation"]
    state = {name: torch.full((3,), float(k)) for k, name in enumerate(names)}
    work = Work(own.rule, [weight], [state], rounding="kahan", given_grads=[grad])
    order = [*own.rule.state, "compensation", "exp_avg_scale", "max_exp_avg_sq_scale"]
    found = own.tensors(work, 0)
    assert found[0] is weight
    assert found[1] is grad
    assert all(a is state[name] for a, name in zip(found[2:], order, strict=True))
