"""The guards of :mod:`unyoke.backends.guards` looked at by compiled code, and tensors with them.

Python's own C interface says what a list or a dictionary holds.
"""

from __future__ import annotations

import ctypes
import functools
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from unyoke.backends._native import c_calls, tensor_layout
from unyoke.backends._native.data_pointers import TORCH_FUNCTIONS, torch_functions
from unyoke.backends._native.reader import reader
from unyoke.backends.guards import Guards

# What the compiled function is told, by address: how many rows of what and where, and whom to ask.
JOB = (
    *("lists", "list_rows", "mappings", "mapping_rows", "entries", "entry_rows"),
    *("weights", "weight_rows", "placed", "placed_rows", "checks", "check_rows", "known"),
    *("list_size", "list_item", "mapping_size", "next_value", "get_entry"),
    *("tensor", "gradient", "undefined", "data_ptr", "position", "key", "value"),
)

C_FUNCTIONS = ("PyList_Size", "PyList_GetItem", "PyDict_Size", "PyDict_Next", "PyDict_GetItem")

TEXT = f"""
@compiled
def run(job):
    ({", ".join(JOB)}) = ({", ".join(f"word_at(job, {k})" for k in range(len(JOB)))})
    place = job + {8 * JOB.index("position")}
    for row in range(lists):
        holder, size = word_at(list_rows, 3 * row), word_at(list_rows, 3 * row + 1)
        begin = word_at(list_rows, 3 * row + 2)
        if invoke(list_size, (holder,)) != size:
            return 1
        for k in range(size):
            if invoke(list_item, (holder, k)) != word_at(known, begin + k):
                return 1
    for row in range(mappings):
        holder, size = word_at(mapping_rows, 3 * row), word_at(mapping_rows, 3 * row + 1)
        begin = word_at(mapping_rows, 3 * row + 2)
        if invoke(mapping_size, (holder,)) != size:
            return 1
        put_word(place, 0)
        for k in range(size):
            invoke(next_value, (holder, place, place + 8, place + 16))
            if word_at(place, 2) != word_at(known, begin + k):
                return 1
    for row in range(entries):
        holder, name = word_at(entry_rows, 3 * row), word_at(entry_rows, 3 * row + 1)
        if invoke(get_entry, (holder, name)) != word_at(entry_rows, 3 * row + 2):
            return 1
    for row in range(weights):
        place = word_at(weight_rows, 2 * row) + tensor
        grad = word_at(invoke(gradient, (word_at(place, 0),)), 0)
        if (grad != undefined) != (word_at(weight_rows, 2 * row + 1) != 0):
            return 1
    for row in range(placed):
        if ask(data_ptr, placed_rows + 16 * row) != word_at(placed_rows, 2 * row + 1):
            return 1
    for row in range(checks):
        if perform(word_at(check_rows, 2 * row), (word_at(check_rows, 2 * row + 1),)) != 0:
            return 1
    return 0
"""


class GuardCheck:
    """Says whether a guard fails.

    Args:
        guards: which objects are where; lists and dictionaries.
        tables: compiled checks of tensors, by the addresses of their code and of what it is told.

    Attributes:
        changed: answers; a function without arguments.
    """

    def __init__(self, guards: Guards, tables: Sequence[tuple[int, int]]) -> None:
        places = tensor_layout.places()
        assert places is not None
        lists, mappings, known = _contents(guards)
        gradients = zip(guards.weights, guards.has_gradient, strict=True)
        rows = [
            *(lists, mappings, table_of(tuple(map(id, entry)) for entry in guards.entries)),
            table_of((id(weight), int(there)) for weight, there in gradients),
            table_of((each._cdata, address) for each, address in guards.placed),
            table_of(tables),
        ]
        self._alive = guards, known, rows
        self._job = array("q")
        for words in rows:
            self._job.extend((len(words), words.ctypes.data))
        self._job.append(known.ctypes.data)
        self._job.extend(map(c_function, C_FUNCTIONS))
        self._job.extend((places.tensor, places.gradient, places.undefined))
        self._job.extend((int(torch_functions()[TORCH_FUNCTIONS.index("data_ptr")]), 0, 0, 0))
        self.changed = c_calls.bound(reader(TEXT), self.code_and_job[1])

    @property
    def code_and_job(self) -> tuple[int, int]:
        """The addresses of the compiled function and of what it is told."""
        return reader(TEXT).address, self._job.buffer_info()[0]


def can_ask(guards: Guards) -> bool:
    """Whether compiled code can look at this guards on this machine."""
    kinds = all(isinstance(contents.holder, list | dict) for contents in guards.contents)
    return kinds and tensor_layout.places() is not None and unable() is None


def _contents(guards: Guards) -> tuple[Any, Any, Any]:
    """Rows of holder, size and where its objects begin: of lists, of mappings; and the objects."""
    rows: dict[bool, list[tuple[int, ...]]] = {True: [], False: []}
    known: list[tuple[int]] = []
    for holder, held in guards.contents:
        rows[isinstance(holder, list)].append((id(holder), len(held), len(known)))
        known += [(id(thing),) for thing in held]
    return table_of(rows[True]), table_of(rows[False]), table_of(known)


def table_of(rows: Iterable[tuple[int, ...]]) -> Any:
    """Rows of words, as compiled functions read them."""
    return np.array(list(rows), dtype=np.int64)


@functools.cache
def unable() -> str | None:
    """Why nothing can be compiled here."""
    try:
        reader(TEXT)
    except Exception as error:  # a Numba that does not support this Python raises what it likes
        return f"Numba cannot compile here: {error}"
    return None


@functools.cache
def c_function(name: str) -> int:
    """The address of a function of Python's C interface."""
    return ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0
