"""The schedules that a study can run, by name, with arguments, or from a user's own file.

`cosine(minimum=0.1)` and `warm_restarts(first=100, growth=2)` are classes of `unyoke.schedules`;
`updates` is the budget of the training where it is not given. `warmup(updates=30)` is followed by
a cosine over the rest, or by `then=`. A function `f(updates, **arguments)` of a user's file returns
a schedule, or any function t → η_t.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from unyoke import schedules
from unyoke.study.errors import StudyError
from unyoke.study.landscape import calls
from unyoke.study.landscape.calls import Call

Own = Mapping[str, Any]
"""What a user's own files have, by `file.py:name`."""

SCHEDULES: Mapping[str, Callable[[int], schedules.Schedule]] = {
    "constant": lambda updates: schedules.constant(),
    "step_drops": schedules.step_drops,
    "cosine": schedules.cosine,
    # Three runs of 1/7, 2/7 and 4/7 of the budget, so that it ends at the end of a run.
    "warm_restarts": lambda updates: schedules.warm_restarts(max(1, round(updates / 7))),
    "warmup": lambda updates: schedules.warmup(
        updates // 10, schedules.cosine(updates - updates // 10)
    ),
}


@dataclass(frozen=True)
class Function(schedules.Schedule):
    """A user's function t → η_t as a schedule."""

    name: str
    function: Callable[[int], float]

    def __call__(self, t: int) -> float:
        eta = float(self.function(t))
        if not (math.isfinite(eta) and eta >= 0):
            raise StudyError(f"the schedule {self.name} is {eta} after {t} updates; it must be ≥ 0")
        return eta


def canonical(text: str) -> str:
    """The same text for the same schedule.

    Raises:
        StudyError: there is no such schedule, or it cannot be read.
    """
    call = calls.parse(text)
    _check_name(call)
    return str(call)


def make(text: str, updates: int, own: Own) -> schedules.Schedule:
    """The schedule of a training of so many updates.

    Raises:
        StudyError: it does not take its arguments, or a user's function gives no schedule.
    """
    return _made(calls.parse(text), updates, own)


def _made(call: Call, updates: int, own: Own) -> schedules.Schedule:
    _check_name(call)
    if call.own is not None:
        return _of_a_file(call, updates, own)
    if not call.arguments:
        return SCHEDULES[call.name](updates)
    given = dict(call.arguments)
    if call.name == "warmup":
        climb = given.setdefault("updates", updates // 10)
        then = given.get("then", Call("cosine"))
        rest = updates - climb if isinstance(climb, int) else updates
        given["then"] = _made(then, rest, own) if isinstance(then, Call) else then
    cls = getattr(schedules, call.name)
    if "updates" in inspect.signature(cls).parameters:
        given.setdefault("updates", updates)
    elif call.name == "warm_restarts":
        given.setdefault("first", max(1, round(updates / 7)))
    try:
        schedule: schedules.Schedule = cls(**given)
    except (TypeError, ValueError) as error:
        raise StudyError(f"the schedule {call} of {updates} updates: {error}") from error
    return schedule


def _of_a_file(call: Call, updates: int, own: Own) -> schedules.Schedule:
    function = own[str(call.own)]
    if not callable(function):
        raise StudyError(
            f"{call.own} is of type {type(function).__name__} and makes no schedule; name a "
            "function of the number of updates"
        )
    made = function(updates, **call.arguments)
    if isinstance(made, schedules.Schedule):
        return made
    if not callable(made):
        raise StudyError(
            f"the schedule {call} returned {type(made).__name__}; its function takes the number of "
            "updates and returns a schedule, or a function of the updates already made"
        )
    return Function(str(call), made)


def _check_name(call: Call) -> None:
    if call.rule:
        raise StudyError(f"the schedule {call} has a decay rule; those belong to optimizers")
    if call.own is None and call.name not in SCHEDULES:
        raise StudyError(
            f"unknown schedule {call.name!r}; known: {', '.join(SCHEDULES)}, or file.py:function"
        )
