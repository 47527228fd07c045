"""Where a launch's tensors are, looked up anew at each step: by compiled code if it can be had.

The host's compiled code reads torch's own record of a tensor, wherever its memory is. Asking a
tensor from Python takes more time than its update.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch

from unyoke.backends._native.availability import unable
from unyoke.backends.base import Gradients


class DataPointers(Protocol):
    """The columns of a launch, as ``Located`` of the native readers has them."""

    @property
    def check(self) -> tuple[int, int] | None: ...
    @property
    def moves(self) -> int: ...
    def holds(self) -> bool: ...
    def readable(self) -> bool: ...


def find(columns: Sequence[Sequence[torch.Tensor]], addresses: Any) -> DataPointers:
    """What writes the tensors' addresses.

    Args:
        columns: weights, gradients, then state.
        addresses: int64, a row for each column and an entry for each parameter.
    """
    if unable() is None:
        from unyoke.backends._native.data_pointers import Described, Located

        located = Located(Described.of(columns), addresses, {})
        if located.holds():
            return located
    asked = Asked(columns, addresses)
    asked.holds()
    return asked


class Asked:
    """Asks each tensor from Python.

    Args:
        columns: weights, gradients, then state.
        addresses: where to write.

    Attributes:
        check: there is none for compiled code.
        moves: a number that has grown if anything has moved.
    """

    check = None

    def __init__(self, columns: Sequence[Sequence[torch.Tensor]], addresses: Any) -> None:
        weights, _, *states = columns
        self._columns = [weights, Gradients(weights), *states]
        self._addresses = addresses
        self._described = self._describe()
        self.moves = 0

    def holds(self) -> bool:
        """Write where everything is; False if anything is not what it was, but for its place."""
        if self._describe() != self._described:
            return False
        found = [[tensor.data_ptr() for tensor in column] for column in self._columns]
        if found != self._addresses.tolist():
            self._addresses[:] = found
            self.moves += 1
        return True

    def readable(self) -> bool:
        """Nothing is left out of :meth:`holds`."""
        return True

    def _describe(self) -> list[tuple[Any, ...]]:
        return [
            (
                *(tensor.device, tensor.layout, tensor.dtype, tensor.shape),
                *(tensor.stride(), tensor.is_neg(), tensor.is_conj()),
            )
            for column in self._columns
            for tensor in column
        ]
