"""Tables for a kernel: which chunk of which tensor a program updates, and where tensors lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.int64]

BLOCK = 1024
"""Elements that a program moves at once: 8 to a thread, so that 2-byte formats fill 16 bytes."""


def chunks(lengths: Sequence[int], sets: Sequence[int], models: int = 1) -> Table:
    """A row for each program: tensor, first element, number of elements, set of coefficients.

    Args:
        lengths: elements of each tensor.
        sets: the set of coefficients of each tensor.
        models: K of tensors that stack K models, whose sets are K consecutive rows; else 1.

    A chunk is BLOCK elements except where a tensor or a model ends.
    """
    size = BLOCK
    tensors = np.repeat(np.arange(len(lengths)), models)
    own = np.asarray(lengths, np.int64)[tensors] // models
    model = np.tile(np.arange(models), len(lengths))
    pieces = -(-own // size)
    which = np.repeat(np.arange(len(own)), pieces)
    within = (np.arange(len(which)) - np.repeat(np.cumsum(pieces) - pieces, pieces)) * size
    columns = (
        tensors[which],
        model[which] * own[which] + within,
        np.minimum(size, own[which] - within),
        np.asarray(sets, np.int64)[tensors[which]] * models + model[which],
    )
    return np.ascontiguousarray(np.stack(columns, axis=1), np.int64)
