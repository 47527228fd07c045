"""Where to train next, so that few updates lead to two good numbers for a long run.

The plan is a grid over α and the total decay Σηλ, which is in the same unit at every length, at
four lengths: an eighth, a quarter and a half of the run, and the whole. Short trainings find the
basin; each length after that begins where the one before says the best numbers will be:

1. an eighth of the run: every third α and Σηλ, then the neighbours of the best cell;
2. a quarter, a half: the cells around the best one so far, moved as it moved before;
3. the whole run: the same with what is left of the budget, so that the answer itself was trained.

All follows from what is recorded, so an interrupted search goes on as it would have.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from unyoke.study.landscape.landscape import Cell, Landscape
from unyoke.study.landscape.outcome import Outcome

FRACTIONS = (8, 4, 2, 1)
"""Lengths, as the run divided by these."""

SHARES = (0.25, 0.40, 0.55, 1.0)
"""Of the budget, what may be spent up to the end of each length. An eighth gets enough for some
thirty cells of a budget of sixteen runs; nearly half is left for the run's own length."""

STRIDE = 3
"""Of the first cells on the grid, so that the neighbours of each fill the gap to the next."""

EXPECTED_LR, EXPECTED_TOTAL = -0.5, 0.5
"""d log α*/d log T and d log (Σηλ)*/d log T where nothing is measured: q = −½, in the middle of
what docs/choosing.md lists. What two lengths say is averaged with these: each is one training."""

Place = tuple[int, int]
"""A column (α) and a row (Σηλ) of the grid."""

Errors = Mapping[Place, float]


@dataclass(frozen=True)
class Search:
    """Which cells a tuning wants next, as `unyoke.study.running.driver.run` asks.

    Attributes:
        budget: updates of all trainings together.
    """

    budget: int

    def next_cells(self, landscape: Landscape, done: Iterable[tuple[Cell, Outcome]]) -> list[Cell]:
        """The next round; empty when the budget is spent or there is nothing left to try."""
        ((optimizer, axes),) = landscape.axes.items()
        found = by_length(landscape, done)
        spent = sum(length * len(errors) for length, errors in found.items())
        shape = len(axes.lr), len(axes.weight_decay)
        for place, budget in enumerate(landscape.budgets()):
            allowed = self._share(place, landscape.updates, shape)
            most = int(allowed * self.budget - spent) // budget.updates
            wanted = _wanted(found, landscape.updates[: place + 1], shape)[: max(0, most)]
            if wanted:
                maker = landscape.cell_maker(optimizer, landscape.schedules[0], budget)
                return [
                    maker(
                        lr=axes.lr[column],
                        weight_decay=axes.weight_decay[row],
                        seed=landscape.seeds[0],
                    )
                    for column, row in wanted
                ]
        return []

    def _share(self, place: int, lengths: Sequence[int], shape: tuple[int, int]) -> float:
        """Of the budget, what may be spent up to the end of a length."""
        share = SHARES[place + len(SHARES) - len(lengths)]
        # A small budget still looks everywhere and around the best cell before it goes on.
        needed = lengths[0] * (len(_coarse(shape)) + 8)
        return max(share, min(0.5, needed / max(1, self.budget)))


def by_length(
    landscape: Landscape, done: Iterable[tuple[Cell, Outcome]]
) -> dict[int, dict[Place, float]]:
    """Validation errors by length and place; infinite where a training diverged or failed."""
    (axes,) = landscape.axes.values()
    columns = {value: place for place, value in enumerate(axes.lr)}
    rows = {value: place for place, value in enumerate(axes.weight_decay)}
    found: dict[int, dict[Place, float]] = {length: {} for length in landscape.updates}
    for cell, outcome in done:
        error = math.inf if outcome.validation_error is None else outcome.validation_error
        found[cell.updates][columns[cell.lr], rows[cell.weight_decay]] = error
    return found


def best(errors: Errors) -> Place | None:
    """The place with the lowest error, averaged with its neighbours'; None if all diverged.

    A single training's error is as much luck as it is the place: a neighbour counts half, one at
    the corner a quarter.
    """
    finite = {place: error for place, error in errors.items() if math.isfinite(error)}
    if not finite:
        return None
    worst = max(finite.values())

    def smoothed(place: Place) -> float:
        near = [(other, errors[other]) for other in _around(place) if other in errors]
        weights = [0.5 ** (abs(x - place[0]) + abs(y - place[1])) for (x, y), _ in near]
        total = math.fsum(w * min(e, worst) for w, (_, e) in zip(weights, near, strict=True))
        return total / math.fsum(weights)

    return min(finite, key=lambda place: (smoothed(place), finite[place], place))


def predicted(
    found: Mapping[int, Errors], lengths: Sequence[int], target: int
) -> tuple[float, float] | None:
    """Where the best cell of a length should be, by the two longest of `lengths` that have one."""
    known = [(length, place) for length in lengths if (place := best(found[length])) is not None]
    if not known:
        return None
    last, (column, row) = known[-1]
    lr_slope, total_slope = EXPECTED_LR, EXPECTED_TOTAL
    if len(known) > 1:
        first, (first_column, first_row) = known[-2]
        octaves = math.log2(last / first)
        lr_slope = (lr_slope + _clipped((column - first_column) / octaves, -1.0, 0.5)) / 2
        total_slope = (total_slope + _clipped((row - first_row) / octaves, -0.5, 1.0)) / 2
    octaves = math.log2(target / last)
    moved = row + total_slope * octaves if row else 0.0  # without decay there is nothing to move
    return column + lr_slope * octaves, moved


def _wanted(
    found: Mapping[int, Errors], lengths: Sequence[int], shape: tuple[int, int]
) -> list[Place]:
    """What the last of the lengths wants next; the longest before it have said where to begin."""
    errors = found[lengths[-1]]
    start = predicted(found, lengths[:-1], lengths[-1])
    if start is None:
        first = [place for place in _coarse(shape) if place not in errors]
        if first:
            return first
    elif not errors:
        return _nearest(start, shape)[:5]
    centre = best(errors)
    if centre is None:  # all diverged: smaller learning rates
        column = min((place[0] for place in errors), default=1) - 1
        return [(column, row) for row in range(shape[1]) if column >= 0]
    return [place for place in _around(centre) if _inside(place, shape) and place not in errors]


def _coarse(shape: tuple[int, int]) -> list[Place]:
    """Every third cell, the gaps at the two ends alike; the row of λ = 0 comes as a neighbour."""
    columns = range(((shape[0] - 1) % STRIDE) // 2, shape[0], STRIDE)
    rows = range(1 + ((shape[1] - 2) % STRIDE) // 2, shape[1], STRIDE)
    return [(column, row) for row in rows for column in columns]


def _nearest(centre: tuple[float, float], shape: tuple[int, int]) -> list[Place]:
    """The grid's cells, the nearest to a point first."""
    places = [(column, row) for column in range(shape[0]) for row in range(shape[1])]
    return sorted(
        places, key=lambda place: ((place[0] - centre[0]) ** 2 + (place[1] - centre[1]) ** 2, place)
    )


def _around(place: Place) -> list[Place]:
    """A cell and its eight neighbours, those at its sides first."""
    steps = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)]
    steps.sort(key=lambda step: abs(step[0]) + abs(step[1]))
    return [(place[0] + x, place[1] + y) for x, y in steps]


def _inside(place: Place, shape: tuple[int, int]) -> bool:
    return 0 <= place[0] < shape[0] and 0 <= place[1] < shape[1]


def _clipped(value: float, low: float, high: float) -> float:
    return max(low, min(high, value))
