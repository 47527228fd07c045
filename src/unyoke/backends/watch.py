"""Whether what a step was prepared for is still there: the same parameters, gradients and state.

Everything that a program can do between two steps is legal, and nearly always nothing was done. So
each step asks, by identity and not by value: here in Python, and where compiled code can ask
instead, by :mod:`unyoke.backends.cpu.watch`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from operator import is_
from typing import Any, NamedTuple

import torch


class Entry(NamedTuple):
    """A tensor in a state, and under which name it was found there."""

    state: dict[str, Any]
    name: str
    tensor: torch.Tensor


class Watch:
    """Watches a parameter group.

    Args:
        params: the group's parameters.
        weights: those that have a gradient.
        entries: the tensors in their states.
    """

    def __init__(
        self,
        params: Sequence[torch.Tensor],
        weights: Sequence[torch.Tensor],
        entries: Sequence[Entry],
    ) -> None:
        with_gradient = {id(weight) for weight in weights}
        self._params = list(params)
        self._has_gradient = [id(weight) in with_gradient for weight in params]
        self._entries = entries

    def holds(self, params: Sequence[torch.Tensor]) -> bool:
        """Whether these are the parameters, the same have a gradient, and the state lives on."""
        return (
            same_objects(params, self._params)
            and [weight.grad is not None for weight in params] == self._has_gradient
            and all(state.get(name) is tensor for state, name, tensor in self._entries)
        )


class Values:
    """Watches which objects a mapping holds, in their order."""

    def __init__(self, mapping: Mapping[Any, Any] | None = None) -> None:
        self._values = list(mapping.values()) if mapping else []

    def hold(self, mapping: Mapping[Any, Any]) -> bool:
        """Whether the values are the same objects."""
        return same_objects(mapping.values(), self._values)


def same_objects(one: Collection[Any], other: Collection[Any]) -> bool:
    """Whether two collections hold the same objects; ``==`` would compare tensors by value."""
    return len(one) == len(other) and all(map(is_, one, other))
