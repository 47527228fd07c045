"""Numbers that users give: what counts as one, and in which range it must lie.

Every numeric default of a direction or a decay is checked by :func:`check_defaults` without being
asked for. What is narrower than that rule says so with ``check=``, in the words of the functions
below, which are torch's where torch has them.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, SupportsFloat, TypeAlias

import torch

Values: TypeAlias = Mapping[str, Any]
Check: TypeAlias = Callable[[Values], None]


def plain(value: Any) -> Any:
    """A number as Python has it; whatever is not one (a tensor, a word, a function) as it is.

    So numpy's scalars and 0-d arrays, fractions and decimals may be given, and parameter groups
    hold plain values, which ``torch.load(weights_only=True)`` reads.

    >>> import numpy as np
    >>> plain((np.float64(0.5), np.array(3), "original"))
    (0.5, 3, 'original')
    """
    if type(value) in (float, int, bool, str) or isinstance(value, torch.Tensor):
        return value
    if isinstance(value, (tuple, list)):
        return type(value)(map(plain, value)) if type(value) in (tuple, list) else value
    try:
        return operator.index(value)
    except TypeError:
        pass
    is_one = isinstance(value, SupportsFloat) and getattr(value, "ndim", 0) == 0
    return float(value) if is_one else value


def number(value: Any) -> Any:
    """A hyperparameter as Python has it, like `plain`.

    An integer of more than 64 bits, which torch's operations do not take, becomes a float.
    """
    value = plain(value)
    if type(value) is not int or -(1 << 63) <= value < 1 << 63:
        return value
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def check_defaults(defaults: Values, values: Values) -> None:
    """Check every value whose default is a number, or a tuple of numbers.

    A number must be finite, and ≥ 0 if its default is; a tuple has as many numbers as its default.
    What is called ``beta``, ``betas``, ``beta1`` or ``average_beta``, with a default in [0, 1), is
    the memory of a moving average and stays in [0, 1). A flag must be a bool.

    Raises:
        ValueError: names the value and what it must be.
    """
    for name, default in defaults.items():
        value = values[name]
        if isinstance(default, bool):
            if not isinstance(value, bool):
                raise ValueError(f"Invalid {name}: {value!r}: it must be True or False")
        elif isinstance(default, (int, float)):
            _check(name, f"{_SPELLED.get(name, name)} value", value, default)
        elif isinstance(default, tuple) and all(isinstance(x, (int, float)) for x in default):
            _check_tuple(name, value, default)


_SPELLED = {"eps": "epsilon"}  # as in torch's own messages
_MEMORY = re.compile(r"(\w+_)?beta(s|\d*)")


def _check_tuple(name: str, value: Any, default: tuple[float, ...]) -> None:
    if not isinstance(value, (tuple, list)) or len(value) != len(default):
        raise ValueError(
            f"Invalid {name}: {value!r}: give {len(default)} numbers, such as {default}"
        )
    for index, each in enumerate(value):
        what = f"beta parameter at index {index}" if name == "betas" else f"{name}[{index}] value"
        _check(name, what, each, min(default))


def _check(name: str, what: str, value: Any, default: float) -> None:
    if _MEMORY.fullmatch(name) and 0 <= default < 1:
        in_range(what, value, 0.0, 1.0)
    elif default >= 0:
        in_range(what, value, 0.0)
    else:
        in_range(what, value, -math.inf)


def in_range(
    what: str, value: Any, low: float, high: float = math.inf, *, closed: bool = False
) -> None:
    """Check low ≤ value < high; with ``closed``, value = high is allowed as well.

    Raises:
        ValueError: it is outside, or no number.
    """
    number = plain(value)
    is_number = isinstance(number, (int, float, torch.Tensor)) and not isinstance(number, bool)
    above = is_number and -math.inf < number < math.inf and low <= number
    if above and (number < high or (closed and number == high)):
        return
    raise ValueError(f"Invalid {what}: {value}: it must {_words(low, high, closed)}")


def _words(low: float, high: float, closed: bool) -> str:
    if high < math.inf:
        return f"lie in [{low:g}, {high:g}" + ("]" if closed else ")")
    return "be a finite number" + (f" ≥ {low:g}" if low > -math.inf else "")


def unit_interval(name: str) -> Check:
    """A check of one hyperparameter in [0, 1]."""
    return lambda values: in_range(f"{name} value", values[name], 0.0, 1.0, closed=True)


def positive(name: str) -> Check:
    """A check of one hyperparameter in (0, ∞)."""

    def check(values: Values) -> None:
        if not 0.0 < values[name] < math.inf:
            raise ValueError(
                f"Invalid {name} value: {values[name]}: it must be a finite number > 0"
            )

    return check


def both(*checks: Check) -> Check:
    """Several checks, one after the other."""

    def check(values: Values) -> None:
        for each in checks:
            each(values)

    return check
