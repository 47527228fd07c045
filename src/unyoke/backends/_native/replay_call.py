"""A replay in one call of compiled code: guards, kernels, counters.

Python has formed the numbers before and shows the coming ones afterwards. No instruction of
Python's comes between a kernel and the counters, so no interrupt does.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from unyoke.backends._native import c_calls
from unyoke.backends._native.guard_check import GuardCheck, table_of
from unyoke.backends._native.reader import reader

# What the compiled function is told, by address.
JOB = ("done", "check", "check_job", "counters", "counter_rows", "kernels", "kernel_rows")

TEXT = f"""
@compiled
def run(job):
    ({", ".join(JOB)}) = ({", ".join(f"word_at(job, {k})" for k in range(len(JOB)))})
    if done != 0:
        return 0
    if perform(check, (check_job,)) != 0:
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
        check: the guards.
        counters: of each the addresses of its memory, of what is known to be there and of what
            follows, and how many words these are.
        kernels: of each the addresses of its code and of what it is told, and its range of chunks.

    Attributes:
        make: does it and answers False; or answers True and has done nothing. Once done, nothing
            is done until :meth:`begin` is called.
    """

    def __init__(
        self,
        check: GuardCheck,
        counters: Sequence[tuple[int, int, int, int]],
        kernels: Sequence[tuple[int, int, int, int]],
    ) -> None:
        rows = [table_of(counters), table_of(kernels)]
        self._alive = check, rows
        self._job = array("q", (0, *check.code_and_job))
        for words in rows:
            self._job.extend((len(words), words.ctypes.data))
        self.make = c_calls.bound(reader(TEXT), self._job.buffer_info()[0])

    def begin(self) -> None:
        """Nothing is done."""
        self._job[0] = 0
