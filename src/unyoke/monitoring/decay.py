"""What an optimizer decays by: now, so far, and in the updates to come; ours, or another's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from unyoke import decays, directions
from unyoke._step.groups import Groups
from unyoke._step.hyperparameters import largest
from unyoke.explain import GroupRates, taker
from unyoke.explain_file import kind_of
from unyoke.monitoring.reading import GroupReading
from unyoke.schedules import Schedule

Group = Mapping[str, Any]


class FollowedDecay:
    """The decay of one parameter group, followed from update to update.

    With a schedule Σηλ is exact; where something else moves ``lr`` it is summed between readings
    by the trapezium rule.

    Args:
        optimizer: whose group it is.
        index: of the group.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, index: int) -> None:
        self.index = index
        self.group: Group = optimizer.param_groups[index]
        kind = kind_of(self.group)
        self.direction, self.rule = kind.direction, decays.get(kind.decay)
        self.schedule: Schedule | None = None
        self._rates: GroupRates | None = None
        groups = getattr(optimizer, "groups", None)
        direction = directions.ALL.get(kind.direction)
        if isinstance(groups, Groups):  # ours, or one of unyoke.decouple's
            if groups.direction is not None:
                direction = groups.group_direction(self.group)
            self.rule, self.schedule = groups.decay(dict(self.group)), groups.schedule
            self._rates = GroupRates(optimizer, index)  # type: ignore[arg-type]
        self._direction = direction
        self._part = taker(direction, self.rule, dict(self.group))
        self._peak = largest(self.group.get("base_lr", self.group.get("initial_lr", 0.0)))
        self._sum = 0.0
        self._last: tuple[int, float] | None = None
        self._whole: tuple[int, float] | None = None

    @property
    def momentum(self) -> float | None:
        """β1 or SGD's momentum, for the rotation in equilibrium; None where it has no such form."""
        direction = self._direction
        if direction is None or not direction.averages:
            return None
        # A group may hold the numbers of other groups' directions too
        if "betas" in direction.defaults:
            return float(self.group["betas"][0])
        return largest(self.group["momentum"]) if "momentum" in direction.defaults else 0.0

    def now(self) -> GroupReading:
        """The coming update; what was taken before and is to come is left open."""
        if self._rates is not None:
            lr, eta, weight_decay = self._rates.now()
        else:
            lr = largest(self.group["lr"])
            self._peak = max(self._peak, lr)
            eta = lr / self._peak if self._peak else 0.0
            weight_decay = largest(self.group.get("weight_decay", 0.0))
        part = None if self._part is None else self._part(lr, eta, weight_decay)
        return GroupReading(
            index=self.index,
            decay=self.rule.name,
            lr=lr,
            eta=eta,
            weight_decay=weight_decay,
            effective_decay=part,
            decay_so_far=None,
            decay_to_come=None,
            window=1.0 / part if part else None,
            updates_left=None,
        )

    def completed(self, now: GroupReading, update: int, budget: int | None) -> GroupReading:
        """The reading of an update, number ``update``, after it was made."""
        left, part = None if budget is None else max(0, budget - update), now.effective_decay
        so_far = to_come = None
        if part is not None:
            so_far = self._so_far(update, part)
            to_come = None if left is None else self._to_come(update, update + left, part)
        return replace(now, decay_so_far=so_far, decay_to_come=to_come, updates_left=left)

    def _so_far(self, update: int, part: float) -> float:
        """Σηλ of ``update`` updates; ``part`` is what the last of them took."""
        if self.schedule is not None:
            first = 0 if self._last is None else self._last[0]
            self._sum += self._between(first, update)
        elif self._last is None:
            self._sum = part
        else:
            before, taken = self._last
            # The updates before+1 … update: a trapezium without its first half column
            self._sum += 0.5 * (taken + part) * (update - before) + 0.5 * (part - taken)
        self._last = (update, part)
        return self._sum

    def _to_come(self, update: int, budget: int, part: float) -> float:
        """Σηλ of the updates up to ``budget``; without a schedule the rate stays what it is."""
        if self.schedule is None:
            return part * (budget - update)
        if self._whole is None or self._whole[0] != budget:
            self._whole = (budget, self._sum + self._between(update, budget))
        return max(0.0, self._whole[1] - self._sum)

    def _between(self, first: int, last: int) -> float:
        """Σηλ over the updates number ``first`` to ``last`` − 1, counted from 0."""
        if self._rates is None or self._part is None:
            return 0.0
        step = max(1, (last - first) // SUMMED)
        return step * math.fsum(self._part(*self._rates.at(t)) for t in range(first, last, step))


SUMMED = 100_000
"""Longer stretches of a schedule are summed in steps."""
