"""Where to train next, so that a map's best cells are found without training its whole grid.

For each panel (an optimizer with its schedule and budget) on its own, in rounds:

1. coarse: every other α and λ, and the ends, with the first seed;
2. the basin: all eight neighbours of the `BREADTH` best cells, with the first seed, until there is
   none left that has not been trained;
3. successive halving over the seeds: the `FIELD` best cells get a second seed, half as many a
   third, and so on, never fewer than `BREADTH`;
4. until the best cell has every seed and all its neighbours: what it lacks.

Cells are compared by their mean validation error over the seeds they have; one that diverged is
worse than all. Everything follows from what is recorded, so an interrupted run goes on as it would
have. Successive halving: Jamieson & Talwalkar, AISTATS 2016 (arXiv 1502.07943); here a training's
budget stays the same and the seeds are what is handed out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from unyoke.study.landscape.landscape import Budget, Cell, Landscape
from unyoke.study.landscape.outcome import Outcome

BREADTH = 4
"""Best cells whose neighbours are tried, and that get every seed."""

FIELD = 16
"""Best cells that get a second seed."""

Array = NDArray[np.float64]


def next_cells(
    landscape: Landscape, done: Iterable[tuple[Cell, Outcome]], most: int | None = None
) -> list[Cell]:
    """The cells of the next round; none when every panel's best is found.

    Args:
        done: every finished cell with its outcome.
        most: how many trainings there may be in all, those that are done included.
    """
    errors = {panel: _nothing(landscape, panel[0]) for panel in _panels(landscape)}
    places = {name: _places(landscape, name) for name in landscape.axes}
    seeds = {seed: place for place, seed in enumerate(landscape.seeds)}
    trained = 0
    for cell, outcome in done:
        row, column = places[cell.optimizer][cell.weight_decay, cell.lr]
        value = math.inf if outcome.validation_error is None else outcome.validation_error
        errors[cell.optimizer, cell.schedule, cell.budget][seeds[cell.seed], row, column] = value
        trained += 1
    rounds = [_cells(landscape, panel, _round(found)) for panel, found in errors.items()]
    # In turn from every panel, so that a budget that ends takes from all.
    wanted = [cell for cells in _in_turn(rounds) for cell in cells]
    return wanted if most is None else wanted[: max(0, most - trained)]


def _round(errors: Array) -> list[tuple[int, int, int]]:
    """What one panel wants next, as (seed, λ, α); errors are [seeds, λ, α], NaN where untrained.

    Better cells come first.
    """
    first = errors[0]
    untrained = np.isnan(first)
    coarse = [(0, row, column) for row, column in _coarse(first.shape) if untrained[row, column]]
    if coarse:
        return coarse
    ranked = _ranked(errors)
    basin = [
        (0, row, column)
        for best in ranked[:BREADTH]
        for row, column in _neighbours(best, first.shape)
        if untrained[row, column]
    ]
    if basin:
        return list(dict.fromkeys(basin))
    for seed in range(1, len(errors)):
        field = max(BREADTH, FIELD >> (seed - 1))
        lacking = [(seed, *cell) for cell in ranked[:field] if np.isnan(errors[(seed, *cell)])]
        if lacking and (~np.isnan(errors[seed])).sum() < field:
            return lacking
    return [
        (seed, *cell)
        for cell in ranked[:1]
        for seed in range(len(errors))
        if np.isnan(errors[(seed, *cell)])
    ]


def _ranked(errors: Array) -> list[tuple[int, int]]:
    """Trained cells that did not diverge, the lowest mean first."""
    known = ~np.isnan(errors)
    sums = np.where(known, errors, 0.0).sum(axis=0)
    means = np.where(known.any(axis=0), sums / np.maximum(known.sum(axis=0), 1), np.inf)
    order = np.argsort(means, axis=None, kind="stable")
    cells = (np.unravel_index(place, means.shape) for place in order)
    return [(int(row), int(column)) for row, column in cells if np.isfinite(means[row, column])]


def _coarse(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    rows, columns = (sorted({*range(0, length, 2), length - 1}) for length in shape)
    return [(row, column) for row in rows for column in columns]


def _neighbours(cell: tuple[int, int], shape: tuple[int, ...]) -> list[tuple[int, int]]:
    row, column = cell
    return [
        (other_row, other_column)
        for other_row in range(max(0, row - 1), min(shape[0], row + 2))
        for other_column in range(max(0, column - 1), min(shape[1], column + 2))
    ]


PanelKey = tuple[str, str, Budget]


def _panels(landscape: Landscape) -> list[PanelKey]:
    return [
        (optimizer, schedule, budget)
        for schedule in landscape.schedules
        for budget in landscape.budgets()
        for optimizer in landscape.axes
    ]


def _nothing(landscape: Landscape, optimizer: str) -> Array:
    axes = landscape.axes[optimizer]
    return np.full((len(landscape.seeds), len(axes.weight_decay), len(axes.lr)), np.nan)


def _places(landscape: Landscape, optimizer: str) -> dict[tuple[float, float], tuple[int, int]]:
    axes = landscape.axes[optimizer]
    return {
        (weight_decay, lr): (row, column)
        for row, weight_decay in enumerate(axes.weight_decay)
        for column, lr in enumerate(axes.lr)
    }


def _cells(
    landscape: Landscape, panel: PanelKey, places: Sequence[tuple[int, int, int]]
) -> list[Cell]:
    optimizer, schedule, budget = panel
    axes = landscape.axes[optimizer]
    maker = landscape.cell_maker(optimizer, schedule, budget)
    return [
        maker(lr=axes.lr[column], weight_decay=axes.weight_decay[row], seed=landscape.seeds[seed])
        for seed, row, column in places
    ]


def _in_turn(rounds: Sequence[Sequence[Cell]]) -> list[list[Cell]]:
    longest = max(map(len, rounds), default=0)
    return [[cells[place] for cells in rounds if place < len(cells)] for place in range(longest)]
