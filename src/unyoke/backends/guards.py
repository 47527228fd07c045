"""Whether what a step was prepared for is still there: the same parameters, gradients and state.

Everything that a program can do between two steps is legal, and nearly always nothing was done. So
each step asks, by identity and not by value: here in Python, and of a whole optimizer at once by
compiled code, in :mod:`unyoke.backends._native.guard_check`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import is_
from typing import Any, NamedTuple

import torch


class Contents(NamedTuple):
    """A list with the objects that it held; or a mapping with its values, in their order."""

    holder: Any
    objects: list[Any]

    @classmethod
    def of(cls, holder: list[Any] | Mapping[Any, Any]) -> Contents:
        """What it holds now."""
        return cls(holder, list(holder.values() if isinstance(holder, Mapping) else holder))

    def hold(self) -> bool:
        """Whether it holds the same objects."""
        holder = self.holder
        return same_objects(
            holder.values() if isinstance(holder, Mapping) else holder, self.objects
        )


class Entry(NamedTuple):
    """What a dictionary held under a name."""

    holder: dict[str, Any]
    name: str
    value: Any


@dataclass(frozen=True)
class Scene:
    """What was there.

    Attributes:
        contents: lists and mappings that must hold the same objects.
        entries: names under which the same objects must be found.
        weights: parameters, in an order that ``has_gradient`` shares.
        has_gradient: which of them must have one; the others must have none.
        placed: tensors, each with the address at which its memory must lie.
    """

    contents: Sequence[Contents] = ()
    entries: Sequence[Entry] = ()
    weights: Sequence[torch.Tensor] = ()
    has_gradient: Sequence[bool] = ()
    placed: Sequence[tuple[torch.Tensor, int]] = ()

    def holds(self) -> bool:
        """Whether it is there still."""
        return (
            all(contents.hold() for contents in self.contents)
            and [weight.grad is not None for weight in self.weights] == [*self.has_gradient]
            and all(holder.get(name) is value for holder, name, value in self.entries)
            and all(tensor.data_ptr() == address for tensor, address in self.placed)
        )

    @classmethod
    def joined(cls, scenes: Sequence[Scene]) -> Scene:
        """All of them at once."""
        return cls(
            [each for scene in scenes for each in scene.contents],
            [each for scene in scenes for each in scene.entries],
            [each for scene in scenes for each in scene.weights],
            [each for scene in scenes for each in scene.has_gradient],
            [each for scene in scenes for each in scene.placed],
        )


def same_objects(one: Collection[Any], other: Collection[Any]) -> bool:
    """Whether two collections hold the same objects; ``==`` would compare tensors by value."""
    return len(one) == len(other) and all(map(is_, one, other))
