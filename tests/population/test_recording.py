"""A stack's program is recorded and replayed: the same to the last bit, or not used."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from population_examples import (
    EXACT,
    assert_same,
    convolution,
    data,
    dropped,
    mlp,
    normed,
)
from torch import Tensor, nn
from torch.nn import functional

from unyoke.population import Population, UnstackableError, program

OPTIONS: dict[str, Any] = {"lr": [0.01, 0.1, 0.3], "seeds": [0, 1, 1], "engine": "stacked"}


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record as soon as anything would be gained; counts calls that use a recording alone."""
    monkeypatch.setattr(program, "WORTH", 1)
    counted: list[int] = []
    original = program.Program._record

    def record(self: program.Program, *arguments: Any) -> None:
        original(self, *arguments)
        replay = self._recorded
        if replay is not None:
            self._recorded = lambda *arguments: (counted.append(1), replay(*arguments))[1]

    monkeypatch.setattr(program.Program, "_record", record)
    return counted


def trained(factory: Callable[[], nn.Module], **options: Any) -> Population:
    population = Population(factory, **{**OPTIONS, "updates": 30, **options})
    population.train(*data(), batch_size=8)
    return population


@pytest.mark.parametrize("factory", [mlp, normed, dropped, convolution])
def test_a_recording_gives_the_same_bits(
    factory: Callable[[], nn.Module], replays: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = trained(factory)
    assert len(replays) > 20
    monkeypatch.setattr(program, "WORTH", 10**9)
    plain = trained(factory)
    for model in range(3):
        assert_same(recorded.model(model), plain.model(model), **EXACT)


def test_a_stack_that_gets_shorter_is_recorded_anew(replays: list[int]) -> None:
    population = trained(mlp, updates=[30, 12, 30])
    assert population.updates.tolist() == [30, 12, 30]
    single = trained(mlp, lr=0.3, seeds=1, engine="one_by_one")
    assert_same(population.model(2), single.model(0))
    assert 10 < len(replays) < 30


def test_what_is_over_soon_is_not_recorded() -> None:
    population = Population(mlp, **OPTIONS, updates=30)
    population.train(*data(), batch_size=8)
    assert all(each._recorded is None for each in population._engine._programs.values())


def counted_by_closure() -> Any:
    calls = itertools.count()

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        factor = 2.0 if next(calls) >= 20 else 1.0
        return factor * functional.cross_entropy(outputs, targets)

    return {"loss": loss}


class Counting(nn.Linear):
    calls = 0

    def forward(self, inputs: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(inputs) * (2.0 if self.calls >= 20 else 1.0)


def counted_by_object() -> Any:
    class Loss:
        calls = 0

        def mean(self, outputs: Tensor, targets: Tensor) -> Tensor:
            self.calls += 1
            return functional.cross_entropy(outputs, targets)

    return {"loss": Loss().mean}


def counted_by_model() -> Any:
    return {"factory": lambda: Counting(6, 3).double()}


@pytest.mark.parametrize("counted", [counted_by_closure, counted_by_object, counted_by_model])
def test_what_remembers_its_calls_is_not_replayed(
    counted: Callable[[], Any], replays: list[int]
) -> None:
    assert trained(**{"factory": mlp, **counted()}).done
    assert replays == []


HIDDEN = {"factor": 1.0}


def by_a_global(outputs: Tensor, targets: Tensor) -> Tensor:
    return HIDDEN["factor"] * functional.cross_entropy(outputs, targets)


def test_a_program_that_changes_unseen_is_an_error(
    replays: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    population = Population(mlp, **OPTIONS, updates=100, loss=by_a_global)
    population.train(*data(), batch_size=8, updates=20)
    assert replays
    monkeypatch.setitem(HIDDEN, "factor", 2.0)
    with pytest.raises(UnstackableError, match="something else at this update"):
        population.train(*data(), batch_size=8)


def test_random_numbers_are_not_recorded(replays: list[int]) -> None:
    class Noisy(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            return super().forward(inputs + torch.randn_like(inputs))

    trained(lambda: Noisy(6, 3).double())
    assert replays == []
