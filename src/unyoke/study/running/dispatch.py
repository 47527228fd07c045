"""Open cells on their way through the workers into the ledger."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any, Protocol

from unyoke.study.errors import StudyError, TaskError
from unyoke.study.landscape.batches import batches
from unyoke.study.landscape.landscape import Cell, TaskReference
from unyoke.study.landscape.outcome import Outcome
from unyoke.study.ledger.ledger import LEASE, Count, Ledger
from unyoke.study.running import workers
from unyoke.study.running.executors import Executor
from unyoke.study.running.workers import TaskFailure, Trained

IN_FLIGHT_PER_WORKER = 2
"""Batches a worker holds: one in training, one waiting, so that it never idles."""

MOST_DEATHS = 5
"""Workers that may die one after another without anything being recorded."""

Batch = tuple[Cell, ...]


class Watcher(Protocol):
    """Whoever wants to see a run's progress."""

    def begin(self, count: Count) -> None:
        """The run begins, or goes on, at `count`."""

    def advance(self, cell: Cell, outcome: Outcome) -> None:
        """One more cell is recorded."""

    def end(self) -> None:
        """The run is over, finished or not."""


@dataclass(frozen=True)
class Job:
    """The workers, what they train and how, as `training.train_together` has it."""

    executor: Executor
    task: TaskReference
    engine: str
    evaluations: int | None
    seconds_per_update: float
    cell_timeout: float | None = None


class Run:
    """Some cells of a ledger, and the workers that train them."""

    def __init__(self, ledger: Ledger, job: Job, watcher: Watcher) -> None:
        self._ledger = ledger
        self._job = job
        self._watcher = watcher
        self._waiting: deque[Batch] = deque()
        self._lost: deque[Batch] = deque()  # by a worker that died or a cell that fails; claimed
        self._flying: dict[Future[Trained], Batch] = {}
        self._deaths = 0

    def through(self, cells: Sequence[Cell]) -> None:
        """Claim, train and record all of these open cells.

        Raises:
            StudyError: the task is not what it was, the disk is full, or workers keep dying.
        """
        job = self._job
        self._waiting.extend(batches(cells, job.executor.workers, job.seconds_per_update))
        renewed = time.monotonic()
        while self._waiting or self._lost or self._flying:
            self._hand_out()
            finished = wait(self._flying, LEASE / 10, FIRST_COMPLETED).done
            # What came back is recorded before a failure beside it is raised.
            for future in sorted(finished, key=_failed):
                self._take_back(future)
            if time.monotonic() - renewed > LEASE / 5:
                self._ledger.renew()
                renewed = time.monotonic()

    def _hand_out(self) -> None:
        job = self._job
        most = IN_FLIGHT_PER_WORKER * job.executor.workers
        while (self._lost or self._waiting) and len(self._flying) < most:
            if self._lost:
                batch = self._lost.popleft()
            else:
                batch = self._waiting.popleft()
                self._ledger.claim_cells(batch)
            how = (job.engine, job.evaluations, job.cell_timeout)
            call = job.executor.submit(workers.run_cells, job.task, batch, *how)
            self._flying[call] = batch

    def _take_back(self, future: Future[Trained]) -> None:
        batch = self._flying.pop(future, None)
        if batch is None:
            return  # lost beside one whose worker died
        error = future.exception()
        if error is not None and self._job.executor.is_a_death(error):
            self._bury(batch, error)
            return
        failure = _failure(future)
        if failure is not None and len(batch) > 1:
            self._lost.extend(_halves(batch))  # to find the cell that fails
            return
        if failure is not None:
            versions = workers.versions(self._job.task.device)
            outcomes = [Outcome.failed(failure)]
        else:
            outcomes, versions = answer(future, self._job.executor, _name(batch))
        self._ledger.record_all(
            (cell, outcome, versions) for cell, outcome in zip(batch, outcomes, strict=True)
        )
        self._deaths = 0
        for cell, outcome in zip(batch, outcomes, strict=True):
            self._watcher.advance(cell, outcome)

    def _bury(self, batch: Batch, error: BaseException) -> None:
        """Put what a dead worker had back in line, in two halves: it may have been too large."""
        self._deaths += 1
        if self._deaths > MOST_DEATHS:
            raise _dead() from error
        lost = [batch]
        if self._job.executor.renew():
            lost += self._flying.values()
            self._flying = {}
        self._lost.extend(half for batch in lost for half in _halves(batch))


def answer(future: Future[Any], executor: Executor, what: str) -> Any:
    """What a worker returned.

    Raises:
        StudyError: `what` failed, and how.
    """
    try:
        result = future.result()
    except StudyError:
        raise
    except Exception as error:
        if executor.is_a_death(error):
            raise _dead() from error
        result = TaskFailure.of(error)
    if isinstance(result, StudyError):
        raise result
    if isinstance(result, TaskFailure):
        raise StudyError(
            f"{what} failed: {result}; every recorded cell is kept; mend the task and use another "
            "folder"
        ) from result
    return result


def _failure(future: Future[Any]) -> str | None:
    """What the task of a batch raised, or None if nothing or if it is not the task's fault."""
    error = future.exception()
    result = future.result() if error is None else None
    return str(result) if isinstance(result, TaskFailure | TaskError) else None


def _failed(future: Future[Any]) -> bool:
    """Whether a finished call has brought nothing to record."""
    return future.exception() is not None or isinstance(future.result(), Exception)


def _halves(batch: Batch) -> list[Batch]:
    middle = len(batch) // 2
    return [batch[:middle], batch[middle:]] if middle else [batch]


def _dead() -> StudyError:
    return StudyError(
        "a worker process died (killed, or out of memory?), and so did those that took its place; "
        "every recorded cell is kept; run the same command again, with a smaller --workers if "
        "memory was short"
    )


def _name(batch: Batch) -> str:
    cell = batch[0]
    others = f" and {len(batch) - 1} others" if len(batch) > 1 else ""
    return (
        f"{cell.optimizer} at lr {cell.lr:g}, weight decay {cell.weight_decay:g}, seed "
        f"{cell.seed}{others}"
    )
