"""What is written into a group between two steps is refused where the constructor refuses it."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from bits import same
from pairs import some_decay
from torch.optim.lr_scheduler import OneCycleLR

import unyoke
from unyoke import decays, directions
from unyoke._step.replay import Replay
from unyoke.population import Population

pytestmark = pytest.mark.any_backend

BAD = (math.nan, math.inf, -math.inf, "much", None, 1e-3j, [1.0], torch.tensor(math.nan))
"""What no number may be."""

OWN: list[tuple[str, Any]] = [
    *((name, value) for name in ("lr", "base_lr", "weight_decay") for value in (*BAD, -1.0)),
    *(("updates", value) for value in (-1, 0.5, math.nan, None)),
    *(("seed", value) for value in (-1, 1 << 31, 0.5, None)),
    *((name, "x") for name in ("maximize", "rounding", "state_dtype", "decay", "direction")),
]
PARTS = [
    *((direction, some_decay(direction)) for direction in directions.ALL),
    *(("heavy_ball", name) for name, decay in decays.ALL.items() if decay.defaults),
]


def made(direction: str, decay: str, backend: str = "auto") -> unyoke.Optimizer:
    generator = torch.Generator().manual_seed(0)
    weights = [torch.nn.Parameter(torch.randn(4, 6, generator=generator)) for _ in range(2)]
    groups = [{"params": [(name, each)]} for name, each in zip("ab", weights, strict=True)]
    return unyoke.Optimizer(groups, 1e-2, 1e-3, direction=direction, decay=decay, backend=backend)


def step(optimizer: torch.optim.Optimizer, t: int) -> None:
    for group in optimizer.param_groups:
        for weight in group["params"]:
            weight.grad = torch.sin(torch.arange(weight.numel()) + t).view_as(weight)
    optimizer.step()


def memory(optimizer: unyoke.Optimizer) -> list[torch.Tensor]:
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    states = [optimizer.state[weight] for weight in weights]
    values = [value for state in states for value in state.values()]
    return [torch.as_tensor(each).detach().clone() for each in (*weights, *values)]


def bad_for(default: Any) -> Iterator[Any]:
    """Values in the place of a hyperparameter with this default."""
    if isinstance(default, (bool, str)):
        yield from ("x", None, 2)
    elif isinstance(default, tuple):
        yield from (0.9, "ab", None, default[:-1])
        for place in range(len(default)):
            for value in BAD:
                yield (*default[:place], value, *default[place + 1 :])
    else:
        yield from (*BAD, *((-1.0,) if default >= 0 else ()))


def refuse(optimizer: unyoke.Optimizer, name: str, value: Any, words: str) -> None:
    """Write it into the second group: two steps refuse it, and nothing changes."""
    group = optimizer.param_groups[1]
    good, before, entries = group[name], memory(optimizer), copy.copy(group)
    group[name] = value
    for _ in range(2):
        with pytest.raises((ValueError, RuntimeError), match=rf"(?s)group 1\b.*{words}"):
            step(optimizer, 0)
    assert same(memory(optimizer), before)
    assert optimizer.param_groups[0]["updates"] == entries["updates"]
    group[name] = good
    assert all(group[each] is value for each, value in entries.items())


@pytest.mark.parametrize("backend", [pytest.param("auto", marks=pytest.mark.slow), "eager"])
@pytest.mark.parametrize(("direction", "decay"), PARTS)
def test_every_hyperparameter_of_every_part(direction: str, decay: str, backend: str) -> None:
    optimizer, twin = (made(direction, decay, backend) for _ in range(2))
    defaults = optimizer.groups.rule(optimizer.param_groups[0]).defaults
    t = 0
    for name, default in defaults.items():
        for value in bad_for(default):
            for each in (optimizer, twin):
                step(each, t)
            t += 1
            refuse(optimizer, name, value, f"{name}=")
    for more in range(2):
        for each in (optimizer, twin):
            step(each, t + more)
    assert same(memory(optimizer), memory(twin))


@pytest.mark.parametrize("backend", ["auto", "eager"])
@pytest.mark.parametrize(("name", "value"), OWN, ids=str)
def test_every_other_entry(name: str, value: Any, backend: str) -> None:
    optimizer = made("adam", "decoupled", backend)
    for t in range(3):
        step(optimizer, t)
    refuse(optimizer, name, value, "")
    step(optimizer, 3)
    assert optimizer.param_groups[1]["updates"] == 4


@pytest.mark.parametrize("name", ["eps", "betas", "seed"])
def test_an_entry_that_was_taken_out(name: str) -> None:
    optimizer = made("adam", "decoupled")
    for t in range(3):
        step(optimizer, t)
    before, good = memory(optimizer), optimizer.param_groups[1].pop(name)
    with pytest.raises(ValueError, match=f"group 1: there is no entry '{name}'"):
        step(optimizer, 3)
    assert same(memory(optimizer), before)
    optimizer.param_groups[1][name] = good
    step(optimizer, 3)


@pytest.mark.parametrize("how", ["list", "tensor", "lr tensor"])
def test_what_is_written_into_in_place(how: str) -> None:
    optimizer = made("adam", "decoupled")
    group = optimizer.param_groups[1]
    if how == "list":
        group["betas"] = values = [0.9, 0.99]
    else:
        values = torch.tensor([1e-3])
        group["lr" if how == "lr tensor" else "eps"] = values.view(())
    for t in range(3):
        step(optimizer, t)
    before, good = memory(optimizer), values[0] if how == "list" else values[0].clone()
    values[0] = math.nan
    with pytest.raises(ValueError, match=r"group 1: .*nan"):
        step(optimizer, 3)
    assert same(memory(optimizer), before)
    values[0] = good
    step(optimizer, 3)


def test_what_would_be_put_into_new_state_or_weights_to_evaluate() -> None:
    optimizer = made("adagrad", "decoupled")
    optimizer.param_groups[1]["initial_accumulator_value"] = math.nan
    with pytest.raises(ValueError, match=r"group 1: .*initial_accumulator_value"):
        optimizer.init_state()
    assert not optimizer.state
    optimizer = made("schedule_free_sgd", "decoupled")
    step(optimizer, 0)
    before = memory(optimizer)
    optimizer.param_groups[1]["momentum"] = math.nan
    with pytest.raises(ValueError, match=r"group 1: .*momentum"):
        optimizer.eval()
    assert same(memory(optimizer), before)
    optimizer.param_groups[1]["momentum"] = 0.9
    optimizer.eval()
    optimizer.param_groups[1]["momentum"] = 2.0
    with pytest.raises(ValueError, match=r"group 1: .*momentum"):
        optimizer.train()


@pytest.mark.parametrize("direction", ["heavy_ball", "adam"])
def test_a_cycle_of_momentum_is_still_one_compiled_call(
    direction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    optimizer, eager = made(direction, "decoupled"), made(direction, "decoupled", "eager")
    schedulers = [OneCycleLR(each, 1e-2, total_steps=40) for each in (optimizer, eager)]
    for t in range(30):
        if t == 4:
            assert optimizer._stepper.replay is not None
            assert optimizer._stepper.replay._forms
            monkeypatch.setattr(Replay, "_make_by_python", None)
        for each, scheduler in zip((optimizer, eager), schedulers, strict=True):
            step(each, t)
            scheduler.step()
    for one, other in zip(memory(optimizer), memory(eager), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["average_beta", "weight_decay", "lr"])
def test_decouple_refuses_its_own_numbers(name: str) -> None:
    weight = torch.nn.Parameter(torch.ones(5))
    make = unyoke.decouple(torch.optim.SGD)
    optimizer = make([weight], lr=0.1, weight_decay=1e-3, decay="toward_average")
    step(optimizer, 0)
    before, good = weight.detach().clone(), optimizer.param_groups[0][name]
    for value in (*BAD, -1.0):
        optimizer.param_groups[0][name] = value
        with pytest.raises(ValueError, match="group 0: "):
            step(optimizer, 1)
        assert torch.equal(weight, before)
    optimizer.param_groups[0][name] = good
    step(optimizer, 1)


@pytest.mark.parametrize("engine", ["stacked", "one_by_one"])
def test_a_population_refuses_what_functions_of_t_give(engine: str) -> None:
    def weight_decay(t: int) -> float:
        return math.nan if t == 1 else 1e-3

    population = Population(
        lambda: torch.nn.Linear(3, 2), 1e-2, [1e-3, weight_decay], engine=engine
    )
    inputs, targets = torch.ones(4, 3), torch.tensor([0, 1, 0, 1])
    population.step(inputs, targets)
    before = population.model(1).weight.detach().clone()
    with pytest.raises(ValueError, match=r"weight_decay=.*nan at t=1"):
        population.step(inputs, targets)
    assert torch.equal(population.model(1).weight, before)
