"""Errors, intervals and axes as people read them, the same on every page, picture and line."""

from __future__ import annotations

import math

from unyoke.study.statistics import Interval


def error_text(value: float, unit: str, digits: int = 1) -> str:
    """An error: 12.3 % for a share, else the number and its unit."""
    if not math.isfinite(value):
        return "–"
    if unit == "%":
        return f"{100 * value:.{digits}f} %"
    return f"{value:.{digits + 2}g} {unit}".rstrip()


def estimate_text(interval: Interval | None, unit: str) -> str:
    """An error with its standard error: 12.3 ± 0.4 %."""
    if interval is None:
        return "–"
    value, spread = interval.value, interval.standard_error
    if not math.isfinite(value) or not math.isfinite(spread):
        return error_text(value, unit)
    if unit == "%":
        return f"{100 * value:.1f} ± {100 * spread:.1f} %"
    return f"{value:.3g} ± {spread:.1g} {unit}".rstrip()


def interval_text(interval: Interval | None, unit: str) -> str:
    """An error with its interval: 12.3 % [11.5, 13.1]."""
    if interval is None or not math.isfinite(interval.value):
        return "–"
    value = error_text(interval.value, unit)
    if not math.isfinite(interval.low):
        return value
    low, high = (
        error_text(max(end, 0.0), unit).removesuffix(unit).strip()
        for end in (interval.low, interval.high)
    )
    return f"{value} [{low}, {high}]"


def difference_unit(unit: str) -> str:
    """The unit of a difference of errors: points, where errors are percentages."""
    return "points" if unit == "%" else unit


def difference_text(interval: Interval | None, unit: str) -> str:
    """A difference of errors with its interval: −1.2 [−2.0, −0.4] points."""
    if unit == "%":
        text = number_text(interval, scale=100.0, digits=1)
    else:
        text = number_text(interval, digits=_digits(interval))
    return text if text == "–" else f"{text} {difference_unit(unit)}".rstrip()


def _digits(interval: Interval | None) -> int:
    """Decimals that show two digits of the interval's reach, or of the value without one."""
    if interval is None:
        return 0
    reach = (interval.high - interval.low) / 2
    size = abs(reach if math.isfinite(reach) and reach > 0 else interval.value)
    return max(0, 1 - math.floor(math.log10(size))) if 0 < size < math.inf else 0


def number_text(interval: Interval | None, *, scale: float = 1.0, digits: int = 2) -> str:
    """A signed number with its interval: +0.33 [+0.05, +0.61]; – where there is none."""
    if interval is None or not math.isfinite(interval.value):
        return "–"
    value = _signed(scale * interval.value, digits)
    if not math.isfinite(interval.low):
        return value
    low, high = (_signed(scale * end, digits) for end in (interval.low, interval.high))
    return f"{value} [{low}, {high}]"


def _signed(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}".replace("-", "−")
    return text if float(f"{value:.{digits}f}") else text[1:]


def probability_text(value: float) -> str:
    """A p-value: 0.023, or < 0.001."""
    if not math.isfinite(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
