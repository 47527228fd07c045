"""Threads for large work: as many as torch would use, and none where one is as fast.

They are torch's own where torch lends them (see :mod:`unyoke.backends.cpu.threads`), else a pool of
Python's. The chunks of a table are shared out once, whatever the number of threads, and elements do
not depend on each other: results are the same bits for any number of threads.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from unyoke.backends._native import c_calls
from unyoke.backends.cpu import threads as team

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

    Args:
        sizes: the number of elements of each chunk.
        kernel: ``kernel(job, first, last)`` does a range of chunks.
        job: its first argument.
    """

    def __init__(self, sizes: Any, kernel: Any, job: int) -> None:
        self._kernel, self._job = kernel, job
        ends = np.cumsum(sizes)
        self._elements = int(ends[-1]) if len(sizes) else 0
        count = min(self._elements // SHARE, MOST)
        bounds = [self._elements * k // count for k in range(1, count)]
        inner = np.searchsorted(ends, bounds, side="right").tolist()
        self._cuts = sorted({0, *inner, len(sizes)})
        self._do_all = c_calls.bound(kernel, job, 0, len(sizes))

    def run(self) -> None:
        """Do all chunks."""
        if self._elements < WORTH:
            self._do_all()
            return
        threads = torch.get_num_threads()
        lent = team.team() if _is_first_process and threads > 1 else None
        if lent is not None:
            team.run(lent, self._kernel, self._job, self._cuts, threads)
        elif threads == 1 or self._elements < WORTH_WAKING:
            self._kernel(self._job, self._cuts[0], self._cuts[-1])
        else:
            self._run_on_own_threads(threads)

    def _run_on_own_threads(self, threads: int) -> None:
        waiting = deque(zip(self._cuts[:-1], self._cuts[1:], strict=True))
        helpers = _start(threads - 1, lambda: self._work_off(waiting))
        try:
            self._work_off(waiting)
        finally:
            for helper in helpers:  # none may write after the step
                helper.result()

    def _work_off(self, waiting: deque[tuple[int, int]]) -> None:
        while True:
            try:
                first, last = waiting.popleft()
            except IndexError:
                return
            self._kernel(self._job, first, last)


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
