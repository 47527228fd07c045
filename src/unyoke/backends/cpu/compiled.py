"""Formulas for Numba: the very same code, with the names in it bound to other things.

Two things differ from what eager runs. The few primitives that Python and torch implement get an
implementation for compiled code. And literals take the dtype of the computation: to Numba ``1.0``
is a float64, which would draw the whole formula to float64 and halve its speed.

Imported when something must be compiled, and Numba with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import CellType, FunctionType
from typing import Any

import numba
import numpy as np
import torch

from unyoke import primitives
from unyoke.backends._native import intrinsics
from unyoke.backends._native.functions import names_in
from unyoke.backends._native.intrinsics import compiled
from unyoke.backends.cpu.source import Recipe
from unyoke.storage import encodings


def names(recipe: Recipe) -> dict[str, Any]:
    """What the names in a kernel's text stand for."""
    number = np.float64 if recipe.dtypes[0] is torch.float64 else np.float32
    result = {
        "update": bind(recipe.rule.function, number, whole=number),
        "number": number,
        "compiled": compiled,
        "copy": copy,
        "repeat": repeat,
        "word_at": intrinsics.word_at,
        "number_at": intrinsics.number_at,
        "room": intrinsics.room,
        "int32": np.int32,
        "uint16": np.uint16,
        "STRIDE": np.int32(encodings.STRIDE),
        "float32": np.float32,
        "bits_of": intrinsics.bits_of_float32,
        "float_of": intrinsics.float32_of_bits,
    }
    for function in (*encodings.FUNCTIONS, primitives.absolute, primitives.maximum):
        result[function.__name__] = bind(function, np.float32, whole=int)
    result["larger"] = result["maximum"]
    for index, dtype in enumerate(recipe.dtypes):
        kept = STORAGES[dtype]
        result[f"load{index}"] = number if kept.load is None else kept.load
        result[f"store{index}"] = kept.store
        result[f"code{index - 2}"] = np.uint16 if dtype is torch.bfloat16 else kept.store
    scales = {name: torch.float32 for name, _ in recipe.columns}
    dtypes = scales | recipe.elementwise | recipe.room
    for number_of_column, (name, dtype) in enumerate(dtypes.items()):
        pair = intrinsics.column(STORAGES[dtype].element, number_of_column)
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
        primitives.bits_of: intrinsics.bits_of_float32,
        primitives.float_of: intrinsics.float32_of_bits,
        primitives.multiply_add: intrinsics.multiply_add,
    }
    return _bind(function, {float: number, int: whole}, known)


def _bind(function: Any, literals: dict[type, Any], known: dict[Any, Any]) -> Any:
    if function not in known:

        def literal(value: Any) -> Any:
            return literals[type(value)](value) if type(value) in literals else value

        used = {
            name: _bind(value, literals, known)
            if isinstance(value, FunctionType)
            else literal(value)
            for name, value in names_in(function).items()
        }
        code = function.__code__
        code = code.replace(co_consts=tuple(map(literal, code.co_consts)))
        closed = tuple(CellType(used[name]) for name in code.co_freevars)
        bound = FunctionType(code, used, function.__name__, function.__defaults__, closed)
        known[function] = compiled(bound)
    return known[function]


select: Any = intrinsics.select  # mypy takes these for what they are before Numba has seen them
copy: Any = intrinsics.copy

# How numbers lie in memory


@dataclass(frozen=True)
class Storage:
    """How a tensor's numbers are read into a computation and written back, rounded once.

    Attributes:
        element: what lies in memory.
        load: memory → float32; None where a conversion to the computation's dtype is all.
        store: the computation's dtype → memory.
    """

    element: Any
    load: Any
    store: Any


@compiled
def load_bfloat16(bits: Any) -> Any:
    return intrinsics.float32_of_bits(np.int32(bits) << np.int32(16))


@compiled
def store_bfloat16(number: Any) -> Any:
    bits = intrinsics.bits_of_float32(number)
    to_nearest_even = np.int32(0x7FFF) + ((bits >> np.int32(16)) & np.int32(1))
    nearest = np.uint16((bits + to_nearest_even) >> np.int32(16))
    return select(number == number, nearest, np.uint16(0x7FC0))


STORAGES = {
    torch.float32: Storage(numba.float32, None, np.float32),
    torch.float64: Storage(numba.float64, None, np.float64),
    torch.bfloat16: Storage(numba.uint16, load_bfloat16, store_bfloat16),
    torch.float16: Storage(numba.uint16, intrinsics.float32_of_half, intrinsics.half_of_float32),
    torch.uint8: Storage(numba.uint8, None, np.uint8),  # codes have functions of their own
    torch.int8: Storage(numba.int8, None, np.int8),
    torch.int32: Storage(numba.int32, None, None),
}
