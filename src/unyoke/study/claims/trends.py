"""How the best λ moves with the budget, and how errors compare along the way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from unyoke.study import statistics
from unyoke.study.claims.claim import Measurement
from unyoke.study.claims.maps import Incomplete, Maps
from unyoke.study.claims.measures import Seeds, advantage
from unyoke.study.claims.plan import again
from unyoke.study.report.survey import Array, Panel


def best_decay(panel: Panel, seeds: Seeds) -> Array:
    """log2 of the best λ > 0, with α tuned for each λ, for each draw; NaN where it is not known."""
    choice = panel.resampled("validation_error", seeds)
    return statistics.best_decay(panel.axes.weight_decay, choice)


def anytime(maps: Maps, study: str, panel: Panel) -> Panel:
    """The map whose errors are means over the evaluations of each training's learning curve.

    Raises:
        Incomplete: a curve has not been recorded.
    """
    figures = {name: values.copy() for name, values in panel.figures.items()}
    for seed, *position in np.argwhere(panel.done & ~panel.lost):
        cell = panel.cell(maps.landscape(study), int(seed), (int(position[0]), int(position[1])))
        curve = maps.curve(study, cell)
        if not curve:
            raise Incomplete(f"the curve of {cell.optimizer}, {panel.setting}")
        at = (seed, *position)
        figures["validation_error"][at] = np.mean([point.validation_error for point in curve])
        figures["test_error"][at] = np.mean([point.test_error for point in curve])
    return replace(panel, figures=figures)


def restarts_anytime(maps: Maps, optimizer: str) -> Measurement:
    """By which share the anytime error with restarts is below that without, each at its best."""
    with_restarts, without = (
        maps.best("restarts", optimizer, schedule=name) for name in ("warm_restarts", "cosine")
    )
    study = again("restarts")
    measured = advantage(anytime(maps, study, with_restarts), anytime(maps, study, without), maps)
    ahead = _ahead(maps, study, with_restarts, without)
    return replace(measured, details=f"{measured.details}; restarts are ahead {ahead}")


def mean_curve(maps: Maps, study: str, panel: Panel) -> tuple[Array, Array]:
    """Updates, and mean test errors over seeds, of the best cell by final validation error."""
    best = statistics.best_cell(panel.choice)
    if best is None:
        raise Incomplete(f"no training of {panel.title}, {panel.setting}, finished")
    curves = [
        maps.curve(study, panel.cell(maps.landscape(study), seed, best))
        for seed in range(len(panel.done))
    ]
    updates = np.array([point.update for point in curves[0]], dtype=np.float64)
    errors = np.array([[point.test_error for point in curve] for curve in curves])
    return updates, errors.mean(axis=0)


def _ahead(maps: Maps, study: str, with_restarts: Panel, without: Panel) -> str:
    updates, error = mean_curve(maps, study, with_restarts)
    _, other = mean_curve(maps, study, without)
    there = [f"{update:g}" for update, a, b in zip(updates, error, other, strict=True) if a < b]
    if not there:
        return "at no evaluation"
    return (
        f"at the evaluations after {', '.join(there)} of {updates[-1]:g} updates (best final cells)"
    )
