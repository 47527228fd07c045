"""In which order a tensor's elements lie in memory: what a flat loop must know of strides."""

from __future__ import annotations

from collections.abc import Iterator

import torch


def _steps(tensor: torch.Tensor) -> Iterator[tuple[int, int]]:
    """(stride, size) of the dimensions in which there is a second element."""
    return (
        (stride, size)
        for stride, size in zip(tensor.stride(), tensor.shape, strict=True)
        if size != 1
    )


def same_order(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors of one shape keep their elements in the same order."""
    return one.stride() == other.stride() or list(_steps(one)) == list(_steps(other))


def is_dense(tensor: torch.Tensor) -> bool:
    """Whether the elements lie side by side, in any order, each once."""
    expected = 1
    for stride, size in sorted(_steps(tensor)):
        if stride != expected and tensor.numel():
            return False
        expected *= size
    return True


def lacks_memory(tensor: torch.Tensor) -> str | None:
    """What a strided tensor's storage lacks, after ``untyped_storage().resize_``; None if nothing.

    torch does not ask: it would read and write past the storage's end.
    """
    held = tensor.untyped_storage().nbytes()
    if not tensor.numel():
        return None
    last = sum(stride * (size - 1) for stride, size in _steps(tensor))
    needed = (tensor.storage_offset() + last + 1) * tensor.element_size()
    if held >= needed:
        return None
    return (
        f"has a storage of {held} bytes and needs {needed}: was it resized "
        "(untyped_storage().resize_)? Give it its memory back before the step"
    )


def stack_objection(weight: torch.Tensor, models: int) -> str | None:
    """Why the models of a stack do not lie in memory one after the other."""
    if weight.dim() == 0 or weight.shape[0] != models:
        return f"coefficients for {models} models, and a parameter of shape {tuple(weight.shape)}"
    if models > 1 and weight.numel() and weight.stride(0) != weight.numel() // models:
        return f"a stack of shape {tuple(weight.shape)} has strides {weight.stride()}"
    return None
