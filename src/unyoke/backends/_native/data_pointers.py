"""Where the tensors of a group lie in memory; looked up anew at each step.

Between two steps a parameter may be moved, resized or replaced (``p.data = …``), and gradients are
new tensors at each. Asking every tensor from Python would cost more than the update of a small
one, so compiled code reads torch's own record of it (:mod:`.tensor_layout`) and compares all that a
kernel relies on: dtype, device, layout, sizes, strides, and that the storage reaches to the last
element. The tensors may be a GPU's: only the host's record of them is read.
"""

from __future__ import annotations

import ctypes
import functools
import weakref
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
import torch

from unyoke.backends._native import c_calls, tensor_layout
from unyoke.backends._native.asked import Asked, described
from unyoke.backends._native.jit_cache import reader
from unyoke.backends._native.tensor_layout import INLINE, KIND, Places
from unyoke.backends.base import DataPointers, Gradients

Integers: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

# What the compiled function is told, by address: numbers and addresses in this order.
JOB = (
    *("tensors", "buffers", "handles", "facts", "addresses", "across", "along"),
    *("versions", "shared", "moves"),
)
TENSORS, VERSIONS, MOVES = (JOB.index(name) for name in ("tensors", "versions", "moves"))


@functools.cache
def text() -> str:
    """The compiled function, for this torch; it answers 1 if a tensor is not as described."""
    places = tensor_layout.places()
    return "@compiled\ndef run(job):\n    return 1\n" if places is None else _text(places)


# A tensor is three or four lines of the cache and its storage another, and to wait for one takes
# longer than to look at it. So they are brought near some parameters ahead, as one names the next:
# handles 12 ahead, tensors 8, storages and what autograd knows 4, gradients 2. Beyond the last
# parameter the last one is named again, since what is followed on the way must exist.
# An address is the storage's memory plus the bytes of the elements that lie before the tensor.
def _text(p: Places) -> str:
    return f"""
@compiled
def bring(tensor):
    for offset in (16, 80, 144, 168):
        prefetch(tensor + offset)

@compiled
def run(job):
    ({", ".join(JOB)}) = ({", ".join(f"word_at(job, {k})" for k in range(len(JOB)))})
    for tensor in range(tensors):
        far, mid = min(tensor + 12, tensors - 1), min(tensor + 8, tensors - 1)
        near, next = min(tensor + 4, tensors - 1), min(tensor + 2, tensors - 1)
        prefetch(word_at(handles, far))
        bring(word_at(word_at(handles, mid), 0))
        weight = word_at(word_at(handles, near), 0)
        prefetch(word_at(weight, {p.storage}) + {8 * p.data})
        giver = word_at(word_at(handles, tensors + near), 0)
        prefetch(word_at(giver, {p.storage + 1}) + {8 * p.gradient})
        known = word_at(word_at(word_at(handles, tensors + next), 0), {p.storage + 1})
        if known != 0:
            bring(word_at(known, {p.gradient}))
        for buffer in range(2, buffers):
            bring(word_at(handles, buffer * tensors + far))
            place = word_at(handles, buffer * tensors + near)
            prefetch(word_at(place, {p.storage}) + {8 * p.data})
        weight = word_at(word_at(handles, tensor), 0)
        known = word_at(word_at(word_at(handles, tensors + tensor), 0), {p.storage + 1})
        if known == 0:
            return 1
        put_word(versions + 8 * tensor, word_at(weight, {p.version}))
        for buffer in range(buffers):
            row = buffer * tensors + tensor
            place, expected = word_at(handles, row), word_at(facts, row)
            if buffer == 0:
                place = weight
            elif buffer == 1:
                place = word_at(known, {p.gradient})
            if word_at(place, {p.kind}) & {KIND} != word_at(expected, 0):
                return 1
            if word_at(place, {p.keys}) != word_at(expected, 1):
                return 1
            dims = word_at(place, {p.sizes})
            if dims != word_at(expected, 2):
                return 1
            sizes, strides = place + {8 * p.sizes + 8}, {INLINE}
            if dims > {INLINE}:
                sizes, strides = word_at(sizes, 0), dims
            for k in range(dims):
                if word_at(sizes, k) != word_at(expected, 5 + k):
                    return 1
                if word_at(sizes, strides + k) != word_at(expected, 5 + dims + k):
                    return 1
            storage, size = word_at(place, {p.storage}), word_at(expected, 4)
            data = word_at(storage, {p.data})
            begin = word_at(expected, 3) * word_at(place, {p.offset})
            if size != 0 and (data == 0 or word_at(storage, {p.data + 4}) < begin + size):
                return 1
            if buffer != 1 and word_at(storage, {p.data + 1}) == shared:
                return 1
            entry = addresses + 8 * (buffer * across + tensor * along)
            if word_at(entry, 0) != data + begin:
                put_word(entry, data + begin)
                moves += 1  # at once: the next tensor may be another one
                put_word(job + {8 * MOVES}, moves)
    return 0
"""


@dataclass(frozen=True)
class Described:
    """The tensors of some parameters, column by column, as compiled code is told of them.

    Attributes:
        weights: the parameters.
        givers: the tensors whose gradients are meant, nearly always the parameters.
        states: columns of their state.
        handles: of each column's tensors; of weights and givers where their addresses are kept.
        facts: where the row is that each is compared with; where Python asks, what it says.
        elements: of each parameter.
        alive: what must live as long.
    """

    weights: Sequence[torch.Tensor]
    givers: Sequence[torch.Tensor]
    states: Sequence[Sequence[torch.Tensor]]
    handles: Integers
    facts: np.ndarray[Any, Any]
    elements: Integers
    alive: Any

    @classmethod
    def of(
        cls,
        columns: Sequence[Sequence[torch.Tensor]],
        givers: Sequence[torch.Tensor] | None = None,
        like: Sequence[int] | None = None,
    ) -> Self:
        """Those of these tensors.

        Args:
            columns: weights, gradients, then state, as a kernel reads them.
            givers: the tensors whose gradients these are; the weights unless given.
            like: per parameter the number of one that is taken to be like it, so that only that
                one is described; each is like itself unless given. What looks whether all is as
                described says if it is not so.
        """
        weights, _, *states = columns
        givers = weights if givers is None else givers
        asked, place = np.unique(range(len(weights)) if like is None else like, return_inverse=True)
        handles = np.zeros((len(columns), len(weights)), dtype=np.int64)
        rows: dict[tuple[Any, ...], array[int]] = {}
        places = tensor_layout.places()
        fact = described if places is None else functools.partial(_row, rows, places)
        facts = np.empty((len(columns), len(asked)), dtype=object if places is None else np.int64)
        for buffer, column in enumerate(columns):
            for number, row in enumerate(asked.tolist()):
                facts[buffer, number] = fact(column[row])
            handles[buffer] = [tensor._cdata for tensor in column]
        if places is not None:
            # Weights and gradients may be exchanged (p.data = …, a new p.grad): for these the
            # handle is where their C++ tensor is named, and not the tensor
            for buffer, holders in enumerate((weights, givers)):
                handles[buffer] = [id(holder) + 8 * places.tensor for holder in holders]
        elements = np.array([weights[row].numel() for row in asked.tolist()], dtype=np.int64)
        # torch.utils.swap_tensors would change what a handle means; it refuses this
        not_swapped = [weakref.ref(state) for column in states for state in column]
        return cls(
            *(weights, givers, states, handles),
            np.ascontiguousarray(facts[:, place]),
            elements[place],
            (rows, not_swapped),
        )

    def joined(self, other: Described) -> Described:
        """These parameters, then the other's."""
        return Described(
            [*self.weights, *other.weights],
            [*self.givers, *other.givers],
            [[*one, *more] for one, more in zip(self.states, other.states, strict=True)],
            np.concatenate((self.handles, other.handles), axis=1),
            np.concatenate((self.facts, other.facts), axis=1),
            np.concatenate((self.elements, other.elements)),
            (self.alive, other.alive),
        )

    def some(self, rows: Integers) -> Described:
        """Some of these parameters."""
        chosen = rows.tolist()
        return Described(
            [self.weights[row] for row in chosen],
            [self.givers[row] for row in chosen],
            [[column[row] for row in chosen] for column in self.states],
            self.handles.take(rows, axis=1),  # which leaves the words of a column side by side
            self.facts.take(rows, axis=1),
            self.elements[rows],
            self.alive,
        )


def _row(rows: dict[tuple[Any, ...], array[int]], places: Places, tensor: torch.Tensor) -> int:
    """Where what a tensor is compared with stands; those that are alike share it."""
    tensor.data_ptr()  # torch copies memory that a lazy copy shares
    bits = ctypes.string_at(tensor._cdata + 8 * places.kind, 16)
    sizes, strides = tensor.shape, tensor.stride()
    row = rows.get((bits, sizes, strides))
    if row is None:
        size, kind = tensor.element_size(), tensor_layout.kind_of(places, tensor)
        words = (*kind, len(sizes), size, size * tensor.numel(), *sizes, *strides)
        rows[bits, sizes, strides] = row = array("q", words)
    return row.buffer_info()[0]


def find(tensors: Described, addresses: Integers) -> DataPointers:
    """What writes the addresses of some parameters' tensors.

    Args:
        tensors: described.
        addresses: where to write: a row for each column, an entry for each parameter, with any
            strides.
    """
    if tensor_layout.places() is None:
        columns = [tensors.weights, Gradients(tensors.givers), *tensors.states]
        return Asked(columns, tensors.facts.tolist(), addresses)
    return Located(tensors, addresses)


class Located:
    """Data pointers that compiled code reads; the arguments are those of :func:`find`."""

    def __init__(self, tensors: Described, addresses: Integers) -> None:
        places = tensor_layout.places()
        assert places is not None
        self._versions = np.zeros(len(tensors.weights), dtype=np.int64)
        self._alive = tensors, addresses
        across, along = addresses.strides
        told = {
            "tensors": len(tensors.weights),
            "buffers": len(tensors.handles),
            "handles": tensors.handles.ctypes.data,
            "facts": tensors.facts.ctypes.data,
            "addresses": addresses.ctypes.data,
            "across": across // 8,
            "along": along // 8,
            "versions": self._versions.ctypes.data,
            "shared": places.shared,
        }
        self._job = array("q", [told.get(name, 0) for name in JOB])
        locate = reader(_text(places))
        self.check = locate, self._job.buffer_info()[0]
        self._moved = c_calls.bound(locate, self.check[1])

    @property
    def moves(self) -> int:
        return self._job[MOVES]

    def holds(self) -> bool:
        return not self._moved()
