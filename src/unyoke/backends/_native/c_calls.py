"""Compiled code as a function of Python's own kind, which takes a tenth of a call through ctypes.

Such a function takes no arguments. What compiled code is to be given lies in a ``bytes`` object
that the function is bound to, as methods written in C are bound to their objects; and Python's
definition of the function with it, since Python reads it until the function is gone. Other Python
threads wait while it runs, so it is for what takes microseconds.
"""

from __future__ import annotations

import ctypes
import functools
import struct
from collections.abc import Callable
from typing import Any

from llvmlite import ir

from unyoke.backends._native import jit_cache

NO_ARGUMENTS = 4
"""``METH_NOARGS`` of Python's C interface."""

NAME = b"compiled\0"
"""That these functions go by."""


class _Definition(ctypes.Structure):
    """``PyMethodDef``; addresses as numbers, of which ctypes keeps nothing alive."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("documentation", ctypes.c_void_p),
    )


CONTENT = bytes.__basicsize__ - 1
"""Where the bytes of a ``bytes`` begin."""


def bound(address: int, *integers: int) -> Callable[[], bool]:
    """A function that calls compiled code with these numbers and says whether it returned 1.

    Args:
        address: from :func:`unyoke.backends._native.jit_cache.build`.
        integers: as many as it takes.
    """
    words = struct.pack(f"{2 + len(integers)}q", address, _answer(), *integers)
    # Definition, words and name in one object that the function holds as its ``self``: they live as
    # long as it, and compiled code finds the words behind the definition
    own = bytes(ctypes.sizeof(_Definition)) + words + NAME  # nobody else has it: it can be written
    definition = _Definition.from_address(id(own) + CONTENT)
    definition.name = id(own) + CONTENT + len(own) - len(NAME)
    definition.function, definition.flags = _entry(len(integers)), NO_ARGUMENTS
    result: Callable[[], bool] = _maker()(ctypes.addressof(definition), own, None)
    return result


@functools.cache
def _entry(count: int) -> int:
    """The address of what Python calls, for functions of so many numbers."""
    entry = f"unyoke_call{count}"
    return jit_cache.load(jit_cache.emit(str(_call(entry, count))), entry)


@functools.cache
def _maker() -> Any:
    make = ctypes.pythonapi["PyCFunction_NewEx"]  # by key: a function object of our own
    make.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    make.restype = ctypes.py_object
    return make


@functools.cache
def c_function(name: str) -> int:
    """The address of a function of Python's C interface."""
    return ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0


@functools.cache
def _answer() -> int:
    return c_function("PyBool_FromLong")


def _call(entry: str, count: int) -> ir.Module:
    """``PyObject *entry(PyObject *words, PyObject *nothing)``."""
    word, text = ir.IntType(64), ir.IntType(8).as_pointer()
    module = ir.Module(entry)
    function = ir.Function(module, ir.FunctionType(text, [text, text]), entry)
    builder = ir.IRBuilder(function.append_basic_block())
    content = ir.Constant(word, CONTENT + ctypes.sizeof(_Definition))
    words = builder.bitcast(builder.gep(function.args[0], [content]), word.as_pointer())
    compiled, answer, *integers = (
        builder.load(builder.gep(words, [ir.Constant(word, k)])) for k in range(2 + count)
    )
    result = builder.alloca(word)
    builder.store(ir.Constant(word, 0), result)
    kind = ir.FunctionType(ir.IntType(32), [word.as_pointer(), text, *[word] * count])
    builder.call(builder.inttoptr(compiled, kind.as_pointer()), [result, text(None), *integers])
    kind = ir.FunctionType(text, [word])
    builder.ret(builder.call(builder.inttoptr(answer, kind.as_pointer()), [builder.load(result)]))
    return module
