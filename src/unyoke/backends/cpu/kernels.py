"""Compiled kernels, with what the names in their texts stand for."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import Any

from unyoke.backends._native import jit_cache
from unyoke.backends.cpu import source
from unyoke.backends.cpu.source import Recipe
from unyoke.storage import encodings


@functools.lru_cache(maxsize=256)
def kernel(recipe: Recipe) -> Any:
    """The compiled loop: ``(job, first, last)`` updates chunks first … last − 1.

    ``job`` is the address of what describes a table. Where the loop cannot be compiled, a string
    says why.
    """

    def names() -> Mapping[str, Any]:
        from unyoke.backends.cpu import compiled

        return compiled.names(recipe)

    known = fingerprint(recipe.rule.function, *encodings.FUNCTIONS)
    try:
        return jit_cache.build(source.text(recipe), names, known, arguments=3)
    except Exception as error:  # whatever Numba raises at a formula that it does not understand
        reason = str(error).strip().splitlines() or [type(error).__name__]
        return f"{recipe.rule.name} cannot be compiled: {' '.join(reason[:2])}"


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
