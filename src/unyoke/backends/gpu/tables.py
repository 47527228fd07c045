"""Tables for a kernel: which chunk of which tensor a program updates, and where tensors lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unyoke.backends import layout

if TYPE_CHECKING:
    from unyoke.backends.gpu.source import Recipe

Table = NDArray[np.int64]

PROGRAMS = 1 << 14
"""Chunks become larger than a block only above this many: enough for every multiprocessor."""


@dataclass(frozen=True)
class Shape:
    """How a kernel goes through a chunk.

    Attributes:
        block: elements that a program moves at once: 8 to a thread, so that 2-byte formats fill 16
            bytes.
        lanes: threads of a program, and elements it moves at once where they are not aligned.
        most: blocks in a chunk at most; what a program does once is shared by as many.
    """

    block: int
    lanes: int
    most: int = 1

    @property
    def warps(self) -> int:
        return self.lanes // 32


def shape(recipe: Recipe) -> Shape:
    """The fastest as measured (docs/gpu.md).

    Plain formats are bound by memory, and blocks of their own are as good as it gets. 8-bit state
    is bound by arithmetic, of which a program that does several blocks saves some.
    """
    return Shape(2048, 256, 8) if recipe.blocked else Shape(1024, 128)


def chunks(lengths: Sequence[int], sets: Sequence[int], shape: Shape, models: int = 1) -> Table:
    """A row for each program: tensor, first element, number of elements, set of coefficients.

    Args:
        lengths: elements of each tensor.
        sets: the set of coefficients of each tensor.
        shape: of the kernel.
        models: K of tensors that stack K models, whose sets are K consecutive rows; else 1.

    Chunks are whole blocks except where a tensor or a model ends.
    """
    size = shape.block * max(1, min(shape.most, sum(lengths) // (shape.block * PROGRAMS)))
    rows = layout.chunks(np.asarray(lengths, np.int64), models, size)
    rows[:, 3] += np.asarray(sets, np.int64)[rows[:, 0]] * models
    return rows
