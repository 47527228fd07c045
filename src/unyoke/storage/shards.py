"""State of a parameter that torch has sharded (a DTensor): of which this process holds a part.

Formats work on what lies in memory here: the blocks of 8-bit state begin anew in each shard. Codes
and their like are DTensors in the placements of the weight; the scales of a shard's blocks are an
ordinary tensor of this process, and no checkpoint holds them (see :func:`portable`).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import torch

MODULE = "torch.distributed.tensor"
"""Where DTensors are from; whoever has one has imported it, which takes longer than torch."""


def is_sharded(tensor: Any) -> bool:
    """Whether this is a DTensor."""
    if type(tensor) is torch.Tensor or type(tensor) is torch.nn.Parameter:
        return False
    module = sys.modules.get(MODULE)
    return module is not None and isinstance(tensor, module.DTensor)


def local(tensor: torch.Tensor) -> torch.Tensor:
    """What of a tensor lies in this process's memory: the same object at each call."""
    return tensor._local_tensor if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def sharded_like(part: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """A DTensor of this part, in the placements of another of the same shape."""
    made: torch.Tensor = _sharded(part, whole, whole.shape, whole.stride())
    return made


def gathered(part: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """The whole tensor of which every process has a part, cut as another is along its rows.

    It has the other's columns, or, where the part has another number of them, that many.
    """
    columns = whole.shape[1:] if part.shape == local(whole).shape else part.shape[1:]
    shape = torch.Size((whole.shape[0], *columns))
    made = _sharded(part, whole, shape, torch.empty(shape, device="meta").stride())
    full: torch.Tensor = made.full_tensor()
    return full


def _sharded(part: torch.Tensor, whole: Any, shape: torch.Size, stride: tuple[int, ...]) -> Any:
    """A DTensor of this shape, of which every process has a part, in the placements of another."""
    mesh, placements = whole.device_mesh, whole.placements
    from_local = sys.modules[MODULE].DTensor.from_local
    return from_local(part, mesh, placements, run_check=False, shape=shape, stride=stride)


def cut(full: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """What this process has of a whole tensor that is cut as another is: a view."""
    shape, start = _local_part(whole)
    places = [slice(b, b + n) for b, n in zip(start, shape, strict=True)]
    return full[tuple(places if full.shape == whole.shape else places[:1])]


def is_flat(tensor: torch.Tensor) -> bool:
    """Whether FSDP1 has put this parameter (or a view of a part of it) into a flat one."""
    return getattr(tensor, "_fsdp_flattened", False) is True


def first_place(tensor: torch.Tensor) -> int:
    """Where a shard's first element stands in the whole parameter, as random bits count.

    Cut along its first dimension, as FSDP does it, a shard is a row of consecutive elements, and
    each has its own place. Along another the shards follow each other in some order, so that no two
    elements have one place; replicas have the same.
    """
    if not is_sharded(tensor) or not tensor.numel():
        return 0
    return place_of(tensor.shape, *_local_part(tensor))


def _local_part(whole: Any) -> tuple[Sequence[int], Sequence[int]]:
    """The shape of what this process has of a DTensor, and where that begins in the whole."""
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    found: tuple[Any, Any] = compute_local_shape_and_global_offset(
        whole.shape, whole.device_mesh, whole.placements
    )
    return found


def place_of(whole: Sequence[int], part: Sequence[int], start: Sequence[int]) -> int:
    """The number of elements that come before a part, cut out of the whole at ``start``.

    Along the first dimension these are whole slices; within such a slice, rows of the part; ….
    """
    return sum(
        begin * math.prod(part[:axis]) * math.prod(whole[axis + 1 :])
        for axis, begin in enumerate(start)
    )
