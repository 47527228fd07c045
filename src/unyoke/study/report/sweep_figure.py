"""The picture of a learning-rate sweep: test error over α, with intervals over seeds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from unyoke.study.landscape.axes import tick
from unyoke.study.report.findings import Finding, colour_range, errors_over_lr
from unyoke.study.report.survey import Survey

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Plot
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, which the colour-blind tell apart."""
MARKERS = "os^Dv*"
TICKS = 12
"""Labels that fit along the axis of α."""


def draw_sweeps(figure: Figure, survey: Survey, findings: list[Finding]) -> None:
    """One plot for each setting, with a curve for each optimizer that has one weight decay only."""
    settings = list(dict.fromkeys(finding.panel.setting for finding in findings))
    columns = min(2, len(settings))
    lines = math.ceil(len(settings) / columns)
    figure.set_size_inches(5.6 * columns, 3.9 * lines)
    plots = figure.subplots(lines, columns, squeeze=False)
    scale = 100 if survey.error_unit == "%" else 1
    low, high = (end * scale for end in _ends(survey, findings))
    unit = f", {survey.error_unit}" if survey.error_unit else ""
    for plot in plots.flat[len(settings) :]:
        plot.set_axis_off()
    for setting, plot in zip(settings, plots.flat, strict=False):
        beside = [finding for finding in findings if finding.panel.setting == setting]
        for index, finding in enumerate(beside):
            _draw_curve(plot, finding, index, scale, high)
        margin = 0.08 * (high - low)
        plot.set_ylim(low - margin, high + 2 * margin)
        _label_rates(plot, sorted({lr for finding in beside for lr in finding.panel.axes.lr}))
        plot.set_ylabel(f"test error{unit}")
        plot.set_title(str(setting) if len(settings) > 1 else "")
        plot.spines[["top", "right"]].set_visible(False)
        plot.legend(frameon=False)


def _ends(survey: Survey, findings: list[Finding]) -> tuple[float, float]:
    """The errors between which curves are drawn: all of them, where errors are shares.

    Errors without an upper bound end where the colours of maps do; one bad α would flatten all.
    """
    if survey.error_unit != "%":
        return colour_range(survey.panels)
    means = np.concatenate([finding.panel.mean("test_error").ravel() for finding in findings])
    known = means[np.isfinite(means)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    return low, max(high, low + 1e-3)


def _draw_curve(plot: Plot, finding: Finding, index: int, scale: float, high: float) -> None:
    """Mean and interval at each α; x at the top where a seed is lost, a ring at the best."""
    panel = finding.panel
    colour = COLOURS[index % len(COLOURS)]
    rates = np.log2(panel.axes.lr)
    intervals = errors_over_lr(panel)
    values = scale * np.array([each.value for each in intervals])
    reaches = scale * np.array([each.high - each.value for each in intervals])
    decay = panel.axes.weight_decay[0]
    name = f"{panel.title}, {panel.decay_symbol} = {tick(decay)}" if decay else panel.title
    plot.errorbar(
        rates,
        values,
        yerr=np.where(np.isfinite(reaches), reaches, 0.0),
        color=colour,
        marker=MARKERS[index % len(MARKERS)],
        markersize=4,
        capsize=2.5,
        linewidth=1.4,
        label=name,
    )
    lost = panel.lost.any(axis=(0, 1))
    plot.plot(rates[lost], np.full(lost.sum(), high), "x", color=colour, markersize=6)
    if finding.best is not None:
        column = finding.best[1]
        plot.plot(
            rates[column],
            values[column],
            "o",
            markersize=10,
            markerfacecolor="none",
            markeredgecolor="black",
            markeredgewidth=1.6,
        )


def _label_rates(plot: Plot, rates: list[float]) -> None:
    shown = rates[:: math.ceil(len(rates) / TICKS)]
    plot.set_xticks(np.log2(shown), [tick(lr) for lr in shown])
    plot.set_xlabel("learning rate α")
