"""The paper's figures that are heat maps: error over α × λ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unyoke.study import statistics
from unyoke.study.claims.maps import Maps
from unyoke.study.report.arrangement import common_decays
from unyoke.study.report.findings import colour_range
from unyoke.study.report.heat_map import draw_heat_map, same_stretch
from unyoke.study.report.survey import Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Data = list[dict[str, Any]]
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
    # The maps of schedules have every second λ: beside the others they would be all gaps.
    return _grid_of_maps(figure, panels, maps.unit, WORDS, one_axis=False)


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
    figure: Figure,
    panels: Sequence[Sequence[Panel]],
    unit: str,
    titles: Mapping[str, str],
    *,
    one_axis: bool = True,
) -> Data:
    """Rows of maps, their cells of one size, with one colour scale; ten best cells circled.

    Args:
        one_axis: the maps of a row have one axis of λ.
    """
    lines, columns = len(panels), len(panels[0])
    figure.set_layout_engine("compressed")  # for maps, whose cells are squares
    plots = figure.subplots(lines, columns, squeeze=False)
    scale = 100.0 if unit == "%" else 1.0
    flat = [panel for line in panels for panel in line]
    decays = [common_decays(line) if one_axis else None for line in panels for _ in line]
    low, high = colour_range(flat)
    ends = (scale * low, scale * high)
    image: Any = None
    for panel, along, plot in zip(flat, decays, plots.flat, strict=True):
        circled = statistics.best_cells(panel.choice)
        image = draw_heat_map(plot, panel, circled, ends, scale, along)
        plot.set_title(f"{panel.title}, {titles.get(panel.schedule, panel.schedule)}")
    width, height = same_stretch(list(plots.flat))
    down = 2.8 * min(2.0, height / width) + 0.7
    figure.set_size_inches(3.4 * columns + 0.6, down * lines + 0.4)
    bar = figure.colorbar(image, ax=plots, extend="max", shrink=0.8)
    bar.set_label(f"test error{', ' + unit if unit else ''}, mean over seeds")
    return [cell for panel in flat for cell in _cells(panel)]


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
