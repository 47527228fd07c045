"""Errors, intervals and axes as people read them, the same on every page, picture and line."""

from __future__ import annotations

import math

from unyoke.study.statistics import Interval

MOST_DIGITS = 4
"""Decimals with which an interval is written at most, so that its ends differ."""


def error_text(value: float, unit: str, digits: int = 1) -> str:
    """An error: 12.3 % for a share, else the number and its unit."""
    if not math.isfinite(value):
        return "–"
    if unit == "%":
        return f"{100 * value:.{digits}f} %"
    return f"{value:.{digits + 2}g} {unit}".rstrip()


def interval_text(interval: Interval | None, unit: str, seeds: int | None = None) -> str:
    """An error with its interval: 12.3 % [11.5, 13.1].

    Args:
        seeds: how many there are, which is said where all of them gave the same.
    """
    if interval is None or not math.isfinite(interval.value):
        return "–"
    if not math.isfinite(interval.low):
        return error_text(interval.value, unit)
    if _has_no_width(interval):
        return f"{error_text(interval.value, unit)} {same_text(seeds)}"
    for digits in range(1, MOST_DIGITS + 1):
        low, high = (
            error_text(max(end, 0.0), unit, digits).removesuffix(unit).strip()
            for end in (interval.low, interval.high)
        )
        if low != high:
            break
    return f"{error_text(interval.value, unit, digits)} [{low}, {high}]"


def _has_no_width(interval: Interval) -> bool:
    """Whether all seeds gave the same, but for the last bits of sums."""
    return math.isclose(interval.low, interval.high, rel_tol=1e-9, abs_tol=1e-12)


def same_text(seeds: int | None) -> str:
    """What stands in the place of an interval that has no width, which few seeds may have."""
    return f"[all {seeds} seeds alike]" if seeds else "[all seeds alike]"


def difference_unit(unit: str) -> str:
    """The unit of a difference of errors: points, where errors are percentages."""
    return "points" if unit == "%" else unit


def difference_text(interval: Interval | None, unit: str, seeds: int | None = None) -> str:
    """A difference of errors with its interval: −1.2 [−2.0, −0.4] points."""
    if unit == "%":
        text = number_text(interval, scale=100.0, digits=1, seeds=seeds)
    else:
        text = number_text(interval, digits=_digits(interval), seeds=seeds)
    return text if text == "–" else f"{text} {difference_unit(unit)}".rstrip()


def _digits(interval: Interval | None) -> int:
    """Decimals that show two digits of the interval's reach, or of the value without one."""
    if interval is None:
        return 0
    reach = (interval.high - interval.low) / 2
    size = abs(reach if math.isfinite(reach) and reach > 0 else interval.value)
    return max(0, 1 - math.floor(math.log10(size))) if 0 < size < math.inf else 0


def number_text(
    interval: Interval | None, *, scale: float = 1.0, digits: int = 2, seeds: int | None = None
) -> str:
    """A signed number with its interval: +0.33 [+0.05, +0.61]; – where there is none."""
    if interval is None or not math.isfinite(interval.value):
        return "–"
    value = _signed(scale * interval.value, digits)
    if not math.isfinite(interval.low):
        return value
    if _has_no_width(interval):
        return f"{value} {same_text(seeds)}"
    for more in range(digits, max(digits, MOST_DIGITS) + 1):
        value, low, high = (
            _signed(scale * each, more) for each in (interval.value, interval.low, interval.high)
        )
        if low != high:
            break
    return f"{value} [{low}, {high}]"


def _signed(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}".replace("-", "−")
    return text if float(f"{value:.{digits}f}") else text[1:]


def probability_text(value: float) -> str:
    """A p-value: 0.023, or < 0.001."""
    if not math.isfinite(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
