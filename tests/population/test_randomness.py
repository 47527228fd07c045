"""Dropout belongs to a model; torch's random numbers are left alone."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from population_examples import (
    ENGINES,
    Noisy,
    assert_same,
    cubic,
    dropped,
    trained,
)
from torch import nn
from torch.nn import functional

from unyoke.population.dropout import KeyedDropout, keys


def test_dropout_is_the_same_stacked_and_alone() -> None:
    both = [trained(dropped, lr=[0.05, 0.1], seeds=[3, 4], engine=engine) for engine in ENGINES]
    for k in range(2):
        assert_same(both[0].model(k), both[1].model(k))
    calm = trained(dropped, lr=[0.05, 0.1], seeds=[3, 4], engine="stacked", loss=cubic)
    assert not torch.allclose(calm.model(0)[0].weight, both[0].model(0)[0].weight)


def test_dropout_masks() -> None:
    """Right in mean and scale, and different for each model, update and call."""
    ones = torch.ones(200, 500)
    masks = []
    for seed, update in itertools.product((0, 1, 2**40), (0, 1)):
        with KeyedDropout(keys(torch.tensor([seed]), update)[0]):
            masks += [functional.dropout(ones, 0.3), functional.dropout(ones, 0.3)]
    for mask in masks:
        assert mask.unique().tolist() == [0.0, pytest.approx(1 / 0.7)]
        assert mask.mean().item() == pytest.approx(1.0, abs=0.01)  # 4.8 standard errors
        assert mask.mean(0).std().item() == pytest.approx(math.sqrt(0.3 / 0.7 / 200), rel=0.15)
    for one, other in itertools.combinations(masks, 2):
        same = ((one == 0) == (other == 0)).float().mean().item()
        assert same == pytest.approx(0.3**2 + 0.7**2, abs=0.01)
    with KeyedDropout(keys(torch.tensor([0]), 0)[0]):
        assert torch.equal(functional.dropout(ones, 0.3, training=False), ones)
        assert not functional.dropout(ones, 1.0).any()


class NumpyNoisy(nn.Linear):
    """Draws from NumPy's and Python's generators."""

    def __init__(self) -> None:
        super().__init__(6, 3, dtype=torch.float64)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return super().forward(inputs + np.random.normal() + random.random())  # noqa: NPY002


def states() -> tuple[object, ...]:
    kind, words, *place = np.random.get_state()  # noqa: NPY002
    return torch.get_rng_state().tolist(), kind, words.tolist(), place, random.getstate()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("factory", [dropped, Noisy, NumpyNoisy])
def test_random_numbers_are_left_alone(engine: str, factory: Callable[[], nn.Module]) -> None:
    before = states()
    trained(factory, lr=[0.1, 0.2], engine=engine)
    assert states() == before
