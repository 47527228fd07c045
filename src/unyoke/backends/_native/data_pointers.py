"""Where the tensors of a group lie in memory; looked up anew at each step.

Between two steps a parameter may be moved, resized or replaced (``p.data = …``), and gradients are
new tensors at each. Asking every tensor from Python would cost more than the update of a small
one. So torch's C interface is asked, the one that ahead-of-time compiled models are linked with
and that stays as it is from version to version. Its handle of a tensor is the address of a
variable that holds the tensor's own address, ``_cdata``: a column of those is a column of handles.
The tensors may be a GPU's: only the host's record of them is read.
"""

from __future__ import annotations

import ctypes
import functools
import weakref
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import torch

from unyoke.backends._native import c_calls, tensor_layout
from unyoke.backends._native.reader import reader
from unyoke.backends.base import Gradients

TORCH_FUNCTIONS = (
    *("layout", "device_type", "device_index"),
    *("dtype", "dim", "sizes", "strides", "data_ptr"),
)
"""Of torch's C functions, in the order in which LOCATE has them."""

Integers: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

# What compiled functions are told of a group, by address: numbers and addresses in this order.
JOB = (
    *("addresses", "tensors", "chunks", "coefficients", "numbers"),  # for kernels
    *("buffers", "handles", "functions", "descriptions", "width", "gradient"),
    *("type_of_device", "device", "across", "along", "moves"),
)
COEFFICIENTS, MOVES = JOB.index("coefficients"), JOB.index("moves")

DEVICES = {"cpu": 0, "cuda": 1}
"""torch's own numbers of kinds of devices."""

LOCATE = f"""
@compiled
def run(job):
    ({", ".join(JOB)}) = ({", ".join(f"word_at(job, {k})" for k in range(len(JOB)))})
    layout, kind, index = word_at(functions, 0), word_at(functions, 1), word_at(functions, 2)
    dtype, dim, sizes = word_at(functions, 3), word_at(functions, 4), word_at(functions, 5)
    strides, data_ptr = word_at(functions, 6), word_at(functions, 7)
    for tensor in range(tensors):
        ahead = min(tensor + 4, tensors - 1)
        for buffer in range(buffers):
            nearby = word_at(handles, buffer * tensors + ahead)
            handle = handles + 8 * (buffer * tensors + tensor)
            if gradient != 0 and buffer < 2:
                nearby, handle = word_at(nearby, 0), word_at(handles, tensor)
                if buffer == 1:
                    nearby = word_at(invoke(gradient, (nearby,)), 0)
                    handle = invoke(gradient, (word_at(handle, 0),))
            for offset in (0, 64, 128):
                prefetch(nearby + offset)
            if layout != 0 and buffer <= 1 and ask(layout, handle) != 0:
                return 1
            if ask(kind, handle) != type_of_device:
                return 1
            if type_of_device != 0 and ask(index, handle) != device:
                return 1
            expected = descriptions + 8 * width * (buffer * tensors + tensor)
            if ask(dtype, handle) != word_at(expected, 0):
                return 1
            dims = ask(dim, handle)
            if dims != word_at(expected, 1):
                return 1
            size, stride = ask(sizes, handle), ask(strides, handle)
            elements = 1
            for k in range(dims):
                elements *= word_at(size, k)
                if word_at(size, k) != word_at(expected, 2 + k):
                    return 1
                if word_at(stride, k) != word_at(expected, 2 + dims + k):
                    return 1
            place = ask(data_ptr, handle)
            if place == -1 or (place == 0 and elements != 0):  # an error; memory elsewhere
                return 1
            entry = buffer * across + tensor * along
            if word_at(addresses, entry) != place:
                put_word(addresses + 8 * entry, place)
                moves += 1  # at once: the next tensor may be another one
                put_word(job + {8 * MOVES}, moves)
    return 0
"""


@functools.cache
def torch_functions() -> Integers:
    """The addresses of torch's C functions that say what a tensor is and where.

    That of the layout is 0 in torch 2.8, which does not have it.

    Raises:
        AttributeError: this torch does not have the others.
    """
    library = ctypes.CDLL(torch._C.__file__)
    windows = Path(torch.__file__).parent / "lib" / "torch_cpu.dll"
    if windows.exists():
        library = ctypes.CDLL(str(windows))
    layout = getattr(library, f"aoti_torch_get_{TORCH_FUNCTIONS[0]}", None)
    functions = [
        layout,
        *(getattr(library, f"aoti_torch_get_{name}") for name in TORCH_FUNCTIONS[1:]),
    ]
    return np.array([ctypes.cast(f, ctypes.c_void_p).value or 0 for f in functions], dtype=np.int64)


def locate() -> Any:
    """Read all addresses; the answer is 1 if a tensor is not as described."""
    return reader(LOCATE)


@functools.cache
def _code(dtype: torch.dtype) -> int:
    """torch's own number of a dtype."""
    answer = ctypes.c_int32()
    tensor = torch.empty(0, dtype=dtype)
    handle = ctypes.c_int64(tensor._cdata)
    function = int(torch_functions()[TORCH_FUNCTIONS.index("dtype")])
    ask = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p)(function)
    ask(ctypes.addressof(handle), ctypes.addressof(answer))
    return answer.value


@dataclass(frozen=True)
class Described:
    """The tensors of some parameters, column by column, as compiled code is told of them.

    Attributes:
        weights: the parameters.
        handles: of each column's tensors.
        facts: dtype, dimensions, sizes and strides of each, which are compared before each update.
        elements: of each parameter.
        odd: whether Python has to ask something of it; see :meth:`Located.readable`.
        alive: what must live as long as the handles.
    """

    weights: Sequence[torch.Tensor]
    handles: Integers
    facts: Integers
    elements: Integers
    odd: Integers
    alive: Any

    @classmethod
    def of(cls, columns: Sequence[Sequence[torch.Tensor]]) -> Self:
        """Those of these tensors.

        Args:
            columns: weights, gradients, then state, as a kernel reads them.
        """
        weights, _, *states = columns
        handles = np.array([_handles(column) for column in columns], dtype=np.int64)
        places = tensor_layout.places()
        if places is not None:
            handles[:2] = [id(weight) + places.tensor for weight in weights]
        # torch.utils.swap_tensors would change what a handle means; it refuses this
        not_swapped = [weakref.ref(state) for column in states for state in column]
        elements = np.array([weight.numel() for weight in weights], dtype=np.int64)
        # A view that is negated lazily is dense if it has one element, and only then; complex
        # numbers can be conjugated lazily
        odd = np.array([each.numel() == 1 or each.is_complex() for each in weights])
        return cls(weights, handles, _facts(columns), elements, odd, (states, not_swapped))

    def joined(self, other: Described) -> Described:
        """These parameters, then the other's."""
        width = max(self.facts.shape[2], other.facts.shape[2])
        facts = [
            np.pad(each.facts, ((0, 0), (0, 0), (0, width - each.facts.shape[2])))
            for each in (self, other)
        ]
        return Described(
            [*self.weights, *other.weights],
            np.concatenate((self.handles, other.handles), axis=1),
            np.concatenate(facts, axis=1),
            np.concatenate((self.elements, other.elements)),
            np.concatenate((self.odd, other.odd)),
            (self.alive, other.alive),
        )

    def some(self, rows: Integers) -> Described:
        """Some of these parameters."""
        weights = [self.weights[row] for row in rows.tolist()]
        # Compiled code reads rows of words that lie side by side
        handles, facts = self.handles.take(rows, axis=1), self.facts.take(rows, axis=1)
        return Described(weights, handles, facts, self.elements[rows], self.odd[rows], self.alive)


class Located:
    """The tensors of some parameters, column by column, and the address of each.

    Args:
        tensors: described.
        addresses: where to write the addresses: a row for each column, an entry for each
            parameter, with any strides.
        facts: what else kernels are to be told, by its name in JOB.

    Attributes:
        asks_python: whether :meth:`readable` has something to ask.
        job: what compiled functions are told.
    """

    def __init__(self, tensors: Described, addresses: Integers, facts: dict[str, int]) -> None:
        weights = self._weights = tensors.weights
        self._grads = Gradients(weights)
        places = tensor_layout.places()
        self._python_finds_tensors = places is None
        self._odd = [weights[row] for row in np.flatnonzero(tensors.odd).tolist()]
        self._python_asks_layouts = torch_functions()[0] == 0
        self.asks_python = bool(self._odd or self._python_asks_layouts)
        self._tensors, self._handles = tensors, tensors.handles
        self._addresses = addresses
        self._functions = torch_functions()
        device = weights[0].device
        across, along = addresses.strides
        facts = {
            "addresses": addresses.ctypes.data,
            "tensors": len(weights),
            "buffers": len(self._handles),
            "handles": self._handles.ctypes.data,
            "functions": self._functions.ctypes.data,
            "descriptions": tensors.facts.ctypes.data,
            "width": tensors.facts.shape[2],
            "gradient": 0 if places is None else places.gradient,
            "type_of_device": DEVICES[device.type],
            "device": device.index or 0,
            "across": across // 8,
            "along": along // 8,
            **facts,
        }
        self.job = array("q", [facts.get(name, 0) for name in JOB])
        self._job_address = self.job.buffer_info()[0]
        self._moved = c_calls.bound(locate(), self._job_address)

    @property
    def check(self) -> tuple[int, int] | None:
        """For compiled code to ask what :meth:`holds` asks: whom, and about what.

        None where Python has to find the tensors.
        """
        return None if self._python_finds_tensors else (locate().address, self._job_address)

    @property
    def moves(self) -> int:
        """A number that has grown if anything has moved."""
        return self.job[MOVES]

    def holds(self) -> bool:
        """Read where everything is now; False if anything is not what it was, but for its place."""
        if not self.readable():
            return False
        if self._python_finds_tensors:
            self._handles[:2] = _handles(self._weights), _handles(self._grads)
        return not self._moved()

    def readable(self) -> bool:
        """Whether what compiled code does not ask is as it was; to be asked before it.

        That is layouts, where torch has no C function for them, and signs: numbers in memory may
        have to be negated or conjugated when they are read.
        """
        odd = (each for w in self._odd for each in (w, w.grad) if each is not None)
        signs = not any(each.is_neg() or each.is_conj() for each in odd)
        if not (signs and self._python_asks_layouts):
            return signs
        tensors = (each for w in self._weights for each in (w, w.grad) if each is not None)
        return all(each.layout is torch.strided for each in tensors)


def _handles(tensors: Sequence[torch.Tensor]) -> list[int]:
    return [tensor._cdata for tensor in tensors]


def _facts(columns: Sequence[Sequence[torch.Tensor]]) -> Integers:
    """What the tensors are: dtype, dimensions, sizes and strides, by column and parameter."""
    most = max(tensor.dim() for column in columns for tensor in column)
    rest = [[0] * (2 * (most - dim)) for dim in range(most + 1)]
    rows = [
        [_code(tensor.dtype), dim := tensor.dim(), *tensor.shape, *tensor.stride(), *rest[dim]]
        for column in columns
        for tensor in column
    ]
    return np.array(rows, dtype=np.int64).reshape(len(columns), len(columns[0]), 2 + 2 * most)
