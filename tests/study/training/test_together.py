"""Cells trained together: each as if it were alone, whoever shares its stack."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unyoke import optimizers
from unyoke.population import Population, UnstackableError, choice
from unyoke.study.errors import StudyError
from unyoke.study.landscape.landscape import Cell
from unyoke.study.landscape.outcome import Outcome
from unyoke.study.tasks.digits_plain import digits_plain
from unyoke.study.tasks.task import Task, misclassified
from unyoke.study.training import stacks
from unyoke.study.training.training import train, train_together

CELL = Cell("line", "0", "AdamW", "cosine", 12, lr=0.1, weight_decay=0.01, seed=0)
Build = Callable[[int], Task]


def line(seed: int) -> Task:
    """Other samples for every seed, drawn from torch's random numbers."""
    inputs = torch.randn(90, 3)
    targets = (inputs.sum(dim=1) > 0).long()
    parts = [(inputs[i : i + 30], targets[i : i + 30]) for i in (0, 30, 60)]
    return Task(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), *parts, batch_size=8)


def grid(**changes: object) -> list[Cell]:
    """12 cells of two seeds, in no order."""
    base = replace(CELL, **changes)  # type: ignore[arg-type]
    return [
        replace(base, lr=lr, weight_decay=decay, seed=seed)
        for lr in (0.01, 0.1, 0.5)
        for seed in (1, 0)
        for decay in (0.0, 0.05)
    ]


def together(cells: Sequence[Cell], build: Build = line, engine: str = "stacked") -> list[Outcome]:
    return train_together(cells, build, lambda: 0.0, engine)


def assert_alike(mine: Outcome, theirs: Outcome, tolerance: float = 1e-5) -> None:
    """The same but for the rounding of sums in float32, which updates add up."""
    assert (mine.status, mine.updates) == (theirs.status, theirs.updates)
    assert [point.update for point in mine.curve] == [point.update for point in theirs.curve]
    for one, other in zip(mine.curve, theirs.curve, strict=True):
        assert one == pytest.approx(other, rel=tolerance, abs=1e-7)
    for name in ("train_error", "validation_error", "test_error", "test_standard_error"):
        assert getattr(mine, name) == pytest.approx(getattr(theirs, name), abs=1e-7)


def assert_as_alone(cells: Sequence[Cell], build: Build = line, engine: str = "stacked") -> None:
    outcomes = together(cells, build, engine)
    for cell, outcome in zip(cells, outcomes, strict=True):
        assert_alike(outcome, train(cell, build, lambda: 0.0))


@pytest.mark.parametrize("optimizer", [*optimizers.ALL, "Adam+l2_second_moment", "SGD+none"])
def test_every_optimizer_trains_together_as_alone(optimizer: str) -> None:
    cells = grid(optimizer=optimizer, updates=6)[::3]
    assert {outcome.engine for outcome in together(cells)} == {"stacked"}
    assert_as_alone(cells)


def test_budgets_and_schedules_may_differ_within_a_stack() -> None:
    cells = grid()
    cells = [
        replace(cell, updates=5 + 3 * (place % 3), schedule=schedule, batch_size=7)
        for place, cell in enumerate(cells)
        for schedule in ("constant", "warm_restarts")
    ]
    assert_as_alone(cells)


@pytest.mark.slow
def test_the_digits_best_cell_is_the_same() -> None:
    cells = [
        replace(CELL, optimizer="SGDW", updates=60, lr=lr, weight_decay=decay, seed=seed)
        for seed in (0, 1)
        for lr in (2**-6, 2**-4, 2**-2)
        for decay in (0.0, 2**-6, 2**-4)
    ]
    mine = together(cells, digits_plain)
    alone = [train(cell, digits_plain, lambda: 0.0) for cell in cells]
    errors = [[outcome.validation_error or math.inf for outcome in part] for part in (mine, alone)]
    assert errors[0].index(min(errors[0])) == errors[1].index(min(errors[1]))
    for one, other in zip(mine, alone, strict=True):
        assert_alike(one, other, tolerance=1e-4)


def test_who_shares_the_stack_does_not_matter() -> None:
    cells = grid()
    whole = dict(zip(cells, together(cells), strict=True))
    for company in (cells[::2], cells[1::3], cells[::-1]):
        for cell, outcome in zip(company, together(company), strict=True):
            assert_alike(outcome, whole[cell])


def test_those_that_diverge_leave_the_others_alone() -> None:
    cells = grid(optimizer="SGD", updates=40)
    cells = [replace(cell, lr=1e5) if cell.lr == 0.1 else cell for cell in cells]
    outcomes = together(cells)
    for cell, outcome in zip(cells, outcomes, strict=True):
        assert (outcome.status == "diverged") == (cell.lr == 1e5)
    assert_as_alone(cells)


def test_a_learning_rate_of_zero_finishes_where_it_began() -> None:
    cells = [replace(CELL, lr=0.0), CELL]
    still, moving = together(cells)
    assert (still.status, still.updates) == ("finished", 12)
    assert len({point.train_loss for point in still.curve}) == 1
    assert len({point.train_loss for point in moving.curve}) > 1
    assert_as_alone(cells)


def test_outputs_that_are_not_finite_are_divergence_though_the_loss_is() -> None:
    class Fails(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            far = torch.where(inputs[:, :1] > 100, math.inf, 0.0)
            return super().forward(inputs) - far

    def build(seed: int) -> Task:
        task = line(seed)
        far = (task.validation[0] + 1000, task.validation[1])
        return replace(task, model=Fails(3, 2), validation=far)

    for outcome in together(grid(), build):
        assert (outcome.status, outcome.updates, outcome.curve) == ("diverged", 3, ())


class Asks(nn.Linear):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs * (2.0 if inputs.sum().item() > 0 else 1.0))


class Remembers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.memory = nn.LSTM(3, 2, batch_first=True)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.memory(inputs[:, None])[0][:, 0]
        return outputs


class Noisy(nn.Linear):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs + torch.randn_like(inputs) * self.training)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (lambda: Asks(3, 2), "value in Python"),
        (Remembers, "no batching rule"),
        (lambda: Noisy(3, 2), "random numbers"),
    ],
    ids=["control flow", "LSTM", "random numbers"],
)
def test_what_cannot_be_stacked_is_trained_one_by_one(
    model: Callable[[], nn.Module], reason: str
) -> None:
    def build(seed: int) -> Task:
        return replace(line(seed), model=model())

    cells = grid(updates=4)
    outcomes = together(cells, build, "auto")
    assert {outcome.engine for outcome in outcomes} == {"one_by_one"}
    assert all(reason in outcome.reason for outcome in outcomes)
    assert_as_alone(cells, build, "auto")
    with pytest.raises(StudyError, match=reason) as refused:
        together(cells, build, "stacked")
    assert "\n" not in str(refused.value)


def test_auto_says_why() -> None:
    outcomes = together(grid(), engine="auto")
    assert len({(outcome.engine, outcome.reason) for outcome in outcomes}) == 1
    assert "of 12 models took" in outcomes[0].reason
    alone = together([CELL], engine="auto")[0]
    assert (alone.engine, alone.reason) == ("one_by_one", "nothing to share a stack with")


def of_this_seed(seed: int) -> Task:
    """A program that knows its seed otherwise than by its weights."""
    task = line(seed)

    class Turned(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            return super().forward(inputs.roll(seed, dims=1))

    return replace(task, model=Turned(3, 2))


def weighed(seed: int) -> Task:
    task = line(seed)
    return replace(task, loss=lambda outputs, targets: (1 + seed) * task.loss(outputs, targets))


def of_another_size(seed: int) -> Task:
    task = line(seed)
    inputs, targets = task.train
    return replace(task, train=(inputs[: 20 + seed], targets[: 20 + seed]))


def of_another_width(seed: int) -> Task:
    return replace(line(seed), model=nn.Linear(3, 2 + seed))


@pytest.mark.parametrize("build", [of_this_seed, weighed, of_another_size, of_another_width])
def test_seeds_that_differ_in_more_than_numbers_are_stacked_apart(build: Build) -> None:
    assert_as_alone(grid(updates=5), build)


def test_other_samples_to_choose_and_to_report_by() -> None:
    """The seeds share the training samples and nothing else."""

    def build(seed: int) -> Task:
        return replace(line(seed), train=shared)

    shared = line(0).train
    assert_as_alone(grid(updates=5), build)


def test_an_error_that_cannot_be_stacked_is_called_model_by_model() -> None:
    def error(outputs: Tensor, targets: Tensor) -> Tensor:
        wrong = misclassified(outputs, targets)
        return wrong if wrong.sum().item() >= 0 else 2 * wrong

    assert_as_alone(grid(updates=5), lambda seed: replace(line(seed), error=error))


def test_stacks_fit_into_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = together(grid())
    parts = []
    original = stacks.StackSamples.__init__

    def watched(self: stacks.StackSamples, stack: stacks.Stack) -> None:
        parts.append(len(stack.cells))
        original(self, stack)

    monkeypatch.setattr(stacks.StackSamples, "__init__", watched)
    monkeypatch.setattr(stacks, "MEMORY", 10_000)
    for one, other in zip(together(grid()), whole, strict=True):
        assert_alike(one, other)
    assert sum(parts) == 12
    assert 1 < max(parts) < 12


def test_seconds_are_shared_by_updates() -> None:
    times = iter([10.0, 40.0])
    cells = [replace(CELL, updates=updates) for updates in (10, 20)]
    outcomes = train_together(cells, line, lambda: next(times), "stacked")
    assert [outcome.seconds for outcome in outcomes] == [10.0, 20.0]


def test_what_turns_out_not_to_be_stackable_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = grid()
    expected = [train(cell, line, lambda: 0.0) for cell in cells]
    original = Population.step

    def step(self: Population, *arguments: Tensor) -> Tensor:
        if self.engine == "stacked" and int(self.updates.max()) == 7:
            raise UnstackableError("it has become another")
        return original(self, *arguments)

    monkeypatch.setattr(Population, "step", step)
    monkeypatch.setattr(choice, "_seconds", lambda trials: [0.0, 1.0])  # stacking is faster
    for outcome, theirs in zip(together(cells, engine="auto"), expected, strict=True):
        assert (outcome.engine, outcome.reason) == (
            "one_by_one",
            "one_by_one: it has become another",
        )
        assert_alike(outcome, theirs)
    with pytest.raises(StudyError, match="it has become another"):
        together(cells, engine="stacked")


class DrawsOtherwise(nn.Linear):
    """Noise from NumPy's and from Python's generator while it trains."""

    def forward(self, inputs: Tensor) -> Tensor:
        noise = np.random.normal() + random.random()  # noqa: NPY002
        return super().forward(inputs * (1 + 0.1 * noise * self.training))


def build_by_other_generators(seed: int) -> Task:
    """Samples from NumPy's generator, their order from Python's; the metric draws too."""
    task = line(seed)
    inputs = torch.tensor(np.random.normal(size=(30, 3)), dtype=torch.float32)  # noqa: NPY002
    order = random.sample(range(30), 30)
    train = (inputs[order], (inputs[order].sum(dim=1) > 0).long())

    def error(outputs: Tensor, targets: Tensor) -> Tensor:
        wrong = (outputs.argmax(dim=-1) != targets).float()
        return wrong + 0.01 * random.random()

    return replace(task, train=train, model=DrawsOtherwise(3, 2), error=error)


def test_numpys_and_pythons_random_numbers_are_seeded_for_each_cell() -> None:
    """Two runs agree, and a cell is the same alone and after others."""
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    cells = grid(updates=6)
    first = together(cells, build_by_other_generators, "auto")
    assert {outcome.engine for outcome in first} == {"one_by_one"}
    assert "random numbers" in first[0].reason
    second = together(cells, build_by_other_generators, "auto")
    for one, other in zip(first, second, strict=True):
        assert one.curve == other.curve
    for cell, outcome in list(zip(cells, first, strict=True))[-2:]:
        alone = together([cell], build_by_other_generators, "auto")[0]
        assert alone.curve == outcome.curve
