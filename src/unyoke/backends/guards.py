"""Guards: what must still be so for a captured step to be true, the same objects in their places.

Everything that a program can do between two steps is legal, and nearly always nothing was done. So
each step looks, by identity and not by value: here in Python, and at a whole optimizer at once by
compiled code, in :mod:`unyoke.backends._native.replay_call`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import is_
from typing import Any, NamedTuple

import torch


class Held(NamedTuple):
    """A list with the objects that it held; or a mapping with its values, in their order."""

    holder: Any
    objects: list[Any]

    @classmethod
    def of(cls, holder: list[Any] | Mapping[Any, Any]) -> Held:
        """What it holds now."""
        return cls(holder, list(holder.values() if isinstance(holder, Mapping) else holder))

    def holds(self) -> bool:
        """Whether it holds the same objects."""
        holder = self.holder
        return same_objects(
            holder.values() if isinstance(holder, Mapping) else holder, self.objects
        )


class Entries(NamedTuple):
    """What some dictionaries held under a name."""

    name: str
    holders: Sequence[dict[str, Any]]
    values: Sequence[Any]

    def hold(self) -> bool:
        """Whether they hold the same objects."""
        return all(map(is_, map(dict.get, self.holders, repeat(self.name)), self.values))


class Placed(NamedTuple):
    """Tensors, and the address at which the memory of each lay."""

    tensors: Sequence[torch.Tensor]
    addresses: Sequence[int]

    @classmethod
    def of(cls, tensors: Sequence[torch.Tensor]) -> Placed:
        """Where they lie now."""
        return cls(tensors, [each.data_ptr() for each in tensors])

    def hold(self) -> bool:
        """Whether they lie there still."""
        pairs = zip(self.tensors, self.addresses, strict=True)
        return all(each.data_ptr() == address for each, address in pairs)


@dataclass(frozen=True)
class Guards:
    """What a step depends on, but for numbers.

    Attributes:
        contents: lists and mappings that must hold the same objects.
        entries: what must be found under names.
        without_gradient: parameters that must have none.
        placed: tensors whose memory must lie where it lay.
    """

    contents: Sequence[Held] = ()
    entries: Sequence[Entries] = ()
    without_gradient: Sequence[torch.Tensor] = ()
    placed: Sequence[Placed] = ()

    def holds(self) -> bool:
        """Whether all of it is still so."""
        return (
            all(contents.holds() for contents in self.contents)
            and all(weight.grad is None for weight in self.without_gradient)
            and all(entries.hold() for entries in self.entries)
            and all(placed.hold() for placed in self.placed)
        )

    @classmethod
    def joined(cls, several: Sequence[Guards]) -> Guards:
        """All of them at once."""
        return cls(
            [each for guards in several for each in guards.contents],
            [each for guards in several for each in guards.entries],
            [each for guards in several for each in guards.without_gradient],
            [each for guards in several for each in guards.placed],
        )


def same_objects(one: Collection[Any], other: Collection[Any]) -> bool:
    """Whether two collections hold the same objects; ``==`` would compare tensors by value."""
    return len(one) == len(other) and all(map(is_, one, other))
