"""Compiled functions that read what lies in memory."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from unyoke.backends._native import jit_cache


@functools.cache
def reader(text: str) -> int:
    """The address of the compiled function ``run`` of a text; it takes one address."""

    def names() -> Mapping[str, Any]:
        from unyoke.backends._native import intrinsics

        return intrinsics.names()

    return jit_cache.build(text, names, "", arguments=1)
