"""Kernels: a rule's text, made into Triton functions, once for each recipe."""

from __future__ import annotations

import functools
from typing import Any

from unyoke import primitives
from unyoke.backends import element
from unyoke.backends.gpu import source
from unyoke.backends.gpu.language import Language, largest
from unyoke.backends.gpu.source import Recipe


@functools.lru_cache(maxsize=1024)
def kernel(recipe: Recipe, language: Language) -> Any:
    """The Triton function of a recipe; called as ``kernel[(programs,)](…, BLOCK, LANES)``."""
    words = (*primitives.PRIMITIVES, *primitives.BITS, largest)
    values = {word.__name__: language.bound(word) for word in words}
    for name, function in element.functions(recipe).items():
        values[name] = language.bound(function)
    values["update"] = language.bound(recipe.rule.function)
    cast = f"def number(x):\n    return tl.cast(x, tl.{source.TYPES[recipe.computation]})\n"
    values["number"] = language.define("number", cast, {})
    numbers = ["key"] if "key" in recipe.arguments else []
    return language.define("kernel", source.kernel(recipe), values, numbers)
