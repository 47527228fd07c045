"""The pictures as files, by matplotlib: heat maps in the paper's manner, and the two knobs.

A learning-rate sweep has no map and no second knob; `sweep_figure` draws its curve.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unyoke.study.landscape.axes import tick
from unyoke.study.report.findings import OFF, Finding, colour_range
from unyoke.study.report.survey import Panel, Survey
from unyoke.study.report.sweep_figure import draw_sweeps
from unyoke.study.statistics import Interval
from unyoke.study.wording import difference_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Plot
    from matplotlib.figure import Figure

COLOURS = "viridis_r"
ACCENT = "#3b528b"
COLUMNS = 6
LABELS = 10
"""Labels that fit along an axis."""
DENSE = 2_500
"""Cells of one map above which it is stored as an image, without lines between them."""
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
    low, high = colour_range(survey)
    scale = 100 if survey.error_unit == "%" else 1
    image = None
    several = len({finding.panel.setting for finding in findings}) > 1
    for finding, plot in zip_longest(findings, plots.flat):
        if finding is None:
            plot.set_axis_off()
            continue
        image = _draw_panel(plot, finding, low * scale, high * scale, scale)
        if several:
            plot.set_title(f"{finding.panel.title}\n{finding.panel.setting}")
    if image is not None:
        unit = f", {survey.error_unit}" if survey.error_unit else ""
        bar = figure.colorbar(image, ax=plots, extend="max", shrink=0.8, pad=0.01)
        seeds = len(survey.landscape.seeds)
        upto = "up to " if survey.done < survey.total else ""
        mean = f", mean of {upto}{seeds} seeds" if seeds > 1 else ""
        bar.set_label(f"test error{unit}{mean}")


def _draw_panel(plot: Plot, finding: Finding, low: float, high: float, scale: float) -> Any:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    panel = finding.panel
    errors = panel.mean("test_error").T * scale
    dense = errors.size > DENSE
    positions = _column_positions(panel)
    boundaries = np.array([[x - 0.5, x + 0.5] for x in positions]).ravel()
    with_gaps = np.full((len(errors), 2 * len(positions) - 1), np.nan)
    with_gaps[:, ::2] = errors  # between columns of no width, and the one beside λ = 0
    image = plot.pcolormesh(
        boundaries,
        np.arange(len(panel.axes.lr) + 1) - 0.5,
        np.ma.masked_invalid(with_gaps),
        cmap=COLOURS,
        vmin=low,
        vmax=high,
        rasterized=dense,
        edgecolors="none" if dense else "white",
        linewidth=0.4,
    )
    unrun = [Rectangle(*place) for place in _stretches(panel.done.sum(axis=0) == 0, positions)]
    plot.add_collection(
        PatchCollection(unrun, hatch="////", facecolor="none", edgecolor="0.8", linewidth=0)
    )
    lost = np.argwhere(panel.diverged.any(axis=0))
    plot.plot([positions[row] for row in lost[:, 0]], lost[:, 1], "x", color="0.55", markersize=4)
    centres = [(positions[row], column) for row, column in finding.circled]
    _draw_circles(plot, centres[1:], size=6.5, width=1.0)
    _draw_circles(plot, centres[:1], size=8.5, width=2.2)
    plot.set_xlim(boundaries[0] - 0.05, boundaries[-1] + 0.05)
    rows = range(0, len(positions), math.ceil(len(positions) / LABELS))
    columns = range(0, len(panel.axes.lr), math.ceil(len(panel.axes.lr) / LABELS))
    decays, rates = panel.axes.weight_decay, panel.axes.lr
    plot.set_xticks([positions[row] for row in rows], [tick(decays[r]) for r in rows], fontsize=7)
    plot.set_yticks(columns, [tick(rates[column]) for column in columns], fontsize=7)
    plot.tick_params(length=0)
    plot.spines[:].set_visible(False)
    plot.set_xlabel(f"weight decay {panel.decay_symbol}")
    plot.set_ylabel("learning rate α")
    plot.set_title(panel.title)
    plot.set_aspect("equal")
    return image


def _stretches(
    marked: NDArray[np.bool_], positions: list[float]
) -> Iterator[tuple[tuple[float, float], float, float]]:
    """Corner, width and height of every stretch of marked cells along a column of the map."""
    for position, column in zip(positions, marked, strict=True):
        ends = np.flatnonzero(np.diff(column, prepend=False, append=False))
        for start, stop in zip(ends[::2], ends[1::2], strict=True):
            yield (position - 0.5, start - 0.5), 1.0, stop - start


def _draw_circles(
    plot: Plot, centres: list[tuple[float, int]], *, size: float, width: float
) -> None:
    """Black rings with a white rim, so that they are seen on every colour."""
    x, y = [centre[0] for centre in centres], [centre[1] for centre in centres]
    for colour, extra in (("white", 1.2), ("black", 0.0)):
        plot.plot(
            x,
            y,
            "o",
            markerfacecolor="none",
            markeredgecolor=colour,
            markersize=size,
            markeredgewidth=width + extra,
        )


def _column_positions(panel: Panel) -> list[float]:
    """Where each λ stands; λ = 0, which no logarithm places, a little apart."""
    gap = 0.35 if panel.axes.weight_decay[0] == 0 else 0.0
    return [
        index + (gap if value > 0 else 0.0) for index, value in enumerate(panel.axes.weight_decay)
    ]


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
