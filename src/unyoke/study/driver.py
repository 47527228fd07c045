"""The driver: takes cells from the ledger, hands them to workers, writes down what comes back.

Cells are handed out in batches, which a worker trains together.

It is the only process that writes. It needs no more of a pool than `submit` of
`concurrent.futures`, so that other machines can take the place of local processes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from unyoke.study import workers as worker_processes
from unyoke.study.batches import batches
from unyoke.study.errors import StudyError
from unyoke.study.landscape import Cell, Landscape
from unyoke.study.ledger import FILE_NAME, Count, Ledger
from unyoke.study.outcome import Outcome
from unyoke.study.refine import next_cells
from unyoke.study.workers import Finished

IN_FLIGHT_PER_WORKER = 2
"""Batches a worker holds: one in training, one waiting, so that it never idles."""


@dataclass(frozen=True)
class Refine:
    """Run a refined map: see `unyoke.study.refine`.

    Attributes:
        most: trainings in all, those that are recorded already included; None is no limit.
    """

    most: int | None = None


@dataclass(frozen=True)
class Crew:
    """The workers, and how they train."""

    pool: ProcessPoolExecutor
    workers: int
    engine: str
    seconds_per_update: float


class Watcher(Protocol):
    """Whoever wants to see a run's progress."""

    def begin(self, count: Count) -> None:
        """The run begins, or goes on, at `count`."""

    def advance(self, cell: Cell, outcome: Outcome) -> None:
        """One more cell is recorded."""

    def end(self) -> None:
        """The run is over, finished or not."""


def run(
    landscape: Landscape,
    folder: Path,
    watcher: Watcher,
    *,
    workers: int,
    extend: bool = False,
    engine: str = "auto",
    refine: Refine | None = None,
) -> Count:
    """Run every open cell of `landscape` and record it in the ledger in `folder`.

    Args:
        extend: take a ledger whose grid is a part of the landscape's.
        engine: as `training.train_together` has it.
        refine: only run the cells that lead to the best ones; the others stay open.

    Ctrl-C raises KeyboardInterrupt after the workers have ended; what is recorded stays, and the
    same call goes on from there.

    Raises:
        StudyError: the task or the ledger cannot be used, or a worker died.
    """
    with ExitStack() as stack:
        ledger = None
        if (folder / FILE_NAME).exists():
            ledger = stack.enter_context(Ledger.open_to_write(folder, landscape, extend=extend))
            count = ledger.count()
            if count.done == count.total:
                return count
        pool = stack.enter_context(worker_processes.worker_pool(workers, landscape.task.name))
        try:
            # Before anything is created, the task must have shown that it can be used.
            probe = pool.submit(worker_processes.probe, landscape.task, landscape.seeds[0])
            seconds_per_update = probe.result()
            if ledger is None:
                ledger = stack.enter_context(Ledger.open_to_write(folder, landscape))
            watcher.begin(ledger.count())
            stack.callback(watcher.end)
            crew = Crew(pool, workers, engine, seconds_per_update)
            while cells := _wanted(ledger, landscape, refine):
                _work(ledger, crew, landscape, watcher, cells)
        except BrokenProcessPool as error:
            raise StudyError(
                "a worker process died (killed, or out of memory?); every recorded cell is kept; "
                "run the same command again, with a smaller --workers if memory was short"
            ) from error
        return ledger.count()


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


def _wanted(ledger: Ledger, landscape: Landscape, refine: Refine | None) -> list[Cell]:
    """The cells to run next: all that are open, or a refined map's next round."""
    if refine is None:
        return ledger.open_cells()
    done = ((record.cell, record.outcome) for record in ledger.records())
    return next_cells(landscape, done, refine.most)


def _work(
    ledger: Ledger, crew: Crew, landscape: Landscape, watcher: Watcher, cells: Sequence[Cell]
) -> None:
    """Run these open cells and record them."""
    waiting = deque(batches(cells, crew.workers, crew.seconds_per_update))
    flying: dict[Future[Finished], tuple[Cell, ...]] = {}
    while waiting or flying:
        while waiting and len(flying) < IN_FLIGHT_PER_WORKER * crew.workers:
            batch = waiting.popleft()
            ledger.claim_cells(batch)
            job = crew.pool.submit(worker_processes.run_cells, landscape.task, batch, crew.engine)
            flying[job] = batch
        finished = wait(flying, return_when=FIRST_COMPLETED).done
        # What came back is recorded before a failure beside it is raised.
        for future in sorted(finished, key=lambda future: future.exception() is not None):
            batch = flying.pop(future)
            outcomes, versions = _result(future, batch)
            for cell, outcome in zip(batch, outcomes, strict=True):
                ledger.record(cell, outcome, versions)
                watcher.advance(cell, outcome)


def _result(future: Future[Finished], batch: tuple[Cell, ...]) -> Finished:
    try:
        return future.result()
    except (StudyError, BrokenProcessPool):
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        cell = batch[0]
        others = f" and {len(batch) - 1} others" if len(batch) > 1 else ""
        raise StudyError(
            f"{cell.optimizer} at lr {cell.lr:g}, weight decay {cell.weight_decay:g}, seed "
            f"{cell.seed}{others} failed: {type(error).__name__}: {text}; every recorded cell is "
            "kept; mend the task and use another folder"
        ) from error
