"""The pictures as files, by matplotlib: heat maps in the paper's manner, and the two knobs.

A learning-rate sweep has no map and no second knob; `sweep_figure` draws its curve.
"""

from __future__ import annotations

import math
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unyoke.study.report.findings import OFF, Finding, colour_range
from unyoke.study.report.heat_map import draw_heat_map
from unyoke.study.report.survey import Survey
from unyoke.study.report.sweep_figure import draw_sweeps
from unyoke.study.statistics import Interval
from unyoke.study.wording import difference_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Plot
    from matplotlib.figure import Figure

ACCENT = "#3b528b"
COLUMNS = 6
MOST = 24
"""Panels that fit on one picture."""
FORMATS = ("png", "svg")
RESOLUTION = 160
"""Dots per inch."""


def write_figures(survey: Survey, findings: list[Finding], folder: Path) -> list[Path]:
    """Draw landscape and knobs of maps, and the curves of sweeps, as PNG and SVG into `folder`.

    Of more than `MOST` panels, those beside the best one, which has the lowest validation error.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib
    from matplotlib.figure import Figure

    written = []
    shown = drawn(findings)
    maps = [finding for finding in shown if not finding.panel.is_sweep]
    sweeps = [finding for finding in shown if finding.panel.is_sweep]
    pictures = (
        ("landscape", _draw_landscape, maps),
        ("knobs", _draw_knobs, maps),
        ("sweep", draw_sweeps, sweeps),
    )
    with matplotlib.rc_context({"svg.fonttype": "none", "font.size": 9, "svg.hashsalt": "unyoke"}):
        for name, draw, of_these in pictures:
            if not of_these:
                continue
            figure = Figure(layout="constrained", dpi=RESOLUTION)
            draw(figure, survey, of_these)
            for kind in FORMATS:
                path = folder / f"{name}.{kind}"
                metadata = {"Date": None} if kind == "svg" else {}
                figure.savefig(path, metadata=metadata)
                figure.set_layout_engine(None)  # what the first file found, the second keeps
                written.append(path)
    return written


def drawn(findings: list[Finding]) -> list[Finding]:
    """Those of which `write_figures` makes pictures."""
    if len(findings) <= MOST:
        return findings
    known = [finding for finding in findings if finding.best is not None]
    best = min(known, key=lambda finding: float(np.nanmin(finding.panel.choice)), default=None)
    setting = (best or findings[0]).panel.setting
    return [finding for finding in findings if finding.panel.setting == setting][:MOST]


def _draw_landscape(figure: Figure, survey: Survey, findings: list[Finding]) -> None:
    columns = min(len({finding.panel.optimizer for finding in findings}), COLUMNS)
    lines = math.ceil(len(findings) / columns)
    figure.set_layout_engine("compressed")  # for maps, whose cells are squares
    figure.set_size_inches(3.1 * columns + 0.8, 3.2 * lines)
    plots = figure.subplots(lines, columns, squeeze=False)
    low, high = colour_range(survey.panels)
    scale = 100 if survey.error_unit == "%" else 1
    image = None
    several = len({finding.panel.setting for finding in findings}) > 1
    for finding, plot in zip_longest(findings, plots.flat):
        if finding is None:
            plot.set_axis_off()
            continue
        ends = (low * scale, high * scale)
        image = draw_heat_map(plot, finding.panel, finding.circled, ends, scale)
        if several:
            plot.set_title(f"{finding.panel.title}\n{finding.panel.setting}")
    if image is not None:
        unit = f", {survey.error_unit}" if survey.error_unit else ""
        bar = figure.colorbar(image, ax=plots, extend="max", shrink=0.8, pad=0.01)
        seeds = len(survey.landscape.seeds)
        upto = "up to " if survey.done < survey.total else ""
        mean = f", mean of {upto}{seeds} seeds" if seeds > 1 else ""
        bar.set_label(f"test error{unit}{mean}")


def _draw_knobs(figure: Figure, survey: Survey, findings: list[Finding]) -> None:
    figure.set_size_inches(10, 0.9 + 0.38 * max(2, len(findings)))
    plots = figure.subplots(1, 3, sharey=True)
    scale = 100 if survey.error_unit == "%" else 1
    unit = difference_unit(survey.error_unit)
    suffix = f", {unit}" if unit else ""
    for line, finding in enumerate(findings):
        _draw_interval(plots[0], finding.tilt, line, 1.0)
        _draw_interval(plots[1], finding.regret, line, scale)
        off = finding.off[0]
        _draw_interval(plots[2], off.decay_kept, line - 0.15, scale, fill="white")
        _draw_interval(plots[2], off.decay_retuned, line + 0.15, scale)
    for plot, name in zip(
        plots,
        (
            "basin tilt\n(0: the knobs are independent)",
            f"one-knob regret{suffix}\n(0: tune them one by one)",
            f"α off by {OFF[0]:g}{suffix}\n(○ λ kept, ● λ tuned anew)",
        ),
        strict=True,
    ):
        plot.axvline(0, color="0.6", linewidth=0.8, zorder=0)
        plot.set_xlabel(name)
        plot.spines[["top", "right", "left"]].set_visible(False)
        plot.tick_params(axis="y", length=0)
    several = len({finding.panel.setting for finding in findings}) > 1
    names = [f"{f.panel.title}, {f.panel.setting}" if several else f.panel.title for f in findings]
    plots[0].set_yticks(range(len(findings)), names)
    plots[0].set_ylim(len(findings) - 0.5, -0.5)


def _draw_interval(
    plot: Plot, interval: Interval, line: float, scale: float, *, fill: str = ACCENT
) -> None:
    if not np.isfinite(interval.value):
        return
    if np.isfinite(interval.low):
        ends = (scale * interval.low, scale * interval.high)
        plot.plot(ends, (line, line), color=ACCENT, linewidth=1.5)
    plot.plot(scale * interval.value, line, "o", color=ACCENT, markerfacecolor=fill)
