"""An optimizer with :class:`unyoke._step.groups.Groups`, as modules below its class see it."""

from __future__ import annotations

from typing import Any, Protocol

from unyoke._step.groups import Groups
from unyoke._step.hyperparameters import Group
from unyoke.schedules import Schedule


class Scheduled:
    """What an optimizer with :class:`Groups` offers of them, whoever makes its step."""

    groups: Groups
    param_groups: list[Group]

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


class Owner(Protocol):
    """An optimizer, as those see it that its class is built on."""

    @property
    def param_groups(self) -> list[Group]: ...
    @property
    def state(self) -> Any: ...
    @property
    def groups(self) -> Groups: ...
