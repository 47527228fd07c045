"""How many seeds a row needs, from the spread that was seen.

A verdict rejects one point or two of those that a row tests, and a point at distance δ is rejected
with probability 80 % by n seeds of spread s where

    δ·√n/s ≥ t_(n−1; 1 − a/2) + t_(n−1; 0.8) ;  a = 0.05/rows

`rows` is on how many tasks the claim is asked, so that the first step of the correction is passed.
Of the verdicts that are possible where the number was measured, the one that needs the fewest seeds
counts. δ is taken as it was measured; a number that was far from a point by luck needs more.
"""

from __future__ import annotations

import math

from unyoke.study.claims.claim import Claim, Measurement, Prediction

LEVEL, POWER = 0.05, 0.8
MOST = 100_000
"""What needs more than these is not decided by seeds."""


def seeds_needed(claim: Claim, measurement: Measurement, rows: int = 1) -> float:
    """Seeds with which a row of this spread is decided; infinite beyond `MOST`, NaN if unknown."""
    known = math.isfinite(measurement.number.value)
    if not known or not measurement.drawn or measurement.samples < 2:
        return math.nan
    ways = [
        max(_for_point(measurement, point, rows) for point in points)
        for points in _ways(claim, measurement.number.value)
    ]
    finite = [way for way in ways if not math.isnan(way)]
    if not ways:  # the number lies on a margin
        return math.inf
    return min(finite) if finite else math.nan


def _ways(claim: Claim, value: float) -> list[tuple[float, ...]]:
    """The sets of points whose rejection decides a row, given on which side of them it lies."""
    region = claim.region
    if isinstance(region, Prediction):
        return [(region.value,), (region.rival, region.mirrored)]
    if not region.sign:
        return [(region.nearest_end(value),)]
    sign, start, size = region.sign, region.start, region.notable
    effect = sign * value
    ways: list[tuple[float, ...]] = []
    if effect > start:
        ways.append((sign * start,))
    if effect < 0:
        ways.append((0.0,))
    if 0 < effect < size and start > 0:
        ways.append((sign * size, 0.0))
    if abs(effect) < size:
        ways.append((size, -size))
    return ways


def _for_point(measurement: Measurement, point: float, rows: int) -> float:
    from scipy.stats import t

    away, error = measurement.away_from(point)
    if not math.isfinite(away) or not math.isfinite(error):
        return math.nan
    spread, away = error * math.sqrt(measurement.samples), abs(away)

    def enough(seeds: int) -> bool:
        quantiles = t.ppf([1 - LEVEL / (2 * rows), POWER], seeds - 1).sum()
        return bool(away * math.sqrt(seeds) >= quantiles * spread)

    low, high = 2, 3
    while not enough(high):
        low, high = high, 2 * high
        if low > MOST:
            return math.inf
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
