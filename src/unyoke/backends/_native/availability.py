"""Whether this machine can compile, found out once and without importing anything heavy."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
from collections.abc import Callable

from unyoke.backends.interrupts import put_off


@functools.cache
def missing() -> str | None:
    """What this machine lacks to compile at all."""
    for package in ("numba", "llvmlite"):
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed, which compiles the update"
    if os.environ.get("NUMBA_DISABLE_JIT", "0").strip() not in ("", "0"):
        return "NUMBA_DISABLE_JIT is set, so Numba compiles nothing: unset it"
    # Numba cannot be imported again once that was interrupted
    put_off(lambda: importlib.import_module("unyoke.backends._native.data_pointers"))
    return None


@functools.cache
def unable() -> str | None:
    """Why nothing can be compiled here, found out by compiling what every step needs."""
    if (reason := missing()) is not None:
        return reason
    from unyoke.backends._native import data_pointers, jit_cache

    # Put off: what a signal's handler raises says nothing about Numba
    return put_off(lambda: _failure(jit_cache.reader, data_pointers.text()))


@functools.cache
def tried() -> str | None:
    """The same, found out by compiling anew: what is on disk may be from when it could be done."""
    if (reason := unable()) is not None:
        return reason
    from unyoke.backends._native import data_pointers, jit_cache

    return _failure(jit_cache.try_out, data_pointers.text())


def _failure(compiler: Callable[[str], object], text: str) -> str | None:
    """What goes wrong when a text is compiled."""
    try:
        compiler(text)
    except Exception as error:  # a Numba that does not support this Python raises what it likes
        first = str(error).strip().split("\n")[0]
        return f"Numba cannot compile here: {type(error).__name__}: {first}"
    return None
