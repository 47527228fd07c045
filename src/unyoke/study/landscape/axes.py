"""The two axes of a landscape: values of the learning rate α and of the weight decay λ.

An axis is written as the command line takes it::

    2^-12:2^-4         powers of two from 2^-12 to 2^-4, a factor of 2 apart
    2^-12:2^-4:4       the same a factor of 4 apart
    0,2^-12:2^-4       zero first, then the range
    1e-4,3e-4,1e-3     exactly these numbers

Values are kept in ascending order, each once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from unyoke.study.errors import StudyError

_POWER = re.compile(r"^2\^([+-]?\d+(?:\.\d+)?)$")
_GRAMMAR = "write numbers and ranges such as 0,2^-12:2^-4 or 1e-4,1e-3"
_LARGEST_AXIS = 1000


def parse_axis(text: str, name: str) -> tuple[float, ...]:
    """The values that `text` describes, ascending; `name` is the axis' name in errors.

    Raises:
        StudyError: the axis is empty, or a value is negative, not finite or not a number.

    >>> parse_axis("0,2^-3:2^-1", "weight decay")
    (0.0, 0.125, 0.25, 0.5)
    """
    values: list[float] = []
    for part in text.split(","):
        if not part.strip():
            continue
        values += _parse_range(part, name) if ":" in part else [_parse_number(part, name)]
    if not values:
        raise StudyError(f"the {name} axis {text!r} is empty; {_GRAMMAR}")
    if len(values) > _LARGEST_AXIS:
        raise StudyError(
            f"the {name} axis has {len(values)} values, more than {_LARGEST_AXIS}; "
            "give a shorter range or a larger factor"
        )
    return tuple(sorted(set(values)))


def _parse_number(text: str, name: str) -> float:
    stripped = text.strip()
    power = _POWER.match(stripped)
    try:
        value = 2.0 ** float(power.group(1)) if power else float(stripped)
    except (ValueError, OverflowError):
        raise StudyError(f"{name} {stripped!r} is not a number; {_GRAMMAR}") from None
    if not math.isfinite(value) or value < 0:
        raise StudyError(
            f"{name} {stripped!r} is not a finite number that is zero or positive; {_GRAMMAR}"
        )
    return value


def _parse_range(text: str, name: str) -> list[float]:
    parts = [_parse_number(part, name) for part in text.split(":")]
    if len(parts) > 3:
        raise StudyError(f"{name} range {text!r} has more than first:last:factor; {_GRAMMAR}")
    first, last, factor = (*parts, 2.0)[:3]
    if first <= 0 or last <= 0:
        raise StudyError(
            f"{name} range {text!r} starts or ends at zero, which no factor reaches; "
            "put the zero beside it, as in 0,2^-12:2^-4"
        )
    if factor <= 1:
        raise StudyError(f"{name} range {text!r} has the factor {factor:g}; give one above 1")
    if first > last:
        raise StudyError(f"{name} range {text!r} is empty: it starts above its end")
    steps = math.floor(math.log(last / first) / math.log(factor) + 1e-9)
    if steps >= _LARGEST_AXIS:
        raise StudyError(f"{name} range {text!r} has {steps + 1} values; give a larger factor")
    return [first * factor**step for step in range(steps + 1)]


def is_power_of_two(value: float) -> bool:
    """Whether `value` is 2^k for a whole number k."""
    return value > 0 and math.frexp(value)[0] == 0.5


def label(value: float) -> str:
    """`value` as an axis shows it: 0, 2^-7 or 0.003."""
    if value == 0:
        return "0"
    if is_power_of_two(value):
        return f"2^{math.frexp(value)[1] - 1}"
    return f"{value:.6g}"


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def tick(value: float) -> str:
    """`value` as a picture shows it: 0, 2⁻⁷ or 0.003."""
    return raised(label(value))


def raised(text: str) -> str:
    """A label as a picture shows it."""
    return f"2{text[2:].translate(_RAISED)}" if text.startswith("2^") else text


def describe_axis(values: Sequence[float]) -> str:
    """The shortest text from which `parse_axis` gives `values` again.

    >>> describe_axis((0.0, 0.125, 0.25, 0.5))
    '0,2^-3:2^-1'
    """
    parts: list[str] = []
    index = 0
    while index < len(values):
        stop = _run_of_doublings(values, index)
        if stop - index >= 3:
            parts.append(f"{label(values[index])}:{label(values[stop - 1])}")
        else:
            stop = index + 1
            parts.append(_exact(values[index]))
        index = stop
    return ",".join(parts)


def _run_of_doublings(values: Sequence[float], start: int) -> int:
    stop = start + 1
    if not is_power_of_two(values[start]):
        return stop
    while stop < len(values) and values[stop] == 2 * values[stop - 1]:
        stop += 1
    return stop


def _exact(value: float) -> str:
    return label(value) if value == 0 or is_power_of_two(value) else repr(value)
