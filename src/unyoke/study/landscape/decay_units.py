"""What a weight decay of a map is: λ itself, normalized weight decay, or the run's total decay.

An axis in another unit than λ has one λ for each budget and schedule::

    norm     λ_norm = λ·√T, T the updates of a run between two restarts
    total    Σ η_t·λ over all updates

Source: λ_norm is Loshchilov & Hutter's, ICLR 2019, appendix B.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import unyoke
from unyoke.schedules import Schedule
from unyoke.study.landscape import calls, schedules
from unyoke.study.landscape.landscape import Cell

SYMBOLS: Mapping[str | None, str] = {None: "{}", "norm": "{}_norm", "total": "Ση{}"}
"""How a unit is written, with λ or λ′ in it."""

NAMES: Mapping[str | None, str] = {
    None: "weight decay",
    "norm": "normalized weight decay",
    "total": "total decay",
}
"""How an axis in a unit is called."""


class Sums(NamedTuple):
    """What a schedule makes of a decay over a budget.

    Attributes:
        eta: Σ η_t.
        normalized: Σ η_t/√T, T the updates of the run that update t belongs to.
        first: T of the first run.
    """

    eta: float
    normalized: float
    first: int


class Numbers(NamedTuple):
    """One decay in every unit; with restarts, λ of a normalized decay is that of the first run."""

    per_update: float
    norm: float
    total: float


def sums(schedule: Schedule, updates: int) -> Sums:
    """The sums over a budget of so many updates."""
    runs = [run.length if (run := schedule.run(t)) else updates for t in range(updates)]
    etas = [schedule(t) for t in range(updates)]
    normalized = math.fsum(eta / math.sqrt(run) for eta, run in zip(etas, runs, strict=True))
    return Sums(math.fsum(etas), normalized, runs[0])


def given_to(cell: Cell, schedule: Schedule) -> Any:
    """What the optimizer of a cell gets as weight_decay: λ, or λ_norm with its budget."""
    if cell.decay_unit == "norm":
        return unyoke.normalized(cell.weight_decay, updates=cell.updates)
    if cell.decay_unit == "total":
        return cell.weight_decay / sums(schedule, cell.updates).eta
    return cell.weight_decay


def numbers(value: float, unit: str | None, schedule: str, updates: int) -> Numbers | None:
    """A decay of a map in every unit; None under a schedule of a user's file, which is not run.

    >>> numbers(0.5, "total", "constant", 100)
    Numbers(per_update=0.005, norm=0.05, total=0.5)
    """
    of = _sums_of(schedule, updates)
    return None if of is None else _FROM[unit](value, of)


@cache
def _sums_of(schedule: str, updates: int) -> Sums | None:
    if calls.parse(schedule).own is not None:
        return None
    return sums(schedules.make(schedule, updates, {}), updates)


def _from_lambda(value: float, of: Sums) -> Numbers:
    return Numbers(value, value * math.sqrt(of.first), value * of.eta)


def _from_norm(value: float, of: Sums) -> Numbers:
    return Numbers(value / math.sqrt(of.first), value, value * of.normalized)


def _from_total(value: float, of: Sums) -> Numbers:
    return _from_lambda(value / of.eta, of)._replace(total=value)


_FROM: Mapping[str | None, Callable[[float, Sums], Numbers]] = {
    None: _from_lambda,
    "norm": _from_norm,
    "total": _from_total,
}
