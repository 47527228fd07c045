"""What a report says about each panel: its best cell, its edges, and its two knobs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unyoke.study import statistics
from unyoke.study.axes import label
from unyoke.study.commands import beyond, map_command
from unyoke.study.statistics import Edge, Estimate, Position
from unyoke.study.survey import Array, Panel, Survey


@dataclass(frozen=True)
class Finding:
    """The verdicts on one panel. Errors are test errors of cells chosen by validation error.

    Attributes:
        best, circled: the best cell and the ten best.
        error: of the best cell, mean and standard error over seeds.
        without_decay: of the best cell with λ = 0, where that was tried.
        edges: ends of the grid at which the best cell lies.
        tilt, regret: as `statistics` defines them, with standard errors over seeds.
    """

    panel: Panel
    best: Position | None
    circled: list[Position]
    error: Estimate | None
    without_decay: Estimate | None
    edges: list[Edge]
    tilt: Estimate
    regret: Estimate


def find(panel: Panel) -> Finding:
    """The verdicts on one panel."""
    choice = panel.choice
    best = statistics.best_cell(choice)
    free = panel.axes.weight_decay[0] == 0
    plain = statistics.best_cell(choice[:1]) if free else None
    lr, weight_decay = np.array(panel.axes.lr), np.array(panel.axes.weight_decay)

    def tilt(seeds: NDArray[np.bool_]) -> float:
        return float(statistics.tilt(lr, weight_decay, panel.mean("validation_error", seeds)))

    def regret(seeds: NDArray[np.bool_]) -> float:
        validation, test = panel.mean("validation_error", seeds), panel.mean("test_error", seeds)
        return float(statistics.one_knob_regret(validation, test))

    seeds = panel.done.shape[0]
    return Finding(
        panel=panel,
        best=best,
        circled=statistics.best_cells(choice),
        error=_error_at(panel, best),
        without_decay=_error_at(panel, plain),
        edges=statistics.edges(choice, panel.axes.weight_decay),
        tilt=statistics.jackknife(tilt, seeds),
        regret=statistics.jackknife(regret, seeds),
    )


def _error_at(panel: Panel, position: Position | None) -> Estimate | None:
    if position is None:
        return None
    return Estimate(
        float(panel.mean("test_error")[position]),
        float(panel.standard_error("test_error")[position]),
    )


def edge_text(edge: Edge, panel: Panel) -> str:
    """One sentence on an edge winner."""
    symbol = "α" if edge.axis == "lr" else panel.decay_symbol
    values = panel.axes.lr if edge.axis == "lr" else panel.axes.weight_decay
    if edge.end == "zero":
        return (
            f"best at {symbol} = 0: decay does not help here, or even {label(_smallest(values))} "
            "is too much of it"
        )
    end, value = ("largest", values[-1]) if edge.end == "high" else ("smallest", values[0])
    return f"best at the {end} {symbol} tried, {label(value)}: a better cell may lie beyond"


def _smallest(values: tuple[float, ...]) -> float:
    return min((value for value in values if value > 0), default=0.0)


def extension(survey: Survey, findings: list[Finding], folder: Path) -> str | None:
    """The command that extends every grid whose best cell lies on an edge; None if none does."""
    edges: dict[str, list[Edge]] = {}
    for finding in findings:
        edges.setdefault(finding.panel.optimizer, []).extend(finding.edges)
    if not any(edges.values()):
        return None
    return map_command(beyond(survey.landscape, edges), folder, extend=True)


def sampling_error(survey: Survey, findings: list[Finding]) -> float:
    """One standard error of a best cell's test error that the test set's finite size leaves."""
    errors = [
        float(finding.panel.mean("test_standard_error")[finding.best])
        for finding in findings
        if finding.best is not None
    ]
    return max(errors, default=math.nan)


def colour_range(survey: Survey) -> tuple[float, float]:
    """The errors at which the common colour scale begins and ends.

    From the best cell of all to twice as far above it as the median cell is, or to the worst where
    that is less: the basin keeps its contrast, and what lies above is all one colour.
    """
    finite = [_finite(panel.mean("test_error")) for panel in survey.panels]
    errors = np.concatenate(finite) if finite else np.array([])
    if not errors.size:
        return 0.0, 1.0
    low, median, high = (float(np.quantile(errors, part)) for part in (0, 0.5, 1))
    top = min(high, low + 2 * (median - low))
    return low, top if top > low else low + max(abs(low), 1.0) * 1e-3


def _finite(values: Array) -> Array:
    return np.asarray(values[np.isfinite(values)], dtype=np.float64)


def error_text(value: float, unit: str, digits: int = 1) -> str:
    """An error as people read it: 12.3 % for a share, else the number and its unit."""
    if not math.isfinite(value):
        return "–"
    if unit == "%":
        return f"{100 * value:.{digits}f} %"
    return f"{value:.{digits + 2}g} {unit}".rstrip()


def estimate_text(estimate: Estimate | None, unit: str) -> str:
    """An error with its standard error over seeds."""
    if estimate is None:
        return "–"
    value = error_text(estimate.value, unit)
    if not math.isfinite(estimate.standard_error) or not math.isfinite(estimate.value):
        return value
    if unit == "%":
        return f"{100 * estimate.value:.1f} ± {100 * estimate.standard_error:.1f} %"
    return f"{estimate.value:.3g} ± {estimate.standard_error:.1g} {unit}".rstrip()
