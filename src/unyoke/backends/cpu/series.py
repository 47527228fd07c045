"""A series of updates whose numbers are known beforehand, each made by one call of compiled code.

A call asks whether everything is as it was when the numbers were formed: parameters, gradients and
state, the rates in the groups, the counters of the parameters. If so it runs the kernels with the
next numbers and counts the update; else it does nothing.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from unyoke.backends._native import c_calls
from unyoke.backends._native.data_pointers import COEFFICIENTS
from unyoke.backends._native.guard_check import Question, c_function
from unyoke.backends._native.reader import reader

# What the compiled function is told, by address.
JOB = (
    *("next", "count", "question", "question_job"),
    *("groups", "group_rows", "tables", "table_rows"),
    *("get_entry", "whole", "lr", "weight_decay", "updates", "float_type", "int_type", "overflow"),
)
RATES = ("lr", "weight_decay", "updates")  # one after the other in JOB
WHOLE = "PyLong_AsLongLongAndOverflow"  # -1 if it is too large, and no exception
NEXT, COUNT = JOB.index("next"), JOB.index("count")

GROUP = ("group", "numbers", "steps", "parameters")
TABLE = ("kernel", "job", "chunks", "coefficients", "width")
NUMBERS = 4  # of a group in one update: lr, weight_decay, updates, step

# Where the number lies in a Python float, and the type in any object.
VALUE, TYPE = float.__basicsize__ - 8, object.__basicsize__ - 8

TEXT = f"""
@compiled
def differs(thing, expected, float_type, int_type, whole, overflow):
    if thing == 0:
        return True
    kind = word_at(thing + {TYPE}, 0)
    if kind == float_type:
        return number_at(thing + {VALUE}, 0) != expected
    return kind != int_type or float64(invoke(whole, (thing, overflow))) != expected

@compiled
def run(job):
    ({", ".join(JOB)}) = ({", ".join(f"word_at(job, {k})" for k in range(len(JOB)))})
    if next >= count or perform(question, (question_job,)) != 0:
        return 1
    for row in range(groups):
        place = group_rows + {8 * len(GROUP)} * row
        group, numbers = word_at(place, 0), word_at(place, 1) + {8 * NUMBERS} * next
        for k in range({len(RATES)}):
            thing = invoke(get_entry, (group, word_at(job, {JOB.index("lr")} + k)))
            if differs(
                thing, number_at(numbers, k), float_type, int_type, whole,
                job + {8 * JOB.index("overflow")},
            ):
                return 1
        step = float32(number_at(numbers, 3))
        for k in range(word_at(place, 3)):
            if single_at(word_at(place, 2), k) != step:
                return 1
    for row in range(tables):
        place = table_rows + {8 * len(TABLE)} * row
        kernel, told, chunks = word_at(place, 0), word_at(place, 1), word_at(place, 2)
        put_word(told + {8 * COEFFICIENTS}, word_at(place, 3) + word_at(place, 4) * next)
        perform(kernel, (told, 0, chunks))
    for row in range(groups):
        place = group_rows + {8 * len(GROUP)} * row
        step = float32(number_at(word_at(place, 1) + {8 * NUMBERS} * next, 3) + 1.0)
        for k in range(word_at(place, 3)):
            put_single(word_at(place, 2), k, step)
    put_word(job, next + 1)
    return 0
"""


class Series:
    """Makes updates from numbers that were formed before.

    Args:
        question: says whether anything but numbers has changed.
        counted: the groups, each with the counters of its parameters: float32, all alike.
        tables: of each group, for each of its tables the addresses of the kernel and of what it
            is told, and the number of chunks.

    Attributes:
        make: makes the next update and answers False; or does nothing and answers True.
    """

    def __init__(
        self,
        question: Question,
        counted: Sequence[tuple[dict[str, Any], Any]],
        tables: Sequence[Sequence[tuple[int, int, int]]],
    ) -> None:
        self._alive = question, counted
        self._numbers: Sequence[array[float]] = ()
        groups = [(id(group), 0, steps.ctypes.data, len(steps)) for group, steps in counted]
        self._groups = np.array(groups, dtype=np.int64)
        rows = [(*table, 0, 0) for each in tables for table in each]
        self._tables = np.array(rows, dtype=np.int64)
        self._owners = [k for k, each in enumerate(tables) for _ in each]
        self._job = array("q", (0, 0, *question.code_and_job))
        self._job.extend((len(groups), self._groups.ctypes.data))
        self._job.extend((len(rows), self._tables.ctypes.data))
        self._job.extend((c_function("PyDict_GetItem"), c_function(WHOLE)))
        self._job.extend((*map(id, RATES), id(float), id(int), 0))
        self.make = c_calls.bound(reader(TEXT), self._job.buffer_info()[0])

    def load(self, numbers: Sequence[array[float]], coefficients: Sequence[array[float]]) -> None:
        """Take over the numbers of the coming updates, all in float64.

        Args:
            numbers: of each group, for each update lr, weight_decay, updates and step.
            coefficients: of each group, for each update a row for the kernels.
        """
        self._numbers = *numbers, *coefficients
        count = len(numbers[0]) // NUMBERS
        self._groups[:, GROUP.index("numbers")] = list(map(_address, numbers))
        for row, owner in zip(self._tables, self._owners, strict=True):
            own = coefficients[owner]
            row[TABLE.index("coefficients")] = _address(own)
            row[TABLE.index("width")] = own.itemsize * len(own) // count
        self._job[NEXT], self._job[COUNT] = 0, count


def _address(numbers: array[float]) -> int:
    return numbers.buffer_info()[0]
