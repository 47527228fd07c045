"""Formulas for Numba: the very same code, with the names in it bound to other things.

Two things differ from what eager runs. The few primitives that Python and torch implement get an
implementation for compiled code. And literals take the dtype of the computation.

Imported when something must be compiled, and Numba with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import CellType, FunctionType
from typing import Any

import numba
import numpy as np
import torch

from unyoke import primitives
from unyoke.backends import element
from unyoke.backends._native import intrinsics
from unyoke.backends._native.functions import names_in
from unyoke.backends._native.intrinsics import compiled
from unyoke.backends.cpu import source
from unyoke.backends.cpu.literals import compiler as literal_types
from unyoke.backends.element import Recipe


def names(
    recipe: Recipe, formulas: Mapping[str, Any], more: Mapping[str, torch.dtype]
) -> dict[str, Any]:
    """What the names in a kernel's text stand for.

    Args:
        recipe: of the kernel.
        formulas: that stand in it, beside those of every kernel.
        more: columns beside those of an update, and their dtypes.
    """
    number = np.float64 if recipe.computation is torch.float64 else np.float32
    result = {
        "number": number,
        "compiled": compiled,
        "copy": copy,
        "repeat": repeat,
        "word_at": intrinsics.word_at,
        "number_at": intrinsics.number_at,
        "room": intrinsics.room,
        "prefetch": intrinsics.prefetch,
        "wide_vectors": intrinsics.wide_vectors,
        "int32": np.int32,
        "float32": np.float32,
        "float64": np.float64,
        "float_of": intrinsics.float32_of_bits,
        "float32_of_half": intrinsics.float32_of_half,
        "larger": bind(primitives.maximum, np.float32, whole=int),
    }
    result |= {name: bind(each, number, whole=number) for name, each in formulas.items()}
    for name, function in element.functions(recipe).items():
        result[name] = bind(function, np.float32, whole=int)
    for column in recipe.columns:
        result[f"kept_{column.name}"] = MEMORY[column.dtype][1]
    dtypes = {column.name: column.dtype for column in recipe.columns}
    dtypes |= {f"scale_{column.name}": torch.float32 for column in recipe.blocked}
    dtypes |= source.room(recipe) | dict(more)
    for number_of_column, (name, dtype) in enumerate(dtypes.items()):
        pair = intrinsics.column(MEMORY[dtype][0], number_of_column)
        result[f"get_{name}"], result[f"put_{name}"] = pair
    return result


@compiled
def repeat(to: Any, source: Any, size: Any, total: Any) -> Any:
    """Copy bytes, again and again, until there are ``total`` of them."""
    copy(to, source, size)
    while size < total:
        more = min(size, total - size)
        copy(to + size, to, more)
        size += more


def bind(function: Any, number: Any, whole: Any) -> Any:
    """Compile-ready: every function it calls bound too, every literal a number of one kind.

    Args:
        function: a formula, or what it is made of.
        number: makes a number of a literal with a point.
        whole: of one without.
    """
    known = {
        primitives.sqrt: intrinsics.square_root,
        primitives.exp: intrinsics.exponential,
        primitives.where: intrinsics.select,
        primitives.int32: np.int32,
        primitives.float32: np.float32,
        primitives.float16: float16,
        primitives.bits_of: intrinsics.bits_of_float32,
        primitives.float_of: intrinsics.float32_of_bits,
        primitives.multiply_add: intrinsics.multiply_add,
    }
    return _bind(function, {float: number, int: whole}, known)


def _bind(function: Any, literals: Mapping[type, Any], known: dict[Any, Any]) -> Any:
    if function not in known:
        used = {
            name: _bind(value, literals, known)
            if isinstance(value, FunctionType)
            else literals.get(type(value), lambda other: other)(value)
            for name, value in names_in(function).items()
        }
        code = function.__code__
        closed = tuple(CellType(used[name]) for name in code.co_freevars)
        bound = FunctionType(code, used, function.__name__, function.__defaults__, closed)
        known[function] = compiled(bound, literal_types(literals[float], literals[int]))
    return known[function]


# mypy takes these for what they are before Numba has seen them
copy: Any = intrinsics.copy
float32_of_half: Any = intrinsics.float32_of_half
half_of_float32: Any = intrinsics.half_of_float32


@compiled
def float16(x: Any) -> Any:
    return float32_of_half(half_of_float32(x))


MEMORY = {
    torch.float32: (numba.float32, np.float32),
    torch.float64: (numba.float64, np.float64),
    torch.bfloat16: (numba.uint16, np.uint16),
    torch.float16: (numba.uint16, intrinsics.half_of_float32),
    torch.uint8: (numba.uint8, np.uint8),
    torch.int8: (numba.int8, np.int8),
    torch.int32: (numba.int32, np.int32),
}
"""Of each dtype what lies in memory, and what makes it of a number or of a code."""
