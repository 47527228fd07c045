"""An optimizer with :class:`unyoke._step.groups.Groups`, as modules below its class see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from unyoke._step.groups import Groups
from unyoke._step.hyperparameters import Group
from unyoke.schedules import Schedule


class Owner:
    """What an optimizer with :class:`Groups` offers of them, whoever makes its step."""

    groups: Groups
    param_groups: list[Group]
    state: Any

    @property
    def schedule(self) -> Schedule | None:
        """t → η_t, if it was given."""
        return self.groups.schedule

    @schedule.setter
    def schedule(self, schedule: Schedule | None) -> None:
        self.groups.schedule = schedule

    def refresh(self) -> None:
        """Write the coming update's lr and weight_decay into the groups."""
        self.groups.refresh(self.param_groups)


class Stepped(Owner):
    """An optimizer whose updates are made here."""

    backend: str

    released: Callable[[], None] | None = None
    """What ``step()`` does while somebody else makes the updates."""
