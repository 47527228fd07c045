"""How far other test samples would move the test error of a cell, or the difference of two.

Where each seed draws its own split, the seeds' interval covers other samples already. Elsewhere
all seeds have the same test set, whose errors sample by sample say it; of a ledger that does not
keep them there is a bound, as if the two cells had been tested on different samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from unyoke.study.landscape.landscape import Cell, Landscape
from unyoke.study.report.survey import Array, Panel
from unyoke.study.statistics import Position
from unyoke.study.tasks.built_in import BUILT_IN

Read = Callable[[Cell], Array | None]
"""The error of each test sample of a finished cell; None where none are kept."""


def split_by_seed(landscape: Landscape) -> bool:
    """Whether each seed draws its own test samples, as far as that is known of the task."""
    name = landscape.task.name
    return name in BUILT_IN and BUILT_IN[name].split_by_seed


def sample_errors(
    read: Read, landscape: Landscape, panel: Panel, position: Position
) -> Array | None:
    """The error of each test sample in one cell of a map, as the mean over the seeds that ran it.

    None where one of them has none, or they have not the same number of samples.
    """
    seeds = np.flatnonzero(panel.done[(slice(None), *position)]).tolist()
    errors = [read(panel.cell(landscape, seed, position)) for seed in seeds]
    known = [each for each in errors if each is not None]
    if not known or len(known) < len(errors) or len({len(each) for each in known}) > 1:
        return None
    return np.asarray(np.mean(known, axis=0))


@dataclass(frozen=True)
class Samples:
    """What a report knows of its test samples.

    Attributes:
        landscape: whose cells are read.
        read: a ledger's errors of single samples.
    """

    landscape: Landscape
    read: Read

    def of_cell(self, panel: Panel, position: Position | None) -> float:
        """Standard error of a cell's mean test error beyond that over seeds."""
        return 0.0 if split_by_seed(self.landscape) else standard_error(panel, position)

    def of_difference(
        self, first: tuple[Panel, Position | None], second: tuple[Panel, Position | None]
    ) -> float:
        """Standard error of the difference of two cells' test errors beyond that over seeds."""
        if split_by_seed(self.landscape):
            return 0.0
        (one, at), (other, there) = first, second
        if at is None or there is None:
            return bound(first, second)
        errors = [
            sample_errors(self.read, self.landscape, panel, position)
            for panel, position in ((one, at), (other, there))
        ]
        if errors[0] is None or errors[1] is None or len(errors[0]) != len(errors[1]):
            return bound(first, second)
        return float(np.std(errors[0] - errors[1], ddof=1) / math.sqrt(len(errors[0])))


def standard_error(panel: Panel, position: Position | None) -> float:
    """What the test set's finite size leaves to a cell's mean test error; 0 of no cell."""
    if position is None:
        return 0.0
    values = panel.figures["test_standard_error"][(slice(None), *position)]
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else 0.0


def bound(first: tuple[Panel, Position | None], second: tuple[Panel, Position | None]) -> float:
    """Of a difference, at most: as if the two were tested on different samples."""
    return math.hypot(standard_error(*first), standard_error(*second))
