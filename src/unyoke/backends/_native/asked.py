"""Data pointers, and those that Python asks each tensor for: slow, right wherever torch works.

Nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import torch


class DataPointers(Protocol):
    """Writes the addresses of tensors, and looks whether all else is as it was.

    Attributes:
        check: for compiled code to ask what :meth:`holds` asks: whom, and about what; None where
            only Python can.
        moves: a number that has grown if anything has moved.
    """

    @property
    def check(self) -> tuple[int, int] | None: ...
    @property
    def moves(self) -> int: ...
    def holds(self) -> bool:
        """Write where everything is; False if anything is not what it was, but for its place."""


class Asked:
    """Data pointers of some parameters' tensors.

    Args:
        columns: weights, gradients and states.
        facts: what :func:`described` says of weights, gradients and states, column by column.
        addresses: where to write: a row for each column, an entry for each parameter.
    """

    check = None

    def __init__(
        self,
        columns: Sequence[Sequence[torch.Tensor]],
        facts: Sequence[Sequence[Any]],
        addresses: Any,
    ) -> None:
        self._columns = columns
        self._facts = facts
        self._addresses = addresses
        self.moves = 0

    def holds(self) -> bool:
        """Write where everything is; False if anything is not what it was, but for its place."""
        facts = [[described(tensor) for tensor in column] for column in self._columns]
        if facts != self._facts or any(None in column for column in facts):
            return False
        found = [[tensor.data_ptr() for tensor in column] for column in self._columns]
        if found != self._addresses.tolist():
            self._addresses[:] = found
            self.moves += 1
        return True


def checks_of(pointers: Iterable[DataPointers]) -> list[tuple[int, int]] | None:
    """For compiled code to ask whether tensors are as they were; None where Python has to."""
    checks = [each.check for each in pointers]
    return None if None in checks else [each for each in checks if each is not None]


def described(tensor: torch.Tensor | None) -> tuple[Any, ...] | None:
    """What kernels rely on; None of no tensor, and of one whose storage ends too early."""
    if tensor is None or tensor.layout is not torch.strided:
        return None
    elements = tensor.storage_offset() + tensor.numel()  # kernels take no gaps
    needed = tensor.element_size() * elements if tensor.numel() else 0
    if tensor.untyped_storage().nbytes() < needed:
        return None
    return (
        *(tensor.device, tensor.dtype, tensor.shape, tensor.stride()),
        *(tensor.is_neg(), tensor.is_conj()),
    )
