"""A limit on how long a call may take, in the process that makes it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class _OutOfTime(BaseException):
    """Raised where the process is; no `except Exception` of a task stops it."""


@contextmanager
def time_limit(seconds: float | None, what: str) -> Iterator[None]:
    """Raise TimeoutError where the body takes longer.

    Python code is interrupted wherever it is; a call that never returns to Python is not. Only a
    process' main thread can be interrupted, on systems with SIGALRM; elsewhere nothing is limited.
    """
    can = hasattr(signal, "SIGALRM") and threading.current_thread() is threading.main_thread()
    if seconds is None or not can:
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise _OutOfTime

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except _OutOfTime:
        raise TimeoutError(f"{what} took longer than {seconds:g} s (--cell-timeout)") from None
    finally:
        signal.signal(signal.SIGALRM, before)
