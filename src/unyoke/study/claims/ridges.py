"""How the best weight decay of a map moves with the learning rate, as numbers of claims.

Each is a slope of the ridge, signed: 0 where the best λ is the same at every α, 1 where λ/α is, −1
where α·λ is. The ten-cell tilt of the same map stands in the details.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from unyoke.study import statistics
from unyoke.study.claims.claim import Measurement
from unyoke.study.claims.maps import Maps
from unyoke.study.claims.measures import Seeds, fewest_seeds, mean_gain, measured, show_gain
from unyoke.study.landscape.axes import label
from unyoke.study.report.survey import Array, Panel
from unyoke.study.wording import number_text


def ridge_of(panel: Panel, maps: Maps) -> Measurement:
    """The slope of one map's ridge."""
    return _about_ridges(lambda seeds: _slope(panel, seeds), (panel,), maps)


def leans_more(decoupled: Panel, coupled: Panel, maps: Maps) -> Measurement:
    """|p′| of the coupled map less |p| of the decoupled.

    The signs are those of the whole maps in every draw. A size formed anew in each would turn
    noise around 0 into a lean.
    """
    everyone = np.arange(fewest_seeds((coupled, decoupled)))[None, :]
    signs = [np.sign(_slope(panel, everyone)) for panel in (coupled, decoupled)]

    def more(seeds: Seeds) -> Array:
        first, second = (_slope(panel, seeds) for panel in (coupled, decoupled))
        return np.asarray(signs[0] * first - signs[1] * second)

    return _about_ridges(more, (coupled, decoupled), maps)


def law(panels: Sequence[Panel], maps: Maps) -> Measurement:
    """p − q: by how much the exponent of λ* in α is above that in the updates, at one α.

    Both are of one plane through the ridges of all budgets (`statistics.plane`).
    """

    def difference(seeds: Seeds) -> Array:
        found = _exponents(panels, seeds)
        return np.asarray(found[:, 0] - found[:, 1])

    return replace(_about_ridges(difference, panels, maps), details=_p_and_q(panels))


def exponent(panels: Sequence[Panel], maps: Maps) -> Measurement:
    """q: by how many powers of two the best λ moves at one α when what differs doubles.

    Of the plane through the ridges of all maps, which differ in one thing, updates or batch size.
    Every learning rate counts, so that it is known from far fewer seeds than the slope of the
    best cells of each map.
    """
    measurement = measured(lambda seeds: _exponents(panels, seeds)[:, 1], panels, maps)
    return replace(_with_what_is_unknown(measurement), details=_p_and_q(panels))


OUTSIDE = (
    "in some draws of the seeds the best λ lies inside the grid at too few learning rates for a "
    "line through them"
)


def _exponents(panels: Sequence[Panel], seeds: Seeds) -> Array:
    """p, and q of each of updates and batch size in which the maps differ, for each draw."""
    about = np.log2([[panel.updates, panel.batch_size or 1] for panel in panels])
    about = about[:, np.ptp(about, axis=0) > 0]
    axes = panels[0].axes
    errors = np.stack([panel.resampled("validation_error", seeds) for panel in panels], axis=1)
    return statistics.plane(axes.lr, axes.weight_decay, about, errors)


def _p_and_q(panels: Sequence[Panel]) -> str:
    seeds = fewest_seeds(panels)
    p, q, *_ = statistics.bootstrap_all(lambda drawn: _exponents(panels, drawn).T, seeds)
    return f"p {number_text(p)}, q {number_text(q)}"


def _slope(panel: Panel, seeds: Seeds) -> Array:
    axes = panel.axes
    return statistics.ridge(axes.lr, axes.weight_decay, panel.resampled("validation_error", seeds))


def _about_ridges(
    statistic: Callable[[Seeds], Array], panels: Sequence[Panel], maps: Maps
) -> Measurement:
    """A statistic of ridges with the gain of decay, and what is not known of it."""
    return replace(
        _with_what_is_unknown(measured(statistic, panels, maps)),
        details="; ".join(ridge_text(panel) for panel in panels),
        gain=mean_gain(show_gain(panels, maps)),
    )


def _with_what_is_unknown(measurement: Measurement) -> Measurement:
    known = math.isfinite(measurement.number.low) or measurement.samples < 2
    return measurement if known else replace(measurement, unknown=OUTSIDE)


def ridge_text(panel: Panel) -> str:
    """Both slopes of a map, with its best λ from the smallest to the largest α that has one."""
    axes, choice = panel.axes, panel.choice
    slope = float(statistics.ridge(axes.lr, axes.weight_decay, choice))
    tilt = float(statistics.tilt(axes.lr, axes.weight_decay, choice))
    best = statistics.best_decays(axes.weight_decay, choice)
    known = np.flatnonzero(np.isfinite(best))
    text = f"{panel.title}: ridge {_signed(slope)}, tilt of the ten best cells {_signed(tilt)}"
    if not known.size:
        return f"{text}; no best λ inside the grid"
    places = [f"{label(float(2 ** best[at]))} at α = {label(axes.lr[at])}" for at in known[[0, -1]]]
    return f"{text}; best λ {' to '.join(places)}"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−") if math.isfinite(value) else "unknown"
