"""Where a launch's tensors are, looked up anew at each step: by compiled code if it can be had.

The host's compiled code reads torch's own record of a tensor, wherever its memory is. Asking a
tensor from Python takes more time than its update.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from unyoke.backends._native.asked import Asked, DataPointers, described
from unyoke.backends._native.availability import unable
from unyoke.backends.base import Gradients


def find(columns: Sequence[Sequence[torch.Tensor]], addresses: Any) -> DataPointers:
    """What writes the tensors' addresses.

    Args:
        columns: weights, gradients, then state.
        addresses: int64, a row for each column and an entry for each parameter.
    """
    if unable() is None:
        from unyoke.backends._native import data_pointers

        located = data_pointers.find(data_pointers.Described.of(columns), addresses)
        if located.holds():
            return located
    weights, _, *states = columns
    facts = [[described(tensor) for tensor in column] for column in columns]
    asked = Asked([weights, Gradients(weights), *states], facts, addresses)
    asked.holds()
    return asked
