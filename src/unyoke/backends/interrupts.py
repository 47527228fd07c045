"""Python's handlers of signals, put off while something is done that must be done whole."""

from __future__ import annotations

# What signal is made of: its own functions take 20 times as long, for enumerations
import _signal  # type: ignore[import-not-found]
import threading
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")

SIGNALS = sorted(map(int, _signal.valid_signals()))


def put_off(action: Callable[[], Result]) -> Result:
    """What ``action`` returns; signals that come meanwhile reach their handlers after it.

    Handlers run in the main thread only, so there is nothing to do in another.
    """
    if threading.get_ident() != threading.main_thread().ident:
        return action()
    pending: list[int] = []
    handlers = [
        (number, handler)
        for number, handler in zip(SIGNALS, map(_signal.getsignal, SIGNALS), strict=True)
        if callable(handler)
    ]
    try:
        for number, _ in handlers:  # an interrupt on the way here comes before the action
            _signal.signal(number, lambda number, frame: pending.append(number))
        return action()
    finally:
        try:
            _put_back(handlers)
        finally:
            for number in pending:
                _signal.raise_signal(number)


def _put_back(handlers: list[tuple[int, Any]]) -> None:
    """All of them, even if one that is back already raises meanwhile."""
    if handlers:
        try:
            _signal.signal(*handlers[-1])
        finally:  # a loop would leave the rest unrestored
            _put_back(handlers[:-1])
