"""The pictures as files: heat maps in the paper's manner, and the two hyperparameters.

A learning-rate sweep has no map and no second hyperparameter; `sweep_figure` draws its curve.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unyoke.study.report.arrangement import common_decays, rows_of, shear
from unyoke.study.report.findings import OFF, Finding, colour_range
from unyoke.study.report.heat_map import draw_heat_map, draw_sheared_map, same_stretch
from unyoke.study.report.survey import Panel, Survey
from unyoke.study.report.sweep_figure import draw_sweeps
from unyoke.study.statistics import Interval
from unyoke.study.wording import difference_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Plot
    from matplotlib.figure import Figure

Ends = tuple[float, float]
ACCENT = "#3b528b"
COLUMNS = 4
LINES = 4
"""Lines of two maps above which four stand in a line."""
MAP_WIDTH = 2.45
"""Inches, so that labels of 7 points are read where a page shows two maps side by side."""
MOST = 24
"""Panels that fit on one picture."""
PICTURES = ("landscape", "torch", "hyperparameters", "sweep")
FORMATS = ("png", "svg", "pdf")
_UNDATED: Mapping[str, Mapping[str, Any]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}
"""So that the same report is the same file."""
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "unyoke",
    "pdf.fonttype": 42,  # letters that an editor of the paper can select
    "font.size": 9,
}
RESOLUTION = 200
"""Dots per inch."""


def write_figures(survey: Survey, findings: list[Finding], folder: Path) -> list[Path]:
    """Write `make_figures` as PNG, SVG and PDF.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib

    written = []
    with matplotlib.rc_context(STYLE):
        for name, figure in make_figures(survey, findings).items():
            for kind in FORMATS:
                path = folder / f"{name}.{kind}"
                figure.savefig(path, metadata=dict(_UNDATED.get(kind, {})))
                figure.set_layout_engine(None)  # what the first file found, the others keep
                written.append(path)
    return written


def make_figures(survey: Survey, findings: list[Finding]) -> dict[str, Figure]:
    """Draw maps, also in torch's number, hyperparameters and sweeps, each by its name.

    Of more than `MOST` panels, those beside the best one, which has the lowest validation error.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib
    from matplotlib.figure import Figure

    made: dict[str, Figure] = {}
    shown = drawn(findings)
    maps = [finding for finding in shown if not finding.panel.is_sweep]
    sweeps = [finding for finding in shown if finding.panel.is_sweep]
    drawings = (
        (_draw_landscape, maps),
        (_draw_torchs, [finding for finding in maps if shear(finding.panel)]),
        (_draw_hyperparameters, maps),
        (draw_sweeps, sweeps),
    )
    with matplotlib.rc_context(STYLE):
        for name, (draw, of_these) in zip(PICTURES, drawings, strict=True):
            if not of_these:
                continue
            figure = Figure(layout="constrained", dpi=RESOLUTION)
            draw(figure, survey, of_these)
            made[name] = figure
    return made


def drawn(findings: list[Finding]) -> list[Finding]:
    """Those of which `write_figures` makes pictures."""
    if len(findings) <= MOST:
        return findings
    known = [finding for finding in findings if finding.best is not None]
    best = min(known, key=lambda finding: float(np.nanmin(finding.panel.choice)), default=None)
    setting = (best or findings[0]).panel.setting
    return [finding for finding in findings if finding.panel.setting == setting][:MOST]


def _draw_landscape(figure: Figure, survey: Survey, findings: list[Finding]) -> None:
    """Heat maps, an L2 penalty left and its decoupled relative right, with one axis of λ."""
    lines = _lines(findings)
    circled = {id(finding.panel): finding.circled for finding in findings}

    def draw(plot: Plot, panel: Panel, line: list[Panel], ends: Ends, scale: float) -> Any:
        return draw_heat_map(plot, panel, circled[id(panel)], ends, scale, common_decays(line))

    _draw_maps(figure, survey, lines, draw)


def _draw_torchs(figure: Figure, survey: Survey, findings: list[Finding]) -> None:
    """Those with decoupled decay again, over α and torch's weight_decay = λ/α."""
    circled = {id(finding.panel): finding.circled for finding in findings}
    panels = [finding.panel for finding in findings]
    lines = [panels[start : start + 2] for start in range(0, len(panels), 2)]

    def draw(plot: Plot, panel: Panel, line: list[Panel], ends: Ends, scale: float) -> Any:
        there = shear(panel)
        assert there is not None
        return draw_sheared_map(plot, panel, circled[id(panel)], ends, scale, there)

    _draw_maps(figure, survey, lines, draw)


def _lines(findings: list[Finding]) -> list[list[Panel]]:
    """The panels that stand side by side: rows of pairs, two where there are many of them."""
    settings = list(dict.fromkeys(finding.panel.setting for finding in findings))
    rows: list[list[Panel]] = []
    for setting in settings:
        rows += rows_of([f.panel for f in findings if f.panel.setting == setting])
    if max(map(len, rows)) <= 2 and len(rows) > LINES:
        return [list(chain(*rows[start : start + 2])) for start in range(0, len(rows), 2)]
    return [row[start : start + COLUMNS] for row in rows for start in range(0, len(row), COLUMNS)]


def _draw_maps(
    figure: Figure,
    survey: Survey,
    lines: list[list[Panel]],
    draw: Callable[[Plot, Panel, list[Panel], Ends, float], Any],
) -> None:
    """Maps in lines, cells of one size, one colour scale below them."""
    columns = max(map(len, lines))
    low, high = colour_range(survey.panels)
    scale = 100 if survey.error_unit == "%" else 1
    several = len({panel.setting for line in lines for panel in line}) > 1
    figure.set_layout_engine("compressed")  # for maps, whose cells are squares
    plots = figure.subplots(len(lines), columns, squeeze=False)
    for line, beside in zip(lines, plots, strict=True):
        for plot in beside[len(line) :]:
            plot.set_axis_off()
        for panel, plot in zip(line, beside, strict=False):
            image = draw(plot, panel, line, (low * scale, high * scale), scale)
            if several:
                plot.set_title(f"{panel.title}\n{panel.setting}")
        for plot in beside[1 : len(line)]:
            plot.set_ylabel("")
    width, height = same_stretch([plot for plot in plots.flat if plot.axison])
    across = MAP_WIDTH * columns
    down = (MAP_WIDTH - 0.45) * min(2.0, height / width) + (0.85 if several else 0.7)
    figure.set_size_inches(across + 0.25, down * len(lines) + 0.6)
    unit = f", {survey.error_unit}" if survey.error_unit else ""
    bar = figure.colorbar(
        image, ax=plots, extend="max", location="bottom", shrink=0.7, aspect=40, pad=0.02
    )
    seeds = len(survey.landscape.seeds)
    upto = "up to " if survey.done < survey.total else ""
    mean = f", mean of {upto}{seeds} seeds" if seeds > 1 else ""
    bar.set_label(f"test error{unit}{mean}")


def _draw_hyperparameters(figure: Figure, survey: Survey, findings: list[Finding]) -> None:
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
            "basin tilt\n(0: the hyperparameters are independent)",
            f"one-at-a-time regret{suffix}\n(0: tune them one by one)",
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
