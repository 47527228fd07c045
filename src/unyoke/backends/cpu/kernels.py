"""Compiled kernels, with what the names in their texts stand for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch

from unyoke.backends import element
from unyoke.backends._native import jit_cache
from unyoke.backends._native.functions import fingerprint
from unyoke.backends.cpu import reduction, source
from unyoke.backends.element import Recipe
from unyoke.backends.interrupts import put_off


@functools.lru_cache(maxsize=256)
def kernel(recipe: Recipe) -> int | str:
    """The address of the compiled loop: ``(job, first, last)`` updates chunks first … last − 1.

    ``job`` is the address of what describes a table. Where the loop cannot be compiled, a string
    says why.
    """
    return _built(recipe, source.text(recipe), {"update": recipe.rule.function}, {})


@functools.lru_cache(maxsize=256)
def norms(recipe: Recipe, terms: Callable[..., Any], count: int) -> int | str:
    """The compiled loop that leaves, of each chunk, the sums of squares of a formula's terms.

    It is called as :func:`kernel`'s; the job's next word is the address of the sums.
    """
    lanes = reduction.lanes(recipe, count)
    return _built(recipe, reduction.text(recipe, count), {"terms": terms}, lanes)


def _built(
    recipe: Recipe,
    text: str,
    formulas: Mapping[str, Callable[..., Any]],
    more: Mapping[str, torch.dtype],
) -> int | str:
    """A compiled text, in which these formulas stand, and columns beside those of an update."""
    known = fingerprint(*formulas.values(), *element.functions(recipe).values())

    def names() -> Mapping[str, Any]:
        from unyoke.backends.cpu import compiled

        return compiled.names(recipe, formulas, more)

    def build() -> int | str:
        try:
            return jit_cache.build(text, names, known, arguments=3)
        except Exception as error:  # whatever Numba raises at a formula it does not understand
            reason = str(error).strip().splitlines() or [type(error).__name__]
            return f"{recipe.rule.name} cannot be compiled: {' '.join(reason[:2])}"

    return put_off(build)  # what a signal's handler raises says nothing about the formula
