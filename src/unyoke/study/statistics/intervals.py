"""How far a number is known: intervals over seeds, paired comparisons, corrections, power.

Seeds are the sample: an interval says what other seeds would have given for the same task, data
and grid, not what another task would. scipy has the distributions.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unyoke.study.errors import StudyError

Array = NDArray[np.float64]
Seeds = NDArray[np.intp]

CONFIDENCE = 0.95
RESAMPLES = 499
"""Draws of a bootstrap; they know its standard error to 3 %."""


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
        difference: mean of a_s − b_s, with Student's interval over seeds.
        any_samples: the same, with an interval for other test samples as well.
        p_value: two-sided, of "the mean difference is 0"; NaN with fewer than two pairs.
        pairs: how many seeds both have.
        detectable: the smallest true difference that this many pairs with this spread find at
            the 5 % level with probability 80 %.
    """

    difference: Interval
    any_samples: Interval
    p_value: float
    pairs: int
    detectable: float


def mean_interval(
    values: Sequence[float] | Array,
    *,
    sampling_error: float = 0.0,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Mean over seeds with Student's interval.

        reach = √( (t_(n−1)·s/√n)² + (z·u)² ) ;  s.e. = √(s²/n + u²)

    s is the standard deviation over n seeds and u `sampling_error`: a standard error, known by
    other means, that all seeds share and more seeds do not remove, as that of a finite test set
    is. The two reaches are joined as Zou and Donner (2008) do; u = 0 leaves Student's. With one
    seed the ends are NaN, and seeds without an error are left out.
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if not known.size:
        return Interval(math.nan, math.nan, math.nan, math.nan, confidence)
    value = float(known.mean())
    if known.size < 2:
        return Interval(value, math.nan, math.nan, math.nan, confidence)
    over_seeds = float(known.std(ddof=1)) / math.sqrt(known.size)
    reach = math.hypot(
        student_quantile(known.size - 1, confidence) * over_seeds,
        student_quantile(math.inf, confidence) * sampling_error,
    )
    standard_error = math.hypot(over_seeds, sampling_error)
    return Interval(value, standard_error, value - reach, value + reach, confidence)


def paired_difference(
    a: Sequence[float] | Array,
    b: Sequence[float] | Array,
    *,
    sampling_error: float = 0.0,
    confidence: float = CONFIDENCE,
) -> Comparison:
    """a − b, paired by seed: the same seed drew the same weights and batches for both.

    The p-value is the paired t-test's (two-sided). It covers other seeds, at these cells and on
    these test samples, not the choice of the cells; `any_samples` covers other samples too.

    Args:
        a, b: one error per seed, in the same order; pairs with a NaN are left out.
        sampling_error: standard error of the difference that the finite test set leaves. For two
            networks on the same samples √(u_a² + u_b²) is an upper bound, as long as they do not
            tend to err on opposite samples.

    Raises:
        ValueError: a and b have not the same length.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"{first.size} values cannot be paired with {second.size}")
    differences = first - second
    differences = differences[np.isfinite(differences)]
    difference = mean_interval(differences, confidence=confidence)
    any_samples = mean_interval(differences, sampling_error=sampling_error, confidence=confidence)
    pairs = int(differences.size)
    if pairs < 2:
        return Comparison(difference, any_samples, math.nan, pairs, math.nan)
    return Comparison(
        difference,
        any_samples,
        _paired_p_value(difference.value, difference.standard_error, pairs),
        pairs,
        difference.standard_error * math.sqrt(pairs) * detectable_effect(pairs),
    )


def _paired_p_value(value: float, standard_error: float, pairs: int) -> float:
    """Of the paired t-test; where all pairs differ by the same, of the exact sign-flip test.

    Errors are counts over a finite test set, so that few seeds can agree by chance; without any
    spread the t-test would call that certain.
    """
    if standard_error <= 1e-9 * abs(value):
        return 1.0 if value == 0 else 2.0 ** (1 - pairs)
    t = abs(value) / standard_error
    return float(2 * _library("scipy.stats").t.sf(t, pairs - 1))


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
        resamples: every resample is used where there are no more than these (n ≤ 6 by default),
            each with its probability; else this many are drawn, always the same ones.
    """
    (interval,) = bootstrap_all(
        lambda positions: statistic(positions)[None, :],
        seeds,
        confidence=confidence,
        resamples=resamples,
    )
    return interval


def bootstrap_all(
    statistics: Callable[[Seeds], Array],
    seeds: int,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> list[Interval]:
    """`bootstrap` of several statistics that are computed together, as [statistics, resamples]."""
    values = statistics(np.arange(seeds)[None, :])[:, 0]
    errors = np.full(len(values), np.nan)
    if seeds > 1:
        positions, probability = resampled(seeds, resamples)
        drawn = statistics(positions)
        variance = (drawn - (drawn @ probability)[:, None]) ** 2 @ probability
        errors = np.sqrt(seeds / (seeds - 1) * variance)
    reaches = student_quantile(seeds - 1, confidence) * errors
    return [
        Interval(value, error, value - reach, value + reach, confidence)
        for value, error, reach in zip(
            values.tolist(), errors.tolist(), reaches.tolist(), strict=True
        )
    ]


@cache
def student_quantile(degrees: float, confidence: float) -> float:
    """How many standard errors Student's interval reaches; NaN without degrees of freedom."""
    return float(_library("scipy.stats").t.ppf((1 + confidence) / 2, degrees))


@cache
def resampled(seeds: int, resamples: int = RESAMPLES) -> tuple[Seeds, Array]:
    """Positions drawn with replacement [resamples, seeds], and the probability of each row."""
    if math.comb(2 * seeds - 1, seeds) > resamples:
        drawn = np.random.default_rng(0).integers(seeds, size=(resamples, seeds))
        return drawn, np.full(resamples, 1 / resamples)
    every = list(combinations_with_replacement(range(seeds), seeds))
    ways = [
        math.factorial(seeds) / math.prod(map(math.factorial, Counter(row).values()))
        for row in every
    ]
    return np.array(every), np.array(ways) / seeds**seeds


def holm(p_values: Sequence[float] | Array) -> Array:
    """p-values after Holm's correction for their number, in the same order; NaN stays NaN.

        p̃_(k) = min(1, max over i ≤ k of (n − i + 1)·p_(i)) ;  p_(1) ≤ p_(2) ≤ … ≤ p_(n)

    A family of which each member below 0.05 is called real has one false call with probability
    at most 5 %, however the members depend on each other (Holm 1979).
    """
    raw = np.asarray(p_values, dtype=np.float64)
    corrected = np.full(raw.shape, np.nan)
    order = np.argsort(raw)[: np.isfinite(raw).sum()]  # NaN comes last
    steps = np.arange(len(order), 0, -1) * raw[order]
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return corrected


def power_of_paired_t(effect: float, pairs: int, level: float) -> float:
    """The probability that a two-sided paired t-test at this level finds a true difference.

        P( F(1, n − 1; n·effect²) > t²_(n−1)(1 − level/2) )

    t² has a noncentral F distribution, which holds both tails in one number and which scipy knows
    at effects where its noncentral t is NaN.

    Args:
        effect: the true mean difference, in standard deviations of the paired differences.
        pairs: n, at least two.
        level: below which p-value a difference counts as found.
    """
    distributions = _library("scipy.stats")
    limit = distributions.t.isf(level / 2, pairs - 1)
    return float(distributions.ncf.sf(limit**2, 1, pairs - 1, pairs * effect**2))


@cache
def detectable_effect(pairs: int, *, level: float = 0.05, power: float = 0.8) -> float:
    """The true mean difference that a paired t-test finds with probability `power`.

    In standard deviations of the paired differences; 3.3 for 3 pairs, 1.0 for 10.
    """
    enough = 1.0
    while power_of_paired_t(enough, pairs, level) < power:
        enough *= 2

    def lacking(effect: float) -> float:
        return power_of_paired_t(effect, pairs, level) - power

    return float(_library("scipy.optimize").brentq(lacking, 0.0, enough, xtol=1e-15, rtol=1e-15))


def require_libraries() -> None:
    """Before a long run: what its report will need is installed. Imports nothing.

    Raises:
        StudyError: it is not.
    """
    for name in ("scipy", "jinja2"):
        if find_spec(name) is None:
            raise StudyError(_missing(name, "not installed"))


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise StudyError(_missing(name.partition(".")[0], str(error))) from error


def _missing(name: str, why: str) -> str:
    return (
        f"a report needs {name}, which cannot be imported ({why}); "
        "install it with: pip install 'unyoke[study]'"
    )
