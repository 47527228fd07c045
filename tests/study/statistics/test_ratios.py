"""Ratios of what the same seeds give, against closed forms and by made-up seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from unyoke.study.statistics import Interval, Ratio, bootstrap, bootstrap_ratio

Pairs = NDArray[np.float64]


def ratio_of(pairs: Pairs) -> Ratio:
    """Of the means of two columns."""
    return bootstrap_ratio(
        lambda seeds: (pairs[seeds, 0].mean(axis=-1), pairs[seeds, 1].mean(axis=-1)), len(pairs)
    )


def test_the_interval_holds_the_points_that_a_paired_t_test_does_not_reject() -> None:
    """Exactly, for means: N − r·G is itself a mean over seeds."""
    generator = np.random.default_rng(1)
    pairs = np.column_stack([generator.normal(1.0, 0.5, 6), generator.normal(2.0, 0.4, 6)])
    ratio = ratio_of(pairs)
    interval = ratio.interval()
    assert interval.value == pytest.approx(pairs[:, 0].mean() / pairs[:, 1].mean())
    for end in (interval.low, interval.high):
        p_value = stats.ttest_1samp(pairs[:, 0] - end * pairs[:, 1], 0).pvalue
        assert p_value == pytest.approx(0.05, rel=1e-9)
        value, error = ratio.contrast(end)
        assert 2 * stats.t.sf(abs(value) / error, 5) == pytest.approx(0.05, rel=1e-9)


def test_the_parts_have_the_intervals_of_the_bootstrap() -> None:
    pairs = np.random.default_rng(2).normal(1.0, 0.3, (5, 2))
    ratio = ratio_of(pairs)
    assert ratio.below == bootstrap(lambda seeds: pairs[seeds, 1].mean(axis=-1), 5)


def test_a_denominator_that_may_be_nothing_leaves_the_ratio_unbounded() -> None:
    pairs = np.column_stack([np.ones(5), [0.1, -0.2, 0.3, -0.1, 0.05]])
    interval = ratio_of(pairs).interval()
    assert (interval.low, interval.high) == (-math.inf, math.inf)
    nothing = Interval(0.0, 0.0, 0.0, 0.0)
    assert math.isnan(Ratio(nothing, nothing, 0.0, 5).interval().value)


def test_one_seed_knows_no_interval() -> None:
    interval = ratio_of(np.array([[1.0, 2.0]])).interval()
    assert interval.value == 0.5
    assert math.isnan(interval.low)


@pytest.mark.parametrize("truth", [0.0, 0.5, -0.5])
def test_a_true_ratio_is_held_as_often_as_promised(truth: float) -> None:
    generator, studies, held = np.random.default_rng(3), 400, 0
    for _ in range(studies):
        gain = generator.normal(1.0, 0.8, 6)
        pairs = np.column_stack([truth * gain + generator.normal(0, 0.5, 6), gain])
        interval = ratio_of(pairs).interval()
        held += interval.low <= truth <= interval.high
    # Of 400 intervals that hold with 95 %, fewer than 366 do with probability 0.1 %. Those with
    # infinite ends hold everything.
    assert held >= 366
