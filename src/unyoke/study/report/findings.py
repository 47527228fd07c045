"""What a report says about each panel: its best cell, its edges, and its two hyperparameters."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from unyoke.study import statistics
from unyoke.study.landscape.axes import tick
from unyoke.study.report.samples import Samples, bound, standard_error
from unyoke.study.report.survey import Array, Panel, Seeds
from unyoke.study.statistics import (
    Comparison,
    Edge,
    Interval,
    Position,
    bootstrap_all,
    mean_interval,
    paired_difference,
)

OFF = (2.0, 4.0)
"""Factors by which α is off in the sensitivity to it."""


UNKNOWN = Interval(math.nan, math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class OffBest:
    """How much the error rises where α is off by `factor`: with λ kept, and tuned anew."""

    factor: float
    decay_kept: Interval
    decay_retuned: Interval


@dataclass(frozen=True)
class Finding:
    """The verdicts on one panel. Errors are test errors of cells chosen by validation error.

    Attributes:
        basis: the panel of the seeds that have run its whole map. Where none has, as in a map that
            was refined, of all that have run anything: then only the best cell, its error and its
            edges are known.
        best, circled: the best cell and the ten best.
        seeds: how many have run in the best cell.
        error: of the best cell, with an interval over seeds.
        any_samples: the same, with an interval for other test samples as well.
        without_decay: of the best cell with λ = 0, where that was tried.
        gain: `error` − `without_decay`, paired over seeds; None where λ = 0 is the best or missing.
        edges: ends of the grid at which the best cell lies.
        tilt, regret, off, lr_sensitivity, ridge: as `statistics` defines them, with intervals over
            seeds. A learning-rate sweep has one hyperparameter, so no tilt, no ridge and no regret.
        best_decays: the best λ of the mean map at each learning rate; NaN where it is not known.
    """

    panel: Panel
    basis: Panel
    best: Position | None
    circled: list[Position]
    seeds: int
    error: Interval | None
    any_samples: Interval | None
    without_decay: Interval | None
    gain: Comparison | None
    edges: list[Edge]
    tilt: Interval
    regret: Interval
    lr_sensitivity: Interval
    ridge: Interval
    best_decays: tuple[float, ...]
    off: tuple[OffBest, ...]


def find(panel: Panel, samples: Samples | None = None) -> Finding:
    """The verdicts on one panel.

    Args:
        samples: what is known of the test samples; without it their part has a bound only.
    """
    is_whole = bool(panel.whole.any())
    basis = panel.of_whole_seeds() if is_whole else panel
    choice = basis.choice
    best = statistics.best_cell(choice)
    has_zero = is_whole and panel.axes.weight_decay[0] == 0
    plain = statistics.best_cell(choice[:1]) if has_zero else None
    gain = (
        None
        if best is None or plain in (None, best)
        else compare(basis, best, basis, plain, samples)
    )
    tilt, regret, lr_sensitivity, ridge, *off = _hyperparameters(basis)
    decays = statistics.best_decays(panel.axes.weight_decay, choice)
    of_samples = samples.of_cell if samples else standard_error
    return Finding(
        panel=panel,
        basis=basis,
        best=best,
        circled=statistics.best_cells(choice),
        seeds=0 if best is None else int(basis.done[(slice(None), *best)].sum()),
        error=_error_at(basis, best),
        any_samples=_error_at(basis, best, sampling_error=of_samples(basis, best)),
        without_decay=_error_at(basis, plain),
        gain=gain,
        edges=_edges(basis),
        tilt=tilt,
        regret=regret,
        lr_sensitivity=lr_sensitivity,
        ridge=ridge,
        best_decays=tuple(2**decays if is_whole else np.full_like(decays, np.nan)),
        off=tuple(
            OffBest(factor, kept, retuned)
            for factor, kept, retuned in zip(OFF, off[::2], off[1::2], strict=True)
        ),
    )


def _edges(panel: Panel) -> list[Edge]:
    """The edges of a panel, of which λ = 0 is flat where noise may be all that makes it best.

    Ever smaller λ train ever more as λ = 0 does, but for chance, so that an extension would ask
    for the next one without end.
    """
    found = statistics.edges(panel.choice, panel.axes.weight_decay)
    if not any(edge.end == "zero" for edge in found) or _zero_is_better(panel):
        return found
    return [replace(edge, end="flat") if edge.end == "zero" else edge for edge in found]


def _zero_is_better(panel: Panel) -> bool:
    """Whether the smallest λ above 0 is worse than λ = 0 beyond chance, each at its best α."""
    best = [statistics.best_cell(panel.choice[row : row + 1]) for row in (0, 1)]
    zero, smallest = ((row, at[1]) if at else None for row, at in enumerate(best))
    worse = compare(panel, smallest, panel, zero, figure="validation_error")
    if worse.pairs > 1:
        return worse.difference.low > 0
    uncertain = bound((panel, zero), (panel, smallest))
    return not worse.difference.value <= 2 * uncertain


def compare(
    first: Panel,
    at: Position | None,
    second: Panel,
    there: Position | None,
    samples: Samples | None = None,
    *,
    figure: str = "test_error",
) -> Comparison:
    """The error of one cell less that of another, paired over seeds."""
    of_difference = samples.of_difference if samples else bound
    return paired_difference(
        _at(first, figure, at),
        _at(second, figure, there),
        sampling_error=of_difference((first, at), (second, there)),
    )


def _at(panel: Panel, figure: str, position: Position | None) -> Array:
    """One figure of one cell for each seed, NaN where it has not run; all NaN for no cell."""
    if position is None:
        return np.full(len(panel.done), np.nan)
    return np.asarray(panel.figures[figure][(slice(None), *position)])


def errors_over_lr(panel: Panel) -> list[Interval]:
    """The test error at each learning rate of a sweep, with its interval over seeds.

    Not known where a seed diverged or failed, or none has run.
    """
    return [
        UNKNOWN
        if panel.lost[:, 0, column].any()
        else mean_interval(_at(panel, "test_error", (0, column)))
        for column in range(len(panel.axes.lr))
    ]


def _error_at(
    panel: Panel, position: Position | None, *, sampling_error: float = 0.0
) -> Interval | None:
    if position is None:
        return None
    return mean_interval(_at(panel, "test_error", position), sampling_error=sampling_error)


def _hyperparameters(panel: Panel) -> list[Interval]:
    """Tilt, regret, sensitivity to α, ridge, and what α off by each factor of `OFF` costs.

    The last with λ kept and tuned anew. A training that diverged or failed has the worst error of
    its map. Nothing is known of a map that no seed has run whole.
    """
    lr, weight_decay = panel.axes.lr, panel.axes.weight_decay
    errors = _finite(panel.figures["test_error"])
    worst = float(errors.max()) if errors.size else math.nan
    whole = np.flatnonzero(panel.whole)

    def all_at_once(drawn: Seeds) -> Array:
        seeds = whole[drawn]
        choice = panel.resampled("validation_error", seeds)
        report = panel.resampled("test_error", seeds)
        penalised = panel.resampled("test_error", seeds, lost=worst)
        offs = [statistics.sensitivity(lr, choice, penalised, factor) for factor in OFF]
        regret = statistics.one_at_a_time_regret(choice, report)
        return np.stack(
            [
                statistics.tilt(lr, weight_decay, choice),
                np.full_like(regret, np.nan) if panel.is_sweep else regret,
                statistics.lr_sensitivity(choice, penalised),
                statistics.ridge(lr, weight_decay, choice),
                *(part for off in offs for part in (off.decay_kept, off.decay_retuned)),
            ]
        )

    if not len(whole):
        return [UNKNOWN] * (4 + 2 * len(OFF))
    return bootstrap_all(all_at_once, len(whole))


def lacking(finding: Finding) -> str | None:
    """What of a panel has not run, and what is therefore not known; None of a whole one."""
    panel = finding.panel
    whole, seeds = int(panel.whole.sum()), len(panel.done)
    if whole == seeds:
        return None
    ran = f"{int(panel.done.sum())} of {panel.done.size} trainings have run"
    if whole:
        return f"{ran}; what is said of it rests on the {whole} of {seeds} seeds that ran all cells"
    return (
        f"{ran}, of no seed all: only a best cell so far is known; tilt, regret, sensitivity, "
        "ridge, gain of decay and comparisons need a whole map"
    )


def edge_text(edge: Edge, panel: Panel) -> str:
    """One sentence on an edge winner."""
    symbol = "α" if edge.axis == "lr" else panel.decay_symbol
    values = panel.axes.lr if edge.axis == "lr" else panel.axes.weight_decay
    if edge.end == "zero":
        return (
            f"best at {symbol} = 0: decay does not help here, or even {tick(_smallest(values))} "
            "is too much of it"
        )
    if edge.end == "flat":
        return (
            f"best at {symbol} = 0, and {tick(_smallest(values))} is as good: decay does not help "
            "here"
        )
    end, value = ("largest", values[-1]) if edge.end == "high" else ("smallest", values[0])
    return f"best at the {end} {symbol} tried, {tick(value)}: a better cell may lie beyond"


def _smallest(values: tuple[float, ...]) -> float:
    return min((value for value in values if value > 0), default=0.0)


def sampling_error(findings: list[Finding]) -> float:
    """The largest standard error that the test set's finite size leaves to a best cell's error."""
    errors = [standard_error(f.basis, f.best) for f in findings if f.best is not None]
    return max(errors, default=math.nan)


def colour_range(panels: Iterable[Panel]) -> tuple[float, float]:
    """The errors at which the common colour scale begins and ends.

    From the best cell of all to twice as far above it as the median cell is, or to the worst where
    that is less: the basin keeps its contrast, and what lies above is all one colour.
    """
    finite = [_finite(panel.mean("test_error")) for panel in panels]
    errors = np.concatenate(finite) if finite else np.array([])
    if not errors.size:
        return 0.0, 1.0
    low, median, high = (float(np.quantile(errors, part)) for part in (0, 0.5, 1))
    top = min(high, low + 2 * (median - low))
    return low, top if top > low else low + max(abs(low), 1.0) * 1e-3


def _finite(values: Array) -> Array:
    return np.asarray(values[np.isfinite(values)], dtype=np.float64)
