"""The functions that a formula may use beside + − × ÷ and comparisons.

A formula is written once, for one element, and runs everywhere: here on Python floats (where
coefficients are formed) and torch tensors (the eager backend); a compiling backend binds the same
names to its own functions. Keep the list short: every backend must know every name in it.
"""

from __future__ import annotations

import math
import struct
from typing import Any, TypeAlias

import torch

Element: TypeAlias = Any
"""For those who annotate: a float in a kernel, a torch.Tensor in eager."""


def sqrt(x):
    """Square root."""
    if isinstance(x, float):  # asked first: whether it is a tensor takes longer to find out
        return math.sqrt(x)
    return torch.sqrt(x) if isinstance(x, torch.Tensor) else math.sqrt(x)


def exp(x):
    """Natural exponential."""
    return torch.exp(x) if isinstance(x, torch.Tensor) else math.exp(x)


def where(condition, yes, no):
    """``yes`` where the condition holds, else ``no``; both are evaluated."""
    if isinstance(condition, torch.Tensor):
        return torch.where(condition, yes, no)
    return yes if condition else no


def absolute(x):
    """x without its sign; NaN stays NaN."""
    return abs(x)


def sign(x):
    """−1, 0 or 1; NaN stays NaN (torch.sign gives 0, which would hide a broken gradient)."""
    return where(x > 0, 1.0, where(x < 0, -1.0, x))


def maximum(x, y):
    """The larger of two; NaN if either is NaN, as torch.maximum."""
    return where((x > y) | (x != x), x, y)


def moving_average(average, value, keep, new):
    """β·a_{t−1} + (1 − β)·x_t; ``keep`` is β and ``new`` 1 − β, both formed in float64."""
    return keep * average + new * value


def int32(x):
    """The low 32 bits of an integer, as a signed one; integer formulas say it at every line."""
    if isinstance(x, torch.Tensor):
        return x.to(torch.int32)
    return (int(x) + 0x80000000 & 0xFFFFFFFF) - 0x80000000


def float32(x):
    """A number in float32."""
    if isinstance(x, torch.Tensor):
        return x.to(torch.float32)
    return struct.unpack("f", struct.pack("f", x))[0]


def float16(x):
    """The nearest float16, ties to even, as a float32."""
    if isinstance(x, torch.Tensor):
        return x.to(torch.float16).to(torch.float32)
    return struct.unpack("e", struct.pack("e", x))[0]


def bits_of(x):
    """The bits of a float32 as an int32."""
    if isinstance(x, torch.Tensor):
        return x.to(torch.float32).view(torch.int32)
    return struct.unpack("i", struct.pack("f", x))[0]


def float_of(x):
    """The float32 with these bits; of a literal, a float32 constant on every backend."""
    if isinstance(x, torch.Tensor):
        return x.to(torch.int32).view(torch.float32)
    return struct.unpack("f", struct.pack("i", x))[0]


def multiply_add(x, y, z):
    """x·y + z in float32 where x·y is exact: to round it first makes no difference."""
    return x * y + z


PRIMITIVES = (sqrt, exp, where, absolute, sign, maximum, moving_average)
"""Every backend binds exactly these names."""

BITS = (int32, float32, float16, bits_of, float_of, multiply_add)
"""And these, for the formats of :mod:`unyoke.storage`; with them & | ^ << >> (arithmetic)."""
