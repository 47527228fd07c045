"""How many seeds a row needs: by simulation, and in the cases in which none is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from unyoke.study.claims.claim import Claim, Measurement, Prediction, Region
from unyoke.study.claims.power import seeds_needed
from unyoke.study.statistics import Interval

SEEN = 16


def measured(value: float, spread: float) -> Measurement:
    error = spread / SEEN**0.5
    return Measurement(Interval(value, error, value - 2 * error, value + 2 * error), SEEN)


def claim(region: Region | Prediction) -> Claim:
    return Claim(
        "a/row", "", "", "", region, "", ("main",), ("AdamW",), lambda _: measured(0.0, 1.0)
    )


@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize(
    ("region", "value", "rejected"),
    [
        (Region(0.05), 0.08, [0.05]),
        (Region(0.05), 0.02, [0.05]),
        (Region(-0.5, 0.5), 0.2, [0.5]),
        (Region(0.05), -0.06, [0.0]),
        (Region(high=0.0, negligible=0.25), 0.05, [0.25, -0.25]),
        (Prediction(-0.5, rival=0.0), 0.1, [-0.5]),
        (Prediction(0.0, rival=1.0), 0.3, [1.0, -1.0]),
    ],
)
def test_so_many_seeds_decide_in_four_of_five_studies(
    region: Region | Prediction, value: float, rejected: list[float], rows: int
) -> None:
    """Of studies whose number is as it was measured, at the corrected level of one row of `rows`.

    Two points on either side are rejected together a little less often than the nearer one.
    """
    nearest = min(abs(value - point) for point in rejected)
    seeds = int(seeds_needed(claim(region), measured(value, 3 * nearest), rows))
    draws = np.random.default_rng(0).normal(value, 3 * nearest, (4_000, seeds))
    error = draws.std(axis=1, ddof=1) / seeds**0.5
    t = np.abs(draws.mean(axis=1)[:, None] - rejected) / error[:, None]
    surely = (2 * stats.t.sf(t, seeds - 1) < 0.05 / rows).all(axis=1).mean()
    assert surely == pytest.approx(0.8, abs=0.03)


def test_nothing_decides_what_lies_on_its_margin() -> None:
    assert seeds_needed(claim(Region(0.05)), measured(0.05, 0.1)) == math.inf


def test_what_has_no_spread_needs_an_unknown_number() -> None:
    assert math.isnan(seeds_needed(claim(Region(0.05)), measured(0.1, math.nan)))


@pytest.mark.parametrize("region", [Region(0.05), Region(-0.5, 0.5), Prediction(-0.5, rival=0.0)])
def test_of_a_number_that_is_not_known_nothing_is_said(region: Region | Prediction) -> None:
    assert math.isnan(seeds_needed(claim(region), measured(math.nan, 1.0)))
