"""Which engine: what the models can do, found by trying, and which is faster, found by timing.

Everything here runs on copies; the population is not changed.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unyoke.population.engine import Batch, Blueprint, Engine, UnstackableError
from unyoke.population.generators import left_alone, states
from unyoke.population.models import Models
from unyoke.population.one_by_one import OneByOne
from unyoke.population.stacked import Stacked

ENGINES: dict[str, type[Engine]] = {engine.name: engine for engine in (Stacked, OneByOne)}

_PROBED = 2
_TIMED_ONE_BY_ONE = 4
_TIMED_UPDATES = 3
_CLEARLY = 3.0
"""Times as fast, at the first look, that more looks would not turn round."""


@dataclass(frozen=True)
class Choice:
    """An engine and why.

    Attributes:
        engine: ``"stacked"`` or ``"one_by_one"``.
        reason: one line for people.
        random: the models draw random numbers other than dropout's.
    """

    engine: str
    reason: str
    random: bool


def choose(
    engine: str, blueprint: Blueprint, models: Models, rows: Sequence[int], batch: Batch
) -> Choice:
    """The engine for these models and this kind of batch.

    Raises:
        UnstackableError: ``engine="stacked"`` and it cannot be.
    """
    stackable = engine != "one_by_one"
    obstacle, random = _probe(blueprint, models, rows, batch, stackable)
    if engine == "stacked" and obstacle is not None:
        raise UnstackableError(
            f"engine='stacked' cannot train these models: {obstacle}; "
            "use engine='one_by_one', or 'auto'"
        )
    if engine != "auto":
        return Choice(engine, "as asked for", random)
    if obstacle is not None:
        return Choice("one_by_one", f"one_by_one: {obstacle}", random)
    few = rows[:_TIMED_ONE_BY_ONE]
    parts = batch.only(range(len(few)))
    stacked, single = _seconds(
        [
            (_trial(Stacked, blueprint, models, rows), batch, 1.0),
            (_trial(OneByOne, blueprint, models, few), parts, len(rows) / len(few)),
        ]
    )
    name = "stacked" if stacked <= single else "one_by_one"
    reason = (
        f"{name}: an update of {len(rows)} models took {1e3 * stacked:.3g} ms stacked and "
        f"{1e3 * single:.3g} ms one by one"
    )
    return Choice(name, reason, random)


def _probe(
    blueprint: Blueprint, models: Models, rows: Sequence[int], batch: Batch, stackable: bool
) -> tuple[str | None, bool]:
    """Why the models cannot be stacked, or None; and whether they draw random numbers.

    The first is only found out if ``stackable``.

    An error that one-by-one training has as well is the user's, and raised as it is.
    """
    few = rows[:_PROBED]
    part = batch.only(range(len(few)))
    with left_alone(batch.rng_devices):
        before = states()
        expected = _trial(OneByOne, blueprint, models, few).gradients(part)
        random = states() != before
        if not stackable:
            return None, random
        return _obstacle(blueprint, models, few, part, None if random else expected), random


def _obstacle(
    blueprint: Blueprint,
    models: Models,
    rows: Sequence[int],
    batch: Batch,
    expected: Tensor | None,
) -> str | None:
    try:
        trial = _trial(Stacked, blueprint, models, rows)
    except UnstackableError as error:
        return str(error)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            losses = trial.gradients(batch)
        except Exception as error:  # whatever torch.func cannot do, one-by-one has just done
            text = " ".join(str(error).split())
            if "data-dependent control flow" in text:
                return "the model or the loss uses a tensor's value in Python (.item(), if, while)"
            return f"torch.func cannot run them ({type(error).__name__}: {text[:300]})"
    for warning in caught:
        if "batching rule" in (text := str(warning.message)):
            operation = text.partition("batching rule for ")[2].partition(". ")[0]
            return f"torch.func has no batching rule for {operation}"
    if expected is not None and not torch.allclose(
        losses.double(), expected.double(), rtol=1e-3, atol=1e-5, equal_nan=True
    ):
        return (
            f"stacked, the models' losses are {losses.tolist()} instead of {expected.tolist()}: "
            "their forward pass means something else under torch.func.vmap"
        )
    return None


def _trial(
    engine: type[Engine], blueprint: Blueprint, models: Models, rows: Sequence[int]
) -> Engine:
    """An engine with copies of these models and no others."""
    few = replace(blueprint, settings=blueprint.settings.only(rows))
    return engine(few, models.rows(rows), range(len(rows)))


def _seconds(trials: Sequence[tuple[Engine, Batch, float]]) -> list[float]:
    """The shortest of a few updates of each, times its factor; taken in turn, after one to warm up.

    As soon as one is clearly faster no more are made.

    On one thread the thread's own time: what else the machine does falls on long updates more
    often than on short ones, and would decide.
    """
    device = trials[0][1].targets.device
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.thread_time if alone else time.perf_counter
    times: list[list[float]] = [[] for _ in trials]
    with left_alone(trials[0][1].rng_devices):
        for number in range(1 + _TIMED_UPDATES):
            for (trial, batch, factor), taken in zip(trials, times, strict=True):
                start = clock()
                trial.gradients(batch)
                trial.apply(batch.update)
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                taken.append(factor * (clock() - start))
            best = [min(taken[1:] or taken) for taken in times]
            if number and max(best) > _CLEARLY * min(best):
                break
    return best
