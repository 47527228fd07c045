"""Threads for large work: as many as torch would use, and none where one is as fast.

They are torch's own where torch lends them (see :mod:`unyoke.backends.cpu.threads`), else a pool of
Python's. The chunks of a table are shared out once, whatever the number of threads, and elements do
not depend on each other: results are the same bits for any number of threads.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from unyoke.backends.cpu import threads

WORTH = 1 << 16
"""Elements from which on a second thread of torch's pays: it is there within microseconds."""

WORTH_WAKING = 1 << 20
"""Elements from which on one of Python's pays: to wake it takes as long as half of these."""

SHARE = 1 << 15
"""Elements that a thread takes at a time; the fastest thread takes the most shares."""

MOST = 256
"""Shares of a table: more would not spread the work more evenly."""

_is_first_process = True
"""OpenMP's threads hang in a forked process whose parent has used them."""

_executor: ThreadPoolExecutor | None = None
_workers = 0


class Shares:
    """Chunks of work, shared out among threads.

    Compiled code notes which shares are taken. So when Python is interrupted between two calls of
    it, :meth:`run` goes on where it was.

    Args:
        sizes: the number of elements of each chunk.
        kernel: the address of what does a range of chunks, ``kernel(job, first, last)``; it raises
            nothing.
        job: its first argument.

    Attributes:
        cuts: where shares of the chunks begin, and the end of the last.
    """

    def __init__(self, sizes: Any, kernel: int, job: int) -> None:
        ends, self._chunks = np.cumsum(sizes), len(sizes)
        self._elements = int(ends[-1]) if len(sizes) else 0
        count = min(self._elements // SHARE, MOST) if self._elements >= WORTH else 1
        bounds = [self._elements * k // count for k in range(1, count)]
        inner = np.searchsorted(ends, bounds, side="right").tolist()
        self.cuts = cuts = sorted({0, *inner, len(sizes)})
        self._words = array("q", [0, len(cuts) - 1, kernel, job, *cuts])
        self._address = self._words.buffer_info()[0]
        self._helpers: list[Future[None]] = []

    @property
    def alone(self) -> tuple[int, int, int, int] | None:
        """Kernel, its job and the range of all chunks, if one thread does them; else None."""
        if self._elements >= WORTH:
            return None
        return self._words[threads.KERNEL], self._words[threads.JOB], 0, self._chunks

    def begin(self) -> None:
        """Nothing is done."""
        self._words[threads.NEXT] = 0

    def run(self) -> None:
        """Do all chunks that are not done."""
        count = torch.get_num_threads() if self._elements >= WORTH else 1
        parallel = threads.parallel() if _is_first_process and count > 1 else None
        if parallel is not None:
            parallel(threads.member().address, self._address, count, 0)
            return
        if count > 1 and self._elements >= WORTH_WAKING and not self._helpers:
            self._helpers = _start(count - 1, lambda: threads.member()(self._address))
        threads.member()(self._address)
        self.wait()

    def wait(self) -> None:
        """Wait for the helpers: none may write after the step."""
        while self._helpers:
            self._helpers[-1].result()
            self._helpers.pop()  # not before: after an interrupt it is waited for again


def _start(count: int, task: Callable[[], None]) -> list[Future[None]]:
    global _executor, _workers
    try:
        if _executor is None or _workers < count:
            # An executor that others still use finishes their work
            _executor, _workers = ThreadPoolExecutor(count, "unyoke"), count
        return [_executor.submit(task) for _ in range(count)]
    except RuntimeError:
        return []  # the interpreter is exiting and starts no more threads


def _forget() -> None:
    """The threads do not exist in a forked process."""
    global _executor, _workers, _is_first_process
    _executor, _workers, _is_first_process = None, 0, False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
