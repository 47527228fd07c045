"""Where the tensors of a group lie in memory, as a kernel reads it; looked up anew at each step.

Between two steps a parameter may be moved, resized or replaced (``p.data = …``), and gradients are
new tensors at each. Asking every tensor from Python would cost more than the update of a small
one. So torch's C interface is asked, the one that ahead-of-time compiled models are linked with
and that stays as it is from version to version. Its handle of a tensor is the address of a
variable that holds the tensor's own address, ``_cdata``: a column of those is a column of handles.
"""

from __future__ import annotations

import ctypes
import functools
import weakref
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from unyoke import formats
from unyoke.backends.base import Gradients, Work
from unyoke.backends.cpu import calls, kernels, layout, objects, pool
from unyoke.backends.cpu.source import Recipe

CHUNK = 1 << 15
"""Elements in a row of the table: large tensors are cut, so that threads can share them."""

QUESTIONS = ("layout", "device_type", "dtype", "dim", "sizes", "strides", "data_ptr")
"""Of torch's C functions, in the order in which LOCATE has them."""

Integers: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

# What the compiled functions are told of a table, by address: numbers and addresses in this order.
JOB = (
    *("addresses", "tensors", "chunks", "coefficients", "numbers"),  # for kernels
    *("buffers", "handles", "functions", "descriptions", "width", "gradient"),
)
COEFFICIENTS = JOB.index("coefficients")

LOCATE = f"""
@compiled
def run(job):
    ({", ".join(JOB)}) = ({", ".join(f"word_at(job, {k})" for k in range(len(JOB)))})
    layout, device, dtype = word_at(functions, 0), word_at(functions, 1), word_at(functions, 2)
    dim, sizes, strides = word_at(functions, 3), word_at(functions, 4), word_at(functions, 5)
    data_ptr = word_at(functions, 6)
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
            entry = addresses + 8 * (buffer * tensors + tensor)
            if layout != 0 and buffer <= 1 and ask(layout, handle) != 0:
                return 1
            if ask(device, handle) != 0:
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
            put_word(entry, place)
    return 0
"""


@functools.cache
def questions() -> Integers:
    """The addresses of torch's C functions that say what a tensor is and where.

    That of the layout is 0 in torch 2.8, which does not have it.

    Raises:
        AttributeError: this torch does not have the others.
    """
    library = ctypes.CDLL(torch._C.__file__)
    windows = Path(torch.__file__).parent / "lib" / "torch_cpu.dll"
    if windows.exists():
        library = ctypes.CDLL(str(windows))
    layout = getattr(library, f"aoti_torch_get_{QUESTIONS[0]}", None)
    functions = [layout, *(getattr(library, f"aoti_torch_get_{name}") for name in QUESTIONS[1:])]
    return np.array([ctypes.cast(f, ctypes.c_void_p).value or 0 for f in functions], dtype=np.int64)


def locate() -> Any:
    """Read all addresses; the answer is 1 if a tensor is not as described."""
    return kernels.reader(LOCATE)


@functools.cache
def _code(dtype: torch.dtype) -> int:
    """torch's own number of a dtype."""
    answer = ctypes.c_int32()
    tensor = torch.empty(0, dtype=dtype)
    handle = ctypes.c_int64(tensor._cdata)
    ask = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p)(int(questions()[2]))
    ask(ctypes.addressof(handle), ctypes.addressof(answer))
    return answer.value


class Table:
    """Parameters that one kernel serves: their tensors have the same dtypes and formats.

    Args:
        recipe: of the kernel.
        kernel: compiled from it.
        which: their numbers in the group.
        columns: the tensors, as the recipe lists them.
        numbers: that random bits are drawn by, one for each parameter.
        models: how many models a stack has in its first dimension.

    Attributes:
        asks_python: whether :meth:`readable` has something to ask.
    """

    def __init__(
        self,
        recipe: Recipe,
        kernel: Any,
        which: Sequence[int],
        columns: Sequence[Sequence[torch.Tensor]],
        numbers: Sequence[int],
        models: int | None,
    ) -> None:
        weights, _, *states = columns
        self._kernel = kernel
        self.which = which
        self._weights = weights
        self._grads = Gradients(weights)
        self._kept = states  # alive as long as their handles
        # torch.utils.swap_tensors would change what a handle means; it refuses this
        self._not_swapped = [weakref.ref(state) for column in states for state in column]
        places = objects.places()
        self._python_finds_tensors = places is None
        # A view that is negated lazily is dense if it has one element, and only then
        self._singles = [weight for weight in weights if weight.numel() == 1]
        self._python_asks_layouts = questions()[0] == 0
        self.asks_python = bool(self._singles or self._python_asks_layouts)
        self._sets: Sequence[int] | None = None
        self._models = models or 1
        self._chunks = _chunks(weights, self._models)
        self._model = self._chunks[:, 3].copy()
        self._handles = np.array([_handles(column) for column in columns], dtype=np.int64)
        if places is not None:
            self._handles[:2] = [id(weight) + places.tensor for weight in weights]
        self._addresses = np.zeros_like(self._handles)
        self._described = _described(columns)
        self._functions = questions()
        self._numbers = np.array(numbers, dtype=np.int64)
        facts = {
            "addresses": self._addresses.ctypes.data,
            "tensors": len(weights),
            "chunks": self._chunks.ctypes.data,
            "numbers": self._numbers.ctypes.data,
            "buffers": len(columns),
            "handles": self._handles.ctypes.data,
            "functions": self._functions.ctypes.data,
            "descriptions": self._described.ctypes.data,
            "width": self._described.shape[2],
            "gradient": 0 if places is None else places.gradient,
        }
        self._job = array("q", [facts.get(name, 0) for name in JOB])
        self._job_address = self._job.buffer_info()[0]
        self._moved = calls.bound(locate(), self._job_address)
        self._shares = pool.Shares(self._chunks[:, 2], kernel, self._job_address)

    @property
    def question(self) -> tuple[int, int] | None:
        """For compiled code to ask what :meth:`holds` asks: whom, and about what.

        None where Python has to find the tensors.
        """
        return None if self._python_finds_tensors else (locate().address, self._job_address)

    @property
    def alone(self) -> tuple[int, int, int] | None:
        """The kernel, what it is told, and how many chunks it does; None where threads share."""
        if not self._shares.alone:
            return None
        return self._kernel.address, self._job_address, len(self._chunks)

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
        have to be negated when they are read.
        """
        signs = all(weight.grad is None or not weight.grad.is_neg() for weight in self._singles)
        if not (signs and self._python_asks_layouts):
            return signs
        tensors = (each for w in self._weights for each in (w, w.grad) if each is not None)
        return all(each.layout is torch.strided for each in tensors)

    def run(self, coefficients: int, sets: Sequence[int] | None) -> None:
        """Update all chunks.

        Args:
            coefficients: the address of their rows.
            sets: per parameter of the group which of the rows it takes; None: all the first.
        """
        if sets is not self._sets:
            self._assign(sets)
        self._job[COEFFICIENTS] = coefficients
        self._shares.run()

    def _assign(self, sets: Sequence[int] | None) -> None:
        own = 0 if sets is None else np.array([sets[k] for k in self.which])[self._chunks[:, 0]]
        self._chunks[:, 3] = own * self._models + self._model
        self._sets = sets


def _handles(tensors: Sequence[torch.Tensor]) -> list[int]:
    return [tensor._cdata for tensor in tensors]


def _described(columns: Sequence[Sequence[torch.Tensor]]) -> Integers:
    """What the tensors are: dtype, dimensions, sizes and strides, by column and parameter."""
    most = max(tensor.dim() for column in columns for tensor in column)
    described = np.zeros((len(columns), len(columns[0]), 2 + 2 * most), dtype=np.int64)
    for column, tensors in zip(described, columns, strict=True):
        for row, tensor in zip(column, tensors, strict=True):
            facts = [_code(tensor.dtype), tensor.dim()]
            row[: 2 + 2 * tensor.dim()] = [*facts, *tensor.shape, *tensor.stride()]
    return described


def _chunks(weights: Sequence[torch.Tensor], models: int) -> Integers:
    """Rows of tensor, start, size and model; each model of a stack begins a row."""
    rows = [
        (index, model * size + start, min(CHUNK, size - start), model)
        for index, weight in enumerate(weights)
        for size in (weight.numel() // models,)
        for model in range(models)
        for start in range(0, size, CHUNK)
    ]
    return np.array(rows, dtype=np.int64).reshape(-1, 4)


def tables(work: Work, models: int | None) -> list[Table] | str:
    """One table for each kernel that is needed; or why there cannot be one.

    Args:
        work: all of it must be taken.
        models: how many models a stack has in its first dimension; None: they are no stacks.
    """
    alike: dict[Recipe, dict[int, list[torch.Tensor]]] = {}
    for index, (weight, grad, state) in enumerate(
        zip(work.weights, work.grads, work.states, strict=True)
    ):
        recipe = _recipe(work, weight, grad, state)
        tensors = {"parameter": weight, "gradient": grad, **state}
        column = {name: tensors[name] for _, name in recipe.columns}
        scales = {name: column.pop(name) for text, name in recipe.columns if "scale" in text}
        column.pop("parameter")
        reason = layout.objection(weight, column, scales)
        if reason is None and models is not None:
            reason = layout.stack_objection(weight, models, bool(recipe.blocked))
        if reason is not None:
            return reason
        alike.setdefault(recipe, {})[index] = [tensors[name] for _, name in recipe.columns]
    result = []
    for recipe, found in alike.items():
        kernel = kernels.kernel(recipe)
        if isinstance(kernel, str):
            return kernel
        columns = list(zip(*found.values(), strict=True))
        numbers = [work.numbers[index] for index in found]
        result.append(Table(recipe, kernel, list(found), columns, numbers, models))
    return result


def _recipe(
    work: Work, weight: torch.Tensor, grad: torch.Tensor, state: Mapping[str, Any]
) -> Recipe:
    rule = work.rule
    dtypes = (weight.dtype, grad.dtype, *(state[name].dtype for name in rule.state))
    kinds = tuple(formats.format_of(rule, state, name) for name in rule.state)
    return Recipe(rule, dtypes, kinds, work.rounding, work.maximize)
