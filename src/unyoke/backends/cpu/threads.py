"""torch's own OpenMP threads, lent for a step: they are awake already, and no more are started.

GNU's OpenMP, which torch's Linux builds bring, is asked by the function that compilers call for
``#pragma omp parallel``. Each thread takes the next share from a common counter until none is left.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import torch
from llvmlite import ir

from unyoke.backends._native import jit_cache

ENTRY = "unyoke_shares"

# What the threads are told, by address: 64-bit words in this order. Share number k is what
# ``kernel(job, cuts[k], cuts[k + 1])`` does; the next that nobody has taken is counted there too.
NEXT, COUNT, KERNEL, JOB, CUTS = range(5)


@functools.cache
def parallel() -> Any:
    """OpenMP's function ``(entry, words, threads, 0)``; None where torch has none."""
    function = getattr(ctypes.CDLL(torch._C.__file__), "GOMP_parallel", None)
    if function is not None:
        function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        function.restype = None
    return function


@functools.cache
def member() -> Any:
    """What each thread does with the address of the words, a function with its ``address``."""
    address = jit_cache.load(jit_cache.emit(str(_member())), ENTRY)
    run: Any = functools.partial(ctypes.CFUNCTYPE(None, ctypes.c_int64)(address))
    run.address = address
    return run


def _member() -> ir.Module:
    """``void unyoke_shares(int64 *words)``: take shares until there are none."""
    word, text = ir.IntType(64), ir.IntType(8).as_pointer()
    module = ir.Module(ENTRY)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [word.as_pointer()]), ENTRY)
    begin, ask, work, end = (
        function.append_basic_block(n) for n in ("begin", "ask", "work", "end")
    )
    builder = ir.IRBuilder(begin)

    def place(index: Any) -> Any:
        return builder.gep(function.args[0], [word(index) if isinstance(index, int) else index])

    result = builder.alloca(word)
    count, job = builder.load(place(COUNT)), builder.load(place(JOB))
    types = [word.as_pointer(), text.as_pointer(), word, word, word]
    kind = ir.FunctionType(ir.IntType(32), types).as_pointer()
    kernel = builder.inttoptr(builder.load(place(KERNEL)), kind)
    builder.branch(ask)
    builder.position_at_end(ask)
    # Monotonic is enough: shares do not read each other's elements, and whoever waits for the
    # threads orders what they wrote
    share = builder.atomic_rmw("add", place(NEXT), word(1), "monotonic")
    builder.cbranch(builder.icmp_signed("<", share, count), work, end)
    builder.position_at_end(work)
    first = builder.load(place(builder.add(share, word(CUTS))))
    last = builder.load(place(builder.add(share, word(CUTS + 1))))
    builder.call(kernel, [result, text.as_pointer()(None), job, first, last])
    builder.branch(ask)
    builder.position_at_end(end)
    builder.ret_void()
    return module
