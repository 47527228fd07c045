"""Whatever happens to a model, the others do not notice."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from population_examples import (
    BATCH,
    ENGINES,
    EXACT,
    assert_same,
    cubic,
    data,
    dropped,
    mlp,
    normed,
    trained,
)
from torch import nn

import unyoke
from unyoke.population import Population


@pytest.mark.parametrize("factory", [mlp, normed, dropped])
def test_results_do_not_depend_on_who_shares_the_stack(factory: Callable[[], nn.Module]) -> None:
    lr, seeds = [0.01, 0.03, 0.1, 0.02, 0.05], [0, 1, 0, 2, 1]
    together = trained(factory, lr=lr, seeds=seeds, weight_decay=1e-3, engine="stacked")
    for part in ([0, 1], [2, 3, 4], [4, 0], [3]):
        split = trained(
            factory,
            lr=[lr[k] for k in part],
            seeds=[seeds[k] for k in part],
            weight_decay=1e-3,
            engine="stacked",
        )
        for number, k in enumerate(part):
            assert_same(split.model(number), together.model(k))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("factory", [mlp, normed])
def test_a_diverged_model_touches_no_other(engine: str, factory: Callable[[], nn.Module]) -> None:
    options = {"optimizer": unyoke.SGD, "weight_decay": 1e-3, "engine": engine, "loss": cubic}
    population = trained(factory, lr=[0.01, 1e200, 0.05], **options)
    healthy = trained(factory, lr=[0.01, 0.05], **options)
    assert set(population.diverged) == {1}
    assert population.updates.tolist() == [12, population.diverged[1] - 1, 12]
    assert not math.isfinite(population.losses[1])
    for k, number in ((0, 0), (2, 1)):
        assert_same(population.model(k), healthy.model(number))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_diverged_model_stays_as_it_was_before(engine: str) -> None:
    population = Population(
        normed, lr=[0.01, 1e200], optimizer=unyoke.SGD, loss=cubic, engine=engine, updates=12
    )
    inputs, targets = data()
    before = population.model(1)
    population.step(inputs, targets)
    assert not population.diverged
    after_one = population.model(1)
    assert not torch.equal(after_one[0].weight, before[0].weight)
    while not population.diverged:
        last = population.model(1)
        population.step(inputs, targets)
    population.train(inputs, targets, batch_size=BATCH)
    assert_same(population.model(1), last, **EXACT)


def test_weights_that_are_not_finite_are_found_at_the_end() -> None:
    """The loss of the last update was finite; the weights after it are not."""
    options = {"lr": [0.01, 1e308], "optimizer": unyoke.SGD, "updates": 1, "engine": "stacked"}
    inputs, targets = data()
    population = Population(mlp, loss=lambda x, y: 1e3 * cubic(x, y), **options)
    population.step(inputs, targets)
    assert population.diverged == {1: 1}


def test_loss_limit() -> None:
    inputs, targets = data()
    population = Population(
        mlp, lr=[0.01, 30.0], optimizer=unyoke.SGD, updates=40, loss_limit=2.0, engine="stacked"
    )
    losses = []
    while not population.done:
        losses.append(population.step(inputs, targets))
    assert list(population.diverged) == [1]
    update = population.diverged[1]
    before = torch.stack(losses[: update - 1])[:, 1]
    assert losses[update - 1][1] > 2 * before.clamp(min=1).min()
    assert (before[1:] <= 2 * before[:-1].clamp(min=1).cummin(0).values).all()
    assert losses[update][1].isnan()


@pytest.mark.parametrize("engine", ENGINES)
def test_zero_lr_and_a_finished_budget_freeze_a_model(engine: str) -> None:
    inputs, targets = data()
    population = Population(
        normed, lr=[0.0, 0.1, 0.1], weight_decay=1e-2, updates=[20, 4, 20], engine=engine
    )
    assert population.active.tolist() == [False, True, True]
    first = population.model(0)
    population.train(inputs, targets, batch_size=BATCH, updates=4)
    assert population.active.tolist() == [False, False, True]
    stopped = population.model(1)
    population.train(inputs, targets, batch_size=BATCH)
    assert population.updates.tolist() == [0, 4, 20]
    assert_same(population.model(0), first, **EXACT)
    assert_same(population.model(1), stopped, **EXACT)
    state = population.state_dict()["state"]["0.weight"]
    assert state["step"].tolist() == [0, 4, 20]
    assert not state["exp_avg"][0].any()
    assert state["exp_avg"][1].any()


def test_own_batches_for_each_model() -> None:
    inputs, targets = data()
    population = Population(mlp, lr=[0.01, 0.02, 0.03], updates=[3, 1, 3], engine="stacked")
    chosen = torch.tensor([[0, 1, 2], [3, 4, 5], [6, 7, 8]])
    for _ in range(3):
        population.step(inputs, targets, chosen)
    single = Population(mlp, lr=0.03, updates=3, engine="one_by_one")
    for _ in range(3):
        single.step(inputs[6:9], targets[6:9])
    assert_same(population.model(2), single.model(0))
