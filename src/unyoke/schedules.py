"""Schedules: pure functions t → η_t, the multiplier of both the learning rate and the decay.

t counts the updates already made: 0 for the first. So the first update of a run, and the first
after a restart, has η = 1 exactly, and the last has the smallest η that is not 0. (The authors'
code advances its counter first: its first update has η < 1 and its last η = 0.) torch's LambdaLR
counts in the same way and takes a schedule as it is. Boundaries are decided in integers.

>>> eta = cosine(updates=4)
>>> [round(eta(t), 3) for t in range(5)]
[1.0, 0.854, 0.5, 0.146, 0.0]
>>> eta
cosine(updates=4, minimum=0.0)
"""

from __future__ import annotations

import bisect
import functools
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from unyoke.scheduler import follow as follow  # public here


class Run(NamedTuple):
    """Part of a training between two restarts, in updates."""

    start: int
    length: int


class Schedule(ABC):
    """A pure function of the number of updates already made.

    Subclasses are frozen dataclasses: they print as they are written, compare and pickle.
    """

    @abstractmethod
    def __call__(self, t: int) -> float:
        """η of the update that follows t updates; finite and ≥ 0."""

    @property
    def budget(self) -> int | None:
        """Updates after which η is 0 for good, or the length it was laid out for; None if open."""
        return None

    def run(self, t: int) -> Run | None:
        """The run between restarts that the update after t updates belongs to; None without."""
        return None


def _count(name: str, value: int, least: int = 1) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be an integer ≥ {least}, not {value!r}")


def _check_minimum(name: str, value: float) -> None:
    if not 0.0 <= value < 1.0:
        raise ValueError(f"{name}: minimum must lie in [0, 1), not {value!r}")


def exactly(number: float | Fraction) -> Fraction:
    """The number as it was written: 0.3 is 3/10, not the float nearest to it."""
    return number if isinstance(number, Fraction) else Fraction(str(number))


@dataclass(frozen=True)
class constant(Schedule):
    """η = 1 for ever."""

    def __call__(self, t: int) -> float:
        return 1.0


@dataclass(frozen=True)
class cosine(Schedule):
    """Cosine annealing without restarts.

    η = η_min + (1 − η_min)·(0.5 + 0.5·cos(π·t/T)), and η_min from t = T on

    Args:
        updates: T, the budget in updates.
        minimum: η_min in [0, 1).

    Source: Loshchilov & Hutter, ICLR 2017 (SGDR), eq. 5 with one run.
    """

    updates: int
    minimum: float = 0.0

    def __post_init__(self) -> None:
        _count("cosine: updates", self.updates)
        _check_minimum("cosine", self.minimum)

    def __call__(self, t: int) -> float:
        return self.minimum + (1.0 - self.minimum) * _cosine(t, self.updates)

    @property
    def budget(self) -> int:
        return self.updates


def _cosine(t: int, updates: int) -> float:
    """0.5 + 0.5·cos(π·t/updates), exact at both ends."""
    return 0.5 + 0.5 * math.cos(math.pi * t / updates) if t < updates else 0.0


@dataclass(frozen=True)
class step_drops(Schedule):
    """η is multiplied by ``factor`` at given parts of the budget.

    Args:
        updates: the budget in updates.
        at: where to drop, as parts of the budget, ascending, in (0, 1). The update that follows
            round(part·updates) updates is the first with the lower η.
        factor: in (0, 1].

    Source: the drops at 30 %, 60 % and 80 % are those of the paper's Figure 1.

    >>> [step_drops(10)(t) for t in (2, 3, 6, 9)]
    [1.0, 0.1, 0.010000000000000002, 0.0010000000000000002]
    """

    updates: int
    at: tuple[float, ...] = (0.3, 0.6, 0.8)
    factor: float = 0.1

    def __post_init__(self) -> None:
        _count("step_drops: updates", self.updates)
        object.__setattr__(self, "at", tuple(self.at))
        if any(not 0.0 < part < 1.0 for part in self.at) or sorted(self.at) != list(self.at):
            raise ValueError(f"step_drops: at must ascend within (0, 1), not {self.at!r}")
        if not 0.0 < self.factor <= 1.0:
            raise ValueError(f"step_drops: factor must lie in (0, 1], not {self.factor!r}")

    def __call__(self, t: int) -> float:
        drops = (round(exactly(part) * self.updates) for part in self.at)
        return math.prod((self.factor for drop in drops if t >= drop), start=1.0)

    @property
    def budget(self) -> int:
        return self.updates


@dataclass(frozen=True)
class warm_restarts(Schedule):
    """Cosine annealing with warm restarts: the schedule of SGDR, AdamWR and SGDWR.

    η = η_min + 0.5·(1 − η_min)·(1 + cos(π·T_cur/T_i)) ;  T_cur = t − start of run i

    Run i (0 for the first) has T_i = first·growth^i updates, rounded half up, computed in exact
    rational arithmetic; restarts are sums of these integers, for any growth ≥ 1.

    Args:
        first: T_0 in updates; the paper uses 1–10 % of the budget.
        growth: T_mult, at least 1.
        minimum: η_min in [0, 1).

    Source: Loshchilov & Hutter, ICLR 2017, eq. 5; ICLR 2019, eq. 14–15.

    >>> eta = warm_restarts(first=100, growth=2)
    >>> [eta.run(t).start for t in (99, 100, 299, 300, 700, 1500)]
    [0, 100, 100, 300, 700, 1500]
    """

    first: int
    growth: float = 2
    minimum: float = 0.0

    def __post_init__(self) -> None:
        _count("warm_restarts: first", self.first)
        if not (isinstance(self.growth, (int, float, Fraction)) and 1 <= self.growth < math.inf):
            raise ValueError(f"warm_restarts: growth must be a number ≥ 1, not {self.growth!r}")
        _check_minimum("warm_restarts", self.minimum)

    def __call__(self, t: int) -> float:
        start, length = self.run(t)
        return self.minimum + (1.0 - self.minimum) * _cosine(t - start, length)

    def run(self, t: int) -> Run:
        if self.growth == 1:
            return Run(t - t % self.first, self.first)
        horizon = 1 << int(t).bit_length()  # a power of two above t: few distinct cache entries
        starts = _restarts(self.first, exactly(self.growth), horizon)
        index = bisect.bisect_right(starts, t)
        return Run(starts[index - 1], starts[index] - starts[index - 1])

    def restarts(self, updates: int) -> tuple[int, ...]:
        """Numbers of updates, up to ``updates``, after which a run is complete.

        The weights after these updates are the solutions to keep.
        """
        ends = []
        end = self.run(0).length
        while end <= updates:
            ends.append(end)
            end += self.run(end).length
        return tuple(ends)


@functools.lru_cache(maxsize=1024)
def _restarts(first: int, growth: Fraction, horizon: int) -> tuple[int, ...]:
    """Starts of the runs, up to the first one at or beyond ``horizon``."""
    starts, length = [0], Fraction(first)
    while starts[-1] < horizon:
        starts.append(starts[-1] + math.floor(length + Fraction(1, 2)))
        length *= growth
    return tuple(starts)


@dataclass(frozen=True)
class warmup(Schedule):
    """A straight climb, then another schedule from its beginning.

    η = (t + 1)/(updates + 1)·then(0) for t < updates ;  then(t − updates) afterwards

    The climb never has η = 0 (an update that moves nothing) and its next step would be ``then``'s
    first.

    Args:
        updates: length of the climb.
        then: the schedule that follows.

    >>> [round(warmup(3, then=constant())(t), 2) for t in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """

    updates: int
    then: Schedule

    def __post_init__(self) -> None:
        _count("warmup: updates", self.updates, least=0)
        if not isinstance(self.then, Schedule):
            raise ValueError(f"warmup: then must be a schedule, not {self.then!r}")

    def __call__(self, t: int) -> float:
        if t < self.updates:
            return (t + 1) / (self.updates + 1) * self.then(0)
        return self.then(t - self.updates)

    @property
    def budget(self) -> int | None:
        return None if self.then.budget is None else self.updates + self.then.budget

    def run(self, t: int) -> Run | None:
        run = self.then.run(max(t - self.updates, 0))
        return None if run is None else Run(run.start + self.updates, run.length)


def __getattr__(name: str) -> Any:
    """``follow`` is a class of torch's, and schedules alone need no torch."""
    if name == "follow":
        from unyoke.scheduler import follow

        return follow
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
