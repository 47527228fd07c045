"""One heat map in the paper's manner, error over α × λ, for the report and the claims."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unyoke.study.landscape.axes import tick
from unyoke.study.landscape.decay_units import NAMES
from unyoke.study.report.arrangement import Shear
from unyoke.study.report.survey import Panel
from unyoke.study.statistics import Position

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Plot

COLOURS = "viridis_r"
LABELS = 5
"""Labels along an axis, at most: so few that they can be large."""
DENSE = 2_500
"""Cells of one map above which it is stored as an image, without lines between them."""
GAP = 0.35
"""Between λ = 0, which no logarithm places, and the others."""

Places = list[float]


def draw_heat_map(
    plot: Plot,
    panel: Panel,
    circled: Sequence[Position],
    ends: tuple[float, float],
    scale: float,
    decays: Sequence[float] | None = None,
) -> Any:
    """Draw the mean test error of a panel's cells; what the colour bar is made for.

    A cross marks a cell where training diverged for a seed, a plus one where the task failed, and a
    hatched cell has not run.

    Args:
        circled: the best cells, the best one first.
        ends: the errors at which the colours begin and end, after scaling.
        scale: what errors are multiplied by, 100 for percentages.
        decays: the axis of λ that the maps beside it have in common; by default the panel's own.
    """
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    axis = panel.axes.weight_decay if decays is None else tuple(decays)
    along = dict(zip(axis, _places(axis), strict=True))
    positions = [along[value] for value in panel.axes.weight_decay]
    image = _draw_cells(plot, panel.mean("test_error").T * scale, positions, ends)
    unrun = [Rectangle(*place) for place in _stretches(panel.done.sum(axis=0) == 0, positions)]
    plot.add_collection(
        PatchCollection(unrun, hatch="////", facecolor="none", edgecolor="0.8", linewidth=0)
    )
    for lost, mark in ((panel.diverged, "x"), (panel.failed, "+")):
        cells = np.argwhere(lost.any(axis=0))
        places = [positions[row] for row in cells[:, 0]]
        plot.plot(places, cells[:, 1], mark, color="0.55", markersize=4)
    _draw_circled(plot, [(positions[row], column) for row, column in circled])
    _label(plot, panel, list(along.values()), [tick(value) for value in axis])
    plot.set_xlabel(f"{NAMES[panel.axes.decay_unit]} {panel.decay_symbol}")
    return image


def draw_sheared_map(
    plot: Plot,
    panel: Panel,
    circled: Sequence[Position],
    ends: tuple[float, float],
    scale: float,
    shear: Shear,
) -> Any:
    """The same trainings over α and torch's weight_decay = λ/α; λ = 0 is left out."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    zeros = sum(value == 0 for value in panel.axes.weight_decay)
    errors = panel.mean("test_error") * scale

    def place(row: int, column: int) -> tuple[float, int]:
        return row - zeros + shear.shift[column], column

    known = [(int(r), int(c)) for r, c in np.argwhere(np.isfinite(errors)) if r >= zeros]
    corners = [(x - 0.5, y - 0.5) for x, y in (place(*cell) for cell in known)]
    image = PatchCollection(
        [Rectangle(corner, 1, 1) for corner in corners],
        cmap=COLOURS,
        edgecolor="white",
        linewidth=0.4,
    )
    image.set_array(np.array([errors[cell] for cell in known]))
    image.set_clim(*ends)
    plot.add_collection(image)
    _draw_circled(plot, [place(*cell) for cell in circled if cell[0] >= zeros])
    places = [float(index) for index in range(len(shear.decays))]
    _label(plot, panel, places, [tick(value) for value in shear.decays])
    plot.set_xlabel("torch's weight_decay λ/α")
    return image


def _draw_cells(
    plot: Plot, errors: NDArray[np.float64], positions: Places, ends: tuple[float, float]
) -> Any:
    """The colours of cells [learning rates, weight decays], with what is empty between columns."""
    dense = errors.size > DENSE
    boundaries = np.array([[x - 0.5, x + 0.5] for x in positions]).ravel()
    with_gaps = np.full((len(errors), 2 * len(positions) - 1), np.nan)
    with_gaps[:, ::2] = errors
    return plot.pcolormesh(
        boundaries,
        np.arange(len(errors) + 1) - 0.5,
        np.ma.masked_invalid(with_gaps),
        cmap=COLOURS,
        vmin=ends[0],
        vmax=ends[1],
        rasterized=dense,
        edgecolors="none" if dense else "white",
        linewidth=0.4,
    )


def _label(plot: Plot, panel: Panel, places: Places, decays: Sequence[str]) -> None:
    """Axes, their labels and the title; the cells are squares."""
    plot.set_xlim(places[0] - 0.55, places[-1] + 0.55)
    plot.set_ylim(-0.5, len(panel.axes.lr) - 0.5)
    rows = range(0, len(places), math.ceil(len(places) / LABELS))
    columns = range(0, len(panel.axes.lr), math.ceil(len(panel.axes.lr) / LABELS))
    plot.set_xticks([places[row] for row in rows], [decays[row] for row in rows], fontsize=9)
    plot.set_yticks(columns, [tick(panel.axes.lr[column]) for column in columns], fontsize=9)
    plot.tick_params(length=0)
    plot.spines[:].set_visible(False)
    plot.set_ylabel("learning rate α")
    plot.set_title(panel.title)
    plot.set_aspect("equal")


def same_stretch(plots: Sequence[Plot]) -> tuple[float, float]:
    """Give maps the same stretch of both axes, so that all cells have one size.

    Returns:
        The columns and the rows of each, gaps included.
    """
    width = max(plot.get_xlim()[1] - plot.get_xlim()[0] for plot in plots)
    height = max(plot.get_ylim()[1] for plot in plots) + 0.5
    for plot in plots:
        plot.set_xlim(plot.get_xlim()[0], plot.get_xlim()[0] + width)
        plot.set_ylim(-0.5, height - 0.5)
    return width, height


def _stretches(
    marked: NDArray[np.bool_], positions: Places
) -> Iterator[tuple[tuple[float, float], float, float]]:
    """Corner, width and height of every stretch of marked cells along a column of the map."""
    for position, column in zip(positions, marked, strict=True):
        ends = np.flatnonzero(np.diff(column, prepend=False, append=False))
        for start, stop in zip(ends[::2], ends[1::2], strict=True):
            yield (position - 0.5, start - 0.5), 1.0, stop - start


def _draw_circled(plot: Plot, centres: Sequence[tuple[float, int]]) -> None:
    """Rings around the best cells, the thick one around the best."""
    _draw_circles(plot, centres[1:], size=6.0, width=1.0)
    _draw_circles(plot, centres[:1], size=7.5, width=2.2)


def _draw_circles(
    plot: Plot, centres: Sequence[tuple[float, int]], *, size: float, width: float
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


def _places(decays: Sequence[float]) -> Places:
    """Where each λ stands."""
    gap = GAP if decays[0] == 0 else 0.0
    return [index + (gap if value > 0 else 0.0) for index, value in enumerate(decays)]
