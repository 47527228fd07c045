"""Every label of every figure is read at 840 pixels, the width of a page's column."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from unyoke.study.landscape.axes import parse_axis
from unyoke.study.landscape.landscape import Axes, Cell, Landscape
from unyoke.study.ledger.ledger import Ledger
from unyoke.study.report.figures import write_figures
from unyoke.study.report.findings import find
from unyoke.study.report.survey import survey

RESULTS = sorted((Path(__file__).parents[3] / "docs" / "images" / "results").glob("*.svg"))
PAGE = 840
LABEL, EXPONENT = 9.0, 8.0
"""Pixels of a label, and of an exponent, which matplotlib sets at seven tenths of its label."""

Fill = Callable[[Path, Landscape, Callable[[Cell], float | None]], None]


def texts(node: ElementTree.Element, scale: float, size: float) -> Iterator[tuple[float, bool]]:
    """Size in the figure's units, and whether it is an exponent, of each text and drawn letter."""
    for shrunk in re.findall(r"scale\(([-\d.e]+)", node.get("transform", "")):
        scale *= abs(float(shrunk))
    style = node.get("style", "")
    if found := re.search(r"font(?:-size)?:[^;]*?([\d.]+)px", style):
        size = float(found[1])
    if (node.text or "").strip() and node.tag.endswith(("text", "tspan")):
        yield size * scale, float((node.get("y") or "0").split()[0]) < 0
    if node.get("{http://www.w3.org/1999/xlink}href", "").startswith("#DejaVu"):
        yield 100 * scale, False  # a letter, drawn in hundredths
    for child in node:
        yield from texts(child, scale, size)


def too_small(path: Path) -> list[str]:
    """What of a figure cannot be read where it is as wide as the page."""
    root = ElementTree.parse(path).getroot()
    width = float(root.attrib["viewBox"].split()[2])
    found = {(round(PAGE / width * size, 1), raised) for size, raised in texts(root, 1.0, 0.0)}
    assert found, f"{path.name} has no text"
    return [
        f"{path.name}: {pixels} pixels"
        for pixels, raised in sorted(found)
        if pixels < (EXPONENT if raised else LABEL)
    ]


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_the_figures_of_the_pages(path: Path) -> None:
    assert too_small(path) == []


@pytest.mark.slow
@pytest.mark.parametrize("decays", ["0,2^-7:2^8", "0"])
def test_the_figures_of_a_report(
    decays: str, tmp_path: Path, landscape: Landscape, fill: Fill
) -> None:
    """Of as many maps as a picture has side by side, and of sweeps."""
    names = ("Adam", "AdamW", "SGD", "SGDW", "NAdam", "NAdamW", "RAdam", "RAdamW", "LionW")
    axes = Axes(parse_axis("2^-8:2^8", "lr"), parse_axis(decays, "weight decay"))
    wide = replace(landscape, axes=dict.fromkeys(names, axes), seeds=(0, 1))
    fill(tmp_path, wide, lambda cell: cell.lr / 1000)
    with Ledger.open_to_read(tmp_path) as ledger:
        result = survey(ledger.landscape, ledger.records())
    write_figures(result, [find(panel) for panel in result.panels], tmp_path)
    figures = sorted(tmp_path.glob("*.svg"))
    assert figures
    assert [text for path in figures for text in too_small(path)] == []
