"""The page of the claims: Markdown, HTML, CSV and one figure, from the rows alone."""

from __future__ import annotations

import csv
import math
import platform
import subprocess
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from unyoke.study.claims.maps import Maps
from unyoke.study.claims.run import Request
from unyoke.study.claims.verdicts import Row
from unyoke.study.errors import StudyError
from unyoke.study.wording import probability_text
from unyoke.study.workers import available_cores

COLUMNS = (
    "task",
    "row",
    "verdict",
    "number",
    "low",
    "high",
    "standard_error",
    "samples",
    "holds_above",
    "holds_below",
    "holm_p_value",
    "detectable",
    "missing",
)


def write(request: Request, rows: Sequence[Row], maps: dict[str, Maps]) -> list[Path]:
    """Write claims.md, claims.html, claims.csv and claims.svg into the request's folder.

    Raises:
        StudyError: the folder cannot be written.
    """
    data = {**page_data(request, rows, maps), "figures": []}
    try:
        written = [_write_table(rows, request.out / "claims.csv")]
        pictures = _draw(rows, request.out)
        data["picture"] = "claims.svg" if pictures else ""
        svg = next((path for path in pictures if path.suffix == ".svg"), None)
        data["svg"] = "" if svg is None else _inline(svg)
        for kind in ("md", "html"):
            path = request.out / f"claims.{kind}"
            path.write_text(_rendered(f"claims.{kind}", data), encoding="utf-8")
            written.append(path)
    except OSError as error:
        raise StudyError(
            f"the page cannot be written into {request.out}: {error.strerror}; make room there"
        ) from error
    return written + pictures


def publish(
    request: Request,
    rows: Sequence[Row],
    maps: dict[str, Maps],
    figures: Sequence[Path],
    page: Path,
) -> list[Path]:
    """Write the Markdown as `page`, its pictures into images/results beside it.

    Raises:
        StudyError: they cannot be written.
    """
    images = page.parent / "images" / "results"
    data = page_data(request, rows, maps)
    try:
        images.mkdir(parents=True, exist_ok=True)
        pictures = [path for path in _draw(rows, images) if path.suffix == ".svg"]
        copies = [images / figure.name for figure in figures]
        for figure, copy in zip(figures, copies, strict=True):
            copy.write_bytes(figure.read_bytes())
        data["picture"] = f"images/results/{pictures[0].name}" if pictures else ""
        data["figures"] = [f"images/results/{copy.name}" for copy in copies]
        page.write_text(_rendered("claims.md", data), encoding="utf-8")
    except OSError as error:
        raise StudyError(f"{page} cannot be written: {error.strerror}; choose another") from error
    return [page, *pictures, *copies]


def page_data(request: Request, rows: Sequence[Row], maps: dict[str, Maps]) -> dict[str, Any]:
    """Everything that the templates show, as plain words."""
    verdicts = [row.verdict for row in rows]
    return {
        "command": command(request),
        "counts": {name: verdicts.count(name) for name in dict.fromkeys(verdicts)},
        "rows": [_words(row, request) for row in rows],
        "studies": [study for task, read in maps.items() for study in _studies(task, read)],
        "machine": machine(),
    }


def machine() -> str:
    """Where this page was made."""
    import torch

    import unyoke

    return (
        f"{available_cores()} cores ({platform.machine()}), Python {platform.python_version()}, "
        f"torch {torch.__version__}, unyoke {unyoke.__version__}{_commit()}"
    )


def _commit() -> str:
    """The commit of the checkout that runs, if it is one."""
    words = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        found = subprocess.run(words, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return f" at commit {found.stdout.strip()}"


def command(request: Request, name: str = "") -> str:
    """What asks for all of this, or for one row, again."""
    words = ["unyoke claims"]
    words += [name] if name else list(request.names)
    words.append(f"--scale {request.scale}")
    if request.tasks:
        words.append(f"--tasks {','.join(request.tasks)}")
    if request.data is not None:
        words.append(f"--data {request.data}")
    return " ".join([*words, f"--out {request.out}"])


def _words(row: Row, request: Request) -> dict[str, str]:
    question, measured = row.question, row.measurement
    scale = 100.0 if question.percent else 1.0
    unit = " %" if question.percent else ""
    number = interval = could = others = details = "–"
    if measured is not None:
        number = f"{_figure(scale * measured.number.value)}{unit}"
        ends = (measured.number.low, measured.number.high)
        interval = " … ".join(_figure(scale * end) for end in ends) + unit
        details = measured.details
        if measured.drawn:
            could = f"{_figure(scale * row.detectable, sign=False)}{unit}"
            others = "yes" if row.on_other_samples else "no"
    return {
        "task": row.task,
        "name": question.name,
        "sentence": question.sentence,
        "place": question.place,
        "statistic": question.statistic,
        "studies": ", ".join(question.studies) or "no training",
        "number": number,
        "interval": interval,
        "samples": "–" if measured is None else str(measured.samples),
        "sample_kind": "problems" if measured is not None and not measured.drawn else "seeds",
        "region": f"{question.region.text(scale)}{unit}",
        "reason": question.reason,
        "p_value": probability_text(row.p_value),
        "verdict": row.verdict,
        "missing": row.missing,
        "could": could,
        "others": others,
        "details": details,
        "command": command(request, question.name),
    }


def _figure(value: float, *, sign: bool = True) -> str:
    if not math.isfinite(value):
        return "–"
    form = ".1e" if 0 < abs(value) < 1e-3 else "+.3g" if sign else ".3g"
    return f"{value:{form}}".replace("-", "−")


def _studies(task: str, maps: Maps) -> list[dict[str, Any]]:
    """What was run, with what extended it and what still lies on an edge."""
    found = [
        {
            "task": task,
            "name": name,
            "summary": source.survey.landscape.summary(),
            "done": f"{source.survey.done} of {source.survey.total}",
            "diverged": source.survey.diverged,
            "hours": f"{source.survey.seconds / 60:.1f}",
            "edges": maps.on_edge(name),
        }
        for name, source in maps.sources.items()
    ]
    return found + [
        {
            "task": task,
            "name": name,
            "summary": why,
            "done": "–",
            "diverged": "–",
            "hours": "–",
            "edges": [],
        }
        for name, why in maps.missing.items()
    ]


def _rendered(name: str, data: dict[str, Any]) -> str:
    from jinja2 import Environment, StrictUndefined

    files = resources.files("unyoke.study.claims") / "template"
    environment = Environment(
        autoescape=name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.from_string((files / name).read_text(encoding="utf-8")).render(data)


def _write_table(rows: Sequence[Row], path: Path) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in rows:
            writer.writerow(_plain(row))
    return path


def _plain(row: Row) -> list[Any]:
    region, measured = row.question.region, row.measurement
    ends = [end if math.isfinite(end) else None for end in (region.low, region.high)]
    figures: list[Any] = [None] * 5
    if measured is not None:
        number = measured.number
        figures = [number.value, number.low, number.high, number.standard_error, measured.samples]
    return [
        row.task,
        row.question.name,
        row.verdict,
        *figures,
        *ends,
        row.p_value,
        row.detectable,
        row.missing,
    ]


COLOURS = {
    "held": "#21908c",
    "did not hold": "#b5367a",
    "undecided at this scale": "#777777",
}


def _draw(rows: Sequence[Row], out: Path) -> list[Path]:
    """Every share with its interval and the region where its claim holds; nothing without them."""
    shown = [row for row in rows if row.question.percent and row.measurement is not None]
    if not shown:
        return []
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.fonttype": "none", "font.size": 9, "svg.hashsalt": "unyoke"}):
        figure = Figure(figsize=(8, 0.27 * len(shown) + 1.1), layout="constrained")
        plot = figure.subplots()
        for place, row in enumerate(shown):
            assert row.measurement is not None
            number, region = row.measurement.number, row.question.region
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
        plot.set_yticks(range(len(shown)), [f"{row.task}  {row.question.name}" for row in shown])
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


def _inline(path: Path) -> str:
    """An SVG file as a part of a page."""
    text = path.read_text(encoding="utf-8")
    return text[text.index("<svg") :]


def lines(rows: Sequence[Row]) -> list[str]:
    """The verdicts in a line each, for the terminal."""
    width = max((len(row.question.name) + len(row.task) for row in rows), default=0) + 2
    return [
        f"{f'{row.task} {row.question.name}'.strip():{width}} {row.verdict}"
        + (f": {row.missing}" if row.missing else "")
        for row in rows
    ]
