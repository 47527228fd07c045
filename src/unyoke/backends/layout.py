"""Whether a parameter's tensors can be run through by a flat loop over memory, and its pieces."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unyoke.backends.base import Work
from unyoke.backends.element import Recipe, real
from unyoke.storage import fit
from unyoke.storage.encodings import BLOCK


def objection(
    work: Work,
    index: int,
    recipe: Recipe,
    dtypes: Container[torch.dtype],
    models: int | None,
) -> str | None:
    """Why a kernel cannot run through a parameter's tensors; None if it can.

    Args:
        work: what is to be done.
        index: of the parameter.
        recipe: of the kernel.
        dtypes: that the kernels of a backend take.
        models: of the work, which looks for them in all of its coefficients.
    """
    weight = work.weights[index]
    shape, label = weight.shape, work.label(index)
    scaled = [column.name for column in recipe.blocked]
    if reason := fit.companion_objection(weight, work.states[index], scaled, work.rounding):
        return f"{label} {reason}"
    tensors = recipe.tensors(work, index)
    for column, tensor in zip(recipe.columns, tensors, strict=False):  # scales have been asked
        if reason := _unreadable(tensor, weight.device, dtypes):
            return f"the {column.name} of {label} {reason}"
        if tensor is weight and not is_dense(weight):
            return f"{label} has gaps: strides {weight.stride()}"
        if tensor.shape != shape:
            return f"{label} has a {column.name} of shape {tuple(tensor.shape)}"
        if not same_order(weight, tensor):
            return (
                f"{label} has strides {weight.stride()}, its {column.name} "
                f"{tensor.stride()}: a kernel needs one order"
            )
    for column, scales in zip(recipe.blocked, tensors[len(recipe.columns) :], strict=True):
        if reason := fit.no_address(scales):
            return f"the scales of the {column.name} of {label} {reason}"
    if models is None:
        return None
    if recipe.blocked and models > 1 and weight.numel() // models % BLOCK:
        return f"in a stack of shape {shape} two models share a block of 8-bit state"
    return stack_objection(weight, models)


def _unreadable(
    tensor: torch.Tensor, device: torch.device, dtypes: Container[torch.dtype]
) -> str | None:
    if type(tensor).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        return f"is a {type(tensor).__name__}"
    if tensor.layout is not torch.strided:
        return f"is {tensor.layout}"
    if tensor.device != device:
        return f"is on {tensor.device}"
    if real(tensor.dtype) not in dtypes:
        return f"is {tensor.dtype}"
    if tensor.is_neg() or tensor.is_conj():
        return "is a view that is lazily negated or conjugated"
    return fit.no_address(tensor)


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


def chunks(
    elements: NDArray[np.int64], models: int, most: int
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Rows of tensor, first element, number of elements, and model; each model begins a row.

    Args:
        elements: of each tensor.
        models: how many of them a tensor stacks.
        most: elements of a row.
    """
    sizes = elements // models
    pieces = -(-sizes // most)
    count = pieces * models
    tensor = np.repeat(np.arange(len(sizes)), count)
    place = np.arange(len(tensor)) - np.repeat(np.cumsum(count) - count, count)
    model, piece = np.divmod(place, pieces[tensor])
    size, start = sizes[tensor], piece * most
    columns = (tensor, model * size + start, np.minimum(most, size - start), model)
    return np.ascontiguousarray(np.stack(columns, axis=1), np.int64)


def stack_objection(weight: torch.Tensor, models: int) -> str | None:
    """Why the models of a stack do not lie in memory one after the other."""
    if weight.dim() == 0 or weight.shape[0] != models:
        return f"coefficients for {models} models, and a parameter of shape {tuple(weight.shape)}"
    if models > 1 and weight.numel() and weight.stride(0) != weight.numel() // models:
        return f"a stack of shape {tuple(weight.shape)} has strides {weight.stride()}"
    return None
