"""How long what is missing will take on this machine, from a timed sample."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from unyoke.study.claims.run import Request
from unyoke.study.landscape import Landscape
from unyoke.study.ledger import FILE_NAME, Ledger

SLOW = 0.05
"""Seconds of one update of one model above which the sample is that update alone."""
SAMPLE = 32
"""Models that are trained together in a sample."""
UPDATES = 60
"""Updates of the sample."""


@dataclass(frozen=True)
class Estimate:
    """What one study still needs.

    Attributes:
        seconds: of wall time with `workers` processes, without extensions past edges.
    """

    task: str
    study: str
    trainings: int
    updates: int
    seconds: float


def estimates(
    request: Request, landscapes: Mapping[tuple[str, str], Landscape], workers: int
) -> list[Estimate]:
    """For each study, what its ledger lacks."""
    found = []
    for (task, study), landscape in landscapes.items():
        done = set()
        if (request.folder(task, study) / FILE_NAME).exists():
            with Ledger.open_to_read(request.folder(task, study)) as ledger:
                done = {record.cell.key for record in ledger.records()}
        cells = [cell for cell in landscape.cells() if cell.key not in done]
        seconds = sum(
            cell.updates * seconds_per_update(_task_of(landscape), cell.batch_size)
            for cell in cells
        )
        updates = sum(cell.updates for cell in cells)
        found.append(Estimate(task, study, len(cells), updates, seconds / workers))
    return found


def _task_of(landscape: Landscape) -> str:
    """What a sample depends on, as a key: the task."""
    empty = replace(landscape, axes={}, schedules=(), updates=(), seeds=(), batch_sizes=())
    return empty.to_json()


@cache
def seconds_per_update(task: str, batch_size: int | None) -> float:
    """Of one model on one core, evaluation included, when it is trained with others."""
    import torch

    from unyoke.study.landscape import Cell
    from unyoke.study.tasks import load
    from unyoke.study.training import train_together

    reference = Landscape.from_json(task).task
    build = load(reference)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = _one_update(build(0), batch_size)
        if alone > SLOW:
            return alone
        cells = [
            Cell(
                reference.name,
                reference.version,
                "AdamW",
                "cosine",
                updates,
                lr,
                0.001,
                0,
                batch_size,
            )
            for updates in (4, UPDATES)
            for lr in [0.001 * 1.1**step for step in range(SAMPLE)]
        ]
        train_together(cells[:SAMPLE], build, time.perf_counter)
        started = time.perf_counter()
        train_together(cells[SAMPLE:], build, time.perf_counter)
        return (time.perf_counter() - started) / SAMPLE / UPDATES
    finally:
        torch.set_num_threads(threads)


def _one_update(task: object, batch_size: int | None) -> float:
    """Forward and backward of one batch, and evaluation's share where looks are fewest."""
    import torch

    from unyoke.study.task import Task

    assert isinstance(task, Task)
    size = batch_size or task.batch_size
    inputs, targets = task.train[0][:size], task.train[1][:size]
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        torch.autograd.backward(task.loss(task.model(inputs), targets))
        seconds.append(time.perf_counter() - started)
    return min(seconds)
