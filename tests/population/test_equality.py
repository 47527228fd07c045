"""Each model is what training it alone gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from population_examples import (
    BATCH,
    ENGINES,
    UPDATES,
    Tied,
    alone,
    assert_same,
    convolution,
    data,
    mlp,
    normed,
    trained,
)
from torch import Tensor, nn

import unyoke
from unyoke import schedules
from unyoke.population import Population


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("factory", [mlp, normed, convolution, Tied])
def test_models_are_what_training_alone_gives(
    engine: str, factory: Callable[[], nn.Module]
) -> None:
    settings = [(1e-2, 1e-3, 0), (3e-2, 0.0, 0), (1e-3, 5e-3, 1), (1e-1, 1e-3, 2)]
    lr, weight_decay, seeds = map(list, zip(*settings, strict=True))
    population = trained(factory, lr=lr, weight_decay=weight_decay, seeds=seeds, engine=engine)
    for k, (alpha, decay, seed) in enumerate(settings):
        expected = alone(factory, lr=alpha, weight_decay=decay, seed=seed)
        assert_same(population.model(k), expected)


def lion_and_adam(params: Any, **options: Any) -> unyoke.Optimizer:
    """A direction for the weights and another for the biases."""
    every = list(params)
    groups = [
        {"params": every[::2], "direction": "lion"},
        {"params": every[1::2], "direction": "adam"},
    ]
    return unyoke.Optimizer(groups, **options)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("optimizer", [unyoke.Adam, unyoke.SGD, unyoke.SGDW, lion_and_adam])
def test_every_optimizer_steps_the_stack(engine: str, optimizer: Any) -> None:
    lr, weight_decay = torch.tensor([0.01, 0.1]), torch.tensor([1e-3, 1e-2]).double()
    options = {"lr": lr.double(), "weight_decay": weight_decay, "optimizer": optimizer}
    population = trained(mlp, engine=engine, **options)
    for k in range(2):
        decay = float(weight_decay[k])
        expected = alone(mlp, lr=float(options["lr"][k]), weight_decay=decay, optimizer=optimizer)
        assert_same(population.model(k), expected)


@pytest.mark.parametrize("factory", [mlp, convolution, Tied])
def test_the_compiled_step_of_a_stack_is_the_eager_one(factory: Callable[[], nn.Module]) -> None:
    options = {"lr": [1e-2, 3e-2, 1e-3], "weight_decay": [1e-3, 0.0, 5e-2], "engine": "stacked"}
    compiled, eager = (
        trained(factory, backend=backend, schedule=schedules.cosine(UPDATES), **options)
        for backend in ("cpu", "eager")
    )
    for k in range(3):
        assert_same(compiled.model(k), eager.model(k))


@pytest.mark.parametrize("engine", ENGINES)
def test_schedules_budgets_and_normalized_decay_of_each_model(engine: str) -> None:
    runs = [schedules.cosine(12), schedules.warm_restarts(3), None, schedules.cosine(5)]
    decays = [unyoke.normalized(0.01), unyoke.normalized(0.01), lambda t: 1e-3 * t, 1e-3]
    population = trained(
        mlp, lr=0.02, weight_decay=decays, schedule=runs, updates=[12, 9, 7, 5], engine=engine
    )
    assert population.updates.tolist() == [12, 9, 7, 5]
    for k, budget in enumerate([12, 9, 7, 5]):
        expected = alone(mlp, lr=0.02, weight_decay=decays[k], schedule=runs[k], updates=budget)
        assert_same(population.model(k), expected)


@pytest.mark.parametrize("engine", ENGINES)
def test_each_model_is_clipped_by_its_own_norm(engine: str) -> None:
    options = {"weight_decay": 1e-3, "clip_norm": 0.3, "optimizer": unyoke.SGD}
    population = trained(mlp, lr=[0.1, 1.0], seeds=[0, 1], engine=engine, **options)
    for k, lr in enumerate([0.1, 1.0]):
        assert_same(population.model(k), alone(mlp, lr=lr, seed=k, **options))
        free = alone(mlp, lr=lr, seed=k, weight_decay=1e-3, optimizer=unyoke.SGD)
        assert not torch.allclose(free[0].weight, population.model(k)[0].weight, rtol=1e-3)


def test_float32_stays_within_the_stated_tolerance() -> None:
    inputs, targets = data()
    both = []
    for engine in ENGINES:
        population = Population(
            lambda: mlp().float(), lr=[0.01, 0.03], weight_decay=1e-3, updates=40, engine=engine
        )
        population.train(inputs.float(), targets, batch_size=BATCH)
        both.append(population)
    assert both[0].model(0)[0].weight.dtype == torch.float32
    for k in range(2):
        assert_same(both[0].model(k), both[1].model(k), rtol=1e-4, atol=1e-5)


def test_several_inputs() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = mlp()

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return self.layer(x + y)

    inputs, targets = data()
    populations = [Population(Two, lr=[0.01, 0.1], updates=3, engine=engine) for engine in ENGINES]
    for population in populations:
        population.train((inputs, inputs), targets, batch_size=BATCH)
    assert_same(populations[0].model(1), populations[1].model(1))
    assert populations[0].predict((inputs, inputs)).shape == (2, 40, 3)
