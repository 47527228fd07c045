"""What a tuning found: two numbers for the whole run, how far they are known, and code to paste."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unyoke.study.errors import StudyError
from unyoke.study.landscape.decay_units import numbers
from unyoke.study.landscape.landscape import Axes, Landscape
from unyoke.study.ledger.records import Record
from unyoke.study.statistics import tilt
from unyoke.study.tuning.search import Errors, Place, best, by_length, predicted
from unyoke.transfer.paste import blocks
from unyoke.transfer.run import Run

PASTED = {"AdamW": "adamw", "SGDW": "sgdw", "LionW": "lion"}
"""The optimizers that can be tuned, by the names that `unyoke.transfer` has for them."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Exponent:
    """How a best number moves, and between which values this is known.

    Attributes:
        value: the exponent; None where too little was trained to say.
        low, high: of p, two standard errors by leaving out one training at a time; of q, one step
            of the grid.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.value is None or self.low is None or self.high is None:
            return "not known"
        return f"{self.value:.2f} ({self.low:.2f} … {self.high:.2f})"


@dataclass(frozen=True)
class Tuned:
    """The answer of a tuning.

    Attributes:
        lr, weight_decay: α and λ of the whole run; λ is the paper's, per update.
        torch_weight_decay: λ/α.
        total_decay: Σηλ.
        lr_range, weight_decay_range: of the trainings of at least half the run whose validation
            error is within a standard error of the best of their length, carried to the whole run.
        length: updates of the run.
        trained: whether the numbers were trained at that length; else they are carried to it.
        validation_error, test_error: of that training; None where there was none.
        p, q: d log λ*/d log α at one length, and d log λ*/d log T at one α.
        updates: made in all.
        trainings: how many.
        on_an_edge: whether a number lies at the end of what was searched.
        code: to paste, by library.
    """

    lr: float
    weight_decay: float
    torch_weight_decay: float
    total_decay: float
    lr_range: tuple[float, float]
    weight_decay_range: tuple[float, float]
    length: int
    trained: bool
    validation_error: float | None
    test_error: float | None
    error_unit: str
    p: Exponent
    q: Exponent
    updates: int
    trainings: int
    on_an_edge: bool
    code: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """Plain data, as `unyoke tune --json` prints it."""
        return asdict(self)


def answer(landscape: Landscape, records: Sequence[Record]) -> Tuned:
    """The answer of what is recorded, also while a tuning goes on.

    Raises:
        StudyError: no training has finished with an error.
    """
    ((optimizer, axes),) = landscape.axes.items()
    found = by_length(landscape, ((record.cell, record.outcome) for record in records))
    length = max(landscape.updates)
    # Not the lowest error, which may be luck near a cliff: its neighbours count too.
    place = best(found[length])
    trained = place is not None
    if place is None:
        place = _carried(found, landscape.updates, axes)
    lr, total = axes.lr[place[0]], axes.weight_decay[place[1]]
    per_update = _per_update(total, landscape, length)
    chosen = _outcome(records, length, lr, total) if trained else None
    near = _near(found, records, landscape, place)
    decays = [_per_update(axes.weight_decay[row], landscape, length) for _, row in near]
    rates = [axes.lr[column] for column, _ in near]
    run = Run(
        lr=lr,
        weight_decay=min(per_update, 0.999),
        updates=length,
        schedule=landscape.schedules[0],
        optimizer=PASTED[optimizer],
    )
    p = _p(found, axes)
    unit = next((r.outcome.error_unit for r in records if r.outcome.error_unit), "")
    return Tuned(
        lr=lr,
        weight_decay=per_update,
        torch_weight_decay=per_update / lr,
        total_decay=total,
        lr_range=(min(rates), max(rates)),
        weight_decay_range=(min(decays), max(decays)),
        length=length,
        trained=trained,
        validation_error=None if chosen is None else chosen.outcome.validation_error,
        test_error=None if chosen is None else chosen.outcome.test_error,
        error_unit=unit,
        p=p,
        q=_q(found, landscape, axes, p),
        updates=sum(record.cell.updates for record in records),
        trainings=len(records),
        on_an_edge=_is_edge(place, axes),
        code=blocks(run),
    )


def _per_update(total: float, landscape: Landscape, length: int) -> float:
    found = numbers(total, "total", landscape.schedules[0], length)
    assert found is not None
    return found.per_update


def _outcome(records: Sequence[Record], length: int, lr: float, total: float) -> Record:
    return next(
        record
        for record in records
        if (record.cell.updates, record.cell.lr, record.cell.weight_decay) == (length, lr, total)
    )


def _carried(found: Mapping[int, Errors], lengths: Sequence[int], axes: Axes) -> Place:
    """The place of the whole run, by the shorter ones."""
    place = predicted(found, lengths[:-1], lengths[-1])
    if place is None:
        raise StudyError(
            "no training has a finite error, so there is nothing to choose from: check the task, "
            "or give smaller learning rates with --lr 2^-20:2^-8 and another --out"
        )
    return (
        round(min(max(place[0], 0), len(axes.lr) - 1)),
        round(min(max(place[1], 0), len(axes.weight_decay) - 1)),
    )


def _near(
    found: Mapping[int, Errors], records: Sequence[Record], landscape: Landscape, place: Place
) -> list[Place]:
    """Places of the whole run that are as good as the best, as far as one training can tell."""
    (axes,) = landscape.axes.values()
    length = max(landscape.updates)
    near = {place}
    for updates in landscape.updates:
        centre = best(found[updates])
        if 2 * updates < length or centre is None:
            continue
        record = _outcome(records, updates, axes.lr[centre[0]], axes.weight_decay[centre[1]])
        error = record.outcome.test_standard_error or 0.0
        shift = (place[0] - centre[0], place[1] - centre[1]) if updates < length else (0, 0)
        for (column, row), value in found[updates].items():
            if value <= found[updates][centre] + error:
                moved = column + shift[0], row + shift[1] if row else 0
                if 0 <= moved[0] < len(axes.lr) and 0 <= moved[1] < len(axes.weight_decay):
                    near.add(moved)
    return sorted(near)


def _p(found: Mapping[int, Errors], axes: Axes) -> Exponent:
    """By the length with the most trainings; λ and Σηλ move alike there."""
    errors = max(found.values(), key=len)
    places = [place for place, error in errors.items() if math.isfinite(error) and place[1]]
    whole = _tilt(errors, axes, None)
    left_out = [value for place in places if math.isfinite(value := _tilt(errors, axes, place))]
    if not math.isfinite(whole) or len(left_out) < 5:
        return Exponent()
    variance = (len(left_out) - 1) * float(np.var(left_out))
    reach = 2.0 * math.sqrt(variance)
    return Exponent(whole, whole - reach, whole + reach)


def _tilt(errors: Errors, axes: Axes, without: Place | None) -> float:
    table: Array = np.full((len(axes.weight_decay), len(axes.lr)), np.nan)
    for (column, row), error in errors.items():
        if (column, row) != without and math.isfinite(error):
            table[row, column] = error
    return float(tilt(axes.lr, axes.weight_decay, table))


def _q(found: Mapping[int, Errors], landscape: Landscape, axes: Axes, p: Exponent) -> Exponent:
    """By the best cells of the shortest and the longest length: what p does not explain."""
    known = [
        (length, place)
        for length in landscape.updates
        if (place := best(found[length])) is not None and place[1]
    ]
    if len(known) < 2 or p.value is None:
        return Exponent()
    (first, one), (last, other) = known[0], known[-1]
    decays = [
        _per_update(axes.weight_decay[row], landscape, length)
        for length, (_, row) in ((first, one), (last, other))
    ]
    rates = axes.lr[one[0]], axes.lr[other[0]]
    octaves = math.log(last / first)
    value = (math.log(decays[1] / decays[0]) - p.value * math.log(rates[1] / rates[0])) / octaves
    step = math.log(axes.weight_decay[-1] / axes.weight_decay[-2]) / octaves
    return Exponent(value, value - step, value + step)


def _is_edge(place: Place, axes: Axes) -> bool:
    column, row = place
    return column in (0, len(axes.lr) - 1) or row == len(axes.weight_decay) - 1
