"""How the best λ moves with the budget, and how errors compare along the way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from unyoke.study import statistics
from unyoke.study.claims.claim import Measurement
from unyoke.study.claims.maps import Incomplete, Maps
from unyoke.study.claims.measures import Seeds, advantage, measured
from unyoke.study.landscape.axes import label
from unyoke.study.report.survey import Array, Panel


def best_decay(panel: Panel, seeds: Seeds) -> Array:
    """log2 of the best λ > 0, with α tuned for each λ, for each draw; NaN where it is not known."""
    choice = panel.resampled("validation_error", seeds)
    return statistics.best_decay(panel.axes.weight_decay, choice)


def slope(panels: Sequence[Panel], of: Literal["updates", "batch_size"], maps: Maps) -> Measurement:
    """By how many powers of two the best λ moves when `of` doubles.

    The least-squares plane of log2 λ over log2 updates and log2 batch size, of what differs between
    the maps, through those whose best λ is known in the draw.
    """
    about = {"updates": [panel.updates for panel in panels]}
    about["batch_size"] = [panel.batch_size or 1 for panel in panels]
    columns = {name: np.log2(values) for name, values in about.items() if len(set(values)) > 1}
    centred = [column - column.mean() for column in columns.values()]
    design = np.column_stack([np.ones(len(panels)), *centred])
    place = 1 + list(columns).index(of)

    def moved(seeds: Seeds) -> Array:
        found = np.stack([best_decay(panel, seeds) for panel in panels], axis=-1)
        return statistics.least_squares(design, found)[:, place]

    measurement = measured(moved, panels, maps)
    everyone = np.arange(measurement.samples)[None, :]
    places = "; ".join(
        f"{panel.updates} updates{_of(panel)}: λ = "
        f"{label(float(2 ** best_decay(panel, everyone)[0]))}"
        for panel in panels
    )
    unknown = "" if math.isfinite(measurement.number.low) else OUTSIDE
    return replace(measurement, details=places, unknown=unknown)


def _of(panel: Panel) -> str:
    return "" if panel.batch_size is None else f" of {panel.batch_size}"


OUTSIDE = "in some draws of the seeds the best λ of too many budgets lies at an end of its grid"


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
        maps.panel("restarts", optimizer, schedule=name) for name in ("warm_restarts", "cosine")
    )
    measured = advantage(
        anytime(maps, "restarts", with_restarts), anytime(maps, "restarts", without), maps
    )
    ahead = _ahead(maps, with_restarts, without)
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


def _ahead(maps: Maps, with_restarts: Panel, without: Panel) -> str:
    updates, error = mean_curve(maps, "restarts", with_restarts)
    _, other = mean_curve(maps, "restarts", without)
    there = [f"{update:g}" for update, a, b in zip(updates, error, other, strict=True) if a < b]
    if not there:
        return "at no evaluation"
    return (
        f"at the evaluations after {', '.join(there)} of {updates[-1]:g} updates (best final cells)"
    )
