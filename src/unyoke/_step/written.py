"""What a program writes into a parameter group is checked as the constructor checks it.

A group is a dictionary that anybody may write into between two steps, as schedulers do. So each
step asks whether a group still holds the objects that were last found right, which takes less than
a microsecond, and checks all of them where it does not. ``lr`` and ``weight_decay``, which
schedules move, are checked where η_t is formed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import is_, itemgetter
from typing import Any

import torch

from unyoke._step.hyperparameters import CHECKS, Group
from unyoke.backends.guards import Held
from unyoke.slots import Part
from unyoke.storage import formats

SWITCHES: Mapping[str, Callable[[Any], Any]] = {
    **{name: CHECKS[name] for name in ("seed", "maximize", "differentiable", "capturable")},
    "rounding": formats.check_rounding,
    "state_dtype": formats.check_state_dtype,
}
"""What a group holds of a step beside numbers, and how it is checked."""

_LASTING = (bool, int, float, str, type(None), torch.dtype)
"""Types of values that cannot change while they are the same object."""


class RightNumbers:
    """What a group held when it was found right.

    Args:
        group: the parameter group.
        names: of its entries that are looked at; their number of updates is looked at as well.

    Attributes:
        group: the parameter group.
        names: as given.
        values: of each of them.
    """

    def __init__(self, group: Group, names: tuple[str, ...]) -> None:
        self.group, self.names = group, names
        self.values = values = tuple(group[name] for name in names)
        self._found = itemgetter(*names, "updates")
        several = (value if type(value) in (list, tuple) else (value,) for value in values)
        single = [each for value in several for each in value]
        tensors = [each for each in single if isinstance(each, torch.Tensor)]
        self._lists = [Held.of(value) for value in values if type(value) is list]
        counts = not any(each.is_inference() for each in tensors)
        self._versions = [(each, each._version) for each in tensors] if counts else []
        # these cannot change, but for others in their place
        self._last = not self._lists and all(isinstance(each, _LASTING) for each in single)
        kinds = (*_LASTING, torch.Tensor)
        self._can_be_asked = counts and all(isinstance(each, kinds) for each in single)

    def hold(self, group: Group) -> bool:
        """Whether this group is that one and holds the same, and a number of updates."""
        try:
            *found, updates = self._found(group)
        except KeyError:
            return False
        return (
            group is self.group
            and type(updates) is int
            and updates >= 0
            and all(map(is_, found, self.values))
            and (self._last or self._are_unwritten())
        )

    def _are_unwritten(self) -> bool:
        """Whether nothing was written into the objects themselves, as far as one can ask them."""
        return (
            self._can_be_asked
            and all(each.holds() for each in self._lists)
            and all(each._version == version for each, version in self._versions)
        )


def checked(
    index: int,
    group: Group,
    parts: Callable[[Group], Sequence[Part]],
    words: Sequence[str],
    before: RightNumbers | None,
) -> RightNumbers:
    """What a group holds; what the constructor would not take is refused.

    Args:
        index: of the group.
        group: the parameter group.
        parts: of which it holds the numbers.
        words: entries beside these.
        before: what it held when it was last found right.

    Raises:
        ValueError: names the group, what is wrong with it and what was there before.
    """
    try:
        CHECKS["updates"](group["updates"])
        for name in words:
            if name in SWITCHES:
                SWITCHES[name](group[name])
        found = parts(group)
        for part in found:
            part.check_values(_on_host(part, group))
        names = (*words, *(name for part in found for name in part.defaults))
        return RightNumbers(group, tuple(dict.fromkeys(names)))
    except KeyError as error:
        reason = f"there is no entry {error} any more"
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error)
    raise ValueError(f"parameter group {index}: {reason}{_remedy(group, before)}") from None


def _on_host(part: Part, group: Group) -> Mapping[str, Any]:
    """A part's hyperparameters, without numbers on a device, which are not waited for."""
    values = {name: group[name] for name in part.defaults}
    away = [n for n, v in values.items() if isinstance(v, torch.Tensor) and not v.is_cpu]
    return values | {name: part.defaults[name] for name in away}


def _remedy(group: Group, before: RightNumbers | None) -> str:
    if before is None or before.group is not group:
        return ". Set the group right: the step has changed nothing"
    pairs = zip(before.names, before.values, strict=True)
    changed = [
        f"{name}={group.get(name)!r} instead of {old!r}"
        for name, old in pairs
        if group.get(name) is not old
    ]
    written = f": since then {' and '.join(changed)} was written into it" if changed else ""
    return f". The group was right before{written}. Set it right: the step has changed nothing"
