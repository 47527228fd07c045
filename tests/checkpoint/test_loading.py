"""A checkpoint is loaded whole or not at all; its numbers are checked as the constructor's."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from following import follow, noisy_quadratic, parameter

import unyoke
from unyoke import schedules

pytestmark = pytest.mark.usefixtures("definition")


def made(**settings: Any) -> unyoke.Optimizer:
    """Three parameters in two groups, after four updates."""
    a, b, c = (parameter() for _ in range(3))
    groups = [{"params": [("a", a), ("b", b)]}, {"params": [("c", c)], "lr": 0.05}]
    optimizer = unyoke.AdamW(groups, lr=0.02, weight_decay=0.004, **settings)
    follow(optimizer, noisy_quadratic, 4)
    return optimizer


def everything(optimizer: torch.optim.Optimizer) -> tuple[list[Any], str]:
    """The state tensors themselves, and all numbers as text."""
    tensors = [value for entry in optimizer.state.values() for value in entry.values()]
    return list(map(id, tensors)), str(optimizer.state_dict())


def check_refused(optimizer: Any, saved: Any, says: str) -> None:
    before, kept = everything(optimizer), copy.deepcopy(optimizer)
    with pytest.raises(ValueError, match=says):
        optimizer.load_state_dict(saved)
    assert everything(optimizer) == before
    path, expected = (follow(each, noisy_quadratic, 3, first=5) for each in (optimizer, kept))
    np.testing.assert_array_equal(path, expected)


def damaged(change: Callable[[Any], None]) -> Any:
    """Another run's checkpoint, whose first parameter would load, with a fault behind it."""
    saved = copy.deepcopy(made().state_dict())
    saved["state"][0]["exp_avg"].fill_(99)
    change(saved)
    return saved


def put(name: str, value: Any) -> Callable[[Any], None]:
    return lambda saved: saved["state"][2].__setitem__(name, value)


STATE = {
    "on meta": (put("exp_avg", torch.zeros(4, 6, device="meta")), "exp_avg is on the meta device"),
    "step on meta": (put("step", torch.zeros((), device="meta")), "step is .*integer"),
    "sparse": (put("exp_avg", torch.zeros(4, 6).to_sparse()), "exp_avg has layout"),
    "a list": (put("exp_avg_sq", [[0.0] * 6] * 4), "exp_avg_sq is a list"),
    "a number": (put("exp_avg_sq", 0.0), "exp_avg_sq is a float"),
    "another shape": (put("exp_avg", torch.zeros(6, 4)), r"exp_avg has shape \(6, 4\).*\(4, 6\)"),
    "integers": (put("exp_avg", torch.zeros(4, 6, dtype=torch.int64)), "exp_avg is torch.int64"),
    "codes alone": (put("exp_avg", torch.zeros(4, 6, dtype=torch.int8)), "scales .*are missing"),
    "step of letters": (put("step", "x"), "step is 'x'"),
    "step NaN": (put("step", torch.tensor(math.nan)), "step is .*nan"),
    "step below 0": (put("step", -1), "step is -1"),
    "step between": (put("step", 2.5), "step is 2.5"),
    "two steps": (put("step", torch.ones(2)), "step is"),
    "no dictionary": (lambda saved: saved["state"].update({2: [1, 2]}), "is a list"),
}


@pytest.mark.any_backend
@pytest.mark.parametrize("fault", STATE)
def test_state_that_is_none_is_refused_whole(fault: str) -> None:
    """The parameter is named, and those before it in the checkpoint are not loaded either."""
    change, says = STATE[fault]
    check_refused(made(), damaged(change), f"'c'.*{says}")


def group(name: str, value: Any) -> Callable[[Any], None]:
    return lambda saved: saved["param_groups"][1].__setitem__(name, value)


NUMBERS = [
    ("lr", math.nan),
    ("lr", -1e-3),
    ("lr", math.inf),
    ("lr", "1e-3"),
    ("lr", torch.tensor(math.nan)),
    ("base_lr", math.nan),
    ("base_lr", None),
    ("base_lr", 0.0),
    ("weight_decay", -1.0),
    ("weight_decay", math.inf),
    ("weight_decay", True),
    ("updates", -5),
    ("updates", 2.5),
    ("updates", None),
    ("seed", "q"),
    ("seed", -1),
    ("seed", 1 << 40),
    ("maximize", "no"),
]


@pytest.mark.parametrize(("name", "value"), NUMBERS, ids=str)
def test_a_group_s_numbers_are_checked_as_the_constructor_s(name: str, value: Any) -> None:
    own = made().param_groups[1][name]
    theirs = "0" if value == 0.0 else "" if isinstance(value, torch.Tensor) else repr(value)
    says = rf"parameter group 1 of the checkpoint has .*{name}={theirs}[\s\S]*{own}"
    check_refused(made(), damaged(group(name, value)), says)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("betas", (2.0, 0.999), "group 1 .*beta"),
        ("betas", 0.9, "group 1"),
        ("eps", math.nan, "group 1 .*eps"),
        ("eps", "small", "group 1"),
        ("decay", "what", "group 1 .*what"),
        ("direction", None, "direction None.*'adam'"),
    ],
)
def test_a_group_s_hyperparameters_are_checked(name: str, value: Any, says: str) -> None:
    check_refused(made(), damaged(group(name, value)), says)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda saved: saved.update(state=[1]), "'state' of the checkpoint is a list"),
        (lambda saved: saved.update(param_groups={}), "'param_groups'.*list"),
        (lambda saved: saved["param_groups"].__setitem__(1, 3), "number 1"),
        (lambda saved: saved["param_groups"][1].pop("params"), "'params', and number 1"),
    ],
)
def test_what_is_no_checkpoint_is_refused(change: Callable[[Any], None], says: str) -> None:
    check_refused(made(), damaged(change), says)


def test_a_function_of_t_that_raises_leaves_the_optimizer_as_it_was() -> None:
    def weight_decay(t: int) -> float:
        if t > 5:
            raise ValueError("only five updates were asked for")
        return 0.001

    optimizer = unyoke.SGDW([parameter()], weight_decay=weight_decay)
    follow(optimizer, noisy_quadratic, 2)
    before = everything(optimizer)
    saved = copy.deepcopy(optimizer.state_dict())
    saved["param_groups"][0]["updates"] = 9
    with pytest.raises(ValueError, match="only five"):
        optimizer.load_state_dict(saved)
    assert everything(optimizer) == before


def test_state_is_laid_out_as_the_weight() -> None:
    """Else a checkpoint of a channels-last model would take a slower backend here."""
    first = unyoke.AdamW([p := parameter(np.zeros((2, 3, 4, 5)))])
    p.data = p.data.to(memory_format=torch.channels_last)
    first.state[p].clear()
    first.add_param_group({"params": [parameter()]})
    follow(first, noisy_quadratic, 2)
    second = unyoke.AdamW([q := parameter(np.zeros((2, 3, 4, 5)))])
    second.add_param_group({"params": [parameter()]})
    second.load_state_dict(first.state_dict())
    found, theirs = second.state[q]["exp_avg"], first.state[p]["exp_avg"]
    assert found.stride() == q.stride() != theirs.stride()
    assert torch.equal(found, theirs)


class TestNumbersOfAnyLibrary:
    """What ``float()`` takes is a number: sweeps give NumPy's, files give fractions."""

    @pytest.mark.parametrize("kind", [np.float32, np.float64, np.array, Fraction, Decimal])
    @pytest.mark.parametrize("name", ["lr", "weight_decay", "eps"])
    def test_in_the_constructor_and_in_a_group(self, name: str, kind: Any) -> None:
        number = 2.0**-9
        for made in (
            unyoke.AdamW([parameter()], **{name: kind(number)}),
            unyoke.AdamW([{"params": [parameter()], name: kind(number)}]),
        ):
            follow(made, noisy_quadratic, 2)
            assert made.param_groups[0][name] == number
            assert type(made.param_groups[0][name]) is float

    @pytest.mark.parametrize("value", [np.int64(1), 1])
    def test_integers(self, value: Any) -> None:
        optimizer = unyoke.AdamW([parameter()], lr=value)
        follow(optimizer, noisy_quadratic, 2)
        assert optimizer.param_groups[0]["lr"] == 1

    @pytest.mark.parametrize("value", ["1e-3", None, True, [1e-3], np.array([1e-3]), 1j])
    @pytest.mark.parametrize("name", ["lr", "weight_decay"])
    def test_what_is_no_number_is_refused(self, name: str, value: Any) -> None:
        with pytest.raises(ValueError, match="finite number"):
            unyoke.AdamW([parameter()], **{name: value})

    def test_checkpoints_hold_plain_ones(self) -> None:
        optimizer = unyoke.AdamW([parameter()], schedule=schedules.constant())
        optimizer.param_groups[0]["weight_decay"] = np.float32(2.0**-9)
        optimizer.param_groups[0]["betas"] = (np.float64(0.5), np.float32(0.75))
        follow(optimizer, noisy_quadratic, 2)
        file = io.BytesIO()
        torch.save(optimizer.state_dict(), file)
        file.seek(0)
        group = torch.load(file, weights_only=True)["param_groups"][0]
        assert (group["weight_decay"], tuple(group["betas"])) == (2.0**-9, (0.5, 0.75))


class TestNumbersThatAreWrittenIntoAGroup:
    """The step that would use one checks it as the constructor does, and changes nothing."""

    @pytest.mark.any_backend
    @pytest.mark.parametrize("value", [math.nan, -0.1, math.inf, "0.1", None, [0.1], True])
    @pytest.mark.parametrize("name", ["weight_decay", "lr", "base_lr"])
    @pytest.mark.parametrize("schedule", [None, schedules.constant()])
    def test_what_is_no_number_is_refused(self, name: str, value: Any, schedule: Any) -> None:
        optimizer = made(schedule=schedule)
        own = optimizer.param_groups[1][name]
        before = everything(optimizer)
        optimizer.param_groups[1][name] = value
        for _ in range(2):
            with pytest.raises((ValueError, RuntimeError), match="group 1"):
                optimizer.step()
        optimizer.param_groups[1][name] = own
        assert everything(optimizer) == before
        follow(optimizer, noisy_quadratic, 2, first=5)


class TestAScheduleThatIsNotHere:
    def test_is_told_of(self) -> None:
        saved = made(schedule=schedules.cosine(40)).state_dict()
        with pytest.warns(UserWarning, match=r"schedule=.*osine.*has none: lr stays .* at 0\.0"):
            made().load_state_dict(saved)

    def test_a_function_of_one_s_own_has_the_same_name_in_another_process(self) -> None:
        saved = made(schedule=lambda t: 1.0).state_dict()
        assert "lambda" in saved["schedule"]
        assert "0x" not in saved["schedule"]
        assert "0x" not in made(schedule=Half()).state_dict()["schedule"]

    def test_where_there_is_one_or_none_was_nothing_is_said(self) -> None:
        made(schedule=schedules.cosine(9)).load_state_dict(made().state_dict())
        saved = made(schedule=schedules.cosine(40)).state_dict()
        made(schedule=schedules.constant()).load_state_dict(saved)
        assert "schedule" not in made().state_dict()


class Half:
    def __call__(self, t: int) -> float:
        return 0.5
