"""One cell: train the task's model with one optimizer at one α and one λ, and look at it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

import unyoke
from unyoke import schedules
from unyoke.study import optimizers
from unyoke.study.landscape import Cell
from unyoke.study.outcome import CurvePoint, Outcome
from unyoke.study.task import Task

if TYPE_CHECKING:
    from unyoke.study.task import Samples

SCHEDULES: Mapping[str, Callable[[int], schedules.Schedule]] = {
    "constant": lambda updates: schedules.constant(),
    "step_drops": schedules.step_drops,
    "cosine": schedules.cosine,
    # Three runs of 1/7, 2/7 and 4/7 of the budget, so that it ends at the end of a run.
    "warm_restarts": lambda updates: schedules.warm_restarts(max(1, round(updates / 7))),
    "warmup": lambda updates: schedules.warmup(
        updates // 10, schedules.cosine(updates - updates // 10)
    ),
}

LOOKS = 16
"""Points of a learning curve."""

HUGE = 1e4
"""A loss this many times the first one, or larger than this, is called diverged."""

_EVALUATION_NUMBERS = 2**19
"""Numbers in the inputs that are evaluated at once; large samples would fill the memory."""


def train(cell: Cell, build: Callable[[int], Task], clock: Callable[[], float]) -> Outcome:
    """Train one cell from its seed and say what came of it.

    Divergence is an outcome; any other failure of the task is an error.
    """
    started = clock()
    torch.manual_seed(cell.seed)
    task = build(cell.seed)
    optimizer = _optimizer(cell, task)
    batches = _batches(
        task, cell.batch_size or task.batch_size, torch.Generator().manual_seed(cell.seed)
    )
    looks = _look_updates(cell.updates)
    curve: list[CurvePoint] = []
    limit = math.inf
    for update in range(1, cell.updates + 1):
        loss = _step(task, optimizer, *next(batches))
        limit = min(limit, HUGE * max(1.0, loss))
        diverged = not loss <= limit or not math.isfinite(loss)
        if not diverged and update in looks:
            point = _look(task, update)
            diverged = point is None
            if point is not None:
                curve.append(point)
        if diverged:
            return _diverged(task, update, clock() - started, curve)
    _, train_error, _ = evaluate(task, task.train)
    _, test_error, test_standard_error = evaluate(task, task.test)
    return Outcome(
        status="finished",
        updates=cell.updates,
        train_loss=curve[-1].train_loss,
        train_error=train_error,
        validation_error=curve[-1].validation_error,
        test_error=test_error,
        test_standard_error=test_standard_error,
        test_samples=len(task.test[1]),
        error_unit=task.error_unit,
        seconds=clock() - started,
        curve=tuple(curve),
    )


def evaluate(task: Task, samples: Samples) -> tuple[float, float, float]:
    """Mean loss, mean error and the standard error of that mean over `samples`."""
    inputs, targets = samples
    batch = max(1, _EVALUATION_NUMBERS // max(1, inputs[0].numel()))
    losses, errors = [], []
    training = task.model.training
    task.model.eval()
    with torch.no_grad():
        for start in range(0, len(targets), batch):
            part = slice(start, start + batch)
            outputs = task.model(inputs[part])
            losses.append(task.loss(outputs, targets[part]).double() * len(targets[part]))
            errors.append(task.error(outputs, targets[part]).double())
    task.model.train(training)
    error = torch.cat(errors)
    spread = error.std().item() if len(error) > 1 else 0.0
    loss = torch.stack(losses).sum().item() / len(targets)
    return loss, error.mean().item(), spread / math.sqrt(len(error))


def _optimizer(cell: Cell, task: Task) -> unyoke.Optimizer:
    with warnings.catch_warnings():
        # A map tries large decays on purpose; the warning is for those who meant torch's.
        warnings.filterwarnings("ignore", message=".*weight_decay", category=UserWarning)
        return optimizers.factory(cell.optimizer)(
            [weight for weight in task.model.parameters() if weight.requires_grad],
            lr=cell.lr,
            weight_decay=cell.weight_decay,
            schedule=SCHEDULES[cell.schedule](cell.updates),
        )


def _batches(task: Task, batch_size: int, generator: torch.Generator) -> Iterator[Samples]:
    """Batches without end: each pass in a new order, what does not fill a batch left out."""
    inputs, targets = task.train
    size = min(batch_size, len(targets))
    while True:
        order = torch.randperm(len(targets), generator=generator)
        for chosen in torch.split(order, size):
            if len(chosen) == size:
                yield inputs[chosen], targets[chosen]


def _step(
    task: Task, optimizer: unyoke.Optimizer, inputs: torch.Tensor, targets: torch.Tensor
) -> float:
    loss = task.loss(task.model(inputs), targets)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.item()


def _look_updates(updates: int) -> frozenset[int]:
    return frozenset(max(1, round(updates * look / LOOKS)) for look in range(1, LOOKS + 1))


def _look(task: Task, update: int) -> CurvePoint | None:
    """A point of the learning curve, or None where it is no longer a finite number."""
    train_loss, _, _ = evaluate(task, task.train)
    validation_loss, validation_error, _ = evaluate(task, task.validation)
    _, test_error, _ = evaluate(task, task.test)
    point = CurvePoint(update, train_loss, validation_error, test_error)
    return point if all(map(math.isfinite, (*point, validation_loss))) else None


def _diverged(task: Task, update: int, seconds: float, curve: list[CurvePoint]) -> Outcome:
    return Outcome(
        status="diverged",
        updates=update,
        train_loss=None,
        train_error=None,
        validation_error=None,
        test_error=None,
        test_standard_error=None,
        test_samples=len(task.test[1]),
        error_unit=task.error_unit,
        seconds=seconds,
        curve=tuple(curve),
    )


def train_together(
    cells: Sequence[Cell],
    build: Callable[[int], Task],
    clock: Callable[[], float],
    engine: str = "auto",
) -> list[Outcome]:
    """Train a batch of cells; what came of each, in their order."""
    return [train(cell, build, clock) for cell in cells]
