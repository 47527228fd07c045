"""Coefficients that compiled code forms: Python's bits, or Python is asked."""

from __future__ import annotations

import math
import struct
import warnings
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from following_backends import everything, normal

import unyoke
from unyoke import decays, directions
from unyoke._step.plan import Plan
from unyoke.backends._native import c_calls, coefficients
from unyoke.backends.base import Formation
from unyoke.equation import Rule, combine

pytestmark = pytest.mark.usefixtures("looks_into_objects")

WARM = 3
"""Updates after which a step is a replay."""


class Formed:
    """A rule's coefficients for a group of given numbers, by compiled code."""

    def __init__(self, rule: Rule, **group: Any) -> None:
        self.rule, self.names = rule, rule.coefficient_names
        numbers = {"lr": 0.003, "base_lr": 0.007, "weight_decay": 1.3e-5, **rule.defaults}
        self.group = numbers | group
        self._row = array("d", [0.0] * (len(self.names) + 2))
        self._steps, self._following = (np.zeros(2, dtype=np.float32) for _ in range(2))
        row, steps = self._row.buffer_info()[0], self._steps.ctypes.data
        following = self._following.ctypes.data
        limits = {"lr": (0.0, math.inf), "eta": (0.0, 1.0)}
        made = coefficients.CompiledFormation(
            Formation(self.group, self.form, self.names, row, (0, steps, following, 1), limits)
        )
        self._made = made  # owns what the code is told
        self._asks = c_calls.bound(*made.call)

    def form(self, t: Any, group: Any) -> dict[str, Any]:
        eta = group["lr"] / group["base_lr"]
        return {"eta": eta, **self.rule.coefficients(t, eta, group["lr"], group)}

    def at(self, t: int) -> list[float] | None:
        """The coefficients of update t; None if Python is to form them."""
        self._steps[:] = t - 1
        if self._asks():
            return None
        assert self._following.tolist() == [t, t]
        assert self._row[-1] == t
        return self._row[:-2].tolist()

    def expected(self, t: int) -> list[float]:
        found = self.form(t, self.group)
        return [float(found[name]) for name in self.names]


def bits(numbers: list[float] | None) -> bytes:
    assert numbers is not None
    return struct.pack(f"{len(numbers)}d", *numbers)


def assert_formed(formed: Formed) -> None:
    for t in (1, 2, 3, 5, 8, 9, 100, 1_000, 99_999, 1_000_003):
        assert bits(formed.at(t)) == bits(formed.expected(t)), t


FORMED = ("adam", "amsgrad", "heavy_ball", "lion", "radam", "rmsprop", "adagrad")


@pytest.mark.parametrize("name", FORMED)
def test_the_bits_are_pythons(name: str) -> None:
    rule = combine(directions.get(name), decays.get("decoupled"))
    formed = Formed(rule)
    assert_formed(formed)
    formed.group["lr"] = 0.0017
    if "betas" in formed.group:
        formed.group["betas"] = (0.8123, 0.98765)
        assert_formed(formed)


@pytest.mark.parametrize("decay", ["none", "lr_coupled", "l2", "corrected", "toward_average"])
def test_with_other_decays(decay: str) -> None:
    assert_formed(Formed(combine(directions.get("adam"), decays.get(decay))))


@pytest.mark.slow
def test_of_every_direction_or_python_is_asked() -> None:
    """What is not formed has a branch, a function without a word, or a number of its own."""
    by_python = []
    for name in directions.names():
        rule = combine(directions.get(name), decays.get("none"))
        if rule.scalars or rule.scope != "element":
            continue
        try:
            formed = Formed(rule)
        except Exception:  # what the formula says to symbols
            by_python.append(name)
        else:
            assert_formed(formed)
    assert set(by_python) <= {"adabayes", "adabayes_fp", "ademamix"}


@pytest.mark.parametrize(
    "changed",
    [
        {"lr": np.float64(0.003)},
        {"lr": torch.tensor(0.003)},
        {"lr": math.nan},
        {"lr": 0.008},  # η above its limit
        {"base_lr": 0.0},
        {"base_lr": 1},
        {"betas": [0.9, 0.99]},
        {"betas": (0.9, 0.99, 0.999)},
        {"betas": (0.9, torch.tensor(0.99))},
        {"betas": (0.9, 1.0)},  # Python divides by zero
        {"betas": (0.9, 1.5)},  # and takes the root of a negative number
        {"eps": None},
    ],
    ids=str,
)
def test_python_is_asked(changed: dict[str, Any]) -> None:
    formed = Formed(combine(directions.get("adam"), decays.get("decoupled")))
    formed.group |= changed
    assert formed.at(5) is None
    formed.group |= {"lr": 0.003, "base_lr": 0.007, "betas": (0.9, 0.99), "eps": 1e-8}
    assert_formed(formed)
    del formed.group["betas"]
    assert formed.at(5) is None


def test_what_is_no_float_must_be_the_same_object() -> None:
    formed = Formed(combine(directions.get("adam"), decays.get("decoupled")), weight_decay=0)
    assert_formed(formed)
    formed.group["weight_decay"] = 1
    assert formed.at(5) is None


def training(**settings: Any) -> tuple[unyoke.Optimizer, Callable[[], None]]:
    generator = torch.Generator().manual_seed(2)
    weights = [torch.nn.Parameter(normal((k, 3), generator, torch.float32)) for k in (2, 5, 4)]
    groups: Any = [{"params": weights[:2]}, {"params": weights[2:], "weight_decay": 0.0}]
    optimizer = unyoke.AdamW(groups, lr=0.01, backend="cpu", **settings)

    def step() -> None:
        for weight in weights:
            weight.grad = normal(weight.shape, generator, torch.float32)
        optimizer.step()

    return optimizer, step


def test_a_replay_forms_nothing_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    optimizer, step = training()
    for _ in range(WARM):
        step()
    formed: list[object] = []
    monkeypatch.setattr(Plan, "form_again", lambda plan, lr, eta: formed.append(plan))
    for k in range(5):
        optimizer.param_groups[0]["lr"] = 0.01 * (1 - k / 9)
        step()
    assert not formed
    assert [group["updates"] for group in optimizer.param_groups] == [WARM + 5] * 2
    assert {state["step"].item() for state in optimizer.state.values()} == {WARM + 5}


Hand = Callable[[unyoke.Optimizer, int], None]


def _write(name: str, *values: Any) -> Hand:
    def hand(optimizer: unyoke.Optimizer, k: int) -> None:
        optimizer.param_groups[k % 2][name] = values[k % len(values)]

    return hand


HANDS: dict[str, Hand] = {
    "lr": _write("lr", 0.01, 0.004, 0.0, 0.0071),
    "lr of another kind": _write("lr", 0.01, np.float64(0.004), 1, torch.tensor(0.003)),
    "lr above its base": _write("lr", 0.01, 0.02, 0.03),
    "lr that is refused": _write("lr", 0.01, -1.0, math.nan, "x"),
    "base_lr": _write("base_lr", 0.01, 0.02, 0.0),
    "weight_decay": _write("weight_decay", 0.0, 1e-4, 1, 0, 0.3, 1e-3),
    "weight_decay like torch's": _write("weight_decay", 1e-4, 0.3),
    "weight_decay that is refused": _write("weight_decay", 1e-4, -1.0, math.inf),
    "betas": _write("betas", (0.9, 0.99), [0.8, 0.99], (0, 0.99), (0.9, 1.0)),
    "updates": _write("updates", 7, True, 1 << 70, 300),
    "maximize": _write("maximize", True, False),
    "nothing": lambda optimizer, k: None,
}


@pytest.mark.parametrize("hand", HANDS.values(), ids=HANDS)
@pytest.mark.parametrize("settings", [{}, {"decay": "lr_coupled"}], ids=["decoupled", "lr_coupled"])
def test_the_same_comes_of_any_number(
    hand: Hand, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights, groups, errors and warnings are those of steps whose numbers Python forms."""

    def outcome() -> Iterator[Any]:
        optimizer, step = training(**settings)
        for k in range(WARM + 12):
            if k >= WARM:
                hand(optimizer, k)
            with warnings.catch_warnings(record=True) as heard:
                warnings.simplefilter("always")
                try:
                    step()
                except (ValueError, TypeError, RuntimeError, ZeroDivisionError) as error:
                    yield type(error), str(error)
            yield [str(each.message) for each in heard]
            yield [{**group, "params": None} for group in optimizer.param_groups]
            yield [tensor.tolist() for tensor in everything(optimizer)]

    formed = list(outcome())
    monkeypatch.setattr(coefficients, "compiled", lambda formation: None)
    assert repr(formed) == repr(list(outcome()))
