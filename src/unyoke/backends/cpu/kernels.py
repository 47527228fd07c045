"""Compiled kernels, with what the names in their texts stand for."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from unyoke.backends import element
from unyoke.backends._native import jit_cache
from unyoke.backends._native.functions import fingerprint
from unyoke.backends.cpu import source
from unyoke.backends.element import Recipe


@functools.lru_cache(maxsize=256)
def kernel(recipe: Recipe) -> Any:
    """The compiled loop: ``(job, first, last)`` updates chunks first … last − 1.

    ``job`` is the address of what describes a table. Where the loop cannot be compiled, a string
    says why.
    """

    def names() -> Mapping[str, Any]:
        from unyoke.backends.cpu import compiled

        return compiled.names(recipe)

    known = fingerprint(recipe.rule.function, *element.functions(recipe).values())
    try:
        return jit_cache.build(source.text(recipe), names, known, arguments=3)
    except Exception as error:  # whatever Numba raises at a formula that it does not understand
        reason = str(error).strip().splitlines() or [type(error).__name__]
        return f"{recipe.rule.name} cannot be compiled: {' '.join(reason[:2])}"
