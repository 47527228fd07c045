"""Five thousand interrupts of a training loop: each update is made or not, and none is lost.

A signal's handler raises at a random moment of ``zero_grad``, ``backward`` and ``step``, and the
loop goes on with the batch that comes next by the optimizer's own count. A twin that nobody
interrupts must be equal to it in every bit. Interrupts at chosen places are in test_interrupts.py
and test_signals.py. That they strike in all parts of a step, and that a fault would be seen, is
looked at too.
"""

from __future__ import annotations

import random
import signal
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from bits import same
from torch import nn

import unyoke
from unyoke import schedules
from unyoke._step import stepper

IN_STEP = 1250
"""Interrupts of ``step()`` in each of five cases; those of the other two calls come on top."""

pytestmark = [
    pytest.mark.usefixtures("definition"),
    pytest.mark.slow,
    pytest.mark.any_backend,
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers"),
    # One that strikes as a generator is thrown away is lost: Python reports it, and goes on
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Interrupt(Exception):
    """What the handler raises."""


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGALRM, stop)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


class Training:
    """A small model with its optimizer, whose batches are numbered by the updates made."""

    def __init__(self, backend: str, scheduled: bool, width: int = 600) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.model = nn.Sequential(nn.Linear(7, 9), nn.Tanh(), nn.Linear(9, width))
        weights = list(self.model.parameters())
        groups: Any = [{"params": weights[:2]}, {"params": weights[2:], "lr": 0.002}]
        self.optimizer = unyoke.AdamW(
            groups,
            lr=1e-3,
            weight_decay=unyoke.normalized(0.05) if scheduled else 1e-3,
            schedule=schedules.warm_restarts(20) if scheduled else None,
            rounding="kahan" if scheduled else "nearest",
            backend=backend,
        )

    @property
    def updates(self) -> int:
        made: int = self.optimizer.param_groups[0]["updates"]
        return made

    def update(self) -> None:
        batch = torch.full((2, 7), 0.01 * (self.updates % 50))
        batch[0, self.updates % 7] = 1.0
        self.optimizer.zero_grad()
        self.model(batch).square().mean().backward()
        self.optimizer.step()

    def everything(self) -> list[Any]:
        found: list[Any] = []
        for group in self.optimizer.param_groups:
            found += [group["lr"], group["weight_decay"], group["updates"]]
            for weight in group["params"]:
                found += [weight.detach(), *self.optimizer.state[weight].values()]
        return found


def files(error: BaseException) -> set[str]:
    """The files of this package in which the handler struck, if that was in ``step()``."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "unyoke" in Path(frame.filename).parts]
    is_in_step = any(frame.name == "step" for frame in own)
    return {Path(frame.filename).name for frame in own} if is_in_step else set()


def interrupted(training: Training, seconds: float) -> Interrupt | None:
    """Updates until the handler has raised; where, or None if that was between two of them."""
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        for _ in range(100):
            training.update()
    except Interrupt as error:
        return error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return None


def run(training: Training, twin: Training, strikes: int) -> set[str]:
    """Train under interrupts until so many have struck in ``step()``; where they did."""
    for _ in range(5):
        training.update()
        twin.update()
    began = time.perf_counter()
    for _ in range(20):
        training.update()
    lasts = (time.perf_counter() - began) / 20
    delays, hits, made = random.Random(1), 0, 0
    places: set[str] = set()
    while hits < strikes:
        before = training.updates
        error = interrupted(training, max(1e-6, delays.uniform(0, 3 * lasts)))
        struck = set() if error is None else files(error)
        hits += bool(struck)
        places |= struck
        made += training.updates - before
        while twin.updates < training.updates:
            twin.update()
        assert same(training.everything(), twin.everything()), f"after {error} in {struck}"
        assert torch.is_grad_enabled()
        assert made < 40 * IN_STEP, "the handler nearly never strikes in step()"
    training.update()
    twin.update()
    assert same(training.everything(), twin.everything())
    return places


SHARED = 8_000
"""Outputs from which on threads share the work, so that Python forms the numbers."""


@pytest.mark.parametrize("scheduled", [False, True], ids=["plain", "scheduled"])
@pytest.mark.parametrize("backend", ["cpu", "eager"])
def test_a_training_loop_under_interrupts(backend: str, scheduled: bool) -> None:
    """They strike before the commit, in it, and as the schedule is asked for its numbers."""
    places = run(Training(backend, scheduled), Training(backend, scheduled), IN_STEP)
    assert "optimizer.py" in places
    # A plain replay of kernels commits in one compiled call, where no interrupt can strike
    assert "commit.py" in places or (backend == "cpu" and not scheduled)
    assert places >= {"schedules.py", "hyperparameters.py"} or not scheduled
    assert ("replay.py" if backend == "cpu" else "interrupts.py") in places


def test_a_replay_whose_numbers_python_forms_under_interrupts() -> None:
    trainings = [Training("cpu", scheduled=False, width=SHARED) for _ in range(2)]
    places = run(*trainings, IN_STEP)
    assert places >= {"optimizer.py", "commit.py", "replay.py", "hyperparameters.py"}


def test_an_update_that_is_not_made_whole_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepper, "whole", lambda make, resumes: make())
    with pytest.raises(AssertionError, match=r"after .* in"):
        run(Training("eager", scheduled=True), Training("eager", scheduled=True), IN_STEP)
