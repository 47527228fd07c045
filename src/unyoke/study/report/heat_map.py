"""One heat map in the paper's manner, error over α × λ, for the report and the claims."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unyoke.study.landscape.axes import tick
from unyoke.study.report.survey import Panel
from unyoke.study.statistics import Position

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Plot

COLOURS = "viridis_r"
LABELS = 10
"""Labels that fit along an axis."""
DENSE = 2_500
"""Cells of one map above which it is stored as an image, without lines between them."""


def draw_heat_map(
    plot: Plot,
    panel: Panel,
    circled: Sequence[Position],
    ends: tuple[float, float],
    scale: float,
) -> Any:
    """Draw the mean test error of a panel's cells; what the colour bar is made for.

    A cross marks a cell where training diverged for a seed, and a hatched cell has not run.

    Args:
        circled: the best cells, the best one first.
        ends: the errors at which the colours begin and end, after scaling.
        scale: what errors are multiplied by, 100 for percentages.
    """
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

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
        vmin=ends[0],
        vmax=ends[1],
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
    centres = [(positions[row], column) for row, column in circled]
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
