"""What a Python function is made of: the names in its code, and a digest of all that it calls."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any


def fingerprint(*functions: Callable[..., Any]) -> str:
    """Changes when a function changes, or anything that it calls."""
    digest, seen = hashlib.sha256(), set[Any]()
    for function in functions:
        for part in _everything_in(function, seen):
            digest.update(repr(part).encode())
    return digest.hexdigest()


def names_in(function: Any) -> dict[str, Any]:
    """What the names in a function's own code stand for: globals, and what it closes over."""
    code, scope = function.__code__, function.__globals__
    closed = zip(code.co_freevars, function.__closure__ or (), strict=True)
    return {
        **{name: scope[name] for name in code.co_names if name in scope},
        **{name: cell.cell_contents for name, cell in closed},
    }


def _everything_in(function: Any, seen: set[Any]) -> Iterator[Any]:
    seen.add(function)
    code = function.__code__
    yield code.co_name, code.co_code, code.co_consts, code.co_names, code.co_varnames
    for name, value in names_in(function).items():
        if not isinstance(value, FunctionType):
            yield name, value
        elif value not in seen:
            yield from _everything_in(value, seen)
