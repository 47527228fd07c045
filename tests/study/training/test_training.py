"""One cell: what is trained, what is looked at, and what counts as diverged."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import nn

from unyoke import optimizers
from unyoke.study.landscape.landscape import Cell
from unyoke.study.planning.defaults import OPTIMIZERS
from unyoke.study.tasks.task import Task
from unyoke.study.training.training import SCHEDULES, evaluate, train, train_together

CELL = Cell("line", "0", "SGD", "cosine", 20, lr=0.1, weight_decay=0.0, seed=0)


def line(seed: int) -> Task:
    """Draws from torch's random numbers, which are seeded for it."""
    inputs = torch.randn(90, 3)
    targets = (inputs.sum(dim=1) > 0).long()
    parts = [(inputs[i : i + 30], targets[i : i + 30]) for i in (0, 30, 60)]
    return Task(nn.Linear(3, 2), *parts, batch_size=16)


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
def test_every_optimizer_learns_under_every_schedule(optimizer: str, schedule: str) -> None:
    cell = replace(CELL, optimizer=optimizer, schedule=schedule, updates=60, weight_decay=1e-4)
    outcome = train(cell, line, time.perf_counter)
    assert outcome.status == "finished"
    assert outcome.updates == 60
    assert outcome.test_error is not None
    assert outcome.test_error < 0.25
    assert outcome.curve[0].train_loss > outcome.curve[-1].train_loss


@pytest.mark.parametrize("optimizer", [*optimizers.ALL, "Adam+l2_first_moment", "Lion+none"])
def test_every_optimizer_there_is_trains_every_model(optimizer: str) -> None:
    """Also those that take matrices alone: Adam has the biases."""
    cell = replace(CELL, optimizer=optimizer, lr=2**-6)
    outcome = train(cell, line, time.perf_counter)
    assert outcome.status == "finished"
    assert outcome.train_loss is not None
    assert outcome.train_loss < outcome.curve[0].train_loss


def test_batches_have_the_cells_size_or_the_tasks() -> None:
    seen: list[int] = []

    def watched(seed: int) -> Task:
        task = line(seed)
        return replace(
            task,
            loss=lambda outputs, targets: (seen.append(len(targets)), task.loss(outputs, targets))[
                1
            ],
        )

    for size, expected in ((None, 16), (7, 7), (40, 30)):
        seen.clear()
        train(replace(CELL, updates=1, batch_size=size), watched, time.time)
        assert seen[0] == expected


def test_the_same_cell_gives_the_same_outcome() -> None:
    first, second = (train(CELL, line, lambda: 0.0) for _ in range(2))
    assert first == second
    assert train(replace(CELL, seed=1), line, lambda: 0.0) != first


def test_plain_sgd_is_torchs() -> None:
    """With a constant schedule heavy ball is torch's momentum: the study adds nothing."""
    cell = replace(CELL, schedule="constant", weight_decay=0.01)
    outcome = train(cell, line, lambda: 0.0)
    torch.manual_seed(cell.seed)
    task = line(cell.seed)
    optimizer = torch.optim.SGD(task.model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    generator = torch.Generator().manual_seed(cell.seed)
    updates = 0
    while updates < cell.updates:
        order = torch.randperm(30, generator=generator)[:16]  # 14 samples fill no second batch
        task.loss(task.model(task.train[0][order]), task.train[1][order]).backward()
        optimizer.step()
        optimizer.zero_grad()
        updates += 1
    loss, *_ = evaluate(task, task.train)
    assert outcome.train_loss == pytest.approx(loss, rel=1e-4)  # float32, another order of sums


def test_decay_is_decoupled_or_not_by_the_optimizers_name() -> None:
    """A decay that leaves nothing leaves chance: only AdamW's λ = 1 takes all of a weight."""
    chance = math.log(2)
    decoupled = train(replace(CELL, optimizer="AdamW", weight_decay=1.0, lr=1e-9), line, time.time)
    coupled = train(replace(CELL, optimizer="Adam", weight_decay=1.0, lr=1e-9), line, time.time)
    assert decoupled.train_loss == pytest.approx(chance, abs=1e-3)
    assert coupled.train_loss is not None
    assert abs(coupled.train_loss - chance) > 0.01


def test_a_diverged_cell_is_an_outcome() -> None:
    outcome = train(replace(CELL, lr=1e6, weight_decay=1.0, updates=200), line, time.time)
    assert outcome.status == "diverged"
    assert outcome.updates < 12  # before the first evaluation: the loss of an update tells
    assert outcome.test_error is None
    outcome.to_json()  # and nothing in it that JSON does not know


def test_nan_outputs_are_divergence() -> None:
    def broken(seed: int) -> Task:
        return replace(line(seed), loss=lambda outputs, targets: outputs.sum() * math.nan)

    assert train(CELL, broken, time.time).status == "diverged"


def test_a_loss_that_is_finite_but_useless_is_divergence() -> None:
    def huge(seed: int) -> Task:
        return replace(line(seed), loss=lambda outputs, targets: outputs.pow(2).mean())

    # The loss grows by a factor of some 10^4 at each update; float32 ends at 10^38.
    outcome = train(replace(CELL, lr=100.0, schedule="constant"), huge, time.time)
    assert outcome.status == "diverged"
    assert 2 <= outcome.updates <= 4


def test_the_curve_ends_at_the_last_update() -> None:
    for updates, evaluations in ((1, 1), (3, 3), (20, 7), (30, 10), (200, 16)):
        outcome = train(replace(CELL, updates=updates), line, time.time)
        assert outcome.curve[-1].update == updates
        # of 90 samples, 16 of them in a batch: 2/3 · 3 · 16 · updates / 90, from 4 to 16
        assert len(outcome.curve) == evaluations
        assert outcome.curve[-1].validation_error == outcome.validation_error


@pytest.mark.parametrize(("asked", "made"), [(1, [20]), (4, [5, 10, 15, 20]), (50, range(1, 21))])
def test_as_many_looks_as_asked_for(asked: int, made: Sequence[int]) -> None:
    cell = replace(CELL, updates=20)
    [looked], [usual] = (
        train_together([cell], line, time.time, evaluations=evaluations)
        for evaluations in (asked, None)
    )
    assert [point.update for point in looked.curve] == list(made)
    assert looked.curve[-1] == usual.curve[-1]


def test_standard_error_of_a_share() -> None:
    torch.manual_seed(0)
    task = line(0)
    _, error, standard_error, _ = evaluate(task, task.test)
    # The sample's own n − 1, where the binomial formula has n.
    assert standard_error == pytest.approx(math.sqrt(error * (1 - error) / 29), rel=1e-6)


def test_models_are_evaluated_without_dropout_and_trained_with_it() -> None:
    modes: list[bool] = []

    class Watched(nn.Linear):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            modes.append(self.training)
            return super().forward(inputs)

    def watched(seed: int) -> Task:
        return replace(line(seed), model=Watched(3, 2))

    train(replace(CELL, updates=1), watched, time.time)
    first_look = modes.index(False)
    assert first_look > 0
    assert True not in modes[first_look:]
