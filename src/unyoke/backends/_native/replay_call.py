"""A replay in one call of compiled code: guards, kernels, counters.

Python has formed the numbers before and shows the coming ones afterwards. No instruction of
Python's comes between a kernel and the counters, so no interrupt does. What a list or a dictionary
holds is asked of Python's own C interface.
"""

from __future__ import annotations

import ctypes
import functools
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from unyoke.backends._native import c_calls, data_pointers, tensor_layout
from unyoke.backends._native.reader import reader
from unyoke.backends._native.tensor_layout import COUNT, Places, mapping_version
from unyoke.backends.guards import Guards

C_FUNCTIONS = ("PyList_Size", "PyList_GetItem", "PyDict_Size", "PyDict_Next", "PyDict_GetItem")

# What the compiled function is told, by address: how many rows of what and where, and whom to ask.
JOB = (
    *("done", "lists", "list_rows", "mappings", "mapping_rows", "holders", "holder_rows"),
    *("without", "without_rows", "placed", "placed_rows", "checks", "check_rows"),
    *("counters", "counter_rows", "kernels", "kernel_rows", "entries", "entry_rows", "known"),
    *("list_size", "list_item", "mapping_size", "next_value", "get_entry"),
    *("undefined", "shared", "position", "key", "value"),
)


# The order is what makes it whole. All guards come before the first kernel, so that an answer of 1
# has changed nothing. Versions and counters come after the last kernel and before ``done``, without
# which a call after an interrupt would update twice; with it the call is void until begin().
def _text(p: Places) -> str:
    """The compiled function; it answers 1 if something has changed, and has done nothing."""
    return f"""
@compiled
def run(job):
    ({", ".join(JOB)}) = ({", ".join(f"word_at(job, {k})" for k in range(len(JOB)))})
    place = job + {8 * JOB.index("position")}
    if done != 0:
        return 0
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
    for row in range(holders):
        holder, begin = word_at(holder_rows, 3 * row), word_at(holder_rows, 3 * row + 1)
        version = word_at(holder, {mapping_version() or 0})
        if {mapping_version() is None} or version != word_at(holder_rows, 3 * row + 2):
            for k in range(begin, word_at(holder_rows, 3 * row + 4)):
                found = invoke(get_entry, (holder, word_at(entry_rows, 2 * k)))
                if found != word_at(entry_rows, 2 * k + 1):
                    return 1
            put_word(holder_rows + 24 * row + 16, version)
    for row in range(without):
        weight = word_at(word_at(without_rows, row), {p.tensor})
        held = word_at(weight, {p.storage + 1})
        if held != 0:
            if word_at(held, {p.gradient}) != undefined:
                return 1
    for row in range(placed):
        tensor, size = word_at(placed_rows, 3 * row), word_at(placed_rows, 3 * row + 2)
        storage = word_at(tensor, {p.storage})
        begin = word_at(storage, {p.data}) + size * word_at(tensor, {p.offset})
        if begin != word_at(placed_rows, 3 * row + 1) or word_at(storage, {p.data + 1}) == shared:
            return 1
    for row in range(checks):
        if perform(word_at(check_rows, 2 * row), (word_at(check_rows, 2 * row + 1),)) != 0:
            return 1
    for row in range(counters):
        held, known = word_at(counter_rows, 4 * row), word_at(counter_rows, 4 * row + 1)
        for k in range(word_at(counter_rows, 4 * row + 3)):
            if word_at(held, k) != word_at(known, k):
                return 1
    for row in range(kernels):
        place = kernel_rows + 32 * row
        told = (word_at(place, 1), word_at(place, 2), word_at(place, 3))
        perform(word_at(place, 0), told)
    for row in range(checks):
        told = word_at(check_rows, 2 * row + 1)
        versions = word_at(told, {data_pointers.VERSIONS})
        for k in range(word_at(told, {data_pointers.TENSORS})):
            place = word_at(versions, k) + {8 * COUNT}
            put_word(place, word_at(place, 0) + 1)
    for row in range(counters):
        held, known = word_at(counter_rows, 4 * row), word_at(counter_rows, 4 * row + 1)
        following = word_at(counter_rows, 4 * row + 2)
        for k in range(word_at(counter_rows, 4 * row + 3)):
            put_word(held + 8 * k, word_at(following, k))
            put_word(known + 8 * k, word_at(following, k))
    put_word(job, 1)
    return 0
"""


class ReplayCall:
    """Looks at the guards and at the counters; while all is as it was, runs kernels and counts.

    Args:
        guards: which objects are where; lists and dictionaries.
        checks: of tensors, by the addresses of their code and of what it is told: those of
            :class:`.data_pointers.Located`, whose tensors' versions are counted.
        counters: of each the addresses of its memory, of what is known to be there and of what
            follows, and how many words these are.
        kernels: of each the addresses of its code and of what it is told, and its range of chunks.

    Attributes:
        make: does it and answers False; or answers True and has done nothing. Once done, nothing
            is done until :meth:`begin` is called.
    """

    def __init__(
        self,
        guards: Guards,
        checks: Sequence[tuple[int, int]],
        counters: Sequence[tuple[int, int, int, int]],
        kernels: Sequence[tuple[int, int, int, int]],
    ) -> None:
        places = tensor_layout.places()
        assert places is not None
        lists, mappings, known = _contents(guards)
        holders, entries = _entries(guards)
        without = table_of((id(weight),) for weight in guards.without_gradient)
        placed = table_of((t._cdata, address, t.element_size()) for t, address in guards.placed)
        rows = [lists, mappings, holders[:-1], without, placed]
        rows += [*map(table_of, (checks, counters, kernels)), entries]
        self._alive = guards, known, rows
        self._job = array("q", (0,))
        for words in rows:
            self._job.extend((len(words), words.ctypes.data))
        self._job.append(known.ctypes.data)
        self._job.extend(map(c_function, C_FUNCTIONS))
        self._job.extend((places.undefined, places.shared, 0, 0, 0))
        self.make = c_calls.bound(reader(_text(places)), self._job.buffer_info()[0])

    def begin(self) -> None:
        """Nothing is done."""
        self._job[0] = 0


def can_ask(guards: Guards) -> bool:
    """Whether compiled code can look at these guards on this machine."""
    kinds = all(isinstance(contents.holder, list | dict) for contents in guards.contents)
    return kinds and tensor_layout.places() is not None


def _contents(guards: Guards) -> tuple[Any, Any, Any]:
    """Rows of holder, size and where its objects begin: of lists, of mappings; and the objects."""
    rows: dict[bool, list[tuple[int, ...]]] = {True: [], False: []}
    known: list[tuple[int]] = []
    for holder, held in guards.contents:
        rows[isinstance(holder, list)].append((id(holder), len(held), len(known)))
        known += [(id(thing),) for thing in held]
    return table_of(rows[True]), table_of(rows[False]), table_of(known)


def _entries(guards: Guards) -> tuple[Any, Any]:
    """Rows of holder, where its entries begin and its version, and one for the end; the entries."""
    by_holder: dict[int, list[tuple[int, int]]] = {}
    for name, holders, values in guards.entries:
        for holder, value in zip(holders, values, strict=True):
            by_holder.setdefault(id(holder), []).append((id(name), id(value)))
    ends = np.cumsum([0, *map(len, by_holder.values())]).tolist()
    rows = table_of(zip([*by_holder, 0], ends, [-1] * len(ends), strict=True))
    return rows, table_of(entry for entries in by_holder.values() for entry in entries)


def table_of(rows: Iterable[tuple[int, ...]]) -> Any:
    """Rows of words, as compiled functions read them."""
    return np.array(list(rows), dtype=np.int64)


@functools.cache
def c_function(name: str) -> int:
    """The address of a function of Python's C interface."""
    return ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0
