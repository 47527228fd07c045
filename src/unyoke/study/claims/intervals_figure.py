"""All numbers that are shares, with their intervals and regions, in one figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unyoke.study.claims.claim import Region
from unyoke.study.claims.verdicts import Answer

COLOURS = {
    "held": "#21908c",
    "smaller than notable": "#8fc9a5",
    "no difference": "#e0a030",
    "contradicted": "#b5367a",
    "undecided": "#777777",
}
ERROR_REACH, GAIN_REACH = 60, 200
"""Per cent at which the axes of shares of an error and of decay's gain end."""


def draw(rows: Sequence[Answer], out: Path) -> list[Path]:
    """Every share with its interval and the region where its claim holds; nothing without them.

    Shares of an error stand above those of decay's gain. What is not asked has no interval that
    says anything, and is left out.
    """
    shown = [row for row in rows if row.claim.percent and row.verdict in COLOURS]
    parts = [[row for row in shown if row.claim.of_gain == of_gain] for of_gain in (False, True)]
    parts = [part for part in parts if part]
    if not parts:
        return []
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.fonttype": "none", "font.size": 9, "svg.hashsalt": "unyoke"}):
        height = 0.22 * len(shown) + 0.6 * len(parts) + 0.8
        figure = Figure(figsize=(8, height), layout="constrained")
        ratios = [len(part) + 2 for part in parts]
        plots = figure.subplots(len(parts), 1, squeeze=False, height_ratios=ratios)[:, 0]
        for part, plot in zip(parts, plots, strict=True):
            _intervals(part, plot)
        for text, colour in COLOURS.items():
            plots[0].plot([], [], "o", color=colour, label=text)
        figure.legend(loc="outside upper center", ncols=3, frameon=False)
        paths = [out / f"claims.{kind}" for kind in ("svg", "png")]
        for path in paths:
            metadata = {"Date": None} if path.suffix == ".svg" else {}
            figure.savefig(path, dpi=130, metadata=metadata)
            figure.set_layout_engine("none")
    return paths


def _intervals(rows: Sequence[Answer], plot: Any) -> None:
    of_gain = rows[0].claim.of_gain
    reach = GAIN_REACH if of_gain else ERROR_REACH
    for place, row in enumerate(rows):
        assert row.measurement is not None
        assert isinstance(row.claim.region, Region)
        number, region = row.measurement.number, row.claim.region
        low, high = max(100 * region.low, -reach), min(100 * region.high, reach)
        plot.barh(place, high - low, left=low, color="#e8eef2", height=0.85)
        colour = COLOURS[row.verdict]
        plot.plot([100 * number.low, 100 * number.high], [place, place], color=colour)
        value, marker = _on_axis(100 * number.value, reach)
        plot.plot(value, place, marker, markersize=4, color=colour, clip_on=False)
    plot.axvline(0, color="black", linewidth=0.6)
    plot.set_yticks(range(len(rows)), [f"{row.task}  {row.claim.name}" for row in rows])
    plot.set_ylim(len(rows) - 0.4, -0.6)
    plot.set_xlim(-reach, reach)
    of = "of what decay gains" if of_gain else "of the error"
    plot.set_xlabel(
        f"% {of}, with its interval of 95 %\nshaded: where the claim holds; arrow: beyond the axis"
    )


def _on_axis(value: float, reach: float) -> tuple[float, str]:
    """Where a number is drawn, and by what: an arrow at the end of the axis that it lies beyond."""
    if abs(value) <= reach:
        return value, "o"
    return (reach, ">") if value > 0 else (-reach, "<")
