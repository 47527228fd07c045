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

from unyoke import primitives, storage
from unyoke.backends.cpu import native
from unyoke.backends.cpu.kernels import names_in
from unyoke.backends.cpu.source import Recipe

# IEEE arithmetic as it stands. No flag that lets the compiler reorder, contract or approximate, so
# the results are eager's bit for bit; nothing is lost by it: division and root bound the speed in
# cache (0.4 ns per element of Adam with AVX2, with any flags), memory bounds it elsewhere.
OPTIONS: dict[str, Any] = {
    "error_model": "numpy",
    "fastmath": False,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,  # only compiled code calls it
}


def names(recipe: Recipe) -> dict[str, Any]:
    """What the names in a kernel's text stand for."""
    number = np.float64 if recipe.dtypes[0] is torch.float64 else np.float32
    result = {
        "update": bind(recipe.rule.function, number, whole=number),
        "number": number,
        "compiled": compiled,
        "copy": copy,
        "repeat": repeat,
        "word_at": native.word_at,
        "number_at": native.number_at,
        "room": native.room,
        "int32": np.int32,
        "uint16": np.uint16,
        "STRIDE": np.int32(storage.STRIDE),
        "float32": np.float32,
        "bits_of": native.bits_of_float32,
        "float_of": native.float32_of_bits,
    }
    for function in (*storage.FUNCTIONS, primitives.absolute, primitives.maximum):
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
        pair = native.column(STORAGES[dtype].element, number_of_column)
        result[f"get_{name}"], result[f"put_{name}"] = pair
    return result


def compiled(function: Any) -> Any:
    """A function for Numba to compile when it is first called from compiled code."""
    return numba.njit(function, **OPTIONS)


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
        primitives.sqrt: native.square_root,
        primitives.exp: native.exponential,
        primitives.where: native.select,
        primitives.int32: np.int32,
        primitives.float32: np.float32,
        primitives.bits_of: native.bits_of_float32,
        primitives.float_of: native.float32_of_bits,
        primitives.multiply_add: native.multiply_add,
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


select: Any = native.select  # mypy takes these for what they are before Numba has seen them
copy: Any = native.copy

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
    return native.float32_of_bits(np.int32(bits) << np.int32(16))


@compiled
def store_bfloat16(number: Any) -> Any:
    bits = native.bits_of_float32(number)
    to_nearest_even = np.int32(0x7FFF) + ((bits >> np.int32(16)) & np.int32(1))
    nearest = np.uint16((bits + to_nearest_even) >> np.int32(16))
    return select(number == number, nearest, np.uint16(0x7FC0))


STORAGES = {
    torch.float32: Storage(numba.float32, None, np.float32),
    torch.float64: Storage(numba.float64, None, np.float64),
    torch.bfloat16: Storage(numba.uint16, load_bfloat16, store_bfloat16),
    torch.float16: Storage(numba.uint16, native.float32_of_half, native.half_of_float32),
    torch.uint8: Storage(numba.uint8, None, np.uint8),  # codes have functions of their own
    torch.int8: Storage(numba.int8, None, np.int8),
    torch.int32: Storage(numba.int32, None, None),
}


def reading() -> dict[str, Any]:
    """What the names in the text that reads addresses stand for."""
    return {
        "compiled": compiled,
        "word_at": native.word_at,
        "put_word": native.put_word,
        "ask": native.ask,
        "prefetch": native.prefetch,
        "invoke": native.invoke,
        "perform": native.perform,
        "number_at": native.number_at,
        "single_at": native.single_at,
        "put_single": native.put_single,
        "float32": np.float32,
        "float64": np.float64,
    }
