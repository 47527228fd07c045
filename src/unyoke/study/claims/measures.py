"""The numbers that decide the claims about trainings: functions of whole maps, and of nothing else.

Choice is by validation error and report by test error, always. Every number is computed anew for
each draw of seeds, choices included (`unyoke.study.statistics.bootstrap`), so that its interval
covers the choice of the cells too. Seeds are paired, because the draws are the same for all maps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from unyoke.study import statistics
from unyoke.study.claims.claim import Measurement
from unyoke.study.landscape.axes import label
from unyoke.study.report.survey import Array, Panel
from unyoke.study.wording import error_text

Seeds = NDArray[np.intp]
Position = tuple[int, int]


def measured(
    statistic: Callable[[Seeds], Array],
    panels: Sequence[Panel],
    *,
    sampling_error: float = math.nan,
    unit: str = "%",
) -> Measurement:
    """A statistic of seed positions [draws, seeds] with its interval, and what its maps chose.

    Of maps with more seeds than others only the first are used, which all have.
    """
    seeds = min(len(panel.done) for panel in panels)
    number = statistics.bootstrap(statistic, seeds)
    details = "; ".join(chosen_text(panel, unit) for panel in panels)
    return Measurement(number, seeds, sampling_error=sampling_error, details=details)


def chosen_text(panel: Panel, unit: str) -> str:
    """The best cell of a map and its test error, in words."""
    best = statistics.best_cell(panel.choice)
    if best is None:
        return f"{panel.title}: nothing finished"
    row, column = best
    error = error_text(float(panel.mean("test_error")[best]), unit)
    place = f"α = {label(panel.axes.lr[column])}, λ = {label(panel.axes.weight_decay[row])}"
    return f"{panel.title} ({panel.schedule}, {panel.updates} updates) {error} at {place}"


def best_error(panel: Panel, seeds: Seeds) -> Array:
    """Test error of the cell of lowest validation error, for each draw."""
    choice = panel.resampled("validation_error", seeds)
    return statistics.error_of_the_best(choice, panel.resampled("test_error", seeds))


def advantage(first: Panel, second: Panel, unit: str) -> Measurement:
    """By which share of the second's error the first's best is below the second's best.

    (E_second − E_first)/E_second
    """

    def share(seeds: Seeds) -> Array:
        reference = best_error(second, seeds)
        return (reference - best_error(first, seeds)) / reference

    best = [(panel, statistics.best_cell(panel.choice)) for panel in (first, second)]
    noise = _ratio_sampling_error(*best)
    return measured(share, (first, second), sampling_error=noise, unit=unit)


def gain_sampling_error(panel: Panel) -> float:
    """Standard error of `gain_of_decay` from finite test samples, at most."""
    best, plain = statistics.best_cell(panel.choice), statistics.best_cell(panel.choice[:1])
    return _ratio_sampling_error((panel, best), (panel, plain))


def _ratio_sampling_error(
    first: tuple[Panel, Position | None], second: tuple[Panel, Position | None]
) -> float:
    """Standard error of the ratio of two cells' test errors from finite test samples, at most.

    As if the two were tested on different samples; that both err on the same ones makes it
    smaller. All seeds have the same test samples, so that seeds do not lessen it.
    """
    errors, shares = [], []
    for panel, cell in (first, second):
        if cell is None:
            return math.nan
        errors.append(panel.mean("test_error")[cell])
        shares.append(panel.mean("test_standard_error")[cell] / errors[-1])
    return float(errors[0] / errors[1] * math.hypot(*shares))


def gain_of_decay(panel: Panel, seeds: Seeds) -> Array:
    """By which share the best cell's error is below that of the best without decay."""
    choice = panel.resampled("validation_error", seeds)
    report = panel.resampled("test_error", seeds)
    plain = statistics.error_of_the_best(choice[..., :1, :], report[..., :1, :])
    return (plain - statistics.error_of_the_best(choice, report)) / plain


def mean_gain(panels: Sequence[Panel]) -> statistics.Interval:
    """The gain of decay, as the mean over these maps."""

    def gain(seeds: Seeds) -> Array:
        return np.asarray(np.mean([gain_of_decay(panel, seeds) for panel in panels], axis=0))

    return statistics.bootstrap(gain, min(len(panel.done) for panel in panels))


def regret_saved(coupled: Panel, decoupled: Panel, unit: str) -> Measurement:
    """One-at-a-time regret of the coupled map less that of the decoupled, over its best error.

    (regret_coupled − regret_decoupled)/E_coupled
    """

    def saved(seeds: Seeds) -> Array:
        return (_regret(coupled, seeds) - _regret(decoupled, seeds)) / best_error(coupled, seeds)

    return measured(saved, (coupled, decoupled), unit=unit)


def _regret(panel: Panel, seeds: Seeds) -> Array:
    choice = panel.resampled("validation_error", seeds)
    return statistics.one_at_a_time_regret(choice, panel.resampled("test_error", seeds))


def tilt_removed(coupled: Panel, decoupled: Panel, unit: str) -> Measurement:
    """|tilt| of the coupled map less |tilt| of the decoupled."""

    def removed(seeds: Seeds) -> Array:
        return np.abs(_tilt(coupled, seeds)) - np.abs(_tilt(decoupled, seeds))

    return measured(removed, (coupled, decoupled), unit=unit)


def _tilt(panel: Panel, seeds: Seeds) -> Array:
    axes = panel.axes
    return statistics.tilt(axes.lr, axes.weight_decay, panel.resampled("validation_error", seeds))


LEVELS = 8
"""Bins of training loss in which two optimizers are compared."""


def at_equal_training_loss(first: Panel, second: Panel, unit: str) -> Measurement:
    """By which share the first's error is below the second's where both fit the data as well.

    The range of log training loss that both maps reach is cut into `LEVELS` equal parts. In each,
    the cell of lowest validation error is chosen from either map; the mean of (E_second −
    E_first)/E_second over those parts in which both have a cell.
    """
    losses = [np.log(np.maximum(panel.mean("train_loss"), 1e-12)) for panel in (first, second)]
    low = max(np.nanmin(loss) for loss in losses)
    high = min(np.nanmax(loss) for loss in losses)
    ends = np.linspace(low, high, LEVELS + 1)

    def share(seeds: Seeds) -> Array:
        shares = []
        for start, stop in pairwise(ends):
            errors = [
                _best_within(panel, (loss >= start) & (loss <= stop), seeds)
                for panel, loss in zip((first, second), losses, strict=True)
            ]
            shares.append((errors[1] - errors[0]) / errors[1])
        stacked = np.stack(shares)
        known = np.isfinite(stacked)
        total = np.where(known, stacked, 0.0).sum(axis=0)
        return np.asarray(
            np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)
        )

    return measured(share, (first, second), unit=unit)


def _best_within(panel: Panel, cells: NDArray[np.bool_], seeds: Seeds) -> Array:
    choice = np.where(cells, panel.resampled("validation_error", seeds), np.nan)
    return statistics.error_of_the_best(choice, panel.resampled("test_error", seeds))
