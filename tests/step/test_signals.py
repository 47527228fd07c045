"""Signals in ``step()``, where Python looks for them: it is made or not, and later steps go on.

Interrupts between any two instructions of a replay are in test_interrupts.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch
from following import noisy_quadratic, parameter, set_gradient

import unyoke
from unyoke import schedules

pytestmark = pytest.mark.usefixtures("definition")

UPDATES = 7  # before the interrupt; the last of them are replays where there are any
AFTER = 3

SETTINGS: dict[str, dict[str, Any]] = {
    "cpu": {"backend": "cpu"},
    "cpu in several dtypes": {"backend": "cpu", "mixed": True},
    "eager": {"backend": "eager"},
    "both": {"backend": "auto", "mixed": True, "rounding": "kahan", "odd": True},
}


def make(settings: dict[str, Any]) -> unyoke.Optimizer:
    given = dict(settings)
    second = torch.float32 if given.pop("mixed", False) else torch.float64
    weights = [parameter(), parameter(dtype=second), parameter()]
    if given.pop("odd", False):
        weights[0] = torch.nn.Parameter(torch.ones(8, 12, dtype=torch.float64)[::2, ::2])
    return unyoke.AdamW(
        [{"params": weights[:2]}, {"params": weights[2:], "lr": 0.05}],
        lr=0.02,
        weight_decay=unyoke.normalized(0.05),
        schedule=schedules.cosine(40),
        **given,
    )


def weights_of(optimizer: unyoke.Optimizer) -> list[torch.nn.Parameter]:
    return [weight for group in optimizer.param_groups for weight in group["params"]]


def step(optimizer: unyoke.Optimizer) -> None:
    """One step whose gradients depend on how many updates were made, and on the weights."""
    for weight in weights_of(optimizer):
        set_gradient(weight, noisy_quadratic, optimizer.param_groups[0]["updates"] + 1)
    optimizer.step()


def everything(optimizer: unyoke.Optimizer) -> list[Any]:
    """Weights, state and rates, by value."""
    weights = weights_of(optimizer)
    numbers = [
        group[name]
        for group in optimizer.param_groups
        for name in ("updates", "lr", "weight_decay")
    ]
    return [
        numbers,
        [weight.detach().clone().numpy() for weight in weights],
        [
            {name: value.clone().numpy() for name, value in optimizer.state[weight].items()}
            for weight in weights
        ],
    ]


def assert_is(optimizer: unyoke.Optimizer, path: list[list[Any]]) -> None:
    """The optimizer is in all respects where an undisturbed one was after so many updates."""
    np.testing.assert_equal(everything(optimizer), path[optimizer.param_groups[0]["updates"]])


def undisturbed(settings: dict[str, Any]) -> list[list[Any]]:
    optimizer = make(settings)
    path = [everything(optimizer)]
    for _ in range(UPDATES + AFTER + 2):
        step(optimizer)
        path.append(everything(optimizer))
    return path


class Interrupter:
    """Raises KeyboardInterrupt where Python looks for signals, at the place of this number.

    Python looks as a function of Python's own begins and as one written in C has returned (and at
    the end of loops, which nearly all have one of the two in them).
    """

    def __init__(self, which: int) -> None:
        self.left, self.where = which, ""

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event in ("call", "c_return") and argument is not sys.setprofile:
            self.left -= 1
            if self.left == 0:
                self.where = f"{frame.f_code.co_filename}:{frame.f_lineno} ({event})"
                raise KeyboardInterrupt


def interrupted(optimizer: unyoke.Optimizer, interrupter: Interrupter) -> bool:
    """A step with an interrupt in it; False: it was over before."""
    try:
        sys.setprofile(interrupter)
        optimizer.step()
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
    return interrupter.left <= 0


def places(settings: dict[str, Any], updates: int) -> Iterator[tuple[unyoke.Optimizer, str]]:
    """An optimizer for each place at which a step can be interrupted, after so many updates."""
    which = 0
    while True:
        which += 1
        optimizer, interrupter = make(settings), Interrupter(which)
        for _ in range(updates):
            step(optimizer)
        for weight in weights_of(optimizer):
            set_gradient(weight, noisy_quadratic, updates + 1)
        if not interrupted(optimizer, interrupter):
            return
        yield optimizer, interrupter.where


# One that strikes as a generator is thrown away is lost: Python reports it, and goes on
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.any_backend
@pytest.mark.parametrize(
    "updates",
    [pytest.param(1, marks=pytest.mark.slow, id="prepared"), pytest.param(UPDATES, id="replayed")],
)
@pytest.mark.parametrize("name", ["cpu", "cpu in several dtypes"])
def test_an_interrupt_at_any_place(name: str, updates: int) -> None:
    """In compiled code parts are made one after the other, and what has begun is finished."""
    path, made = undisturbed(SETTINGS[name]), set()
    for optimizer, where in places(SETTINGS[name], updates):
        made.add(optimizer.param_groups[0]["updates"])
        try:
            assert torch.is_grad_enabled()
            assert_is(optimizer, path)
            for _ in range(AFTER):
                step(optimizer)
                assert_is(optimizer, path)
        except BaseException as error:
            torch.set_grad_enabled(True)
            raise AssertionError(f"after an interrupt at {where}") from error
    assert made == {updates, updates + 1}


needs_timer = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers")


@pytest.fixture
def alarm() -> Iterator[Callable[[float], None]]:
    """Raises KeyboardInterrupt from a signal's handler, after so many seconds and every 20 ms."""

    def stop(number: int, frame: FrameType | None) -> None:
        if isinstance(frame, FrameType):
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds, 0.02 if seconds else 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@needs_timer
@pytest.mark.any_backend
@pytest.mark.parametrize("name", SETTINGS)
def test_signals_at_any_time(name: str, alarm: Any) -> None:
    """Steps under a fire of signals: each is made or not, and none is refused afterwards."""
    optimizer, twin = make(SETTINGS[name]), make(SETTINGS[name])
    for each in (optimizer, twin):
        step(each)
    random = np.random.default_rng(0)
    for _ in range(100):
        for weight in weights_of(optimizer):  # gradients that do not ask how many were made
            weight.grad = torch.full_like(weight, 0.1)
        try:
            try:
                alarm(float(random.uniform(1e-5, 2e-3)))
                while True:
                    optimizer.step()
            finally:
                alarm(0)
        except KeyboardInterrupt:
            pass
    while twin.param_groups[0]["updates"] < optimizer.param_groups[0]["updates"]:
        for weight in weights_of(twin):
            weight.grad = torch.full_like(weight, 0.1)
        twin.step()
    np.testing.assert_equal(everything(optimizer), everything(twin))


FIRST_STEP = """
import signal, sys, torch, unyoke

def stop(number, frame):
    if armed:
        raise TimeoutError

armed = True
signal.signal(signal.SIGALRM, stop)
weight = torch.nn.Parameter(torch.ones(3))
weight.grad = torch.ones(3)
optimizer = unyoke.AdamW([weight], schedule=unyoke.schedules.cosine(10), backend="cpu")
signal.setitimer(signal.ITIMER_REAL, float(sys.argv[1]))
try:
    optimizer.step()
except TimeoutError:
    pass
armed = False
before = optimizer.param_groups[0]["updates"]
optimizer.step()
print(optimizer.param_groups[0]["updates"] - before)
"""


@pytest.mark.slow
@needs_timer
@pytest.mark.parametrize("seconds", [0.02, 0.2, 0.5, 1.0])
def test_the_first_step_is_interrupted_while_it_imports_or_compiles(
    seconds: float, tmp_path: Path
) -> None:
    """Numba that was imported by half would leave the process without compiled code."""
    environment = {**os.environ, "UNYOKE_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-W", "error", "-c", FIRST_STEP, str(seconds)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.stdout == "1\n", ended.stderr


@needs_timer
def test_a_handler_runs_when_the_update_is_made() -> None:
    """What eager makes in many operations is not interrupted between them; nothing is lost."""
    seen: list[int] = []
    optimizer = make(SETTINGS["eager"])
    step(optimizer)

    def handler(number: int, frame: Any) -> None:
        seen.append(optimizer.param_groups[0]["updates"])
        raise TimeoutError

    class Slow(torch.Tensor):
        @classmethod
        def __torch_function__(cls, f: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            time.sleep(1e-3)
            return super().__torch_function__(f, types, args, kwargs or {})

    for weight in weights_of(optimizer):
        weight.grad = torch.full_like(weight, 0.1).as_subclass(Slow)
    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 4e-3)
        with pytest.raises(TimeoutError):
            optimizer.step()
        assert signal.getsignal(signal.SIGALRM) is handler
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert seen in ([1], [2])  # before anything was made, or after all was
    assert optimizer.param_groups[0]["updates"] == seen[0]


class TestTheSameNumber:
    """lr is compared with α·η_t as numbers are that were computed in two ways."""

    def scheduled(self) -> unyoke.Optimizer:
        optimizer = unyoke.AdamW([parameter()], lr=1e-3, schedule=schedules.cosine(1000))
        for _ in range(5):
            step(optimizer)
        return optimizer

    @pytest.mark.parametrize("factor", [1 + 2.0**-52, 1 - 1e-9, float(np.float32(1.1)) / 1.1])
    def test_last_digits_do_not_count(self, factor: float) -> None:
        optimizer, twin = self.scheduled(), self.scheduled()
        optimizer.param_groups[0]["lr"] *= factor
        for each in (optimizer, twin):
            step(each)
        np.testing.assert_equal(everything(optimizer), everything(twin))

    def test_a_rate_in_float32_is_the_same(self) -> None:
        optimizer = self.scheduled()
        optimizer.param_groups[0]["lr"] = np.float32(optimizer.param_groups[0]["lr"])
        step(optimizer)

    def test_the_zero_at_a_schedule_s_end(self) -> None:
        optimizer = unyoke.AdamW([parameter()], lr=1e-3, schedule=schedules.cosine(3))
        for _ in range(3):
            step(optimizer)
        optimizer.param_groups[0]["lr"] = 6e-20  # (1 + cos π)/2 of another library
        step(optimizer)

    @pytest.mark.parametrize("factor", [1 + 1e-5, 0.9, 2.0, 0.0])
    def test_another_number_is_refused(self, factor: float) -> None:
        optimizer = self.scheduled()
        optimizer.param_groups[0]["lr"] *= factor
        with pytest.raises(RuntimeError, match="something else"):
            step(optimizer)
