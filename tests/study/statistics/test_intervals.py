"""Intervals against closed forms, and what they promise on made-up seeds."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from unyoke.cli import main
from unyoke.study.statistics import (
    bootstrap,
    detectable_effect,
    holm,
    mean_interval,
    paired_difference,
    tilt,
)
from unyoke.study.statistics.intervals import power_of_paired_t

SEEDS = np.array([0.31, 0.27, 0.35, 0.30, 0.29])


def test_the_interval_of_a_mean_is_students() -> None:
    interval = mean_interval(SEEDS)
    low, high = stats.t.interval(0.95, 4, SEEDS.mean(), stats.sem(SEEDS))
    assert (interval.value, interval.standard_error) == pytest.approx(
        (SEEDS.mean(), stats.sem(SEEDS))
    )
    assert (interval.low, interval.high) == pytest.approx((low, high))
    assert mean_interval(SEEDS, confidence=0.5).high < interval.high


def test_an_error_that_all_seeds_share_is_added() -> None:
    over_seeds, shared = stats.sem(SEEDS), 0.05
    interval = mean_interval(SEEDS, sampling_error=shared)
    assert interval.standard_error == pytest.approx(math.hypot(over_seeds, shared))
    over = mean_interval(SEEDS)
    assert (interval.high - interval.value) == pytest.approx(
        math.hypot(over.high - over.value, 1.96 * shared), rel=1e-4
    )


def test_intervals_with_a_shared_error_hold_the_mean_as_often_as_they_say() -> None:
    generator = np.random.default_rng(0)
    studies, held = 2000, 0
    for _ in range(studies):
        values = generator.normal(0, 1, 4) + generator.normal(0, 0.6)
        interval = mean_interval(values, sampling_error=0.6)
        held += interval.low <= 0 <= interval.high
    assert held / studies == pytest.approx(0.95, abs=0.02)  # its standard error is 0.005


def test_seeds_without_an_error_are_left_out_and_one_seed_knows_no_spread() -> None:
    assert mean_interval([*SEEDS, math.nan]) == mean_interval(SEEDS)
    alone = mean_interval([0.3])
    assert alone.value == 0.3
    assert math.isnan(alone.low)
    assert not alone.excludes_zero
    assert math.isnan(mean_interval([]).value)


def test_a_paired_difference_is_the_paired_t_test() -> None:
    b = SEEDS + np.array([0.02, 0.01, 0.03, 0.015, 0.02])
    comparison = paired_difference(SEEDS, b)
    expected = stats.ttest_rel(SEEDS, b)
    interval = expected.confidence_interval(0.95)
    assert comparison.p_value == pytest.approx(expected.pvalue)
    assert comparison.difference.low == pytest.approx(interval.low)
    assert comparison.difference.high == pytest.approx(interval.high)
    assert comparison.difference.excludes_zero
    # What all seeds share cancels: unpaired, this difference is lost in their spread.
    assert stats.ttest_ind(SEEDS, b).pvalue > 0.2


def test_a_comparison_knows_that_the_test_set_is_finite() -> None:
    b = SEEDS + np.array([0.02, 0.01, 0.03, 0.015, 0.02])
    comparison = paired_difference(SEEDS, b, sampling_error=0.02)
    assert comparison.difference == paired_difference(SEEDS, b).difference
    assert comparison.any_samples == mean_interval(SEEDS - b, sampling_error=0.02)
    assert comparison.difference.excludes_zero
    assert not comparison.any_samples.excludes_zero


def test_pairs_with_a_missing_seed_are_left_out() -> None:
    b = np.array([0.3, math.nan, 0.4, 0.31, 0.3])
    assert paired_difference(SEEDS, b).pairs == 4
    with pytest.raises(ValueError, match="5 values cannot be paired with 2"):
        paired_difference(SEEDS, [0.1, 0.2])


def test_a_comparison_of_one_pair_or_of_equals_claims_nothing() -> None:
    assert math.isnan(paired_difference([0.1], [0.2]).p_value)
    assert paired_difference(SEEDS, SEEDS).p_value == 1


def test_seeds_that_agree_by_chance_are_no_certainty() -> None:
    """Of 5 differences of the same size, all have the same sign with probability 2/2^5."""
    assert paired_difference(SEEDS, SEEDS - 0.5).p_value == 2 / 2**5
    assert paired_difference([0.1, 0.2], [0.2, 0.3]).p_value == 0.5


def test_the_bootstrap_of_a_mean_is_students_interval() -> None:
    expected = mean_interval(SEEDS)
    every = bootstrap(_mean, 5)  # 126 resamples, each with its probability: exact
    assert (every.value, every.standard_error) == pytest.approx(
        (expected.value, expected.standard_error)
    )
    assert (every.low, every.high) == pytest.approx((expected.low, expected.high))
    drawn = bootstrap(_mean, 5, resamples=120)
    # 120 draws know a standard deviation to 1/√240 of it.
    assert drawn.standard_error == pytest.approx(expected.standard_error, rel=0.2)
    assert drawn.standard_error != every.standard_error


def test_the_bootstrap_gives_the_same_every_time_and_knows_when_it_does_not_know() -> None:
    assert bootstrap(_mean, 5) == bootstrap(_mean, 5)
    assert math.isnan(bootstrap(_mean, 1).low)
    assert math.isnan(bootstrap(lambda seeds: np.where(seeds[:, 0] > 0, 1.0, math.nan), 5).low)


def _mean(seeds: np.ndarray) -> np.ndarray:
    return SEEDS[seeds].mean(axis=-1)


def test_bootstrap_intervals_of_the_tilt_hold_it_as_often_as_they_say() -> None:
    """Also with three seeds; benchmarks/interval_coverage.py measures it for all statistics."""
    lr = decay = 2.0 ** np.arange(-4, 5)
    a, l = np.log2(lr)[None, :], np.log2(decay)[:, None]  # noqa: E741
    basin = 0.08 + 0.004 * ((l + 0.6 * a) ** 2 + 0.5 * a**2)
    generator = np.random.default_rng(0)
    studies, held = 120, 0
    for _ in range(studies):
        errors = basin + generator.normal(0, 0.006, (3, *basin.shape))
        interval = bootstrap(lambda s, e=errors: tilt(lr, decay, e[s].mean(axis=1)), 3)
        held += interval.low <= -0.6 <= interval.high
    # Of 120 intervals that hold with 95 %, fewer than 106 do with probability 0.3 %.
    assert held >= 106


def test_holm() -> None:
    # By hand: sorted 0.01·3, 0.03·2, 0.04·1, none smaller than the one before.
    assert holm([0.04, math.nan, 0.01, 0.03]) == pytest.approx(
        [0.06, math.nan, 0.03, 0.06], nan_ok=True
    )
    assert holm([]).size == 0


@pytest.mark.parametrize(
    ("raw", "corrected"),
    [
        ([0.001, 0.2, 0.02, 0.02, 0.9, 0.0003], [0.005, 0.4, 0.08, 0.08, 0.9, 0.0018]),
        ([0.013, 0.0049, 0.021, 0.0005, 0.048], [0.039, 0.0196, 0.042, 0.0025, 0.048]),
        ([0.5, 0.6], [1.0, 1.0]),
    ],
)
def test_holm_is_that_of_statsmodels(raw: list[float], corrected: list[float]) -> None:
    """Recorded from multipletests(raw, method="holm") of statsmodels 0.15.0."""
    assert holm(raw) == pytest.approx(corrected, rel=1e-12)


@pytest.mark.parametrize(
    ("effect", "pairs", "level", "power"),
    [
        (10.0, 2, 0.05, 0.7328195898057117),
        (3.0, 3, 0.05, 0.7452680070062834),
        (1.5, 5, 0.05, 0.7107026739256754),
        (1.0, 10, 0.05, 0.8030968566327218),
        (0.3, 100, 0.05, 0.8439471027374158),
        (1.5, 10, 0.01, 0.8957205519224344),
        (0.2, 4, 0.05, 0.05978357503139102),  # 16 % of it from the other tail
    ],
)
def test_the_power_of_a_paired_t_test_is_that_of_statsmodels(
    effect: float, pairs: int, level: float, power: float
) -> None:
    """Recorded from TTestPower().power(effect, pairs, level) of statsmodels 0.15.0."""
    assert power_of_paired_t(effect, pairs, level) == pytest.approx(power, rel=1e-12)


@pytest.mark.parametrize("pairs", [2, 3, 5, 20, 100])
def test_a_detectable_effect_has_exactly_that_power(pairs: int) -> None:
    # Not recorded from statsmodels, whose solver stops up to 3e-6 beside the root.
    effect = detectable_effect(pairs)
    assert power_of_paired_t(effect, pairs, 0.05) == pytest.approx(0.8, rel=1e-12)


def test_a_detectable_effect_is_detected_with_that_power() -> None:
    generator = np.random.default_rng(0)
    differences = generator.normal(detectable_effect(5), 1, (4000, 5))
    power = np.mean(stats.ttest_1samp(differences, 0, axis=1).pvalue < 0.05)
    assert power == pytest.approx(0.8, abs=0.02)  # its standard error is 0.006


def test_what_a_report_needs_is_missed_before_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "unyoke.study.statistics.intervals.find_spec",
        lambda name: None if name == "scipy" else find(name),
    )
    run = CliRunner().invoke(main, ["map", "--task", "no such", "--out", str(tmp_path / "out")])
    assert run.exit_code == 2
    assert run.stderr.splitlines() == [
        "unyoke: a report needs scipy, which cannot be imported "
        "(not installed); install it with: pip install 'unyoke[study]'"
    ]
    assert not (tmp_path / "out").exists()
