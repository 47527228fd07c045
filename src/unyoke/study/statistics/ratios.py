"""A ratio of two numbers that the same seeds give, such as a difference as a share of a gain.

N/G is as uncertain as its denominator is, and has no standard error where G may be 0. The linear
contrast N − r·G has one for every r, and is 0 where the ratio is r, so that points are tested and
the interval is formed through it (Fieller 1954).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from unyoke.study.statistics.intervals import (
    CONFIDENCE,
    RESAMPLES,
    Array,
    Interval,
    Seeds,
    resampled,
    student_quantile,
)


@dataclass(frozen=True)
class Ratio:
    """above/below, both known from the same seeds.

    Attributes:
        above, below: numerator N and denominator G, each with its interval over seeds.
        covariance: of the two, as estimates.
        seeds: how many.
    """

    above: Interval
    below: Interval
    covariance: float
    seeds: int

    @property
    def value(self) -> float:
        """N/G; NaN where G is 0."""
        return self.above.value / self.below.value if self.below.value else math.nan

    def contrast(self, point: float) -> tuple[float, float]:
        """N − point·G, and its standard error."""
        variance = (
            self.above.standard_error**2
            - 2 * point * self.covariance
            + point**2 * self.below.standard_error**2
        )
        value = self.above.value - point * self.below.value
        return value, math.sqrt(max(variance, 0.0)) if math.isfinite(variance) else math.nan

    def interval(self) -> Interval:
        """Fieller's: all r for which N − r·G can be 0.

            (G² − t²·V_G)·r² − 2(N·G − t²·C)·r + (N² − t²·V_N) ≤ 0 ;  t = t_(n−1)

        Its ends are infinite where G is not told from 0. The standard error is that of N − r·G at
        r = N/G, over G.
        """
        n, g, value = self.above.value, self.below.value, self.value
        _, spread = self.contrast(value)
        error = spread / abs(g) if g else math.nan
        if not math.isfinite(error) or self.seeds < 2:
            return Interval(value, math.nan, math.nan, math.nan, self.above.confidence)
        t_squared = student_quantile(self.seeds - 1, self.above.confidence) ** 2
        square = g**2 - t_squared * self.below.standard_error**2
        if square <= 0:
            return Interval(value, error, -math.inf, math.inf, self.above.confidence)
        middle = (n * g - t_squared * self.covariance) / square
        constant = (n**2 - t_squared * self.above.standard_error**2) / square
        reach = math.sqrt(max(middle**2 - constant, 0.0))
        return Interval(value, error, middle - reach, middle + reach, self.above.confidence)


def bootstrap_ratio(
    parts: Callable[[Seeds], tuple[Array, Array]],
    seeds: int,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Ratio:
    """The ratio of two statistics of the same seeds; draws and intervals as `bootstrap` has them.

    Args:
        parts: seed positions [resamples, n] to numerators and denominators, one for each resample.
        seeds: n. With fewer than two the intervals are unknown.
    """
    whole = np.array([part[0] for part in parts(np.arange(seeds)[None, :])])
    covariance = np.full((2, 2), np.nan)
    if seeds > 1:
        positions, probability = resampled(seeds, resamples)
        drawn = np.stack(parts(positions))
        away = drawn - (drawn @ probability)[:, None]
        covariance = seeds / (seeds - 1) * (away * probability) @ away.T
    errors = np.sqrt(np.diag(covariance))
    reaches = student_quantile(seeds - 1, confidence) * errors
    above, below = (
        Interval(value, error, value - reach, value + reach, confidence)
        for value, error, reach in zip(
            whole.tolist(), errors.tolist(), reaches.tolist(), strict=True
        )
    )
    return Ratio(above, below, float(covariance[0, 1]), seeds)
