"""Kernels: a rule's text, made into Triton functions, once for each recipe."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from unyoke import primitives, storage
from unyoke.backends.gpu import source
from unyoke.backends.gpu.language import Function, Language, largest
from unyoke.backends.gpu.source import Recipe


@dataclass(frozen=True)
class Shape:
    """How a kernel goes through a chunk.

    Attributes:
        block: elements that a program moves at once: 8 to a thread, so that 2-byte formats fill 16
            bytes.
        lanes: threads of a program, and elements it moves at once where they are not aligned.
        most: blocks in a chunk at most; what a program does once is shared by as many.
    """

    block: int
    lanes: int
    most: int = 1

    @property
    def warps(self) -> int:
        return self.lanes // 32


def shape(recipe: Recipe) -> Shape:
    """The fastest as measured (docs/gpu.md).

    Plain formats are bound by memory, and blocks of their own are as good as it gets. 8-bit state
    is bound by arithmetic, of which a program that does several blocks saves some.
    """
    return Shape(2048, 256, 8) if recipe.blocks else Shape(1024, 128)


@functools.lru_cache(maxsize=1024)
def kernel(recipe: Recipe, language: Language) -> Any:
    """The Triton function of a recipe; called as ``kernel[(programs,)](…, BLOCK, LANES)``."""
    words: tuple[Function, ...] = (
        *primitives.PRIMITIVES,
        *primitives.BITS,
        *storage.FUNCTIONS,
        largest,
    )
    values = {word.__name__: language.bound(word) for word in words}
    values["update"] = language.rule(recipe.rule)
    numbers = ["key"] if "key" in recipe.arguments else []
    return language.define("kernel", source.kernel(recipe), values, numbers)
