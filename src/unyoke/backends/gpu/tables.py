"""Tables for a kernel: which chunk of which tensor a program updates, and where tensors lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.int64]

PROGRAMS = 1 << 14
"""Chunks become larger than a block only above this many: enough for every multiprocessor."""


def chunks(
    lengths: Sequence[int], sets: Sequence[int], block: int, most: int, models: int = 1
) -> Table:
    """A row for each program: tensor, first element, number of elements, set of coefficients.

    Args:
        lengths: elements of each tensor.
        sets: the set of coefficients of each tensor.
        block: elements that a program moves at once.
        most: blocks in a chunk at most.
        models: K of tensors that stack K models, whose sets are K consecutive rows; else 1.

    Chunks are whole blocks except where a tensor or a model ends.
    """
    size = block * max(1, min(most, sum(lengths) // (block * PROGRAMS)))
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
