"""Data pointers that Python asks each tensor for: slow, right wherever torch works.

Nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


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
        facts = [[*map(described, column)] for column in self._columns]
        if facts != self._facts or any(None in column for column in facts):
            return False
        found = [[tensor.data_ptr() for tensor in column] for column in self._columns]
        if found != self._addresses.tolist():
            self._addresses[:] = found
            self.moves += 1
        return True


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
