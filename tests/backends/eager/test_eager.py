"""Eager gathers small tensors, cuts large ones and works in place: the bits are the formula's."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from bits import exact_root
from following_backends import (
    SHAPES,
    assert_same_bits,
    everything,
    normal,
    trajectory,
)
from pairs import ELEMENTWISE

import unyoke
from unyoke import decays
from unyoke.backends import ALL
from unyoke.backends.eager import flat
from unyoke.backends.eager.in_place import beside_elements, in_place, text
from unyoke.equation import Direction, combine, direction
from unyoke.primitives import Element, absolute, maximum, sqrt, where

SETTINGS: dict[str, Any] = {"lr": 0.02, "weight_decay": 0.004, "backend": "eager"}
LARGE = flat.SMALL + 7
RATES = [0.02, torch.tensor(0.02), torch.tensor(0.02).double()]
MANY = [*SHAPES.values(), *[(2, 3)] * flat.OFTEN, (LARGE,), (LARGE // 8, 16)]


@pytest.fixture
def each_by_itself(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From when it is called, every tensor is updated by itself, by the formula as it stands."""

    def divide(work: Any) -> Any:
        return [], list(range(len(work.weights)))

    return lambda: monkeypatch.setattr(flat, "divide", divide)


class TestBits:
    @pytest.mark.filterwarnings("ignore:weight_decay=.* is per update")
    @pytest.mark.parametrize(("direction", "decay"), ELEMENTWISE)
    def test_every_rule(
        self, direction: str, decay: str, each_by_itself: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ours = trajectory(shapes=MANY, direction=direction, decay=decay, **SETTINGS)
        monkeypatch.setattr(flat, "PIECE", 1024)  # several pieces: numbers become tensors
        pieces = trajectory(shapes=MANY, direction=direction, decay=decay, **SETTINGS)
        each_by_itself()
        expected = trajectory(shapes=MANY, direction=direction, decay=decay, **SETTINGS)
        assert_same_bits(ours, expected)
        assert_same_bits(pieces, expected)

    @pytest.mark.parametrize("maximize", [False, True])
    @pytest.mark.parametrize(
        "rate", [0.02, torch.tensor(0.02), torch.tensor(0.02).double()], ids=str
    )
    @pytest.mark.parametrize(
        "dtype", [torch.float64, torch.bfloat16, torch.float16, torch.complex64], ids=str
    )
    def test_every_dtype(
        self, dtype: torch.dtype, rate: Any, maximize: bool, each_by_itself: Any
    ) -> None:
        settings = {**SETTINGS, "lr": rate, "maximize": maximize, "dtype": dtype}
        ours = trajectory(shapes=MANY, **settings)
        each_by_itself()
        assert_same_bits(ours, trajectory(shapes=MANY, **settings))

    @pytest.mark.parametrize("settings", [{"state_dtype": "int8"}, {"rounding": "kahan"}], ids=str)
    def test_formats_are_read_and_written_as_ever(self, settings: Any, each_by_itself: Any) -> None:
        ours = trajectory(shapes=MANY, **settings, **SETTINGS)
        each_by_itself()
        assert_same_bits(ours, trajectory(shapes=MANY, **settings, **SETTINGS))

    def test_other_orders_in_memory(self, each_by_itself: Any) -> None:
        def made() -> list[torch.Tensor]:
            generator = torch.Generator().manual_seed(0)
            shapes = [(4, 3, 5, 6), (8, 16, 17, 19)]
            weights = [normal(shape, generator, torch.float32) for shape in shapes]
            weights += [weight.to(memory_format=torch.channels_last) for weight in weights]
            weights += [normal((LARGE, 2), generator, torch.float32)[:, 0]]  # has gaps
            weights = [torch.nn.Parameter(weight) for weight in weights]
            optimizer = unyoke.AdamW(weights, **SETTINGS)
            for t in range(4):
                for weight in weights:
                    grad = normal(weight.shape, generator, torch.float32)
                    weight.grad = grad if t % 2 else torch.empty_like(weight).copy_(grad)
                weights[0].grad = torch.ones(()).expand(weights[0].shape)
                optimizer.step()
            return everything(optimizer)

        ours = made()
        each_by_itself()
        assert_same_bits(ours, made())

    def test_numbers_of_updates_that_differ(self, each_by_itself: Any) -> None:
        def made() -> list[torch.Tensor]:
            generator = torch.Generator().manual_seed(0)
            weights = [torch.nn.Parameter(torch.ones(n)) for n in (9, 33, 5, 9)]
            optimizer = unyoke.AdamW(weights, **SETTINGS)
            for t in range(7):
                for number, weight in enumerate(weights):
                    frozen = t % (number + 1) != 0
                    weight.grad = None if frozen else normal(weight.shape, generator, weight.dtype)
                optimizer.step()
            return everything(optimizer)

        ours = made()
        each_by_itself()
        assert_same_bits(ours, made())

    def test_pieces_cover_every_element_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        expected = trajectory(shapes=[(LARGE,)], **SETTINGS)
        monkeypatch.setattr(flat, "PIECE", 100)
        assert_same_bits(trajectory(shapes=[(LARGE,)], **SETTINGS), expected)


class TestWhatHappensBetweenSteps:
    @pytest.mark.parametrize("size", [12, LARGE])
    def test_a_weight_that_is_another_tensor_now(self, size: int, each_by_itself: Any) -> None:
        def made() -> list[torch.Tensor]:
            weight, other = torch.nn.Parameter(torch.ones(size)), torch.nn.Parameter(torch.ones(12))
            optimizer = unyoke.SGDW([weight, other], **SETTINGS)
            for t in range(5):
                if t == 2:
                    weight.data = torch.full((size, 3), 2.0)[:, 0]
                if t == 3:
                    weight.data = weight.data.contiguous()
                    optimizer.state[weight]["momentum_buffer"] = torch.ones(size)
                weight.grad, other.grad = torch.ones(size), torch.ones(12)
                optimizer.step()
            return everything(optimizer)

        ours = made()
        each_by_itself()
        assert_same_bits(ours, made())

    def test_gradients_are_never_written_and_autograd_hears_of_the_update(self) -> None:
        for size in (50, LARGE):
            weight = torch.nn.Parameter(torch.randn(size))
            weight.grad = torch.randn(size)
            before = weight.grad.clone()
            square = (weight * weight).sum()
            unyoke.AdamW([weight], decay="l2", **SETTINGS).step()
            assert torch.equal(weight.grad, before)
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                square.backward()

    @pytest.mark.parametrize("size", [12, LARGE])
    @pytest.mark.parametrize("left", [0, 40])
    @pytest.mark.parametrize("what", ["weight", "gradient", "exp_avg"])
    def test_memory_that_was_taken_away_is_refused(self, what: str, left: int, size: int) -> None:
        """torch would read and write past the end of the storage."""
        weights = [torch.nn.Parameter(torch.ones(3, size)) for _ in range(2)]
        optimizer = unyoke.AdamW(zip(("a", "b"), weights, strict=True), **SETTINGS)
        for weight in weights:
            weight.grad = torch.ones(3, size)
        optimizer.step()
        state = optimizer.state[weights[1]]
        lost = {"weight": weights[1], "gradient": weights[1].grad, "exp_avg": state["exp_avg"]}[
            what
        ]
        assert lost is not None
        lost.untyped_storage().resize_(left)
        before = [weights[0].clone(), state["step"].clone()]
        with pytest.raises(
            RuntimeError, match=rf"the {what} of parameter 'b' .* has a storage of {left} bytes"
        ):
            optimizer.step()
        assert_same_bits([weights[0].detach(), state["step"]], [each.detach() for each in before])
        lost.untyped_storage().resize_(12 * size)
        with torch.no_grad():
            lost.fill_(1.0)
        optimizer.step()
        assert weights[0].isfinite().all()

    @pytest.mark.parametrize("name", ["exp_avg_scale", "compensation"])
    def test_what_accompanies_the_state_is_looked_at_too(self, name: str) -> None:
        weight = torch.nn.Parameter(torch.ones(LARGE))
        optimizer = unyoke.AdamW([weight], state_dtype="int8", rounding="kahan", **SETTINGS)
        for _ in range(2):
            weight.grad = torch.ones(LARGE)
            optimizer.step()
        optimizer.state[weight][name].untyped_storage().resize_(0)
        with pytest.raises(
            RuntimeError, match=f"the {name} of parameter 0 of its group .* 0 bytes"
        ):
            optimizer.step()

    def test_the_compile_backend_refuses_it_too(self) -> None:
        weight = torch.nn.Parameter(torch.ones(3))
        weight.grad = torch.ones(3)
        weight.grad.untyped_storage().resize_(0)
        with pytest.raises(RuntimeError, match="compile: the gradient of parameter 0 of its group"):
            unyoke.AdamW([weight], backend="compile").step()


def formula(program: list[tuple[str, int, int]], results: list[int]) -> Direction:
    """A direction of two states that runs a program; values are numbered as they come."""

    def own(weight: Element, grad: Element, a: Element, b: Element, lr: Element, c: Element) -> Any:
        values = [weight, grad, a, b, lr, c, 0.5]
        for word, one, other in program:
            x, y = values[one % len(values)], values[other % len(values)]
            values.append(WORDS[word](x, y))
        return tuple(values[k % len(values)] for k in results)

    return Direction(
        name="own",
        formula=own,
        state=("a", "b"),
        coefficients=lambda lr: {"lr": lr, "c": 0.25},
    )


WORDS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / (absolute(y) + 1.0),
    "root": lambda x, y: sqrt(absolute(x)),
    "turn": lambda x, y: -x,
    "larger": maximum,
    "choose": lambda x, y: where(x >= 0.3, x, y),
    "same": lambda x, y: x,
}


class TestInPlace:
    @pytest.mark.parametrize("seed", range(200))
    def test_any_formula_gives_what_it_gives_as_it_stands(self, seed: int) -> None:
        draw = random.Random(seed)
        length = draw.randrange(1, 12)
        program = [
            (draw.choice(list(WORDS)), draw.randrange(20), draw.randrange(20))
            for _ in range(length)
        ]
        # The step may be anything; a state must be a tensor: one of the first four, or made of one
        tensors = [0, 1, 2, 3]
        for k, (_, one, _other) in enumerate(program, start=7):
            if one % k in tensors:
                tensors.append(k)
        results = [draw.choice(tensors) for _ in range(3)]
        rule = combine(formula(program, results), decays.get(draw.choice(["decoupled", "none"])))
        values = [normal((40,), torch.Generator().manual_seed(seed), torch.float64)] * 4
        values = [value * factor for value, factor in zip(values, (1, 0.7, -2, 3), strict=True)]
        numbers = [0.02, 0.25, 0.004]
        delta, *new = rule.function(*values, *numbers)
        expected = [values[0] - delta, *new]
        given = [value.clone() for value in values]
        update = in_place(rule)
        update(*given, *numbers)
        assert_same_bits([given[0], *given[2:]], expected)
        assert torch.equal(given[1], values[1])
        given = [value.clone() for value in values]
        names = beside_elements(rule)
        wrapped = [
            torch.tensor(number, dtype=torch.float64) if name in names else number
            for name, number in zip(rule.coefficient_names, numbers, strict=True)
        ]
        update(*given, *wrapped)
        assert_same_bits([given[0], *given[2:]], expected)

    def test_numbers_of_adam_stand_beside_elements_and_those_of_a_quotient_do_not(self) -> None:
        adam = combine(unyoke.directions.get("adam"), decays.get("decoupled"))
        assert beside_elements(adam) == {*adam.coefficient_names}
        over = combine(formula([("div", 4, 1), ("mul", 7, 5)], [8, 2, 3]), decays.get("none"))
        assert "lr" not in beside_elements(over)
        assert "c" in beside_elements(over)

    def test_adam_takes_two_tensors_beside_its_own(self) -> None:
        source = text(combine(unyoke.directions.get("adam"), decays.get("decoupled")))
        new = [
            line for line in source.splitlines() if line.strip().startswith("_") and " = " in line
        ]
        assert len(new) == 2
        assert "_torch.sub(weight" in source.splitlines()[-1]

    def test_what_has_no_word_runs_as_it_stands(self) -> None:
        @direction(coefficients=lambda lr: {"lr": lr}, state=("kept",))
        def own(weight: Element, grad: Element, kept: Element, lr: Element) -> Any:
            """Clipped, and with the weight and a copy of the gradient for a state."""
            return lr * grad.clamp(-1.0, 1.0), weight

        with pytest.raises(Exception, match="clamp"):
            text(combine(own, decays.get("none")))
        for size in (12, LARGE):
            weight = torch.nn.Parameter(torch.full((size,), 2.0))
            optimizer = unyoke.Optimizer([weight], direction=own, decay="none", **SETTINGS)
            weight.grad = torch.full((size,), 50.0)
            optimizer.step()
            assert torch.equal(weight, torch.full((size,), 2.0) - 0.02)
            assert torch.equal(optimizer.state[weight]["kept"], torch.full((size,), 2.0))

    def test_a_formula_that_asks_where_its_tensors_are_runs_as_it_stands(self) -> None:
        @direction(coefficients=lambda lr: {"lr": lr})
        def own(grad: Element, lr: Element) -> Any:
            """Larger steps elsewhere than on the host."""
            return lr * grad if grad.device.type == "cpu" else 2.0 * lr * grad

        with pytest.raises(Exception, match="get"):
            text(combine(own, decays.get("none")))

    def test_a_step_on_a_work_that_nobody_has_asked_about(self) -> None:
        """`step` without `why_not` prepares itself."""
        rule = combine(unyoke.directions.get("gradient"), decays.get("none"))
        work: Any = SimpleNamespace(
            rule=rule, weights=[torch.ones(3)], states=[{}], grads=[torch.ones(3)], cache={},
            coefficients=[{"lr": 0.5, "strength": 0.0}], which=None, maximize=False,
            differentiable=False, rounding="nearest",
        )  # fmt: skip
        ALL["eager"].step(work)
        assert work.weights[0].tolist() == [0.5] * 3


class TestWhatSharesMemoryOrWasReplaced:
    @pytest.mark.parametrize("size", [12, LARGE])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("rounding", ["nearest", "kahan"])
    def test_a_gradient_that_is_the_weight_is_kept_as_it_was(
        self, rounding: str, dtype: torch.dtype, size: int
    ) -> None:
        """Adan keeps the gradient, and the weight is written first."""
        weight = torch.nn.Parameter(torch.linspace(-1, 1, 3 * size, dtype=dtype).view(3, size))
        before = weight.detach().clone()
        optimizer = unyoke.AdanW([weight], lr=0.1, rounding=rounding, backend="eager")
        weight.grad = weight.data
        optimizer.step()
        assert torch.equal(optimizer.state[weight]["previous_grad"], before)
        assert not torch.equal(weight, before)

    @pytest.mark.parametrize("state_dtype", ["float32", "bfloat16", "int8"])
    @pytest.mark.parametrize("wrong", ["short", "integers", "gaps"])
    def test_state_that_is_given_other_data_is_refused(self, wrong: str, state_dtype: str) -> None:
        """Before anything changes: torch would find out when other parameters are updated."""
        weights = [torch.nn.Parameter(torch.ones(3, LARGE)) for _ in range(2)]
        pairs = zip(("a", "b"), weights, strict=True)
        optimizer = unyoke.AdamW(pairs, state_dtype=state_dtype, **SETTINGS)
        for weight in weights:
            weight.grad = torch.ones(3, LARGE)
        for _ in range(2):
            optimizer.step()
        state = optimizer.state[weights[1]]["exp_avg"]
        if wrong == "gaps" and state_dtype == "float32":
            pytest.skip("torch reads plain state with any strides")
        good, before = state.data, [*weights[0].flatten()[:9].tolist()]
        state.data = {
            "short": good[:1],
            "integers": good.to(torch.int64),
            "gaps": good.repeat_interleave(2, dim=-1)[..., ::2],
        }[wrong]
        for _ in range(2):
            with pytest.raises(RuntimeError, match="the exp_avg of parameter 'b'"):
                optimizer.step()
        assert weights[0].flatten()[:9].tolist() == before
        state.data = good
        optimizer.step()


def test_a_compensation_that_is_given_other_data_is_refused() -> None:
    weight = torch.nn.Parameter(torch.ones(3, LARGE))
    optimizer = unyoke.AdamW([("w", weight)], rounding="kahan", **SETTINGS)
    weight.grad = torch.ones(3, LARGE)
    optimizer.step()
    optimizer.state[weight]["compensation"].data = torch.zeros(1)
    before = weight.detach().clone()
    with pytest.raises(RuntimeError, match=r"the compensation of parameter 'w' .* shape \(1,\)"):
        optimizer.step()
    assert torch.equal(weight, before)


def test_radam_divides_as_ieee_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch forms a number over a tensor as the number times its reciprocal, rounded twice."""
    monkeypatch.setattr(torch, "sqrt", exact_root)
    found = [
        trajectory(
            backend, [(70, 64)], updates=9, direction="radam", lr=0.01, rounding="stochastic"
        )
        for backend in ("cpu", "eager")
    ]
    assert_same_bits(*found)
