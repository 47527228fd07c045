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
from dataclasses import dataclass
from typing import Any, SupportsFloat, TypeAlias

import torch

Values: TypeAlias = Mapping[str, Any]
Check: TypeAlias = Callable[[Values], None]
Limits: TypeAlias = tuple[float, float]  # least ≤ number < below


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
        elif _is_number(default):
            in_range(f"{_SPELLED.get(name, name)} value", value, *_limits(name, default))
        elif isinstance(default, tuple) and all(map(_is_number, default)):
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
        in_range(what, each, *_limits(name, min(default)))


def _limits(name: str, default: float) -> Limits:
    """Where a number with this default lies; every one of them is finite."""
    if _MEMORY.fullmatch(name) and 0 <= default < 1:
        return 0.0, 1.0
    return (0.0 if default >= 0 else -math.inf), math.inf


def in_range(
    what: str, value: Any, low: float, high: float = math.inf, words: str | None = None
) -> None:
    """Check low ≤ value < high; ``words`` say it for people, if not in these numbers.

    Raises:
        ValueError: it is outside, or no number.
    """
    number = plain(value)
    if isinstance(number, torch.Tensor):
        is_number = number.numel() == 1 and not number.is_complex()
    else:
        is_number = _is_number(number)
    if not (is_number and -math.inf < number < math.inf and low <= number < high):
        raise ValueError(f"Invalid {what}: {value}: it must {words or _words(low, high)}")


def _words(low: float, high: float) -> str:
    if high < math.inf:
        return f"lie in [{low:g}, {high:g})"
    return "be a finite number" + (f" ≥ {low:g}" if low > -math.inf else "")


@dataclass(frozen=True)
class Interval:
    """A check of one hyperparameter, of which compiled code can be told.

    Attributes:
        name: of the hyperparameter.
        limits: least ≤ number < below.
        words: what it must do, for people.
    """

    name: str
    limits: Limits
    words: str

    def __call__(self, values: Values) -> None:
        in_range(f"{self.name} value", values[self.name], *self.limits, self.words)


@dataclass(frozen=True)
class Checks:
    """Several checks, one after the other."""

    each: tuple[Check, ...]

    def __call__(self, values: Values) -> None:
        for check in self.each:
            check(values)


def unit_interval(name: str) -> Check:
    """A check of one hyperparameter in [0, 1]."""
    return Interval(name, (0.0, math.nextafter(1.0, 2.0)), "lie in [0, 1]")


def positive(name: str) -> Check:
    """A check of one hyperparameter in (0, ∞)."""
    return Interval(name, (math.nextafter(0.0, 1.0), math.inf), "be a finite number > 0")


def both(*checks: Check) -> Check:
    """Several checks, one after the other."""
    return Checks(checks)


def nothing_to_check(values: Values) -> None:
    """For parts whose hyperparameters have no narrower range than all numbers have."""


def limits_of(defaults: Values, check: Check) -> Mapping[str, Limits] | None:
    """Between which numbers :func:`check_defaults` and ``check`` let each value pass.

    Returns:
        By name; None if only ``check`` itself knows.
    """
    several = check.each if isinstance(check, Checks) else (check,)
    checks = [each for each in several if each is not nothing_to_check]
    if not all(isinstance(each, Interval) for each in checks):
        return None
    limits = {
        name: _limits(name, min(default) if isinstance(default, tuple) else default)
        for name, default in defaults.items()
        if _is_number(default) or (isinstance(default, tuple) and all(map(_is_number, default)))
    }
    for each in checks:
        assert isinstance(each, Interval)
        least, below = limits[each.name]
        limits[each.name] = (max(least, each.limits[0]), min(below, each.limits[1]))
    return limits


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
