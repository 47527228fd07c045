"""How far a number is known: intervals over seeds, paired comparisons, corrections, power.

Seeds are the sample: an interval says what other seeds would have given for the same task, data
and grid, not what another task would. scipy and statsmodels do the computing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unyoke.study.errors import StudyError

Array = NDArray[np.float64]
Seeds = NDArray[np.intp]

CONFIDENCE = 0.95
RESAMPLES = 999


@dataclass(frozen=True)
class Interval:
    """A number, its standard error, and the interval that holds it with `confidence`.

    What cannot be known, such as a spread over one seed, is NaN.
    """

    value: float
    standard_error: float
    low: float
    high: float
    confidence: float = CONFIDENCE

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval is known and lies on one side of 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Comparison:
    """A paired difference a − b over seeds.

    Attributes:
        difference: mean of a_s − b_s, with Student's interval.
        p_value: two-sided, of "the mean difference is 0"; NaN with fewer than two pairs.
        pairs: how many seeds both have.
        detectable: the smallest true difference that this many pairs with this spread find at
            the 5 % level with probability 80 %.
    """

    difference: Interval
    p_value: float
    pairs: int
    detectable: float


def student(
    value: float, standard_error: float, degrees: float, *, confidence: float = CONFIDENCE
) -> Interval:
    """value ± t·s.e., t the quantile of Student's distribution with `degrees` of freedom."""
    if not math.isfinite(standard_error) or not degrees > 0:
        return Interval(value, standard_error, math.nan, math.nan, confidence)
    reach = float(_library("scipy.stats").t.ppf((1 + confidence) / 2, degrees)) * standard_error
    return Interval(value, standard_error, value - reach, value + reach, confidence)


def mean_interval(
    values: Sequence[float] | Array,
    *,
    sampling_error: float = 0.0,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Mean over seeds with Student's interval.

        s.e.² = s²/n + u² ;  degrees of freedom (s²/n + u²)² / ((s²/n)²/(n − 1))

    s² is the variance over n seeds and u `sampling_error`: a standard error that all seeds share
    and more seeds do not remove, as that of a finite test set is. The degrees of freedom are
    Satterthwaite's, with u known exactly; for u = 0 they are n − 1. NaN ends with one seed.
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if not known.size:
        return Interval(math.nan, math.nan, math.nan, math.nan, confidence)
    value = float(known.mean())
    if known.size < 2:
        return Interval(value, math.nan, math.nan, math.nan, confidence)
    over_seeds = float(known.var(ddof=1)) / known.size
    total = over_seeds + sampling_error**2
    degrees = (total / over_seeds) ** 2 * (known.size - 1) if over_seeds > 0 else math.inf
    return student(value, math.sqrt(total), degrees, confidence=confidence)


def paired_difference(
    a: Sequence[float] | Array,
    b: Sequence[float] | Array,
    *,
    confidence: float = CONFIDENCE,
) -> Comparison:
    """a − b, paired by seed: the same seed drew the same weights and batches for both.

    Args:
        a, b: one error per seed, in the same order; pairs with a NaN are left out.

    The test is the paired t-test (`scipy.stats.ttest_rel`). It covers other seeds, at these
    cells: not other test samples, which `mean_interval` can add, and not the choice of the cells.

    Raises:
        ValueError: a and b have not the same length.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"{first.size} values cannot be paired with {second.size}")
    differences = first - second
    differences = differences[np.isfinite(differences)]
    difference = mean_interval(differences, confidence=confidence)
    pairs = int(differences.size)
    if pairs < 2:
        return Comparison(difference, math.nan, pairs, math.nan)
    spread = difference.standard_error * math.sqrt(pairs)
    if spread == 0:
        p_value = 1.0 if difference.value == 0 else 0.0
    else:
        p_value = float(_library("scipy.stats").ttest_1samp(differences, 0.0).pvalue)
    return Comparison(difference, p_value, pairs, spread * detectable_effect(pairs))


def bootstrap(
    statistic: Callable[[Seeds], Array],
    seeds: int,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Interval:
    """A statistic of all seeds, with an interval from drawing seeds with replacement.

        s.e. = √(n/(n − 1)) · standard deviation of θ over the resamples
        interval = θ ± t_(n−1) · s.e.

    For a mean that is Student's interval. The ends of percentile and BCa intervals cannot pass
    the statistic's range over the resamples, which for three seeds holds a mean in 3 of 4 cases
    whatever their nominal confidence; docs/study.md has the measured coverage of all three.

    Args:
        statistic: seed positions [resamples, n] to one value for each resample; NaN where a
            resample has none, which leaves the interval unknown.
        seeds: n. With fewer than two the interval is unknown.
        resamples: how many draws; they are the same for the same n and number.
    """
    value = float(statistic(np.arange(seeds)[None, :])[0])
    if seeds < 2:
        return Interval(value, math.nan, math.nan, math.nan, confidence)
    values = statistic(draws(seeds, resamples))
    spread = math.sqrt(seeds / (seeds - 1)) * float(values.std(ddof=1))
    return student(value, spread, seeds - 1, confidence=confidence)


@cache
def draws(seeds: int, resamples: int) -> Seeds:
    """Positions drawn with replacement, [resamples, seeds]; always the same ones."""
    drawn = np.random.default_rng(0).integers(seeds, size=(resamples, seeds))
    drawn.flags.writeable = False
    return drawn


def holm(p_values: Sequence[float] | Array) -> Array:
    """p-values after Holm's correction for their number, in the same order; NaN stays NaN.

    A family of which each member below 0.05 is called real has one false call with probability
    at most 5 %, however the members depend on each other (Holm 1979).
    """
    raw = np.asarray(p_values, dtype=np.float64)
    known = np.isfinite(raw)
    corrected = np.full(raw.shape, np.nan)
    if known.any():
        multitest = _library("statsmodels.stats.multitest")
        corrected[known] = multitest.multipletests(raw[known], method="holm")[1]
    return corrected


@cache
def detectable_effect(pairs: int, *, level: float = 0.05, power: float = 0.8) -> float:
    """The true mean difference that a paired t-test finds with probability `power`.

    In standard deviations of the paired differences; 3.3 for 3 pairs, 1.0 for 10.
    """
    tests = _library("statsmodels.stats.power").TTestPower()
    return float(tests.solve_power(nobs=pairs, alpha=level, power=power))


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise StudyError(
            f"intervals and comparisons need {name.partition('.')[0]}, which cannot be imported "
            f"({error}); install it with: pip install 'unyoke[study]'"
        ) from error


@dataclass(frozen=True)
class Estimate:
    """A number and its standard error over seeds; NaN where it cannot be known."""

    value: float
    standard_error: float


def jackknife(statistic: Callable[[NDArray[np.bool_]], float], seeds: int) -> Estimate:
    """A statistic of all seeds, with its standard error from leaving one seed out at a time.

        s.e.² = (n − 1)/n · Σ_i (θ_(−i) − θ_(·))²

    `statistic` receives which seeds to use. With one seed the standard error is NaN.
    """
    everything = np.ones(seeds, dtype=bool)
    value = float(statistic(everything))
    if seeds < 2:
        return Estimate(value, math.nan)
    without = np.array([statistic(~np.eye(seeds, dtype=bool)[seed]) for seed in range(seeds)])
    variance = (seeds - 1) / seeds * np.sum((without - without.mean()) ** 2)
    return Estimate(value, math.sqrt(variance))
