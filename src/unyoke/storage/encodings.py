"""How state and weights are kept: float32, bfloat16 or 8-bit blocks, and how they are rounded.

Like a direction, every encoding is one pure function of one element, in the words of
:mod:`unyoke.primitives`; backends bind :data:`FUNCTIONS` in their order. Compile them without
reassociation: two_sum is zero in real numbers.

Low precision is written with stochastic rounding. At β2 = 0.999 an update moves v by 0.1 %, under
half an ulp of bfloat16 (0.4 %), so the nearest number is the old one for ever; a random choice
between the two neighbours is right in the mean. The random bits are an integer hash of (seed, t,
tensor, element): the same on every backend, for any number of threads, and after a resume.

8-bit blocks: BLOCK elements share a power of two as scale; a code is a small float below it. The
first moment has a sign and 16 octaves of 8 values (6–12 % apart); the second moment has 22 octaves,
16 values in each of the upper 10 and 8 in each of the others. Below the last octave come 8 even
steps to zero. Why so: to add the last octave's lower end, the floor, to a magnitude makes the upper
bits of its float32 the code; no root, division or logarithm, and nothing to subtract, since the
floors are chosen so that those bits count from zero. While a block keeps its scale, what did not
change is stored unchanged, so rounding adds no noise of its own. And since the smallest m is below
the smallest √v (2^−19 and 2^−12.5 of their largest), an m rounded up over a v rounded down makes no
large step. A second moment that is not zero is never stored as zero. Zeros are exact. NaN or
infinity anywhere makes its whole block NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from unyoke.primitives import (
    Element,
    absolute,
    bits_of,
    float32,
    float_of,
    int32,
    maximum,
    multiply_add,
    where,
)

BLOCK = 128
"""Elements that share a scale, consecutive in memory: 4/128 bytes each for a float32 scale."""

SMALL = 4096
"""Tensors with fewer elements keep plain state: they cost little, and biases and norms matter."""

# Random bits

STRIDE = -0x61C88647
"""What a place and the next differ by: 2^32 divided by the golden ratio, as an int32."""


def mixed(key: Element, number: Element) -> Element:
    """The key of one of many (updates, tensors, words) under a key.

    "lowbias32", Chris Wellons, "Prospecting for Hash Functions", 2018; the key goes in twice, so
    that two keys do not give the same numbers in another order.
    """
    x = int32(number + key)
    x = int32((x ^ ((x >> 16) & 0xFFFF)) * 0x7FEB352D)
    x = int32((x ^ ((x >> 15) & 0x1FFFF)) * -0x7B935975 + key)
    return int32(x ^ ((x >> 16) & 0xFFFF))


def scrambled(place: Element) -> Element:
    """32 random bits for a place; all of them, each once, for all 2^32 places."""
    x = int32((place ^ ((place >> 15) & 0x1FFFF)) * 0x297A2D39)
    return int32((x ^ ((x >> 15) & 0x1FFFF)) * -0x7B935975)


def noise(key: Element, index: Element) -> Element:
    """32 random bits for an element, by its position in memory.

    The key of word w of tensor n at update t is mixed(mixed(mixed(seed, t), n), w). Elements take
    places in a Weyl sequence that begins at the key: three operations less than ``mixed``.
    """
    return scrambled(int32(index * STRIDE + key))


def upper_bits(word: Element, count: Element) -> Element:
    """The upper bits of a random word, for the states 0, 2, …"""
    return int32((word >> (32 - count)) & ((1 << count) - 1))


def lower_bits(word: Element, count: Element) -> Element:
    """The lower bits of a random word, for the states 1, 3, …"""
    return int32(word & ((1 << count) - 1))


def chance(word: Element, next_word: Element) -> Element:
    """Uniform in [0, 1), as fine near 0 as float32 is: the chance may be 1e-8."""
    coarse = float32(upper_bits(word, 24)) * float_of(0x33800000)  # 2^−24
    return coarse + float32(upper_bits(next_word, 24)) * float_of(0x27800000)  # 2^−48


# bfloat16


def encode_bfloat16(value: Element, random: Element) -> Element:
    """float32 → the 16 bits of bfloat16, rounded by 16 random bits; NaN stays NaN."""
    bits = bits_of(value)
    return int32(where(value == value, int32(bits + random), int32(bits | 0x7FC00000)) >> 16)


def to_nearest(value: Element) -> Element:
    """What to give :func:`encode_bfloat16` instead of random bits: to nearest, ties to even."""
    return int32(0x7FFF + ((bits_of(value) >> 16) & 1))


def decode_bfloat16(code: Element) -> Element:
    """The 16 bits of bfloat16 → float32."""
    return float_of(int32(code << 16))


# 8-bit blocks. A code is what bits 20 … 27 of a float32 are after the floor was added.


def block_scale(largest: Element) -> Element:
    """The scale of a block whose largest magnitude is given; NaN if that is not finite.

    A power of two, so far above (by 1/15 at least) that rounding up cannot leave the 8 bits; at
    least 2^−99, so that the smallest code is a normal number.
    """
    exponent = maximum(int32((bits_of(largest) + 0x100200) >> 23), int32(27))
    scale = float_of(int32(exponent + 1 << 23))
    return where(largest < float_of(0x7E800000), scale, float_of(0x7FC00000))


def encode_signed(value: Element, inverse: Element, random: Element) -> Element:
    """A first moment → the 8 bits of a code; ``inverse`` is 1/scale, ``random`` 20 random bits.

    Magnitudes go to 2 … 2^17, where bit 27 is free for the sign.
    """
    floor = float_of(int32((bits_of(value) & -0x80000000) | 0x40000000))  # ±2
    bits = int32(bits_of(multiply_add(value, inverse * float_of(0x48000000), floor)) + random)
    return int32((int32(bits | ((bits >> 4) & 0x8000000)) >> 20) & 0xFF)


def decode_signed(code: Element, scale: Element) -> Element:
    """−128 … 127 → a first moment."""
    bits = int32((int32(code << 20) & -0x78100000) | 0x38000000)  # sign, seven bits, floor
    floor = float_of(int32(bits & -0x48000000))  # ±2^−15
    return (float_of(bits) - floor) * (scale * float_of(0x3F000000))  # 2^−1


def encode_unsigned(value: Element, inverse: Element, random: Element) -> Element:
    """A second moment → 0 … 255, and 0 only if it is 0; arguments as :func:`encode_signed`.

    What is above the knee, 12 octaves above the floor, counts twice. Floor, floor and knee, in the
    bits of a float32, add up to a multiple of 2^28, and so to nothing.
    """
    unit = inverse + inverse
    bits = bits_of(multiply_add(value, unit, float_of(0x35000000)))  # 2^−21
    bits = int32(bits + maximum(bits, int32(0x3B000000)))  # floor + knee
    code = int32((int32(bits + random) >> 20) & 0xFF)
    return maximum(code, where(bits_of(value) < 1, bits_of(value), int32(1)))


def decode_unsigned(code: Element, scale: Element) -> Element:
    """0 … 255 → a second moment."""
    half = int32(code << 19)
    above = int32(half + where(half < 0x3000000, half, int32(0x3000000)))  # the floor
    unit = scale * float_of(0x3F000000)  # 2^−1
    return multiply_add(float_of(int32(above + 0x35000000)), unit, unit * float_of(-0x4B000000))


# Weights: θ − delta, where delta may be under half an ulp of θ


def rounded_sum(a: Element, b: Element) -> Element:
    """(a + b rounded, what the rounding took), which together are a + b exactly."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def round_stochastic(high: Element, low: Element, unit: Element, uniform: Element) -> Element:
    """One of the two neighbours of high + low, right in the mean.

    ``unit`` is the neighbours' distance in the bits of a float32: 1 for float32, 0x10000 for
    bfloat16. ``uniform`` is a :func:`chance`. Exact for |low| ≤ half an ulp of high.
    """
    bits = int32(bits_of(high) & -unit)
    inner = float_of(bits)
    rest = (high - inner) + low
    outwards = (rest > 0) == (inner > 0)
    outer = float_of(int32(where(outwards, int32(bits + unit), int32(bits - unit))))
    return where(uniform * absolute(outer - inner) < absolute(rest), outer, inner)


def subtract_stochastic(weight: Element, delta: Element, unit: Element, uniform: Element) -> Any:
    """θ − delta in a weight of float32 or bfloat16 (see ``unit``), right in the mean."""
    high, low = rounded_sum(weight, -delta)
    return round_stochastic(high, low, unit, uniform)


def subtract_kahan(weight: Element, compensation: Element, delta: Element) -> Any:
    """(θ, compensation) whose sum is the old sum − delta, in the weight's own precision.

    Where delta is 0 nothing moves, not even between two weights that are equally near.
    """
    change, lost = rounded_sum(compensation, -delta)
    moves = delta != 0
    high, low = rounded_sum(weight, where(moves, change, -0.0))  # θ − 0 is θ, in the sign of 0 too
    high, low = rounded_sum(
        high, where(moves, low + lost, -0.0)
    )  # lost counts if δ is as large as θ
    return high, where(moves, low, compensation)


def subtract_kahan_bfloat16(
    weight: Element, compensation: Element, delta: Element, uniform: Element
) -> Any:
    """The same for bfloat16, all in float32, the results being bfloat16 numbers.

    8 + 8 bits would still lose what is under 2^−17 of a weight, so the compensation is itself
    rounded stochastically.
    """
    high, low = subtract_kahan(weight, compensation, delta)
    nearest = decode_bfloat16(encode_bfloat16(high, to_nearest(high)))
    rest, lost = rounded_sum(high - nearest, low)
    rest = round_stochastic(rest, lost, 0x10000, uniform)
    return nearest, where(delta == 0, compensation, rest)


FUNCTIONS: tuple[Callable[..., Any], ...] = (
    mixed,
    scrambled,
    noise,
    upper_bits,
    lower_bits,
    chance,
    encode_bfloat16,
    to_nearest,
    decode_bfloat16,
    block_scale,
    encode_signed,
    decode_signed,
    encode_unsigned,
    decode_unsigned,
    rounded_sum,
    round_stochastic,
    subtract_stochastic,
    subtract_kahan,
    subtract_kahan_bfloat16,
)
"""Every element-level function here, each after those that it calls."""
