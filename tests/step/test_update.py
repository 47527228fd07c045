"""How a direction and a decay combine, and what is refused when a part is made."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest
import torch
from following import assert_same_path, follow, noisy_quadratic, parameter, weights
from pairs import PAIRS

import unyoke
from unyoke import backends, decays, directions, primitives
from unyoke.equation import Decay, Direction, combine, decay, direction

pytestmark = pytest.mark.usefixtures("definition")

ADAM = directions.ALL["adam"]


class TestOwnParts:
    """A direction or decay of one's own is a formula, and needs nothing else."""

    def test_direction(self) -> None:
        @direction(state=("sum",), coefficients=lambda lr, eps: {"lr": lr, "eps": eps},
                   defaults={"eps": 1e-10})  # fmt: skip
        def adagrad(grad: Any, sum: Any, lr: Any, eps: Any) -> Any:
            """Adagrad: a step that shrinks with what was seen."""
            sum = sum + grad * grad
            return lr * grad / (primitives.sqrt(sum) + eps), sum

        assert (adagrad.name, adagrad.summary) == (
            "adagrad",
            "Adagrad: a step that shrinks with what was seen.",
        )
        p = parameter()
        ours = unyoke.Optimizer([p], lr=0.1, direction=adagrad, decay="l2", weight_decay=0.3)
        its = torch.optim.Adagrad([parameter()], lr=0.1, weight_decay=0.3, eps=1e-10)
        paths = [follow(optimizer, noisy_quadratic, 50) for optimizer in (ours, its)]
        np.testing.assert_allclose(paths[0], paths[1], rtol=1e-12)
        assert set(ours.state[p]) == {"step", "sum"}

    def test_parts_of_the_same_name_keep_their_own_text(self) -> None:
        """Backends read a rule's text by its file name."""

        mine = Direction(name="adam", formula=directions.ALL["gradient"].formula)
        rules = [combine(part, decays.ALL["decoupled"]) for part in (ADAM, mine)]
        assert [inspect.getsource(rule.function) for rule in rules] == [
            rule.source for rule in rules
        ]

    def test_decay(self) -> None:
        @decay()
        def toward_one(weight: Any) -> Any:
            """Towards 1."""
            return weight - 1.0

        optimizer = unyoke.Optimizer(
            [parameter()], direction="gradient", decay=toward_one, weight_decay=0.009
        )
        path = follow(optimizer, lambda θ, t: np.zeros_like(θ), 100)
        np.testing.assert_allclose(path[-1] - 1, (1 - 0.009) ** 100 * (weights() - 1), rtol=1e-10)
        assert optimizer.param_groups[0]["decay"] == "toward_one"

    def test_decay_with_state_and_hyperparameters(self) -> None:
        @decay(
            state=("anchor",),
            coefficients=lambda average: {"average": average},
            defaults={"average": 0.5},
        )
        def toward_average(weight: Any, anchor: Any, average: Any) -> Any:
            """Towards a running average."""
            anchor = average * anchor + (1.0 - average) * weight
            return weight - anchor, anchor

        p = parameter()
        optimizer = unyoke.Optimizer([p], decay=toward_average, average=0.25)
        assert optimizer.param_groups[0]["average"] == 0.25
        follow(optimizer, noisy_quadratic, 1)
        np.testing.assert_allclose(optimizer.state[p]["anchor"], 0.75 * weights(), rtol=1e-14)


class TestDecorators:
    def test_with_and_without_parentheses(self) -> None:
        def still(grad: Any) -> Any:
            """step = 0"""
            return 0.0 * grad

        def halves(weight: Any) -> Any:
            """pull = θ/2"""
            return 0.5 * weight

        for part in (direction(still), direction()(still)):
            assert (type(part), part.name, part.summary) == (Direction, "still", "step = 0")
        for rule in (decay(halves), decay()(halves)):
            assert (type(rule), rule.name, rule.kind) == (Decay, "halves", "pull")


class TestCheckedDefaults:
    """Every number that a part has is checked, without being asked for."""

    @pytest.mark.parametrize(
        ("name", "default", "wrong"),
        [
            ("eps", 1e-8, [-1.0, math.nan, math.inf, "0.1", None, True, [1.0]]),
            ("betas", (0.9, 0.99), [(0.9, 1.0), (0.9,), 0.9, (math.nan, 0.9), (-0.1, 0.9)]),
            ("beta", 0.9, [1.0, -0.1]),
            ("coefficients", (1.0, -1.0), [(1.0, math.nan), (1.0, 1.0, 1.0)]),
            ("lower", -1.0, [math.nan, -math.inf]),
            ("warmup", 0, [-1, math.inf]),
            ("flag", False, [1, None]),
        ],
    )
    def test_of_somebody_s_own_direction(self, name: str, default: Any, wrong: list[Any]) -> None:
        own = Direction("own", lambda grad: grad, defaults={name: default})
        for value in wrong:
            with pytest.raises(
                ValueError, match=f"Invalid {'epsilon' if name == 'eps' else name[:4]}"
            ):
                unyoke.Optimizer([parameter()], direction=own, **{name: value})
        unyoke.Optimizer([parameter()], direction=own, **{name: default})

    def test_a_word_that_begins_with_beta_is_no_memory(self) -> None:
        own = Direction("own", lambda grad: grad, defaults={"beta_warmup": 0, "beta": 2.0})
        unyoke.Optimizer([parameter()], direction=own, beta_warmup=100, beta=3.0)

    def test_of_somebody_s_own_decay(self) -> None:
        own = Decay("own", lambda weight: weight, defaults={"temperature": 1.0})
        with pytest.raises(ValueError, match="Invalid temperature value: -1"):
            unyoke.AdamW([parameter()], decay=own, temperature=-1)


class TestRefusals:
    def test_two_parts_that_use_one_name(self) -> None:
        @decay(state=("exp_avg",))
        def clashing(weight: Any, exp_avg: Any) -> Any:
            return weight, exp_avg

        with pytest.raises(ValueError, match="exp_avg"):
            combine(ADAM, clashing)

    def test_a_penalty_on_one_of_two_moments_where_there_is_one(self) -> None:
        @decay(kind="moment_penalty", strength=lambda weight_decay, eta, lr: weight_decay)
        def first_only(grad: Any, weight: Any, strength: Any) -> Any:
            return grad + strength * weight, grad

        with pytest.raises(ValueError, match="momentum"):
            combine(directions.ALL["momentum"], first_only)
        combine(ADAM, first_only)

    @pytest.mark.parametrize(
        "make",
        [
            lambda: Direction(name="not a word", formula=None),
            lambda: Direction(name="a", formula=lambda grad, strength: grad),
            lambda: Direction(name="a", formula=lambda grad: grad, state=("buffer",)),
            lambda: Decay(name="a", formula=lambda weight, grad: weight),
            lambda: Decay(name="a", formula=lambda step, strength: step, kind="penalty"),
        ],
    )
    def test_a_formula_that_asks_for_what_it_cannot_have(self, make: Any) -> None:
        with pytest.raises(ValueError, match=r"\ba\b"):
            make()


class TestCombination:
    @pytest.mark.parametrize(("direction", "decay"), PAIRS)
    def test_arguments_are_tensors_then_state_then_coefficients(
        self, direction: str, decay: str
    ) -> None:
        rule = combine(directions.ALL[direction], decays.ALL[decay])
        expected = ("weight", "grad", *rule.state, *rule.coefficient_names)
        assert tuple(inspect.signature(rule.function).parameters) == expected
        assert rule.name == f"{direction} with {decay}"
        assert combine(directions.ALL[direction], decays.ALL[decay]) is rule

    def test_coefficients_are_formed_in_float64_on_the_host(self) -> None:
        """1 − 0.999 formed in float32 is wrong by 5e-5 of itself."""
        rule = combine(ADAM, decays.ALL["decoupled"])
        group = {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 1e-4}
        found = rule.coefficients(t=7, eta=0.5, lr=0.01, group=group)
        assert all(type(value) is float for value in found.values())
        assert found["new2"] == 1 - 0.999
        assert found["strength"] == 0.5 * 1e-4

    def test_source_can_be_read(self) -> None:
        rule = combine(ADAM, decays.ALL["decoupled"])
        assert inspect.getsource(rule.function) == rule.source
        assert "weight" in rule.source


class TestPrimitives:
    """On floats and on tensors alike; NaN goes through."""

    @pytest.mark.parametrize(
        ("primitive", "x"),
        [
            (primitive, x)
            for primitive in primitives.PRIMITIVES
            for x in (-2.0, 0.0, 3.0, float("inf"), float("nan"))
            if primitive is not primitives.sqrt or not x < 0
        ],
    )
    def test_floats_and_tensors_agree(self, primitive: Any, x: float) -> None:
        arguments: list[float] = {
            "where": [x, 1.0],
            "maximum": [x, 1.0],
            "moving_average": [x, 1.0, 0.75, 0.25],
        }.get(primitive.__name__, [x])
        tensors = [torch.tensor(value, dtype=torch.float64) for value in arguments]
        if primitive is primitives.where:
            found, as_tensor = primitive(x > 0, *arguments), primitive(tensors[0] > 0, *tensors)
        else:
            found, as_tensor = primitive(*arguments), primitive(*tensors)
        np.testing.assert_allclose(as_tensor.item(), found, rtol=1e-14)
        if x != x and primitive is not primitives.where:
            assert found != found

    def test_maximum_takes_nan_from_either_side(self) -> None:
        nan = torch.tensor(float("nan"))
        assert primitives.maximum(nan, torch.tensor(1.0)).isnan()
        assert primitives.maximum(torch.tensor(1.0), nan).isnan()


@pytest.mark.any_backend
class TestBackends:
    def test_auto_takes_one_that_has_no_objection(self) -> None:
        assert "eager" in backends.ALL
        for name, backend in backends.ALL.items():
            assert backend.name == name

    def test_an_unknown_name_lists_what_there_is(self) -> None:
        with pytest.raises(ValueError, match="eager"):
            backends.check_name("gpuu")

    @pytest.mark.parametrize(
        "backend",
        [
            pytest.param(name, marks=pytest.mark.slow if name == "compile" else ())
            for name in ("auto", *backends.ALL)
        ],
    )
    def test_any_backend_is_eager(self, backend: str) -> None:
        """The contract: every backend that takes the work does the same work."""
        optimizer = unyoke.AdamW([parameter()], lr=0.02, weight_decay=0.004, backend=backend)
        eager = unyoke.AdamW([parameter()], lr=0.02, weight_decay=0.004, backend="eager")
        try:
            found = follow(optimizer, noisy_quadratic, 20)
        except RuntimeError as objection:
            pytest.skip(str(objection))
        assert_same_path(found, follow(eager, noisy_quadratic, 20))

    def test_auto_and_eager_take_everything(self) -> None:
        for backend in ("auto", "eager"):
            follow(unyoke.AdamW([parameter()], lr=0.02, backend=backend), noisy_quadratic, 1)
