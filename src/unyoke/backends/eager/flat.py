"""Element-wise rules over flat memory: small tensors gathered, large ones piece by piece.

Each operation of a formula has a price, and so has each number that it leaves in memory. So the
small tensors of a group are copied into one, and the formula runs once for many; a large tensor is
run through in pieces, whose intermediate results stay in the cache. An element's result does not
depend on its neighbours, so the bits are those of the formula on each tensor by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import torch
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors

from unyoke.backends.base import Work
from unyoke.backends.eager.in_place import beside_elements, in_place, lent
from unyoke.backends.layout import is_dense, same_order
from unyoke.storage import formats

# Measured with AdamW. On a CPU a piece is for each thread (torch shares out what is longer), and
# its intermediate results fit into the second level of cache. Elsewhere pieces only bound the
# memory that these take, and copying is cheap beside the start of an operation.
SMALL, PIECE = 1 << 13, 1 << 16
SMALL_ELSEWHERE, PIECE_ELSEWHERE = 1 << 20, 1 << 24
OFTEN = 16

PLAIN = (torch.Tensor, torch.nn.Parameter)
"""Types of tensors that are nothing but memory."""

Tensors: TypeAlias = Sequence[torch.Tensor]

Update: TypeAlias = Callable[[Work], None]
"""Updates some tensors of a work together."""

# What DistributedDataParallel puts its buckets together with; in Python it takes twice as long
_flatten: Callable[[Tensors], torch.Tensor] = _flatten_dense_tensors
_unflatten: Callable[[torch.Tensor, Tensors], Tensors] = _unflatten_dense_tensors


class SmallAlike(NamedTuple):
    """What tensors must have in common for the formula to run once for all of them."""

    which: int
    device: torch.device
    dtypes: tuple[torch.dtype, ...]
    shape: torch.Size | None  # None: whatever


def _update_gathered(which: int, indices: Sequence[int], alike: bool, work: Work) -> None:
    """Update small tensors: copied together into one, and back.

    Args:
        which: the index of their coefficients.
        indices: their places in the work.
        alike: whether all have one shape, which makes it quicker.
        work: what is done.
    """
    weights, grads, *states = zip(*(_tensors_of(work, index) for index in indices), strict=True)
    together = [(torch.stack if alike else _flatten)(each) for each in (weights, grads, *states)]
    results = _updater(work, which)(*together)
    for column, result in zip((weights, *states), results, strict=True):
        apart = result.unbind() if alike else _unflatten(result, column)
        torch._foreach_copy_(column, list(apart))


def _update_in_pieces(which: int, index: int, work: Work) -> None:
    """Update a large tensor, piece by piece as it lies in memory.

    Args:
        which: the index of its coefficients.
        index: its place in the work.
        work: what is done.
    """
    tensors = _tensors_of(work, index)
    size = _piece(tensors[0].device)
    many = tensors[0].is_cpu and tensors[0].numel() > 2 * size
    update = _updater(work, which, wrap=many)
    cuts = [torch.split(formats.in_memory(tensor), size) for tensor in tensors]
    for weight, grad, *state in zip(*cuts, strict=True):
        results = update(weight, lent(weight, grad), *state)
        for tensor, result in zip((weight, *state), results, strict=True):
            if result is not tensor:
                tensor.copy_(result)


def _tensors_of(work: Work, index: int) -> Tensors:
    """A parameter's weight, gradient and state, in the rule's order."""
    state = work.states[index]
    return (work.weights[index], work.grads[index], *(state[name] for name in work.rule.state))


def divide(work: Work) -> tuple[list[Update], list[int]]:
    """What can be run through as flat memory, and the places of the tensors that cannot."""
    if work.rule.scope != "element" or work.differentiable or work.rounding != "nearest":
        return [], list(range(len(work.weights)))
    cuts: list[Update] = []
    alone: list[int] = []
    small: dict[SmallAlike, list[int]] = {}
    for index in range(len(work.weights)):
        which = 0 if work.which is None else work.which[index]
        tensors = _tensors_of(work, index)
        weight = tensors[0]
        if not _fits(work.coefficients[which], tensors):
            alone.append(index)
        elif weight.numel() <= (SMALL if weight.device.type == "cpu" else SMALL_ELSEWHERE):
            dtypes = tuple(tensor.dtype for tensor in tensors)
            kind = SmallAlike(which, weight.device, dtypes, weight.shape)
            small.setdefault(kind, []).append(index)
        elif is_dense(weight) and all(same_order(weight, tensor) for tensor in tensors):
            cuts.append(partial(_update_in_pieces, which, index))
        else:
            alone.append(index)
    return [*_gathered(work, small), *cuts], alone


def _gathered(work: Work, small: Mapping[SmallAlike, Sequence[int]]) -> Iterator[Update]:
    """Small tensors in portions; a shape that only a few have is not worth a run of its own."""
    kinds: dict[SmallAlike, list[int]] = {}
    for kind, indices in small.items():
        shape = kind.shape if len(indices) >= OFTEN else None
        kinds.setdefault(kind._replace(shape=shape), []).extend(indices)
    for kind, indices in kinds.items():
        for portion in _portions(work, indices, 2 * _piece(kind.device)):
            yield partial(_update_gathered, kind.which, portion, kind.shape is not None)


def _fits(coefficients: dict[str, Any], tensors: Tensors) -> bool:
    """Whether a parameter's tensors can be seen as flat memory, and its coefficients as numbers."""
    weight = tensors[0]
    numbers = [value for value in coefficients.values() if isinstance(value, torch.Tensor)]
    return (
        all(type(tensor) in PLAIN for tensor in tensors)
        and all(tensor.layout is torch.strided for tensor in tensors)
        and all(tensor.shape == weight.shape for tensor in tensors)
        and all(tensor.device == weight.device for tensor in tensors)
        and all(tensor.is_floating_point() for tensor in tensors)
        and all(tensor.dtype is not torch.bfloat16 for tensor in tensors[2:])  # rounded its own way
        and all(number.dim() == 0 for number in numbers)
        and not (weight.dim() == 0 and numbers)  # which of two 0-d tensors gives the dtype?
        and weight.numel() > 0
    )


def _portions(work: Work, indices: Sequence[int], most: int) -> Iterator[list[int]]:
    """As many tensors together as have ``most`` elements."""
    portion: list[int] = []
    count = 0
    for index in indices:
        size = work.weights[index].numel()
        if portion and count + size > most:
            yield portion
            portion, count = [], 0
        portion.append(index)
        count += size
    yield portion


def _piece(device: torch.device) -> int:
    """How many elements the formula runs over at once."""
    return PIECE * torch.get_num_threads() if device.type == "cpu" else PIECE_ELSEWHERE


def _updater(work: Work, which: int, wrap: bool = False) -> Callable[..., Tensors]:
    """Forms of weight, gradient and state the new weight and state, not yet rounded.

    In the memory of the old ones, unless these are of another dtype than the computation.

    Args:
        work: what is done.
        which: the index of the coefficients.
        wrap: whether numbers are put into tensors once, and not by torch at each operation.
    """
    update, maximize = in_place(work.rule), work.maximize
    named = {name: work.coefficients[which][name] for name in work.rule.coefficient_names}
    if wrap:
        for name in beside_elements(work.rule):
            if isinstance(named[name], float):
                named[name] = torch.tensor(named[name], dtype=torch.float64)
    numbers = [*named.values()]

    def updated(weight: torch.Tensor, grad: torch.Tensor, *state: torch.Tensor) -> Tensors:
        dtype = torch.promote_types(weight.dtype, torch.float32)
        value, g, *kept = (tensor.to(dtype) for tensor in (weight, grad, *state))
        update(value, -g if maximize else g, *kept, *numbers)
        return value, *kept

    return updated
