"""A replay in one call of compiled code: guards, coefficients, kernels, counters.

Where a group's numbers are plain floats, they are read, the coefficients formed and the number of
updates shown in this call too; else Python has formed them before, and shows the coming ones
afterwards. No instruction of Python's comes between a kernel and the counters, so no interrupt
does. What a list or a dictionary holds is asked of Python's own C interface.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from unyoke.backends._native import c_calls, coefficients, data_pointers, tensor_layout
from unyoke.backends._native.c_calls import c_function
from unyoke.backends._native.coefficients import TYPE
from unyoke.backends._native.jit_cache import reader
from unyoke.backends._native.tensor_layout import COUNT, Places, mapping_version
from unyoke.backends.base import Formation
from unyoke.backends.guards import Guards

C_FUNCTIONS = (
    *("PyList_Size", "PyList_GetItem", "PyDict_Size", "PyDict_Next", "PyDict_GetItem"),
    *("PyDict_SetItem", "PyLong_AsLongLongAndOverflow", "PyLong_FromLongLong", "Py_DecRef"),
)

# What the compiled function is told, by address: how many rows of what and where, and whom to ask.
JOB = (
    *("done", "forms", "asks", "integer", "updates"),
    *("lists", "list_rows", "mappings", "mapping_rows", "holders", "holder_rows"),
    *("without", "without_rows", "placed", "placed_rows", "checks", "check_rows"),
    *("counters", "counter_rows", "kernels", "kernel_rows", "formations", "formation_rows"),
    *("groups", "group_rows", "entries", "entry_rows", "known"),
    *("list_size", "list_item", "mapping_size", "next_value", "get_entry"),
    *("set_entry", "read_integer", "new_integer", "release"),
    *("undefined", "shared", "position", "key", "value"),
)

DONE, FORMS, ASKS = (JOB.index(name) for name in ("done", "forms", "asks"))

UPDATES = "updates"
"""The entry that counts them. An object of ours: compiled code is given its address."""


def _at(name: str) -> str:
    """How compiled code reads this word of what it is told."""
    return f"word_at(job, {JOB.index(name)})"


def _formed() -> str:
    """Two compiled functions: ``form`` the numbers of an update, and ``show`` how many there were.

    The first answers 1 if Python has to form them. Of a group there are its address, its place
    among the holders or −1, and room for the integer that it is to show.
    """
    return f"""
@compiled
def form(job):
    rows, updates, place = {_at("group_rows")}, {_at("updates")}, job + {8 * JOB.index("position")}
    for row in range({_at("formations")}):
        told = {_at("formation_rows")} + 16 * row
        if perform(word_at(told, 0), (word_at(told, 1),)) != 0:
            return 1
    for row in range({_at("groups")}):
        value = invoke({_at("get_entry")}, (word_at(rows, 3 * row), updates))
        if value == 0 or word_at(value, {TYPE}) != {_at("integer")}:
            return 1
        put_word(place, 0)
        count = invoke({_at("read_integer")}, (value, place))
        if word_at(place, 0) != 0 or count < 0:  # of more than 64 bits, or no number of updates
            return 1
        put_word(rows + 24 * row + 16, count + 1)
    return 0

@compiled
def show(job):
    rows, updates = {_at("group_rows")}, {_at("updates")}
    for row in range({_at("groups")}):
        group, holder = word_at(rows, 3 * row), word_at(rows, 3 * row + 1)
        value = invoke({_at("new_integer")}, (word_at(rows, 3 * row + 2),))
        if value != 0:  # else there is no memory, and Python raises its error
            invoke({_at("set_entry")}, (group, updates, value))
            invoke({_at("release")}, (value,))
        if holder >= 0:  # what guards look at in it is as it was
            version = word_at(group, {mapping_version() or 0})
            put_word({_at("holder_rows")} + 24 * holder + 16, version)
"""


# The order is what makes it whole. All guards come before the first kernel, so that an answer of 1
# has changed nothing. Versions and counters come after the last kernel and before ``done``, without
# which a call after an interrupt would update twice; with it the call is void until begin().
def _text(p: Places) -> str:
    """The compiled function; it answers 1 if something has changed, and has done nothing."""
    return f"""{_formed()}
@compiled
def run(job):
    ({", ".join(JOB)}) = ({", ".join(f"word_at(job, {k})" for k in range(len(JOB)))})
    place = job + {8 * JOB.index("position")}
    if done != 0:
        return 0
    if forms != 0 and form(job) != 0:
        put_word(job + {8 * ASKS}, 1)
        return 1
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
        held, known = word_at(counter_rows, 5 * row), word_at(counter_rows, 5 * row + 1)
        for k in range(word_at(counter_rows, 5 * row + 3)):
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
        held, known = word_at(counter_rows, 5 * row), word_at(counter_rows, 5 * row + 1)
        following = word_at(counter_rows, 5 * row + 2)
        for k in range(word_at(counter_rows, 5 * row + 3)):
            put_word(held + 8 * k, word_at(following, k))
            put_word(known + 8 * k, word_at(following, k))
        put_word(word_at(counter_rows, 5 * row + 4), 1)
    if forms != 0:
        show(job)
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
            follows, how many words these are, and the address of a word that becomes 1.
        kernels: of each the addresses of its code and of what it is told, and its range of chunks.
        formations: of all groups that are updated, if compiled code may form their coefficients.
        groups: all that there are, which show the number of updates.

    Attributes:
        make: does it and answers False; or answers True and has done nothing. Once done, nothing
            is done until :meth:`begin` is called.
        can_form: whether it can form the numbers too.
    """

    def __init__(
        self,
        guards: Guards,
        checks: Sequence[tuple[int, int]],
        counters: Sequence[tuple[int, int, int, int, int]],
        kernels: Sequence[tuple[int, int, int, int]],
        formations: Sequence[Formation] = (),
        groups: Sequence[dict[str, Any]] = (),
    ) -> None:
        places = tensor_layout.places()
        assert places is not None
        lists, mappings, known = _contents(guards)
        holders, entries = _entries(guards)
        forming = [made for each in formations if (made := coefficients.compiled(each)) is not None]
        self.can_form = bool(formations) and len(forming) == len(formations)
        shown = _shown(groups, holders[:-1, 0].tolist())
        without = _ids(guards.without_gradient)
        rows = [lists, mappings, holders[:-1], without, _placed(guards)]
        rows += map(table_of, (checks, counters, kernels, (each.call for each in forming), shown))
        rows.append(entries)
        self._alive = guards, known, rows, forming, groups
        self._job = array("q", (0, 0, 0, id(int), id(UPDATES)))
        for words in rows:
            self._job.extend((len(words), words.ctypes.data))
        self._job.append(known.ctypes.data)
        self._job.extend(map(c_function, C_FUNCTIONS))
        self._job.extend((places.undefined, places.shared, 0, 0, 0))
        self.make = c_calls.bound(reader(_text(places)), self._job.buffer_info()[0])

    def begin(self, forms: bool) -> None:
        """Nothing is done.

        Args:
            forms: the numbers are to be formed too; else Python has formed them.
        """
        self._job[DONE], self._job[FORMS], self._job[ASKS] = 0, forms, 0

    @property
    def asks(self) -> bool:
        """Whether nothing has changed, but Python has to form the numbers."""
        return self._job[ASKS] != 0


def can_ask(guards: Guards) -> bool:
    """Whether compiled code can look at these guards on this machine."""
    kinds = all(isinstance(contents.holder, list | dict) for contents in guards.contents)
    return kinds and tensor_layout.places() is not None


def _contents(guards: Guards) -> tuple[Any, Any, Any]:
    """Rows of holder, size and where its objects begin: of lists, of mappings; and the objects."""
    rows: dict[bool, list[tuple[int, ...]]] = {True: [], False: []}
    known, begin = [], 0
    for holder, held in guards.contents:
        rows[isinstance(holder, list)].append((id(holder), len(held), begin))
        known.append(_ids(held))
        begin += len(held)
    return table_of(rows[True]), table_of(rows[False]), np.concatenate((_ids(()), *known))


def _shown(groups: Sequence[Any], holders: Sequence[int]) -> list[tuple[int, int, int]]:
    """Rows of a group, its place among the holders or −1, and room for an integer."""
    places = {holder: place for place, holder in enumerate(holders)}
    return [(id(group), places.get(id(group), -1), 0) for group in groups]


def _entries(guards: Guards) -> tuple[Any, Any]:
    """Rows of holder, where its entries begin and its version, and one for the end; the entries."""
    holders = [_ids(each.holders) for each in guards.entries]
    names = [np.full(len(each.holders), id(each.name)) for each in guards.entries]
    values = [_ids(each.values) for each in guards.entries]
    of, name, value = (np.concatenate((_ids(()), *each)) for each in (holders, names, values))
    order = np.argsort(of, kind="stable")
    distinct, begins = np.unique(of[order], return_index=True)
    rows = np.full((len(distinct) + 1, 3), -1, dtype=np.int64)
    rows[:, 0] = [*distinct, 0]
    rows[:, 1] = [*begins, len(of)]
    return rows, np.stack((name[order], value[order]), axis=1)


def _placed(guards: Guards) -> Any:
    """Rows of a tensor, its address and the bytes of an element."""
    rows = [np.zeros((0, 3), dtype=np.int64)]
    for tensors, addresses in guards.placed:
        sizes = (each.element_size() for each in tensors)
        columns = (each._cdata for each in tensors), addresses, sizes
        rows.append(np.stack([_words(column) for column in columns], axis=1))
    return np.concatenate(rows)


def _ids(things: Iterable[Any]) -> Any:
    return _words(map(id, things))


def _words(words: Iterable[int]) -> Any:
    """In one piece: a list of them would be an object for each."""
    return np.fromiter(words, dtype=np.int64)


def table_of(rows: Iterable[tuple[int, ...]]) -> Any:
    """Rows of words, as compiled functions read them."""
    return np.array(list(rows), dtype=np.int64)
