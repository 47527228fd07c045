"""Compiled code as a function of Python's own kind, which takes a tenth of a call through ctypes.

Such a function takes no arguments. What compiled code is to be given lies in a ``bytes`` object
that the function is bound to, as methods written in C are bound to their objects. Other Python
threads wait while it runs, so it is for what takes microseconds.
"""

from __future__ import annotations

import ctypes
import functools
import struct
from collections.abc import Callable
from typing import Any

from llvmlite import ir

from unyoke.backends.cpu import machine

NO_ARGUMENTS = 4
"""``METH_NOARGS`` of Python's C interface."""


class _Definition(ctypes.Structure):
    """``PyMethodDef``."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("documentation", ctypes.c_char_p),
    )


def bound(function: Any, *integers: int) -> Callable[[], bool]:
    """A function that calls compiled code with these numbers and says whether it returned 1.

    Args:
        function: from :func:`machine.build`.
        integers: as many as it takes.
    """
    definition, make = _definition(len(integers))
    words = struct.pack(f"{2 + len(integers)}q", function.address, _answer(), *integers)
    result: Callable[[], bool] = make(ctypes.addressof(definition), words, None)
    return result


@functools.cache
def _definition(count: int) -> tuple[_Definition, Any]:
    """What Python must be told of the functions of so many numbers, and who makes them."""
    entry = f"unyoke_call{count}"
    address = machine.load(machine.emit(str(_call(entry, count))), entry)
    make = ctypes.pythonapi["PyCFunction_NewEx"]  # by key: a function object of our own
    make.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    make.restype = ctypes.py_object
    return _Definition(entry.encode(), address, NO_ARGUMENTS, None), make


@functools.cache
def _answer() -> int:
    return ctypes.cast(ctypes.pythonapi.PyBool_FromLong, ctypes.c_void_p).value or 0


def _call(entry: str, count: int) -> ir.Module:
    """``PyObject *entry(PyObject *words, PyObject *nothing)``."""
    word, text = ir.IntType(64), ir.IntType(8).as_pointer()
    module = ir.Module(entry)
    function = ir.Function(module, ir.FunctionType(text, [text, text]), entry)
    builder = ir.IRBuilder(function.append_basic_block())
    content = ir.Constant(word, bytes.__basicsize__ - 1)  # where the bytes of a `bytes` begin
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
