"""Kernels: a rule's text, made into Triton functions, once for each recipe."""

from __future__ import annotations

import functools
from typing import Any

from unyoke import primitives
from unyoke.backends.gpu import source
from unyoke.backends.gpu.language import Function, Language, largest
from unyoke.backends.gpu.source import Recipe
from unyoke.storage import encodings


@functools.lru_cache(maxsize=1024)
def kernel(recipe: Recipe, language: Language) -> Any:
    """The Triton function of a recipe; called as ``kernel[(programs,)](…, BLOCK, LANES)``."""
    words: tuple[Function, ...] = (
        *primitives.PRIMITIVES,
        *primitives.BITS,
        *encodings.FUNCTIONS,
        largest,
    )
    values = {word.__name__: language.bound(word) for word in words}
    values["update"] = language.rule(recipe.rule)
    numbers = ["key"] if "key" in recipe.arguments else []
    return language.define("kernel", source.kernel(recipe), values, numbers)
