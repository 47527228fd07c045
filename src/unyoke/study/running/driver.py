"""The driver: takes cells from the ledger, hands them to workers, writes down what comes back.

Cells are handed out in batches, which a worker trains together.

It is the only process that writes. It needs no more of a pool than `submit` of
`concurrent.futures`, so that other machines can take the place of local processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from unyoke.study.landscape.landscape import Cell, Landscape, TaskReference
from unyoke.study.landscape.outcome import Outcome
from unyoke.study.ledger.ledger import FILE_NAME, Count, Ledger
from unyoke.study.running import executors, first_cell
from unyoke.study.running import workers as worker_processes
from unyoke.study.running.dispatch import Job, Run, Watcher, answer
from unyoke.study.running.refine import next_cells

__all__ = ["Refine", "Rounds", "Shard", "Watcher", "run"]


class Rounds(Protocol):
    """Whoever decides which cells are trained, round after round, by what is recorded."""

    def next_cells(self, landscape: Landscape, done: Iterable[tuple[Cell, Outcome]]) -> list[Cell]:
        """The open cells of the next round; none ends the run."""


@dataclass(frozen=True)
class Refine:
    """Run a refined map: see `unyoke.study.running.refine`.

    Attributes:
        most: trainings in all, those that are recorded already included; None is no limit.
    """

    most: int | None = None

    def next_cells(self, landscape: Landscape, done: Iterable[tuple[Cell, Outcome]]) -> list[Cell]:
        """The cells of the next round."""
        return next_cells(landscape, done, self.most)


@dataclass(frozen=True)
class Shard:
    """Every `count`-th seed with its whole maps, from number `index` on, which counts from 1.

    Where there are more shards than seeds, every `count`-th cell.
    """

    index: int
    count: int

    def cells(self, landscape: Landscape) -> list[Cell]:
        """Its part of a landscape's cells."""
        own = slice(self.index - 1, None, self.count)
        if self.count > len(landscape.seeds):
            return list(landscape.cells())[own]
        seeds = set(landscape.seeds[own])
        return [cell for cell in landscape.cells() if cell.seed in seeds]


def run(
    landscape: Landscape,
    folder: Path,
    watcher: Watcher,
    *,
    workers: int,
    extend: bool = False,
    accept_code: bool = False,
    engine: str = "auto",
    refine: Rounds | None = None,
    executor: str = "processes",
    shard: Shard | None = None,
    cell_timeout: float | None = None,
    warn: Callable[[str], None] | None = None,
) -> Count:
    """Run every open cell of `landscape` and record it in the ledger in `folder`.

    Args:
        extend: take a ledger whose grid is a part of the landscape's.
        accept_code: take a ledger that other code has filled.
        engine: as `training.train_together` has it.
        refine: only run the cells that lead to the best ones; the others stay open.
        executor: who trains, as `executors.start` has it; `workers` is for those that cannot say
            how many they are.
        shard: only run this part of the cells; the others stay open.
        cell_timeout: seconds after which a training has failed.
        warn: where it is given, the first cell of a new ledger is trained twice, and what differs
            is said by it.

    A cell whose training raises something has failed: that is recorded, and the run goes on. A
    worker that dies is replaced, and what it had is trained again. Ctrl-C raises
    KeyboardInterrupt after the workers have ended; what is recorded stays, and the same call goes
    on from there.

    Raises:
        StudyError: the task, the ledger or the executor cannot be used, or workers keep dying.
    """
    with ExitStack() as stack:
        ledger = None
        if (folder / FILE_NAME).exists():
            ledger = stack.enter_context(
                Ledger.open_to_write(folder, landscape, extend=extend, accept_code=accept_code)
            )
            if not _wanted(ledger, ledger.own(landscape), refine, shard):
                return ledger.count()
        started = stack.enter_context(executors.start(executor, workers))
        # Before anything is created, the task must have shown that it can be used.
        probe = started.submit(worker_processes.probe, *_to_try(landscape))
        seconds_per_update = answer(probe, started, "the first try of the task")
        if ledger is None:
            if warn is not None:
                first = next(landscape.cells())
                differs = first_cell.difference(
                    started, landscape.task, first, seconds_per_update, cell_timeout
                )
                if differs is not None:
                    warn(differs)
            ledger = stack.enter_context(Ledger.open_to_write(folder, landscape))
        watcher.begin(_count(ledger, ledger.own(landscape), shard))
        stack.callback(watcher.end)
        how = (landscape.evaluations, seconds_per_update, cell_timeout)
        job = Job(started, landscape.task, engine, *how)
        work = Run(ledger, job, watcher)
        while cells := _wanted(ledger, ledger.own(landscape), refine, shard):
            work.through(cells)
        return ledger.count()


def try_here(landscape: Landscape) -> None:
    """Try the task in this process, as a run does in a worker before anything is created.

    Raises:
        StudyError: the task cannot be used, and why.
    """
    worker_processes.probe(*_to_try(landscape))


def _to_try(
    landscape: Landscape,
) -> tuple[TaskReference, int, int | None, tuple[Cell, ...]]:
    largest = max((size for size in landscape.batch_sizes if size is not None), default=None)
    tried = {(cell.optimizer, cell.schedule, cell.updates): cell for cell in landscape.cells()}
    return landscape.task, landscape.seeds[0], largest, tuple(tried.values())


def saved(folder: Path) -> str:
    """What a refined map has trained, beside what its whole grid would take, in one line."""
    with Ledger.open_to_read(folder) as ledger:
        whole = sum(cell.updates for cell in ledger.landscape.cells())
        made = sum(record.cell.updates for record in ledger.records())
        count = ledger.count()
    return (
        f"refined: {count.done:,} of {count.total:,} trainings, {made:,} of {whole:,} updates; "
        f"{1 - made / whole:.0%} saved"
    )


def _wanted(
    ledger: Ledger, landscape: Landscape, refine: Rounds | None, shard: Shard | None
) -> list[Cell]:
    """The cells to run next: all that are open, or a refined map's next round."""
    if refine is not None:
        done = ((record.cell, record.outcome) for record in ledger.records())
        return refine.next_cells(landscape, done)
    if shard is None:
        return ledger.open_cells()
    own = set(shard.cells(landscape))
    return [cell for cell in ledger.open_cells() if cell in own]


def _count(ledger: Ledger, landscape: Landscape, shard: Shard | None) -> Count:
    """How far the run has come; of a shard, with its own cells."""
    if shard is None:
        return ledger.count()
    own = set(shard.cells(landscape))
    done = [record.outcome for record in ledger.records() if record.cell in own]
    kinds = [outcome.status for outcome in done]
    return Count(len(own), len(done), kinds.count("diverged"), kinds.count("failed"))
