"""From the ledger to plain arrays: one panel for each optimizer, schedule and budget."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unyoke.study.landscape.decay_units import SYMBOLS, Numbers, numbers
from unyoke.study.landscape.landscape import Axes, Budget, Cell, Landscape
from unyoke.study.landscape.optimizers import decay, direction, known, title
from unyoke.study.landscape.task_reference import OwnCode
from unyoke.study.ledger.accepted import OTHER_CODE
from unyoke.study.ledger.ledger import Record

Array = NDArray[np.float64]
Seeds = NDArray[np.intp]

_FIGURES = ("validation_error", "test_error", "test_standard_error", "train_error", "train_loss")


class Setting(NamedTuple):
    """What the panels that stand side by side have in common."""

    schedule: str
    updates: int
    batch_size: int | None

    def __str__(self) -> str:
        batches = "" if self.batch_size is None else f", batches of {self.batch_size}"
        return f"{self.schedule}, {self.updates} updates{batches}"


@dataclass(frozen=True)
class Panel:
    """One heat map's figures. Every array is [seeds, weight decays, learning rates].

    A cell that diverged, failed or has not run yet is NaN in every figure; `diverged`, `failed` and
    `done` tell which. `failures` has what the task raised, by place, and `own` what is known of the
    user's own optimizers.
    """

    optimizer: str
    schedule: str
    updates: int
    batch_size: int | None
    axes: Axes
    figures: dict[str, Array]
    diverged: NDArray[np.bool_]
    done: NDArray[np.bool_]
    failures: dict[tuple[int, int, int], str] = field(default_factory=dict)
    own: tuple[OwnCode, ...] = ()

    @property
    def failed(self) -> NDArray[np.bool_]:
        """Where the task raised something."""
        found = np.zeros_like(self.done)
        for place in self.failures:
            found[place] = True
        return found

    @property
    def lost(self) -> NDArray[np.bool_]:
        """Where training has ended without an error that could be compared."""
        return np.asarray(self.diverged | self.failed)

    @property
    def whole(self) -> NDArray[np.bool_]:
        """Which seeds have run every cell, [seeds]."""
        return np.asarray(self.done.all(axis=(1, 2)))

    def of_whole_seeds(self) -> Panel:
        """The same as if those seeds that lack a cell had not begun."""
        whole = self.whole
        kept = whole[:, None, None]
        return replace(
            self,
            figures={name: np.where(kept, each, np.nan) for name, each in self.figures.items()},
            diverged=self.diverged & kept,
            done=self.done & kept,
            failures={at: text for at, text in self.failures.items() if whole[at[0]]},
        )

    @property
    def title(self) -> str:
        """The optimizer, with its kind of decay where the name does not tell it."""
        return title(self.optimizer, self.own)

    @property
    def decay(self) -> str:
        """The decay rule by name; `OWN` where it is the user's, or not known."""
        return decay(self.optimizer, self.own)

    @property
    def direction(self) -> str:
        """The direction by name; `OWN` where it is not known."""
        return direction(self.optimizer, self.own)

    @property
    def decay_symbol(self) -> str:
        """λ′ for an L2 penalty, λ for decoupled decay, as the paper writes them; with its unit."""
        symbol = "λ′" if self.decay.startswith("l2") else "λ"
        return SYMBOLS[self.axes.decay_unit].format(symbol)

    def decay_in_units(self, row: int) -> Numbers | None:
        """The weight decay of a row in every unit; None where the schedule is the user's own."""
        value = self.axes.weight_decay[row]
        return numbers(value, self.axes.decay_unit, self.schedule, self.updates)

    @property
    def is_sweep(self) -> bool:
        """Whether it has one weight decay only, so that its error is a curve over α, no map."""
        return len(self.axes.weight_decay) == 1

    @property
    def setting(self) -> Setting:
        """What all panels beside this one share."""
        return Setting(self.schedule, self.updates, self.batch_size)

    def cell(self, landscape: Landscape, seed: int, position: tuple[int, int]) -> Cell:
        """The training at a position [weight decay, learning rate] of the seed of this number."""
        row, column = position
        budget = Budget(self.updates, self.batch_size)
        return landscape.cell_maker(self.optimizer, self.schedule, budget)(
            lr=self.axes.lr[column],
            weight_decay=self.axes.weight_decay[row],
            seed=landscape.seeds[seed],
        )

    def mean(self, figure: str) -> Array:
        """Mean over seeds [weight decays, learning rates]; NaN where a seed is lost or none ran.

        Over those seeds that have run.
        """
        everyone = np.arange(len(self.done))[None, :]
        return np.asarray(self.resampled(figure, everyone)[0])

    def resampled(self, figure: str, seeds: Seeds, *, lost: float = np.nan) -> Array:
        """`mean` over each row of seed positions, [rows, weight decays, learning rates].

        Args:
            seeds: positions [rows, any number]; one that is there twice counts twice.
            lost: what a training that diverged or failed counts as.
        """
        times = (seeds[..., None] == np.arange(len(self.done))).sum(axis=1).astype(np.float64)
        known = self.done & np.isfinite(self.figures[figure])
        values = np.where(known, self.figures[figure], 0.0)
        if not np.isnan(lost):
            values, known = np.where(self.lost, lost, values), self.done
        runs = np.tensordot(times, known.astype(np.float64), 1)
        lacking = np.tensordot(times, (self.done & ~known).astype(np.float64), 1) > 0
        there = (runs > 0) & ~lacking
        total = np.tensordot(times, values, 1)
        return np.asarray(np.where(there, total, np.nan) / np.where(there, runs, 1.0))

    def standard_error(self, figure: str) -> Array:
        """Standard error over seeds of `mean`; NaN with fewer than two seeds or a lost one."""
        runs = self.done.sum(axis=0)
        deviations = np.where(self.done, self.figures[figure] - self.mean(figure), 0.0)
        variance = (deviations**2).sum(axis=0) / np.maximum(runs - 1, 1)
        return np.where(runs > 1, np.sqrt(variance / np.maximum(runs, 1)), np.nan)

    @property
    def choice(self) -> Array:
        """Mean validation error: what a cell is chosen by."""
        return self.mean("validation_error")


@dataclass(frozen=True)
class Survey:
    """All that a report is drawn from."""

    landscape: Landscape
    panels: tuple[Panel, ...]
    total: int
    done: int
    diverged: int
    failed: int
    test_samples: int
    error_unit: str
    seconds: float
    versions: tuple[str, ...] = field(default=())

    @property
    def accepted(self) -> tuple[str, ...]:
        """The versions of cells that other code trained than began the ledger."""
        return tuple(text for text in self.versions if OTHER_CODE in text)

    @property
    def known(self) -> list[str]:
        """What is known of the user's own optimizers, a sentence for each."""
        own = self.landscape.task.own
        return [text for name in self.landscape.axes if (text := known(name, own)) is not None]

    def failures(self) -> list[tuple[str, int]]:
        """What tasks raised, each text once with its number, the most frequent first."""
        texts = [text for panel in self.panels for text in panel.failures.values()]
        return Counter(texts).most_common()

    def settings(self) -> dict[Setting, list[Panel]]:
        """The panels of each setting, in the landscape's order."""
        found: dict[Setting, list[Panel]] = {}
        for panel in self.panels:
            found.setdefault(panel.setting, []).append(panel)
        return found


def survey(landscape: Landscape, records: Iterable[Record]) -> Survey:
    """Sort finished cells into panels."""
    panels = {
        (optimizer, schedule, budget): _empty_panel(landscape, optimizer, schedule, budget)
        for schedule in landscape.schedules
        for budget in landscape.budgets()
        for optimizer in landscape.axes
    }
    seed_index = {seed: index for index, seed in enumerate(landscape.seeds)}
    column = {name: _positions(axes.lr) for name, axes in landscape.axes.items()}
    row = {name: _positions(axes.weight_decay) for name, axes in landscape.axes.items()}
    done, test_samples, error_unit, seconds = 0, 0, "%", 0.0
    versions: set[str] = set()
    for record in records:
        cell, outcome = record.cell, record.outcome
        panel = panels[cell.optimizer, cell.schedule, cell.budget]
        at = (
            seed_index[cell.seed],
            row[cell.optimizer][cell.weight_decay],
            column[cell.optimizer][cell.lr],
        )
        panel.done[at] = True
        panel.diverged[at] = outcome.status == "diverged"
        if outcome.status == "failed":
            panel.failures[at] = outcome.failure or ""
        else:
            test_samples, error_unit = outcome.test_samples, outcome.error_unit
        for figure in _FIGURES:
            value = getattr(outcome, figure)
            panel.figures[figure][at] = np.nan if value is None else value
        done += 1
        seconds += outcome.seconds
        versions.add(record.versions)
    return Survey(
        landscape=landscape,
        panels=tuple(panels.values()),
        total=sum(panel.done.size for panel in panels.values()),
        done=done,
        diverged=sum(int(panel.diverged.sum()) for panel in panels.values()),
        failed=sum(len(panel.failures) for panel in panels.values()),
        test_samples=test_samples,
        error_unit=error_unit,
        seconds=seconds,
        versions=tuple(sorted(_written_out(text) for text in versions)),
    )


def _empty_panel(landscape: Landscape, optimizer: str, schedule: str, budget: Budget) -> Panel:
    axes = landscape.axes[optimizer]
    shape = (len(landscape.seeds), len(axes.weight_decay), len(axes.lr))
    return Panel(
        optimizer=optimizer,
        schedule=schedule,
        updates=budget.updates,
        batch_size=budget.batch_size,
        axes=axes,
        figures={figure: np.full(shape, np.nan) for figure in _FIGURES},
        diverged=np.zeros(shape, dtype=bool),
        done=np.zeros(shape, dtype=bool),
        own=landscape.task.own,
    )


def _positions(values: tuple[float, ...]) -> dict[float, int]:
    return {value: index for index, value in enumerate(values)}


def _written_out(versions: str) -> str:
    return ", ".join(f"{name} {version}" for name, version in json.loads(versions).items())
