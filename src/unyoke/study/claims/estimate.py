"""How long what is missing will take on this machine, from timed samples.

A training costs its updates and its evaluations, which are few however many updates there are. Both
are timed apart, for each task and batch size, on models that are trained together. Of networks
whose update takes long, such as the paper's, only some samples of one batch are timed, forward and
backward, and the rest is proportion.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

from unyoke.study.claims.request import Request
from unyoke.study.landscape.batches import batches
from unyoke.study.landscape.landscape import Cell, Landscape, TaskReference
from unyoke.study.landscape.optimizers import OWN, direction
from unyoke.study.landscape.schedules import Own
from unyoke.study.ledger.ledger import FILE_NAME, Ledger
from unyoke.study.tasks.task import Task

SLOW = 0.03
"""Seconds of one update of one model above which samples of a batch are timed, not a training."""
SAMPLES = 4
"""Samples of a batch that are timed first."""
ENOUGH = 0.4
"""Seconds of a gradient whose samples are taken for the batch. What takes less is mostly what
every call costs, which proportion would count again for each of them: four times as many samples
are timed then, until it is the whole batch."""
MODELS = 48
"""Models that are trained together in a sample, at most."""
SECONDS = 0.7
"""How long the updates of a sample are timed."""
START = 2.0
"""Seconds in which a study's workers start and its task is tried."""
REPORT = 6.0
"""Seconds in which a map's report is drawn, mostly its pictures in three formats."""


@dataclass(frozen=True)
class Estimate:
    """What one study still needs.

    Attributes:
        seconds: of wall time with all workers, without extensions past edges.
        samples: what was timed for it, in words.
    """

    task: str
    study: str
    trainings: int
    updates: int
    seconds: float
    samples: tuple[str, ...]


@dataclass(frozen=True)
class Cost:
    """What trainings of one task and batch size cost on one core.

    Attributes:
        begin: seconds of a batch of trainings, once; see `unyoke.study.landscape.batches`.
        update, evaluation: seconds of one model.
        alone: seconds of the gradient of one model trained alone.
        task: which decides how many evaluations a training has.
        sample: what was timed, in words.
    """

    begin: float
    update: float
    evaluation: float
    alone: float
    task: Task
    sample: str

    def seconds(self, cells: Sequence[Cell], evaluations: int | None) -> float:
        """Of these trainings, with so many evaluations of each."""
        from unyoke.study.training.training import evaluation_updates

        total = self.begin * len(batches(cells, 1, self.alone))
        for length, count in Counter(cell.updates for cell in cells).items():
            cell = next(cell for cell in cells if cell.updates == length)
            made = len(evaluation_updates(cell, self.task, evaluations))
            total += count * (length * self.update + made * self.evaluation)
        return total


def estimates(
    request: Request, landscapes: Mapping[tuple[str, str], Landscape], workers: int
) -> list[Estimate]:
    """For each study, what its ledger lacks."""
    timed: dict[object, Cost] = {}
    return [
        _estimate((task, study), landscape, _missing(landscape, folder), workers, timed)
        for (task, study), landscape in landscapes.items()
        for folder in (request.folder(task, study),)
    ]


def of_map(landscape: Landscape, folder: Path, workers: int, part: Sequence[Cell]) -> Estimate:
    """What a map still needs, its report included.

    Args:
        part: the cells that are to be trained, of those that the ledger lacks.
    """
    wanted = set(part)
    missing = [cell for cell in _missing(landscape, folder) if cell in wanted]
    trained = _estimate((landscape.task.name, "map"), landscape, missing, workers, {})
    return replace(trained, seconds=trained.seconds + REPORT)


def described(estimate: Estimate, workers: int) -> str:
    """An estimate in one line."""
    seconds = estimate.seconds
    minutes = f"{seconds / 60:.1f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
    length = f"{seconds:.0f} seconds" if seconds < 90 else minutes
    timed = f"; timed here: {', '.join(estimate.samples)}" if estimate.samples else ""
    return (
        f"{estimate.trainings:,} trainings to do, {estimate.updates:,} updates: about {length} "
        f"with {workers} processes of this machine, start and report included{timed}"
    )


def _estimate(
    named: tuple[str, str],
    landscape: Landscape,
    missing: Sequence[Cell],
    workers: int,
    timed: dict[object, Cost],
) -> Estimate:
    """Of these trainings; `timed` is what was timed for others, and grows."""
    kinds: dict[tuple[object, ...], list[Cell]] = {}
    for cell in missing:
        kind = direction(cell.optimizer, landscape.task.own)
        rare = cell.optimizer if kind == OWN or ":" in kind else kind == "nd_adam"
        kinds.setdefault((landscape.task, cell.batch_size, rare), []).append(cell)
    seconds = START if missing else 0.0
    for key, cells in kinds.items():
        if key not in timed:
            timed[key] = cost(landscape.task, cells)
        seconds += timed[key].seconds(cells, landscape.evaluations) / workers
    updates = sum(cell.updates for cell in missing)
    samples = tuple(dict.fromkeys(timed[key].sample for key in kinds))
    return Estimate(*named, len(missing), updates, seconds, samples)


def _missing(landscape: Landscape, folder: Path) -> list[Cell]:
    """The trainings that the ledger in the folder lacks."""
    if not (folder / FILE_NAME).exists():
        return list(landscape.cells())
    with Ledger.open_to_read(folder) as ledger:
        count = ledger.count()
        if count.done == count.total and landscape.is_part_of(ledger.landscape):
            return []
        done = {record.cell for record in ledger.records()}
        own = ledger.own(landscape)
    return [cell for cell in own.cells() if cell not in done]


def cost(reference: TaskReference, cells: Sequence[Cell]) -> Cost:
    """What such trainings cost, timed on one thread."""
    import torch

    from unyoke.study.tasks.registry import load, load_own

    build, own = load(reference), load_own(reference.own)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        task = build(0)
        size = min(cells[0].batch_size or task.batch_size, len(task.train[1]))
        alone, timed = _gradient(task, size)
        if alone > SLOW:
            seen = sum(len(targets) for _, targets in (task.train, task.validation, task.test))
            evaluation = _forward(task, timed) / timed * seen
            words = f"{timed} of {size} samples of a batch, forward and backward"
            return Cost(0.0, alone, evaluation, alone, task, words)
        return _together(cells, build, task, alone, own)
    finally:
        torch.set_num_threads(threads)


def _together(
    cells: Sequence[Cell], build: Callable[[int], Task], task: Task, alone: float, own: Own
) -> Cost:
    """What trainings cost as they will be trained: many at once."""
    from unyoke.study.training.training import rehearse

    divided = batches(cells, 1, alone)
    sample = _calm(divided[len(divided) // 2][:MODELS])
    _warm_up(sample[:2], build, own)
    found = rehearse(sample, build, time.perf_counter, SECONDS, own)
    words = f"{found.updates} updates and an evaluation of {len(sample)} models"
    return Cost(found.begin, found.update, found.evaluation, alone, task, words)


def _calm(cells: Sequence[Cell]) -> list[Cell]:
    """The same with the smaller half of the learning rates: a model that diverges costs nothing."""
    rates = sorted({cell.lr for cell in cells})
    low = cycle(rates[: max(1, len(rates) // 2)])
    return [replace(cell, lr=next(low)) for cell in cells]


def _warm_up(cells: Sequence[Cell], build: Callable[[int], Task], own: Own) -> None:
    """What the first training of a process imports and compiles is no part of a sample."""
    from unyoke.study.training.training import rehearse

    rehearse(cells, build, time.perf_counter, 0.0, own)


def _gradient(task: Task, size: int) -> tuple[float, int]:
    """Seconds of the gradient of `size` samples, and how many of them were timed."""
    count = min(SAMPLES, size)
    while True:
        seconds = _backward(task, count)
        if count == size or seconds >= ENOUGH:
            return seconds / count * size, count
        count = min(size, 4 * count)


def _backward(task: Task, samples: int) -> float:
    """Seconds of the gradient of so many samples, the better of two."""
    import torch

    from unyoke.population.inputs import called, taken

    def gradient() -> None:
        inputs, targets = taken(task.train, slice(samples))
        torch.autograd.backward(task.loss(called(task.model.train(), inputs), targets))

    return min(_timed(gradient) for _ in range(2))


def _forward(task: Task, samples: int) -> float:
    """Seconds of evaluating so many samples, the better of two."""
    import torch

    from unyoke.population.inputs import called, taken

    def evaluate() -> None:
        with torch.no_grad():
            called(task.model.eval(), taken(task.train[0], slice(samples)))

    return min(_timed(evaluate) for _ in range(2))


def _timed(function: Callable[[], None]) -> float:
    import torch

    started = time.perf_counter()
    function()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
    return time.perf_counter() - started
