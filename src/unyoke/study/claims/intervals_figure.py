"""All numbers that are shares, with their intervals and regions, in one figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unyoke.study.claims.verdicts import Answer

COLOURS = {
    "held": "#21908c",
    "smaller than notable": "#8fc9a5",
    "no difference": "#e0a030",
    "contradicted": "#b5367a",
    "undecided": "#777777",
    "not asked here": "#bbbbbb",
}


def draw(rows: Sequence[Answer], out: Path) -> list[Path]:
    """Every share with its interval and the region where its claim holds; nothing without them."""
    shown = [row for row in rows if row.claim.percent and row.measurement is not None]
    if not shown:
        return []
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.fonttype": "none", "font.size": 9, "svg.hashsalt": "unyoke"}):
        figure = Figure(figsize=(8, 0.27 * len(shown) + 1.1), layout="constrained")
        plot = figure.subplots()
        for place, row in enumerate(shown):
            assert row.measurement is not None
            number, region = row.measurement.number, row.claim.region
            low, high = max(region.low, -0.6), min(region.high, 0.6)
            plot.barh(place, 100 * (high - low), left=100 * low, color="#e8eef2", height=0.85)
            ends = [[100 * (number.value - number.low)], [100 * (number.high - number.value)]]
            plot.errorbar(
                100 * number.value,
                place,
                xerr=ends,
                fmt="o",
                markersize=4,
                color=COLOURS[row.verdict],
            )
        plot.axvline(0, color="black", linewidth=0.6)
        plot.set_yticks(range(len(shown)), [f"{row.task}  {row.claim.name}" for row in shown])
        plot.set_ylim(len(shown) - 0.4, -0.6)
        plot.set_xlim(-60, 60)
        plot.set_xlabel("number with its interval of 95 %, in %; shaded: where the claim holds")
        for text, colour in COLOURS.items():
            plot.plot([], [], "o", color=colour, label=text)
        figure.legend(loc="outside upper center", ncols=3, frameon=False)
        paths = [out / f"claims.{kind}" for kind in ("svg", "png")]
        for path in paths:
            metadata = {"Date": None} if path.suffix == ".svg" else {}
            figure.savefig(path, dpi=130, metadata=metadata)
            figure.set_layout_engine("none")
    return paths
