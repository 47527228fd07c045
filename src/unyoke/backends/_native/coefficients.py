"""A rule's coefficients, formed by compiled code from what a parameter group holds.

The functions that form them are written once, in Python. Here they are run once on symbols
(:mod:`unyoke.backends.symbols`), and what they do becomes compiled code: the same operations on
float64 in the same order, with the C library's pow and exp as in Python, so the bits are the same.
Where Python would raise an error, or a number is of another kind than when this was written down,
the answer is that Python has to form them.
"""

from __future__ import annotations

import ctypes
import math
import struct
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from unyoke.backends._native import c_calls
from unyoke.backends._native.c_calls import c_function
from unyoke.backends._native.jit_cache import reader
from unyoke.backends.base import Formation
from unyoke.backends.symbols import PLAIN, Operation, Unwritable, Writer

# What the compiled function is told, by address: 64-bit words in this order.
JOB = (
    *("group", "keys", "key_rows", "numbers", "steps", "following", "words", "row"),
    *("float_type", "tuple_type", "get_entry", "tuple_size", "tuple_item"),
)
C_FUNCTIONS = {
    "get_entry": "PyDict_GetItem",
    "tuple_size": "PyTuple_Size",
    "tuple_item": "PyTuple_GetItem",
}

FORMED = ("t", "eta")
"""Numbers with limits that are no entries of a group."""

FLOAT, SAME = -1, -2
"""What is expected of an entry: a float, or the same object; else a tuple of so many floats."""

TYPE = object.__basicsize__ // 8 - 1
"""In an object of Python's, the word that is its type; a float's number is the next."""

PLAIN_TYPES = {bool, int, float, str, type(None), torch.dtype}
"""Of values that cannot change while they are the same object."""


class SymbolicGroup(dict[str, Any]):
    """What has been read of a group; its floats are symbols.

    Attributes:
        rows: of each entry read its key, what is expected of it, and the number of its first float;
            or the object that it must be.
        numbers: the names of all floats.
    """

    def __init__(self, writer: Writer, group: Mapping[str, Any]) -> None:
        super().__init__()
        self._writer, self._group = writer, group
        self.rows: list[tuple[str, int, Any]] = []
        self.numbers: list[str] = []

    def __missing__(self, name: str) -> Any:
        value, first = self._group[name], len(self.numbers)
        kinds = {*map(type, value)} if type(value) is tuple else {type(value)}
        if type(value) is float:
            self.rows.append((name, FLOAT, first))
            self[name] = self._symbol()
        elif kinds == {float}:
            self.rows.append((name, len(value), first))
            self[name] = tuple(self._symbol() for _ in value)
        elif kinds <= PLAIN_TYPES:
            self.rows.append((name, SAME, value))
            self[name] = value
        else:
            raise Unwritable(f"{name}={value!r}")
        return self[name]

    def _symbol(self) -> Any:
        self.numbers.append(f"n{len(self.numbers)}")
        self._writer.numbers.add(self.numbers[-1])
        return self._writer.symbol(self.numbers[-1])


class Formula:
    """What a formation does, as the text of compiled code.

    Attributes:
        entries: that it reads.
        constants: numbers that stand behind those of the entries. They are read from memory like
            these: a compiler that knew them would form some powers in another way.
        text: the compiled function; it answers 1 if Python has to form the coefficients.
    """

    def __init__(self, formation: Formation) -> None:
        writer = Writer((), ("t",))
        self.entries = entries = SymbolicGroup(writer, formation.group)
        found = {"t": writer.symbol("t"), **formation.form(writer.symbol("t"), entries)}
        limited = {
            name: found[name] if name in FORMED else entries[name] for name in formation.limits
        }
        self.constants: list[float] = []
        lines = [f"{name} = number_at(numbers, {k})" for k, name in enumerate(entries.numbers)]
        lines += [line for each in writer.operations for line in self._lines(each)]
        for name, limits in formation.limits.items():
            value = limited[name]
            for each in value if isinstance(value, tuple) else (value,):
                lines += self._limit(self._name(writer.named(each)), *limits)
        for place, name in enumerate(formation.names):
            value = self._name(writer.named(found[name]))
            lines.append(f"put_number(row + {8 * place}, {value})")
        lines.append(f"put_number(row + {8 * len(formation.names) + 8}, t)")  # behind the seed
        self.text = _text(lines)

    def _limit(self, value: str, least: float, below: float) -> Iterator[str]:
        least = max(least, -sys.float_info.max)  # a number is finite
        yield f"if not ({self._constant(least)} <= {value} < {self._constant(below)}): return 1"

    def _lines(self, operation: Operation) -> Iterator[str]:
        """An operation, unless Python would raise an error at it."""
        word, result = operation.word, operation.result
        operands = [self._name(each) for each in operation.operands]
        if word in ("div", "__rdiv__"):
            yield f"if {operands[word == 'div']} == 0.0: return 1"
        if word == "sqrt":
            yield f"if not {operands[0]} >= 0.0: return 1"
        yield f"{result} = {PLAIN[word].format(*operands)}"
        if word in ("pow", "__rpow__", "exp"):
            yield f"if not abs({result}) < {self._constant(math.inf)}: return 1"

    def _name(self, value: Any) -> str:
        return value if isinstance(value, str) else self._constant(float(value))

    def _constant(self, value: float) -> str:
        self.constants.append(value)
        return f"number_at(numbers, {len(self.entries.numbers) + len(self.constants) - 1})"


def _text(lines: Sequence[str]) -> str:
    body = "\n    ".join(lines)
    return f"""
@compiled
def run(job):
    ({", ".join(JOB)}) = ({", ".join(f"word_at(job, {k})" for k in range(len(JOB)))})
    for k in range(keys):
        value = invoke(get_entry, (group, word_at(key_rows, 3 * k)))
        expected, known = word_at(key_rows, 3 * k + 1), word_at(key_rows, 3 * k + 2)
        if value == 0:
            return 1
        if expected == {SAME}:
            if value != known:
                return 1
        elif expected == {FLOAT}:
            if word_at(value, {TYPE}) != float_type:
                return 1
            put_word(numbers + 8 * known, word_at(value, {TYPE + 1}))
        else:
            if word_at(value, {TYPE}) != tuple_type or invoke(tuple_size, (value,)) != expected:
                return 1
            for place in range(expected):
                item = invoke(tuple_item, (value, place))
                if word_at(item, {TYPE}) != float_type:
                    return 1
                put_word(numbers + 8 * (known + place), word_at(item, {TYPE + 1}))
    t = single_at(steps, 0) + 1.0
    {body}
    for k in range(2 * words):
        put_single(following + 4 * k, t)
    return 0
"""


class CompiledFormation:
    """Forms a group's coefficients, and what its counters become, by compiled code.

    Attributes:
        call: the addresses of the code and of what it is told.

    Raises:
        Exception: what the formula says to symbols, or the compiler to it.
    """

    def __init__(self, formation: Formation) -> None:
        formula = Formula(formation)
        entries = formula.entries
        self._numbers = array("d", [*[0.0] * len(entries.numbers), *formula.constants])
        rows = [
            (id(key), kind, id(known) if kind == SAME else known)
            for key, kind, known in entries.rows
        ]
        self._rows = array("q", [word for row in rows for word in row])
        _, known, following, words = formation.steps  # known is ours, whatever became of the memory
        told = {
            "group": id(formation.group),
            "keys": len(rows),
            "key_rows": self._rows.buffer_info()[0],
            "numbers": self._numbers.buffer_info()[0],
            "steps": known,
            "following": following,
            "words": words,
            "row": formation.row,
            "float_type": id(float),
            "tuple_type": id(tuple),
            **{name: c_function(function) for name, function in C_FUNCTIONS.items()},
        }
        self._job = array("q", [told[name] for name in JOB])
        self._alive = formation, entries.rows
        self.call = reader(formula.text), self._job.buffer_info()[0]

    def agrees(self) -> bool:
        """Whether it forms now what Python forms, to the last bit; what was in the row is lost."""
        formation, (code, job) = self._alive[0], self.call
        if c_calls.bound(code, job)():
            return False
        formed = (ctypes.c_double * (len(formation.names) + 2)).from_address(formation.row)
        *numbers, _, t = formed
        expected = formation.form(int(t), formation.group)
        kind = struct.Struct(f"{len(numbers)}d")
        return kind.pack(*numbers) == kind.pack(*(expected[name] for name in formation.names))


def compiled(formation: Formation) -> CompiledFormation | None:
    """What forms these coefficients; None where Python has to."""
    try:
        made = CompiledFormation(formation)
        return made if made.agrees() else None
    except Exception:  # what the formula says to symbols, or Numba to it
        return None
