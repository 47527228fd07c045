"""Numbers of coming updates, formed ahead.

While nobody but the optimizer itself moves the rates, they are known beforehand. Some dozens of
updates are formed at once, where Python does the same thing again and again and is quick; a step of
small tensors is then one call of compiled code.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from unyoke import backends, decays, directions
from unyoke._step.hyperparameters import WeightDecay, rate, weight_decay_at
from unyoke._step.plan import Plan
from unyoke.backends import Repeater
from unyoke.backends.guards import Entry, Scene, same_objects
from unyoke.decays import Normalized
from unyoke.equation import Rule
from unyoke.schedules import Schedule

if TYPE_CHECKING:
    from unyoke.backends import Series

FIRST, MOST = 4, 64
"""Updates that are formed at once: at first, and after all were made twice as many each time."""

PLAIN = (float, int, bool, str, type(None))
"""Types of hyperparameters that cannot change in place; and tuples of these."""


class Foresight:
    """Makes updates from numbers that it has formed before.

    Args:
        plans: with the numbers of their groups.
        repeaters: of their works, one for each plan.
        scene: what the updates depend on, but for numbers.
        schedule: of the optimizer.
        weight_decays: of each group, as it was given if it is a function of t.

    Attributes:
        left: how many updates are formed and not made.
    """

    def __init__(
        self,
        plans: Sequence[tuple[int, Plan]],
        repeaters: Sequence[Repeater],
        scene: Scene,
        schedule: Schedule | None,
        weight_decays: Sequence[WeightDecay | None],
    ) -> None:
        self._plans, self._repeaters, self._scene = plans, repeaters, scene
        self._schedule, self._weight_decays = schedule, weight_decays
        self._series: Series | None = None
        self._launched: list[tuple[Repeater, list[tuple[float, ...]]]] = []
        self._values: list[Any] = []
        self.left, self._length = 0, FIRST
        # A function of somebody else's may answer otherwise when it is asked again
        self._is_pure = isinstance(schedule, Schedule | None) and all(
            isinstance(weight_decays[index], Normalized | None) and _is_our_own(plan.work.rule)
            for index, plan in plans
        )
        self._fits = all(
            repeater.kernels is not None and not plan.work.rule.scalars
            for (_, plan), repeater in zip(plans, repeaters, strict=True)
        )

    def make(self) -> bool:
        """Make the next update if one is formed and nothing has changed; else do nothing."""
        if not self.left:
            return False
        self.left -= 1
        if self._series is not None and not self._series.make():
            for repeater, rows in self._launched:
                repeater.launch(rows[-1 - self.left])
            return True
        self.left, self._length = 0, FIRST
        return False

    def form(self) -> bool:
        """Form the numbers of the coming updates; False where they cannot be known or used."""
        if not (
            self._is_pure and self._fits and all(_can_be_counted(plan) for _, plan in self._plans)
        ):
            return False
        entries = [entry for _, plan in self._plans for entry in _hyperparameters(plan)]
        series = self._series_for(entries)
        if series is None:
            return False
        numbers, coefficients = [], []
        self._launched = []
        for (index, plan), repeater in zip(self._plans, self._repeaters, strict=True):
            own: list[float] = []
            rows: list[tuple[float, ...]] = []
            for rates, formed, t in self._coming(index, plan):
                own += rates
                rows.append(repeater.row(formed, plan.work.seed, t))
            numbers.append(array("d", own))
            coefficients.append(array("d", chain.from_iterable(rows)))
            if not repeater.kernels:
                self._launched.append((repeater, rows))
        series.load(numbers, coefficients)
        self.left = self._length
        self._length = min(2 * self._length, MOST)
        return True

    def _series_for(self, entries: list[Entry]) -> Series | None:
        """What makes updates as long as the groups have these hyperparameters."""
        values = [entry.value for entry in entries]
        if self._series is None or not same_objects(values, self._values):
            counted = [(plan.group, plan.counters.steps) for _, plan in self._plans]
            scene = Scene.joined([self._scene, Scene(entries=entries)])
            self._series, self._values = None, []  # if it is interrupted now
            self._series = backends.series(scene, counted, self._repeaters)
            self._values = values
        return self._series

    def _coming(self, index: int, plan: Plan) -> Iterator[tuple[tuple[float, ...], Any, int]]:
        """Of each update: lr, weight_decay, updates and step; coefficients; number."""
        group, given, schedule = plan.group, self._weight_decays[index], self._schedule
        lr, eta = rate(schedule, index, group)
        shown, weight_decay, form = group["lr"], group["weight_decay"], plan.work.rule.coefficients
        ((step,),) = plan.counters.read()
        for ahead in range(self._length):
            updates, t = group["updates"] + ahead, int(step) + 1 + ahead
            if ahead and schedule is not None:
                eta = schedule(updates)
                shown = lr = group["base_lr"] * eta
            if ahead and given is not None:
                weight_decay = weight_decay_at(given, updates, schedule)
                group = {**group, "weight_decay": weight_decay}
            yield (shown, weight_decay, updates, t - 1), form(t, eta, lr, group), t


def _hyperparameters(plan: Plan) -> list[Entry]:
    """What coefficients are formed from, beside the rates that move."""
    return [Entry(plan.group, n, plan.group[n]) for n in ("base_lr", *plan.work.rule.defaults)]


def _is_our_own(rule: Rule) -> bool:
    """Whether coefficients depend on nothing but the rates and the rule's own hyperparameters."""
    return directions.ALL.get(rule.direction.name) is rule.direction and (
        decays.ALL.get(rule.decay.name) is rule.decay
    )


def _can_be_counted(plan: Plan) -> bool:
    """Whether compiled code can read the rates and the counters, and nothing changes in place.

    The last update had one set of coefficients: that is what the kernels' tables are set to.
    """
    group = plan.group
    numbers = (group["lr"], group["weight_decay"], group["base_lr"], group["updates"])
    return (
        all(type(number) in (float, int) for number in numbers)
        and all(_is_fixed(group[name]) for name in plan.work.rule.defaults)
        and len(plan.counters.read()) == 1
        and plan.work.which is None
        and plan.work.models is None
    )


def _is_fixed(value: Any) -> bool:
    return isinstance(value, PLAIN) or (isinstance(value, tuple) and all(map(_is_fixed, value)))
