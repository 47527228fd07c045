"""Whether this machine can compile, found out once and without importing anything heavy."""

from __future__ import annotations

import functools
import importlib.util


@functools.cache
def missing() -> str | None:
    """What this machine lacks to compile at all: a package, or a function of torch's C library."""
    for package in ("numba", "llvmlite"):
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed, which compiles the update"
    from unyoke.backends._native import data_pointers

    try:
        data_pointers.questions()
    except (AttributeError, OSError) as error:
        return f"this torch does not say where its tensors are: {error}"
    return None


@functools.cache
def unable() -> str | None:
    """Why nothing can be compiled here, found out by compiling what every kernel needs."""
    if (reason := missing()) is not None:
        return reason
    from unyoke.backends._native import data_pointers

    try:
        data_pointers.locate()
    except Exception as error:  # a Numba that does not support this Python raises what it likes
        return f"Numba cannot compile here: {error}"
    return None
