"""The paper's figures that are heat maps: error over α × λ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unyoke.study import statistics
from unyoke.study.claims.maps import Maps
from unyoke.study.landscape.axes import label
from unyoke.study.report.survey import Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Plot
    from matplotlib.figure import Figure

Data = list[dict[str, Any]]
COLOURS = "viridis_r"
WORDS = {"constant": "fixed rate", "step_drops": "step drops", "warm_restarts": "restarts"}
"""Schedules as figures call them."""


def figure_1(figure: Figure, maps: Maps) -> Data:
    """Adam + L2 and AdamW under three schedules."""
    panels = [
        [
            maps.panel("schedules", optimizer, schedule="constant"),
            maps.panel("schedules", optimizer, schedule="step_drops"),
            maps.panel("main", optimizer),
        ]
        for optimizer in ("Adam", "AdamW")
    ]
    return _grid_of_maps(figure, panels, maps.unit, WORDS)


def figure_2(figure: Figure, maps: Maps) -> Data:
    """Coupled and decoupled decay under a cosine."""
    panels = [
        [maps.panel("main", name) for name in pair] for pair in (("SGD", "SGDW"), ("Adam", "AdamW"))
    ]
    return _grid_of_maps(figure, panels, maps.unit, WORDS)


def figure_s2(figure: Figure, maps: Maps) -> Data:
    """A fixed rate on the long budget."""
    panels = [[maps.panel("long-fixed", name) for name in ("Adam", "AdamW")]]
    return _grid_of_maps(figure, panels, maps.unit, WORDS)


def figure_s4(figure: Figure, maps: Maps) -> Data:
    """Adam + L2 and AdamW on other data."""
    panels = [[maps.panel("main", name) for name in ("Adam", "AdamW")]]
    return _grid_of_maps(figure, panels, maps.unit, WORDS)


def _grid_of_maps(
    figure: Figure, panels: Sequence[Sequence[Panel]], unit: str, titles: Mapping[str, str]
) -> Data:
    """Rows of heat maps with one colour scale, ten best cells circled."""
    lines, columns = len(panels), len(panels[0])
    figure.set_size_inches(3.4 * columns + 0.6, 3.0 * lines + 0.4)
    plots = figure.subplots(lines, columns, squeeze=False)
    scale = 100.0 if unit == "%" else 1.0
    flat = [panel for line in panels for panel in line]
    errors = np.concatenate([panel.mean("test_error").ravel() for panel in flat]) * scale
    errors = errors[np.isfinite(errors)]
    low = errors.min() if errors.size else 0.0
    high = min(errors.max(), low + 2 * (np.median(errors) - low)) if errors.size else 1.0
    image: Any = None
    for line, row in zip(panels, plots, strict=True):
        for panel, plot in zip(line, row, strict=True):
            image = _heat_map(plot, panel, scale, low, max(high, low + 1e-9))
            plot.set_title(f"{panel.title}, {titles.get(panel.schedule, panel.schedule)}")
    bar = figure.colorbar(image, ax=plots, extend="max", shrink=0.8)
    bar.set_label(f"test error{', ' + unit if unit else ''}, mean over seeds")
    return [cell for panel in flat for cell in _cells(panel)]


def _heat_map(plot: Plot, panel: Panel, scale: float, low: float, high: float) -> Any:
    errors = np.ma.masked_invalid(panel.mean("test_error").T * scale)
    image = plot.pcolormesh(errors, cmap=COLOURS, vmin=low, vmax=high, edgecolors="white", lw=0.4)
    plot.set_facecolor("#dddddd")
    for rank, (row, column) in enumerate(statistics.best_cells(panel.choice)):
        plot.plot(row + 0.5, column + 0.5, "o", mfc="none", mec="black", ms=11 if rank == 0 else 5)
    decays, rates = panel.axes.weight_decay, panel.axes.lr
    plot.set_xticks(np.arange(len(decays)) + 0.5, [label(v) for v in decays], rotation=60)
    plot.set_yticks(np.arange(len(rates)) + 0.5, [label(v) for v in rates])
    plot.set_xlabel(f"weight decay {panel.decay_symbol}")
    plot.set_ylabel("learning rate α")
    return image


def _cells(panel: Panel) -> Data:
    chosen = statistics.best_cells(panel.choice)
    test, validation = panel.mean("test_error"), panel.mean("validation_error")
    return [
        {
            "optimizer": panel.optimizer,
            "schedule": panel.schedule,
            "updates": panel.updates,
            "lr": lr,
            "weight_decay": decay,
            "validation_error": float(validation[row, column]),
            "test_error": float(test[row, column]),
            "rank": chosen.index((row, column)) + 1 if (row, column) in chosen else "",
        }
        for row, decay in enumerate(panel.axes.weight_decay)
        for column, lr in enumerate(panel.axes.lr)
    ]
