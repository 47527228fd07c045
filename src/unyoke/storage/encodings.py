"""How a number is kept in fewer bits: codes of bfloat16, and of blocks of 8 bits.

Like a direction, every encoding is one pure function of one element, in the words of
:mod:`unyoke.primitives`.

Low precision is written with stochastic rounding. At β2 = 0.999 an update moves v by 0.1 %, under
half an ulp of bfloat16 (0.4 %), so the nearest number is the old one for ever; a random choice
between the two neighbours is right in the mean.

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

from unyoke.primitives import (
    absolute,
    bits_of,
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

# bfloat16


def encode_bfloat16(value, random):
    """float32 → the 16 bits of bfloat16, rounded by 16 random bits; NaN stays NaN."""
    bits = bits_of(value)
    return int32(where(value == value, int32(bits + random), int32(bits | 0x7FC00000)) >> 16)


def to_nearest(value):
    """What to give :func:`encode_bfloat16` instead of random bits: to nearest, ties to even."""
    return int32(0x7FFF + ((bits_of(value) >> 16) & 1))


def nearest_bfloat16(value):
    """float32 → the 16 bits of the nearest bfloat16, ties to even."""
    return encode_bfloat16(value, to_nearest(value))


def decode_bfloat16(code):
    """The 16 bits of bfloat16 → float32."""
    return float_of(int32(code << 16))


# 8-bit blocks. A code is what bits 20 … 27 of a float32 are after the floor was added.


def block_scale(largest):
    """The scale of a block whose largest magnitude is given; NaN if that is not finite.

    A power of two, so far above (by 1/15 at least) that rounding up cannot leave the 8 bits; at
    least 2^−99, so that the smallest code is a normal number.
    """
    exponent = maximum(int32((bits_of(largest) + 0x100200) >> 23), int32(27))
    scale = float_of(int32(exponent + 1 << 23))
    return where(largest < float_of(0x7E800000), scale, float_of(0x7FC00000))


def magnitude(value):
    """What orders numbers by their size: the largest one's is the argument of block_scale."""
    return bits_of(absolute(value))


def inverse(scale):
    """1/scale, which is a power of two as well."""
    return 1.0 / scale


def half_step(value):
    """What to give an encoding of blocks instead of random bits: to nearest."""
    return 1 << 19


def encode_signed(value, inverse, random):
    """A first moment → the 8 bits of a code; ``inverse`` is 1/scale, ``random`` 20 random bits.

    Magnitudes go to 2 … 2^17, where bit 27 is free for the sign.
    """
    floor = float_of(int32((bits_of(value) & -0x80000000) | 0x40000000))  # ±2
    bits = int32(bits_of(multiply_add(value, inverse * float_of(0x48000000), floor)) + random)
    return int32((int32(bits | ((bits >> 4) & 0x8000000)) >> 20) & 0xFF)


def decode_signed(code, scale):
    """−128 … 127 → a first moment."""
    bits = int32((int32(code << 20) & -0x78100000) | 0x38000000)  # sign, seven bits, floor
    floor = float_of(int32(bits & -0x48000000))  # ±2^−15
    return (float_of(bits) - floor) * (scale * float_of(0x3F000000))  # 2^−1


def encode_unsigned(value, inverse, random):
    """A second moment → 0 … 255, and 0 only if it is 0; arguments as :func:`encode_signed`.

    What is above the knee, 12 octaves above the floor, counts twice. Floor, floor and knee, in the
    bits of a float32, add up to a multiple of 2^28, and so to nothing.
    """
    unit = inverse + inverse
    bits = bits_of(multiply_add(value, unit, float_of(0x35000000)))  # 2^−21
    bits = int32(bits + maximum(bits, int32(0x3B000000)))  # floor + knee
    code = int32((int32(bits + random) >> 20) & 0xFF)
    # Of what is never negative only 0 has the bits 0: nothing else may be stored as 0
    return maximum(code, where(bits_of(value) < 1, bits_of(value), int32(1)))


def decode_unsigned(code, scale):
    """0 … 255 → a second moment."""
    half = int32(code << 19)
    above = int32(half + where(half < 0x3000000, half, int32(0x3000000)))  # the floor
    unit = scale * float_of(0x3F000000)  # 2^−1
    return multiply_add(float_of(int32(above + 0x35000000)), unit, unit * float_of(-0x4B000000))
