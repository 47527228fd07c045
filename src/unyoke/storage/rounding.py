"""How θ − delta is rounded into a weight: to nearest, by chance, or with a compensation.

A :class:`WeightRounding` is one pure function of an element. Compile them without reassociation:
what :func:`rounded_sum` finds lost is zero in real numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from unyoke.primitives import absolute, bits_of, float16, float_of, int32, where
from unyoke.storage.encodings import decode_bfloat16, nearest_bfloat16


def rounded_sum(a, b):
    """(a + b rounded, what the rounding took), which together are a + b exactly."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def round_stochastic(high, low, unit, uniform):
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


def subtract_nearest(weight, delta):
    """θ − delta."""
    return (weight - delta,)


def assign(weight, delta):
    """delta itself, whatever stood there: for what is no weight yet."""
    return (delta,)


def subtract_stochastic(weight, delta, uniform):
    """θ − delta in a weight of float32, right in the mean."""
    high, low = rounded_sum(weight, -delta)  # low: what even a float32 sum would lose
    return (round_stochastic(high, low, 1, uniform),)


def subtract_stochastic_bfloat16(weight, delta, uniform):
    """The same for bfloat16, all in float32, the result being a bfloat16 number."""
    high, low = rounded_sum(weight, -delta)
    return (round_stochastic(high, low, 0x10000, uniform),)


def subtract_kahan(weight, compensation, delta):
    """(θ, compensation) whose sum is the old sum − delta, in the weight's own precision.

    Where delta is 0 nothing moves, not even between two weights that are equally near.
    """
    change, lost = rounded_sum(compensation, -delta)
    moves = delta != 0
    high, low = rounded_sum(weight, where(moves, change, -0.0))  # θ − 0 is θ, in the sign of 0 too
    lost = where(moves, low + lost, -0.0)  # it counts if δ is as large as θ
    high, low = rounded_sum(high, lost)
    return high, where(moves, low, compensation)


def subtract_kahan_float16(weight, compensation, delta):
    """The same for float16, all in float32, the new weight being a float16 number."""
    high, low = subtract_kahan(weight, compensation, delta)
    nearest = float16(high)
    return nearest, (high - nearest) + low


def subtract_kahan_bfloat16(weight, compensation, delta, uniform):
    """The same for bfloat16, all in float32, the results being bfloat16 numbers.

    8 + 8 bits would still lose what is under 2^−17 of a weight, so the compensation is itself
    rounded stochastically.
    """
    high, low = subtract_kahan(weight, compensation, delta)
    nearest = decode_bfloat16(nearest_bfloat16(high))
    rest, lost = rounded_sum(high - nearest, low)
    rest = round_stochastic(rest, lost, 0x10000, uniform)
    return nearest, where(delta == 0, compensation, rest)


@dataclass(frozen=True)
class WeightRounding:
    """How a weight of some dtype is rounded.

    Attributes:
        name: the word that groups and checkpoints hold.
        subtract: ``(weight, [compensation,] delta[, uniform]) → (weight[, compensation])``.
        random: it takes a ``uniform``, a :func:`unyoke.storage.random_words.chance`.
        compensated: it keeps a compensation, in the weight's dtype.
    """

    name: str
    subtract: Callable[..., Any]
    random: bool = False
    compensated: bool = False


_KAHAN = WeightRounding("kahan", subtract_kahan, compensated=True)
_KAHAN_FLOAT16 = WeightRounding("kahan", subtract_kahan_float16, compensated=True)
_KAHAN_BFLOAT16 = WeightRounding("kahan", subtract_kahan_bfloat16, random=True, compensated=True)
_STOCHASTIC = WeightRounding("stochastic", subtract_stochastic, random=True)
_STOCHASTIC_BFLOAT16 = WeightRounding("stochastic", subtract_stochastic_bfloat16, random=True)

ASSIGNED = WeightRounding("assigned", assign)
"""For memory that a pass over elements fills: no user asks for it."""

ROUNDINGS: Mapping[str, Mapping[torch.dtype | None, WeightRounding]] = {
    "nearest": {None: WeightRounding("nearest", subtract_nearest)},
    "kahan": {None: _KAHAN, torch.float16: _KAHAN_FLOAT16, torch.bfloat16: _KAHAN_BFLOAT16},
    "stochastic": {torch.float32: _STOCHASTIC, torch.bfloat16: _STOCHASTIC_BFLOAT16},
}
"""Every rounding, by the dtype of the weight; None stands for the dtypes that are not named."""


def rounding_of(name: str, dtype: torch.dtype) -> WeightRounding:
    """How a weight of this dtype is rounded.

    Raises:
        ValueError: it cannot be rounded so.
    """
    if name == ASSIGNED.name:
        return ASSIGNED
    own = ROUNDINGS[name]
    found = own.get(dtype, own.get(None))
    if found is None:
        dtypes = " and ".join(str(each).removeprefix("torch.") for each in own)
        raise ValueError(
            f"rounding={name!r} is for {dtypes} weights, and this one is {dtype}: use 'kahan'"
        )
    return found
