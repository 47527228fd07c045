"""Training cells: a batch of them as one population, or each alone, with evaluations on the way."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from torch import nn

from unyoke import groups
from unyoke.population import Population, UnstackableError
from unyoke.population.inputs import place
from unyoke.study.errors import StudyError
from unyoke.study.landscape import decay_units, optimizers, schedules
from unyoke.study.landscape.landscape import Cell
from unyoke.study.landscape.outcome import CurvePoint, Outcome
from unyoke.study.landscape.schedules import SCHEDULES, Own
from unyoke.study.tasks.task import Task
from unyoke.study.training.evaluation import Evaluation, Figures, evaluate
from unyoke.study.training.stacks import Stack, StackSamples, stacks

if TYPE_CHECKING:
    from unyoke.study.tasks.task import Samples

__all__ = [
    "ENGINES",
    "HUGE",
    "MOST_EVALUATIONS",
    "SCHEDULES",
    "Rehearsal",
    "evaluate",
    "evaluation_updates",
    "rehearse",
    "train",
    "train_together",
]

ENGINES = ("auto", "stacked", "one_by_one")

MOST_EVALUATIONS = 16
"""Of a model during its training."""

FEWEST_EVALUATIONS = 4
"""Of a model during its training, unless it has fewer updates."""

_SETTLED = 22
"""Updates after which a population has chosen its engine and seldom checks its recording."""

REPEATED = 3
"""Evaluations that are timed, of which the median counts."""

NO_OWN: Own = MappingProxyType({})

HUGE = 1e4
"""A loss this many times the first one, or larger than this, is called diverged."""


def train(cell: Cell, build: Callable[[int], Task], clock: Callable[[], float]) -> Outcome:
    """Train one cell by itself from its seed and say what came of it.

    Divergence is an outcome; any other failure of the task is an error.
    """
    return train_together([cell], build, clock, "one_by_one")[0]


def train_together(
    cells: Sequence[Cell],
    build: Callable[[int], Task],
    clock: Callable[[], float],
    engine: str = "auto",
    evaluations: int | None = None,
    own: Own = NO_OWN,
) -> list[Outcome]:
    """Train a batch of cells of one task, optimizer and batch size; what came of each, in order.

    What comes of a cell does not depend on the others, nor on the engine, but for the rounding of
    sums; see docs/population.md.

    Args:
        build: makes the task from a seed.
        clock: seconds, for `Outcome.seconds`.
        engine: "stacked" trains the cells as one population, or as few as their tasks allow;
            "one_by_one" each by itself; "auto" times both and takes the faster that can do it.
        evaluations: of each model, as `evaluation_updates` has it.
        own: the user's own optimizers and schedules, by `file.py:function`.

    Raises:
        StudyError: `engine` is "stacked" and the models cannot be stacked.
    """
    started = clock()
    outcomes: dict[Cell, Outcome] = {}
    for stack in stacks(cells, build):
        training = _Training(stack, engine, evaluations, own)
        outcomes |= zip(stack.cells, training.run(), strict=True)
    seconds = clock() - started
    made = max(1, sum(outcome.updates for outcome in outcomes.values()))
    return [
        replace(outcomes[cell], seconds=seconds * outcomes[cell].updates / made) for cell in cells
    ]


class Rehearsal(NamedTuple):
    """What the parts of a training cost.

    Attributes:
        begin: seconds before the first updates run at full speed, for the whole batch of cells.
        update, evaluation: seconds of one update and of one evaluation, for each cell.
        updates: how many were timed.
    """

    begin: float
    update: float
    evaluation: float
    updates: int


def rehearse(
    cells: Sequence[Cell],
    build: Callable[[int], Task],
    clock: Callable[[], float],
    seconds: float,
    own: Own = NO_OWN,
) -> Rehearsal:
    """Time the beginning of a batch of cells, some updates and an evaluation; nothing is kept.

    Args:
        seconds: how long updates are timed, at least three, or all that the cells have.
    """
    started = clock()
    training = _Training(stacks(cells, build)[0], "auto", own=own)
    models = list(range(len(training)))
    longest = min(cell.updates for cell in cells)
    first = min(_SETTLED, longest // 2)
    for update in range(1, first + 1):
        training.step(update)
    settled, update = clock(), first
    times = [settled]
    while update < longest and (update < first + 3 or times[-1] - settled < seconds):
        update += 1
        training.step(update)
        times.append(clock())
    training.evaluate(update, models)  # finds out how outputs are to be compared
    begun = [clock()]
    for _ in range(REPEATED):
        training.evaluate(update, models)
        begun.append(clock())
    of_all = _usual(times)
    begin = max(0.0, settled - started - first * of_all)
    return Rehearsal(begin, of_all / len(models), _usual(begun) / len(models), update - first)


def _usual(times: Sequence[float]) -> float:
    """The median of what passed between them, which other work on the machine moves least."""
    passed = [after - before for before, after in pairwise(times)]
    return statistics.median(passed) if passed else 0.0


class _Training:
    """A population of cells on its way."""

    def __init__(
        self, stack: Stack, engine: str, evaluations: int | None = None, own: Own = NO_OWN
    ) -> None:
        self._stack = stack
        self._own = own
        self._evaluations = evaluations
        alone = engine == "auto" and len(stack.cells) == 1
        self._engine = "one_by_one" if alone else engine
        self._reason = "nothing to share a stack with" if alone else ""
        self._samples = StackSamples(stack)
        self._begin()

    def _begin(self) -> None:
        self._population = _population(self._stack, self._engine, self._own)
        self._evaluation = Evaluation(self._population, self._stack.task)
        self._curves: list[list[CurvePoint]] = [[] for _ in self._stack.cells]
        self._diverged: dict[int, int] = {}  # model → update

    def run(self) -> list[Outcome]:
        """Train to the end of every budget; what turns out not to be stackable, one by one."""
        try:
            return self._train()
        except UnstackableError as error:
            if self._engine != "auto":
                raise StudyError(f"the task {self._stack.cells[0].task}: {error}") from error
            self._engine, self._reason = "one_by_one", f"one_by_one: {error}"
            self._begin()
            return self._train()

    def _train(self) -> list[Outcome]:
        cells = self._stack.cells
        due_at = [evaluation_updates(cell, self._stack.task, self._evaluations) for cell in cells]
        last: list[tuple[Figures, Figures]] = [(_NOTHING, _NOTHING)] * len(cells)
        for update in range(1, max(cell.updates for cell in cells) + 1):
            self.step(update)
            self._diverged |= self._population.diverged
            due = [
                model
                for model, at in enumerate(due_at)
                if update in at and model not in self._diverged
            ]
            for model, figures in self.evaluate(update, due).items():
                last[model] = figures
            if len(self._diverged) == len(cells):
                break
        return [self._outcome(model, *last[model]) for model in range(len(cells))]

    def __len__(self) -> int:
        return len(self._stack.cells)

    def step(self, update: int) -> None:
        """Make one update of every model that has not reached its end or diverged."""
        if self._population.done:
            return
        population, samples = self._population, self._samples
        population.step(samples.inputs, samples.targets, samples.batch(update))
        if update == 1 and population.engine == "stacked" and population.draws:
            raise UnstackableError(
                "the models draw random numbers, which in a stack depend on the other models: "
                "use engine='one_by_one'"
            )

    def evaluate(self, update: int, models: Sequence[int]) -> dict[int, tuple[Figures, Figures]]:
        """Add a point to the models' curves; their figures over training and test samples.

        Models whose outputs are no longer finite numbers have diverged.
        """
        if not models:
            return {}
        train = self._figures(models, lambda task: task.train, loss=True)
        validation = self._figures(models, lambda task: task.validation)
        test = self._figures(models, lambda task: task.test, mistakes=True)
        found = {}
        for model in models:
            point = CurvePoint(
                update, train[model].loss, validation[model].error, test[model].error
            )
            if all(map(math.isfinite, point)):
                self._curves[model].append(point)
                found[model] = train[model], test[model]
            else:
                self._diverged[model] = update
        if len(found) < len(models):
            self._population.stop([model for model in models if model not in found])
        return found

    def _figures(
        self,
        models: Sequence[int],
        part: Callable[[Task], Samples],
        *,
        loss: bool = False,
        mistakes: bool = False,
    ) -> dict[int, Figures]:
        """Models with the same samples are evaluated together."""
        groups: dict[object, list[int]] = {}
        for model in models:
            samples = part(self._task(model))
            groups.setdefault(place(samples), []).append(model)
        found: dict[int, Figures] = {}
        for group in groups.values():
            samples = part(self._task(group[0]))
            figures = self._evaluation(group, samples, loss=loss, mistakes=mistakes)
            found |= zip(group, figures, strict=True)
        return found

    def _task(self, model: int) -> Task:
        return self._stack.tasks[self._stack.cells[model].seed]

    def _outcome(self, model: int, train: Figures, test: Figures) -> Outcome:
        task, curve = self._task(model), self._curves[model]
        diverged = self._diverged.get(model)
        finished = diverged is None
        return Outcome(
            status="finished" if finished else "diverged",
            updates=self._stack.cells[model].updates if diverged is None else diverged,
            train_loss=curve[-1].train_loss if finished else None,
            train_error=train.error if finished else None,
            validation_error=curve[-1].validation_error if finished else None,
            test_error=test.error if finished else None,
            test_standard_error=test.standard_error if finished else None,
            test_samples=len(task.test[1]),
            error_unit=task.error_unit,
            seconds=0.0,
            curve=tuple(curve),
            engine=self._population.engine,
            reason=self._reason or self._population.reason,
            mistakes=test.mistakes if finished else None,
        )


_NOTHING = Figures(math.nan, math.nan, math.nan)


def _population(stack: Stack, engine: str, own: Own) -> Population:
    cells = stack.cells
    models = iter([stack.tasks[seed].model for seed in dict.fromkeys(c.seed for c in cells)])
    etas = [schedules.make(cell.schedule, cell.updates, own) for cell in cells]

    def model() -> nn.Module:
        return next(models)  # a population asks once for each seed, in the order of its models

    return Population(
        model,
        lr=[cell.lr for cell in cells],
        weight_decay=[decay_units.given_to(*pair) for pair in zip(cells, etas, strict=True)],
        seeds=[cell.seed for cell in cells],
        schedule=etas,
        updates=[cell.updates for cell in cells],
        optimizer=optimizers.factory(
            cells[0].optimizer, own, _decaying(stack), hidden(cells[0], stack.task)
        ),
        loss=stack.task.loss,
        clip_norm=cells[0].clip,
        loss_limit=HUGE,
        engine=engine,
    )


def _decaying(stack: Stack) -> list[bool] | None:
    """Whether weight decay applies to each parameter that is trained; None where it does to all."""
    if stack.cells[0].groups != "split":
        return None
    model = stack.task.model
    try:
        decisions = groups.split(model).decisions
    except ValueError as error:
        raise StudyError(f"--groups split: {error}") from error
    decays = {name: each.decays for each in decisions for name in each.names}
    return [bool(decays[name]) for name, w in model.named_parameters() if w.requires_grad]


def hidden(cell: Cell, task: Task) -> list[bool] | None:
    """Whether each parameter that is trained is a hidden layer's matrix; None where all are alike.

    Raises:
        StudyError: the optimizer is to get those of hidden layers, and the model has none.
    """
    if cell.matrices is None:
        return None
    if not any(weight.dim() == 2 for weight in task.model.parameters() if weight.requires_grad):
        raise StudyError(
            f"{cell.optimizer} would get no weight: the model of the task {cell.task} trains no "
            "matrix; map another optimizer"
        )
    try:
        rule = groups.hidden_matrices(task.model, direction="muon", rest="adam")
        decisions = groups.split(task.model, directions=rule).decisions
    except ValueError as error:
        raise StudyError(f"--matrices hidden: {error}") from error
    found = {name: each.direction == "muon" for each in decisions for name in each.names}
    flags = [found[name] for name, w in task.model.named_parameters() if w.requires_grad]
    if not any(flags):
        raise StudyError(
            f"{cell.optimizer} would get no weight: a matrix of the task {cell.task} is its output "
            "layer's or an embedding's, and no hidden layer has one; give --matrices all, or "
            "another optimizer"
        )
    return flags


def evaluation_updates(cell: Cell, task: Task, evaluations: int | None = None) -> frozenset[int]:
    """The updates after which a cell is evaluated, evenly spread, the last one at its end.

    Args:
        evaluations: how many, at most one after each update. By default so many that they cost at
            most two thirds of training, between FEWEST_EVALUATIONS and MOST_EVALUATIONS: each is a
            forward pass over all samples, and a trained sample counts as three.
    """
    if evaluations is None:
        trained = 3 * cell.updates * (cell.batch_size or task.batch_size)
        seen = sum(len(targets) for _, targets in (task.train, task.validation, task.test))
        affordable = 2 * trained // (3 * seen)
        evaluations = max(FEWEST_EVALUATIONS, min(MOST_EVALUATIONS, affordable))
    return frozenset(
        max(1, round(cell.updates * point / evaluations)) for point in range(1, evaluations + 1)
    )
