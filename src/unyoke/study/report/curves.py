"""Learning curves for the page: of which cells, and their means over seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, zip_longest

import numpy as np

from unyoke.study import statistics
from unyoke.study.landscape.landscape import Cell, Landscape
from unyoke.study.landscape.outcome import CurvePoint
from unyoke.study.report.survey import Array, Panel, Survey
from unyoke.study.statistics import Position

TRAININGS = 6_000
"""How many trainings' curves a page holds at most; about 200 bytes each cell."""


@dataclass(frozen=True)
class Curves:
    """The curves of one panel, means over the seeds that have run.

    Attributes:
        updates: after which there is a point, ascending.
        cells: for each cell [3, points]: training loss, validation error and test error. NaN
            where a seed has no point, because it diverged before.
    """

    updates: tuple[int, ...]
    cells: dict[Position, Array]


def read_curves(survey: Survey, curve: Callable[[Cell], tuple[CurvePoint, ...]]) -> list[Curves]:
    """The curves of each panel, read by `curve` (`Ledger.curve`).

    Of every cell where there are at most `TRAININGS` trainings. Else of the best cell of every
    panel, then of the second best of every panel, and so on until that number is reached.
    """
    chosen = _chosen(survey)
    return [
        _means(panel, survey.landscape, positions, curve)
        for panel, positions in zip(survey.panels, chosen, strict=True)
    ]


def _chosen(survey: Survey) -> list[list[Position]]:
    ranked = [_ranked(panel) for panel in survey.panels]
    chosen: list[list[Position]] = [[] for _ in ranked]
    left = TRAININGS
    numbered = [[(index, cell) for cell in cells] for index, cells in enumerate(ranked)]
    for entry in chain.from_iterable(zip_longest(*numbered)):
        if entry is None:
            continue
        index, cell = entry
        left -= int(survey.panels[index].done[(slice(None), *cell)].sum())
        if left < 0:
            break
        chosen[index].append(cell)
    return chosen


def _ranked(panel: Panel) -> list[Position]:
    """Every cell that has run: by validation error, then those that diverged."""
    choice = panel.choice
    finished = statistics.best_cells(choice, choice.size)
    lost = panel.done.any(axis=0) & ~np.isfinite(choice)
    return finished + [(int(row), int(column)) for row, column in np.argwhere(lost)]


def _means(
    panel: Panel,
    landscape: Landscape,
    positions: list[Position],
    curve: Callable[[Cell], tuple[CurvePoint, ...]],
) -> Curves:
    read = {
        position: [
            {point.update: point[1:] for point in curve(panel.cell(landscape, int(seed), position))}
            for seed in np.flatnonzero(panel.done[(slice(None), *position)])
        ]
        for position in positions
    }
    updates = sorted({update for seeds in read.values() for points in seeds for update in points})
    missing = (np.nan, np.nan, np.nan)
    cells = {
        position: np.mean([[p.get(update, missing) for update in updates] for p in seeds], axis=0).T
        for position, seeds in read.items()
        if updates
    }
    return Curves(tuple(updates), cells)
