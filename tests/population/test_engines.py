"""Which engine trains: the faster that can do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from population_examples import (
    BATCH,
    ENGINES,
    EXACT,
    Branching,
    InFloat,
    Recurrent,
    alone,
    assert_equal,
    assert_same,
    data,
    favour,
    mlp,
    normed,
    trained,
)
from torch import Tensor, nn

from unyoke.population import Population, UnstackableError, choice
from unyoke.population.engine import Batch


@pytest.mark.parametrize("engine", ENGINES)
def test_auto_takes_the_faster_and_says_so(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    favour(monkeypatch, engine)
    population = Population(mlp, lr=[0.1] * 6, updates=1)
    assert population.engine == "auto"
    population.train(*data(), batch_size=BATCH)
    assert population.engine == engine
    assert population.reason.startswith(f"{engine}: an update of 6 models took ")


def test_auto_times_without_a_trace() -> None:
    population = trained(normed, lr=[0.01, 0.1], weight_decay=1e-3)
    assert population.reason.startswith(population.engine)
    expected = trained(normed, lr=[0.01, 0.1], weight_decay=1e-3, engine=population.engine)
    for k in range(2):
        assert_same(population.model(k), expected.model(k), **EXACT)


@pytest.mark.parametrize(("slow", "updates"), [(2.0, 4), (10.0, 2)])
def test_what_is_clearly_faster_is_timed_once(
    monkeypatch: pytest.MonkeyPatch, slow: float, updates: int
) -> None:
    now = 0.0

    class Trial:
        def __init__(self, seconds: float) -> None:
            self.seconds = seconds
            self.made = 0

        def gradients(self, batch: object) -> None:
            nonlocal now
            now += self.seconds * (3 if self.made == 0 else 1)  # the first is always slow

        def apply(self, update: int) -> None:
            self.made += 1

    for clock in ("perf_counter", "thread_time"):
        monkeypatch.setattr(choice.time, clock, lambda: now)
    batch = Batch(torch.zeros(1), torch.zeros(1), False, 0, torch.zeros(1), False)
    trials = [Trial(1.0), Trial(slow / 5)]
    seconds = choice._seconds([(trials[0], batch, 1.0), (trials[1], batch, 5.0)])  # type: ignore[list-item]
    assert seconds == pytest.approx([1.0, slow])
    assert [trial.made for trial in trials] == [updates, updates]


UNSTACKABLE = [
    (Recurrent, {}, "no batching rule for aten::"),
    (Branching, {}, r"\.item\(\), if, while"),
    (InFloat, {"rounding": "stochastic"}, "stochastic rounding"),
    (InFloat, {"state_dtype": torch.bfloat16}, "state in bfloat16"),
    (InFloat, {"state_dtype": "int8"}, "state in int8"),
]


@pytest.mark.parametrize(("factory", "options", "reason"), UNSTACKABLE)
def test_unstackable_models_train_one_by_one(
    factory: Callable[[], nn.Module], options: dict[str, Any], reason: str
) -> None:
    population = trained(factory, lr=[0.01, 0.02], **options)
    assert population.engine == "one_by_one"
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(population.reason)
    if not options:
        assert_same(population.model(1), alone(factory, lr=0.02, weight_decay=1e-5))


@pytest.mark.parametrize(("factory", "options", "reason"), UNSTACKABLE)
def test_unstackable_models_refuse_to_be_stacked(
    factory: Callable[[], nn.Module], options: dict[str, Any], reason: str
) -> None:
    population = Population(factory, lr=[0.01, 0.02], engine="stacked", updates=4, **options)
    before = population.state_dict()
    with pytest.raises(UnstackableError, match=reason):
        population.train(*data(), batch_size=BATCH)
    assert_equal(population.state_dict(), before)


def test_a_model_that_means_something_else_under_vmap_is_not_stacked() -> None:
    class Counting(nn.Module):
        """Does not treat stacked tensors as its own, as some custom functions."""

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 3).double()

        def forward(self, x: Tensor) -> Tensor:
            stacked = torch._C._functorch.maybe_current_level() is not None
            return self.layer(x) * (2 if stacked else 1)

    population = trained(Counting, lr=[0.01, 0.02])
    assert population.engine == "one_by_one"
    assert "means something else" in population.reason


def test_an_error_of_the_users_is_not_taken_for_an_unstackable_model() -> None:
    population = Population(mlp, lr=[0.1, 0.2], updates=1)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        population.step(torch.randn(4, 5, dtype=torch.float64), torch.zeros(4, dtype=torch.int64))
