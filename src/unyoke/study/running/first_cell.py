"""The first cell, trained twice before a map begins: a task that is not its seed's shows then."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from unyoke.study.landscape.landscape import Cell, TaskReference
from unyoke.study.landscape.outcome import Outcome
from unyoke.study.running import workers
from unyoke.study.running.executors import Executor
from unyoke.study.running.workers import Trained

SECONDS = 5.0
"""How long each of the two trainings may take; of a longer one, only the beginning is trained."""

MOST_UPDATES = 50
"""Enough for what differs to show."""


def difference(
    executor: Executor,
    task: TaskReference,
    cell: Cell,
    seconds_per_update: float,
    cell_timeout: float | None = None,
) -> str | None:
    """How two trainings of a cell's beginning differ, in words, or None.

    What raises, hangs or kills its worker is left to the map, which says so.
    """
    affordable = int(SECONDS / max(seconds_per_update, 1e-6))
    updates = max(1, min(cell.updates, MOST_UPDATES, affordable))
    # A schedule may ask for more updates than these.
    begin = replace(cell, updates=updates, schedule="constant")
    how = ([begin], "one_by_one", 1, cell_timeout)
    calls = [executor.submit(workers.run_cells, task, *how) for _ in range(2)]
    first, second = (_outcome(executor, call) for call in calls)
    if first is None or second is None:
        return None
    for name in ("status", "train_loss", "validation_error", "test_error"):
        one, other = getattr(first, name), getattr(second, name)
        if one != other:
            return (
                f"two trainings of the first cell differ: {name.replace('_', ' ')} {one} and "
                f"{other} after {updates} updates. The task draws numbers that its seed does not "
                "decide, keeps something from one training to the next, or its device adds in "
                "another order each time. Optimizers are compared up to such differences only: "
                "seed your own generators with the seed that the task is given"
            )
    return None


def _outcome(executor: Executor, call: Future[Any]) -> Outcome | None:
    error = call.exception()
    if error is not None:
        if executor.is_a_death(error):
            executor.renew()
        return None
    result = call.result()
    return result.outcomes[0] if isinstance(result, Trained) else None
