"""State of a parameter that torch has sharded (a DTensor): of which this process holds a part.

Formats work on what lies in memory here: the blocks of 8-bit state begin anew in each shard. Codes
and their like are DTensors in the placements of the weight; the scales of a shard's blocks are an
ordinary tensor of this process, and no checkpoint holds them (see :func:`portable`).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

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


class Place(NamedTuple):
    """Where the elements of a tensor stand in the whole parameter, as random bits count.

    Element i, in the order of memory, stands at ``first + i + i // run * gap``.

    Attributes:
        first: the place of the first element.
        run: how many elements follow each other without a gap; any number if ``gap`` is 0.
        gap: how many elements of the whole lie between two runs.
    """

    first: int = 0
    run: int = 1
    gap: int = 0


WHOLE = Place()
"""That of a parameter's own elements."""


def place(tensor: torch.Tensor) -> Place:
    """Where what this process holds of a parameter stands in the whole."""
    if not is_sharded(tensor) or not tensor.numel():
        return WHOLE
    in_memory = sorted(range(tensor.dim()), key=lambda axis: -tensor.stride()[axis])
    sides = (tensor.shape, *_local_part(tensor))
    return place_of(*([side[axis] for axis in in_memory] for side in sides))


def _local_part(whole: Any) -> tuple[Sequence[int], Sequence[int]]:
    """The shape of what this process has of a DTensor, and where that begins in the whole."""
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    found: tuple[Any, Any] = compute_local_shape_and_global_offset(
        whole.shape, whole.device_mesh, whole.placements
    )
    return found


def place_of(whole: Sequence[int], part: Sequence[int], start: Sequence[int]) -> Place:
    """Where a part stands that is cut out of the whole at ``start``, both row by row in memory.

    Cut along its first dimension, as FSDP does it, it is one run of elements. Along another one,
    alone or with the first, it has as many runs as rows up to there. Along two others, for which
    there is no such rule, the parts count as if they followed each other, so that no two elements
    have one place.
    """
    cut = [axis for axis, size in enumerate(part) if size != whole[axis]]
    inner = [axis for axis in cut if axis > 0]
    if len(inner) > 1:
        return Place(
            sum(
                begin * math.prod(part[:axis]) * math.prod(whole[axis + 1 :])
                for axis, begin in enumerate(start)
            )
        )
    first = sum(begin * math.prod(whole[axis + 1 :]) for axis, begin in enumerate(start))
    if not inner:
        return Place(first)
    run = math.prod(part[inner[0] :])
    return Place(first, run, math.prod(whole[inner[0] :]) - run)
