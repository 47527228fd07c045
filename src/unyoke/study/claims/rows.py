"""A row of the page as words, as a line of a table, and as a line of the terminal."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unyoke.study.claims.claim import Prediction
from unyoke.study.claims.power import seeds_needed
from unyoke.study.claims.request import Request
from unyoke.study.claims.verdicts import Answer
from unyoke.study.tasks.built_in import BUILT_IN
from unyoke.study.wording import probability_text

COLUMNS = (
    "task",
    "row",
    "verdict",
    "number",
    "low",
    "high",
    "low_any_test_samples",
    "high_any_test_samples",
    "standard_error",
    "samples",
    "holds_above",
    "holds_below",
    "predicted",
    "rival",
    "corrected_p_value",
    "detectable",
    "gain_of_decay",
    "gain_low",
    "gain_high",
    "test_samples",
    "missing",
    "holm_p_value",
)
"""`holm_p_value` is the old name of `corrected_p_value`, whose correction is more than Holm's; it
stays for programs that read it."""


def command(request: Request, name: str = "") -> str:
    """The command that makes all of this, or one row, again."""
    parts = ["unyoke claims", *([name] if name else request.names), f"--scale {request.scale}"]
    if request.tasks:
        parts.append(f"--tasks {','.join(request.tasks)}")
    parts += [f"--data {task}={folder}" for task, folder in request.data.items()]
    if request.device is not None:
        parts.append(f"--device {request.device}")
    return " ".join([*parts, f"--out {request.out}"])


def words(row: Answer, request: Request, asked: int = 1) -> dict[str, str]:
    """Everything about a row that the page shows.

    Args:
        asked: on how many tasks its claim is asked, over which p-values are corrected.
    """
    claim, measured = row.claim, row.measurement
    scale = 100.0 if claim.percent else 1.0
    unit = " %" if claim.percent else ""
    number = interval = could = details = "–"
    if measured is not None:
        number = f"{_figure(scale * measured.number.value)}{unit}"
        interval = _interval((measured.number.low, measured.number.high), scale, unit)
        details = "; ".join(part for part in (measured.details, _gain(row)) if part)
        if measured.drawn:
            could = f"{_figure(scale * row.detectable, sign=False)}{unit}"
    return {
        "task": row.task,
        "name": claim.name,
        "sentence": claim.sentence,
        "place": claim.place,
        "statistic": claim.statistic,
        "studies": ", ".join(claim.studies) or "no training",
        "number": number,
        "interval": interval,
        "samples": "–" if measured is None else str(measured.samples),
        "sample_kind": "problems" if measured is not None and not measured.drawn else "seeds",
        "region": f"{claim.region.text(scale)}{unit}{' of the gain' if claim.of_gain else ''}",
        "reason": claim.reason,
        "p_value": probability_text(row.p_value),
        "verdict": row.verdict,
        "missing": row.missing,
        "could": could,
        "needed": _needed(row, asked),
        "covers": _covers(row, scale, unit),
        "details": details,
        "command": command(request, claim.name),
    }


def _needed(row: Answer, asked: int) -> str:
    """How many seeds would decide an undecided row; empty for others."""
    if row.verdict != "undecided" or row.measurement is None:
        return ""
    seeds = seeds_needed(row.claim, row.measurement, asked)
    if math.isnan(seeds):
        return ""
    if math.isinf(seeds):
        return "If the number is as it was measured, no number of seeds would decide it."
    return (
        f"If the number is as it was measured, {seeds:,.0f} seeds would decide it with "
        "probability 80 %."
    )


def _gain(row: Answer) -> str:
    """What decay itself gains, where that decides whether the row can ask anything."""
    if row.measurement is None or row.measurement.gain is None:
        return ""
    gain = row.measurement.gain
    interval = _interval((gain.low, gain.high), 100.0, " %")
    return f"decay itself gains {_figure(100 * gain.value)} % ({interval})"


def _covers(row: Answer, scale: float, unit: str) -> str:
    """What the interval is about, and what it would be with other test samples."""
    measured = row.measurement
    if measured is None or not measured.drawn:
        return "the drawn problems"
    draws = BUILT_IN[row.task].draws if row.task in BUILT_IN else "what the task draws from a seed"
    if measured.sampling == "drawn by the seed":
        return f"other seeds ({draws}), and with them other test samples of the same data"
    text = f"other seeds ({draws}), not other test samples"
    if row.any_samples is None:
        return f"{text}, of whose part nothing is known"
    stays = "stays on its side" if row.on_other_samples else "could be on either side"
    interval = _interval(row.any_samples, scale, unit)
    most = "" if measured.sampling == "paired" else "at most "
    return f"{text}; with those too it is {most}{interval}, and {stays}"


def _interval(ends: tuple[float, float], scale: float, unit: str) -> str:
    return " … ".join(_figure(scale * end) for end in ends) + unit


def _figure(value: float, *, sign: bool = True) -> str:
    if not math.isfinite(value):
        return "–"
    form = ".1e" if 0 < abs(value) < 1e-3 else "+.3g" if sign else ".3g"
    return f"{value:{form}}".replace("-", "−")


def write_table(rows: Sequence[Answer], path: Path) -> Path:
    """Write all rows as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in rows:
            writer.writerow(_plain(row))
    return path


def _plain(row: Answer) -> list[Any]:
    region, measured = row.claim.region, row.measurement
    ends: tuple[float, ...] = (math.nan, math.nan, math.nan, math.nan)
    if isinstance(region, Prediction):
        ends = (math.nan, math.nan, region.value, region.rival)
    else:
        ends = (region.low, region.high, math.nan, math.nan)
    figures: list[float | None] = [None] * 6
    gain: list[float | None] = [None] * 3
    if measured is not None:
        number = measured.number
        figures = [number.value, number.low, number.high, *(row.any_samples or (None, None))]
        figures.append(number.standard_error)
        if measured.gain is not None:
            gain = [measured.gain.value, measured.gain.low, measured.gain.high]
    return [
        row.task,
        row.claim.name,
        row.verdict,
        *map(_known, figures),
        None if measured is None else measured.samples,
        *map(_known, ends),
        _known(row.p_value),
        _known(row.detectable),
        *map(_known, gain),
        None if measured is None or not measured.drawn else measured.sampling,
        row.missing,
        _known(row.p_value),
    ]


def _known(value: float | None) -> float | None:
    """What is not finite is an empty field."""
    return value if value is not None and math.isfinite(value) else None


def lines(rows: Sequence[Answer]) -> list[str]:
    """The verdicts in a line each, for the terminal."""
    width = max((len(row.claim.name) + len(row.task) for row in rows), default=0) + 2
    return [
        f"{f'{row.task} {row.claim.name}'.strip():{width}} {row.verdict}"
        + (f": {row.missing}" if row.missing else "")
        for row in rows
    ]
