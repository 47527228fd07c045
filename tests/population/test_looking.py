"""Looking at the models; the order of batches; bad input."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from population_examples import (
    BATCH,
    CLOSE,
    ENGINES,
    EXACT,
    Noisy,
    assert_same,
    data,
    dropped,
    mlp,
    normed,
    trained,
)
from torch import nn

import unyoke
from unyoke.population import BatchOrder, Population


@pytest.mark.parametrize("engine", ENGINES)
def test_predict_is_what_the_models_give_in_evaluation(engine: str) -> None:
    inputs, targets = data()
    population = Population(
        normed, lr=[0.01] * 17 + [0.5], seeds=range(18), updates=[3] * 9 + [5] * 9, engine=engine
    )
    for _ in range(3):
        outputs = population.predict(inputs)
        assert outputs.shape == (18, 40, 3)
        for k in (0, 8, 16, 17):
            torch.testing.assert_close(outputs[k], population.model(k).eval()(inputs), **CLOSE)
        population.train(inputs, targets, batch_size=BATCH, updates=2)


def test_a_model_is_independent_of_the_population() -> None:
    population = trained(mlp, lr=[0.1, 0.2])
    model = population.model(1)
    with torch.no_grad():
        model[0].weight.zero_()
    assert population.model(1)[0].weight.any()
    with pytest.raises(IndexError, match="no model 2 in a population of 2"):
        population.model(2)


def test_batch_order() -> None:
    order, other = BatchOrder(10, 3, [5, 6, 5]), BatchOrder(10, 3, [6])
    batches = [order.at(t) for t in range(6)]
    assert batches[0].shape == (3, 3)
    for k in range(3):
        for one_pass in (batches[:3], batches[3:]):
            assert len({int(i) for batch in one_pass for i in batch[k]}) == 9
    assert torch.equal(batches[0][0], batches[0][2])
    assert not torch.equal(batches[0], batches[3])
    for t in (5, 0, 3):
        assert torch.equal(order.at(t), batches[t])
        assert torch.equal(other.at(t), batches[t][1])
    assert BatchOrder(3, 8, [0]).at(1).sort().values.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        BatchOrder(3, 0, [0])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lr": [0.1, 0.2], "weight_decay": [0.0] * 3}, ValueError, "2 for lr, 3 for weight_decay"),
        ({"lr": []}, ValueError, "0 for lr"),
        ({"lr": [0.1, -0.2]}, ValueError, "model 1: Invalid learning rate: -0.2"),
        ({"weight_decay": torch.tensor([0.1, math.nan])}, ValueError, "model 1: Invalid weight_d"),
        ({"lr": torch.ones(2, 2)}, ValueError, r"\[K\], not a \(2, 2\) tensor"),
        ({"weight_decay": unyoke.normalized(0.1)}, ValueError, "length of the run"),
        ({"seeds": [0.5]}, ValueError, "seed must be an integer"),
        ({"schedule": math.cos}, ValueError, "from unyoke.schedules"),
        ({"updates": [3, -1]}, ValueError, "model 1: updates must be an integer ≥ 0"),
        ({"engine": "fast"}, ValueError, "unknown engine 'fast': there are auto, stacked"),
        ({"clip_norm": 0.0}, ValueError, "clip_norm must be above 0"),
        ({"loss_limit": math.nan}, ValueError, "loss_limit must be above 0"),
        ({"beta": 0.9}, TypeError, "did you mean 'betas'"),
        ({"model_factory": lambda: 3}, TypeError, "must return a torch.nn.Module"),
        ({"model_factory": nn.ReLU}, ValueError, "nothing to train"),
    ],
)
def test_bad_settings(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Population(**{"model_factory": mlp, **options})


def test_two_architectures() -> None:
    with pytest.raises(ValueError, match=r"bias is \(\(4,\).* seed 4 and \(\(5,\).* seed 5"):
        Population(lambda: nn.Linear(6, torch.initial_seed()), seeds=[4, 5])


def test_bad_calls() -> None:
    inputs, targets = data()
    population = Population(mlp, lr=[0.1, 0.2], engine="stacked")
    with pytest.raises(ValueError, match="model 0 has no budget"):
        population.train(inputs, targets, batch_size=BATCH)
    with pytest.raises(ValueError, match="indices for 3 models, and there are 2"):
        population.step(inputs, targets, torch.zeros(3, 4, dtype=torch.int64))
    finished = trained(mlp, lr=[0.1, 0.2])
    with pytest.raises(RuntimeError, match="all 2 models have stopped"):
        finished.step(inputs, targets)


@pytest.mark.parametrize("engine", ENGINES)
def test_predict_of_some_models(engine: str) -> None:
    """Of active ones, of stopped ones, and of both; in any order."""
    inputs, _ = data()
    population = Population(
        normed, lr=[0.01, 0.02, 0.03, 0.04], updates=[9, 3, 9, 9], engine=engine
    )
    population.train(*data(), batch_size=BATCH, updates=5)
    whole = population.predict(inputs)
    for models in ([0, 2, 3], [2, 3], [3, 0], [1], [3, 1, 2]):
        assert torch.equal(population.predict(inputs, models), whole[models])
    for wrong in ([], [4], [-1]):
        with pytest.raises(IndexError):
            population.predict(inputs, wrong)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_stopped_model_stays_as_it_is(engine: str) -> None:
    population = Population(mlp, lr=[0.01, 0.02], updates=9, engine=engine)
    population.train(*data(), batch_size=BATCH, updates=4)
    before = population.model(0)
    population.stop(number for number in [0])  # any iterable
    population.train(*data(), batch_size=BATCH)
    assert population.updates.tolist() == [4, 9]
    assert_same(population.model(0), before, **EXACT)
    single = Population(mlp, lr=0.02, updates=9, engine="one_by_one")
    single.train(*data(), batch_size=BATCH)
    assert_same(population.model(1), single.model(0))


def test_models_that_draw_random_numbers_are_known() -> None:
    for factory, draws in ((Noisy, True), (dropped, False)):
        population = Population(factory, lr=[0.1, 0.1], updates=1)
        assert not population.draws
        population.train(*data(), batch_size=BATCH)
        assert population.draws is draws
