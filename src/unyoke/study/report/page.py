"""The report's page: plain data put into a template that draws it; no network, no libraries.

What the file holds: for each cell the means over seeds, rounded to four digits (about 40 bytes),
and the curves of as many cells as `curves.read_curves` gives (about 200 bytes each). 100,000 cells
are a file of a few megabytes, of which the browser draws the maps of one setting at a time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from unyoke.study.landscape.axes import label
from unyoke.study.landscape.decay_units import NAMES, SYMBOLS
from unyoke.study.planning.commands import map_command
from unyoke.study.report import plain_page
from unyoke.study.report.arrangement import common_decays, rows_of, shear
from unyoke.study.report.comparisons import PairVerdict
from unyoke.study.report.curves import Curves
from unyoke.study.report.exponents import is_penalty, is_torchs, torch_ridge, upright
from unyoke.study.report.extension import extension
from unyoke.study.report.findings import (
    Finding,
    colour_range,
    edge_text,
    errors_over_lr,
    lacking,
    sampling_error,
)
from unyoke.study.report.survey import Array, Panel, Setting, Survey
from unyoke.study.report.templates import rendered, text_of
from unyoke.study.statistics import Interval
from unyoke.study.wording import (
    difference_text,
    difference_unit,
    error_text,
    interval_text,
    number_text,
    probability_text,
)

PACKAGE = "unyoke.study.report"
MOST_FAILURES = 5
"""Different failures that the page tells; the ledger has all."""

SCRIPTS = ("svg", "maps", "sweep", "curves", "tables", "page")


def write_page(
    survey: Survey,
    findings: list[Finding],
    compared: list[PairVerdict],
    curves: list[Curves],
    path: Path,
    folder: Path,
    pictures: Iterable[str] = (),
) -> None:
    """Write the report as one HTML file, whose commands name the ledger's folder.

    Args:
        pictures: names of files beside the page, which it shows where no script runs.
    """
    data = page_data(survey, findings, compared, curves, folder)
    text = rendered(
        PACKAGE,
        "page.html",
        {
            "title": f"unyoke map: {survey.landscape.task.name}",
            "style": text_of(PACKAGE, "page.css"),
            "script": "\n".join(text_of(PACKAGE, f"{name}.js") for name in SCRIPTS),
            "data": _json(data),
            "plain": plain_page.tables(data),
            "subject": plain_page.subject(data),
            "edges": plain_page.edges(data),
            "extension": data["extension"],
            "command": data["command"],
            "pictures": list(pictures),
            "sweeps": any(panel.is_sweep for panel in survey.panels),
            "maps": not all(panel.is_sweep for panel in survey.panels),
        },
    )
    path.write_text(text, encoding="utf-8")


def _json(data: dict[str, Any]) -> str:
    """JSON that cannot end the script it stands in."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    return text.replace("</", "<\\/").replace("<!--", "<\\!--")


def page_data(
    survey: Survey,
    findings: list[Finding],
    compared: list[PairVerdict],
    curves: list[Curves],
    folder: Path,
) -> dict[str, Any]:
    """Everything that the page shows, as JSON knows it."""
    low, high = colour_range(survey.panels)
    landscape, unit = survey.landscape, survey.error_unit
    settings = list(survey.settings())
    places = _places(survey)
    return {
        "task": landscape.task.name,
        "decaying": ". ".join((landscape.decaying, *survey.known)),
        "unit": unit,
        "differenceUnit": difference_unit(unit),
        "total": survey.total,
        "done": survey.done,
        "diverged": survey.diverged,
        "failed": survey.failed,
        "failures": [
            {"text": text, "number": number} for text, number in survey.failures()[:MOST_FAILURES]
        ],
        "seeds": len(landscape.seeds),
        "testSamples": survey.test_samples,
        "samplingError": error_text(sampling_error(findings), unit),
        "seconds": survey.seconds,
        "versions": survey.versions,
        "command": map_command(landscape, folder),
        "extension": extension(survey, findings, folder),
        "scale": {"low": low, "high": high},
        "settings": [{"text": str(setting), **setting._asdict()} for setting in settings],
        "panels": [
            _panel(finding, settings, unit)
            | places[id(finding.panel)]
            | {"curves": _curves(of_cells)}
            for finding, of_cells in zip(findings, curves, strict=True)
        ],
        "comparisons": [_comparison(row, settings, unit) for row in compared],
    }


def _places(survey: Survey) -> dict[int, dict[str, Any]]:
    """By panel: its row, and where its columns stand on the axis of λ that the row has in common.

    The number of columns is the largest of the setting's rows, so that all cells have one size.
    """
    found: dict[int, dict[str, Any]] = {}
    for panels in survey.settings().values():
        rows = rows_of(panels)
        most = max(len(_axis(panel, row)) for row in rows for panel in row)
        for number, row in enumerate(rows):
            for panel in row:
                axis = _axis(panel, row)
                sheared = shear(panel)
                found[id(panel)] = {
                    "row": number,
                    "places": [axis.index(value) for value in panel.axes.weight_decay],
                    "axis": [label(value) for value in axis],
                    "columns": most,
                    "shear": sheared and {"shift": sheared.shift, "axis": sheared.labels},
                }
    return found


def _axis(panel: Panel, row: list[Panel]) -> tuple[float, ...]:
    return common_decays(row) or panel.axes.weight_decay


def _panel(finding: Finding, settings: list[Setting], unit: str) -> dict[str, Any]:
    panel, whole = finding.panel, int(finding.basis.whole.sum())
    return {
        "title": panel.title,
        "setting": settings.index(panel.setting),
        "decay": panel.decay_symbol,
        "decayName": NAMES[panel.axes.decay_unit],
        "otherUnits": [_other_units(finding, row) for row in range(len(panel.axes.weight_decay))],
        "lr": [label(value) for value in panel.axes.lr],
        "rates": panel.axes.lr,
        "weightDecay": [label(value) for value in panel.axes.weight_decay],
        **_cells(finding),
        "best": finding.best,
        "bestError": _rounded(finding.error.value) if finding.error else None,
        "circled": finding.circled,
        "edges": [edge_text(edge, panel) for edge in finding.edges],
        "lacking": lacking(finding),
        "seedsOfBest": finding.seeds,
        "error": interval_text(finding.error, unit, finding.seeds),
        "anySamples": interval_text(finding.any_samples, unit, finding.seeds),
        "upright": upright(finding),
        "torchRidge": _without_interval(torch_ridge(finding)),
        "bestDecays": _decay_range(finding),
        "withoutDecay": interval_text(finding.without_decay, unit, finding.seeds),
        "intervals": {
            "tilt": _interval(finding.tilt, number_text(finding.tilt, seeds=whole)),
            "ridge": _interval(finding.ridge, number_text(finding.ridge, seeds=whole)),
            **{
                name: _interval(interval, difference_text(interval, unit, whole))
                for name, interval in _of_errors(finding).items()
            },
        },
    }


def _of_errors(finding: Finding) -> dict[str, Interval]:
    """What the hyperparameters cost, in the unit of errors, by the page's names."""
    return {
        "regret": finding.regret,
        "lrSensitivity": finding.lr_sensitivity,
        **{f"kept{off.factor:g}": off.decay_kept for off in finding.off},
        **{f"retuned{off.factor:g}": off.decay_retuned for off in finding.off},
    }


def _other_units(finding: Finding, row: int) -> dict[str, Any] | None:
    """The decay of a row in every unit, and λ where λ/α is torch's number; None where not known."""
    panel = finding.panel
    found = panel.decay_in_units(row)
    if found is None or found.per_update == 0 or is_torchs(finding):
        return None
    symbol = "λ′" if is_penalty(finding) else "λ"
    texts = (
        f"{SYMBOLS[unit].format(symbol)} = {value:.3g}"
        for unit, value in zip((None, "norm", "total"), found, strict=True)
    )
    return {
        "text": ", ".join(texts),
        "perUpdate": None if torch_ridge(finding) is None else found.per_update,
    }


def _decay_range(finding: Finding) -> str:
    """The smallest and the largest best λ over the learning rates for which it is known."""
    known = [value for value in finding.best_decays if math.isfinite(value)]
    return f"{min(known):.2g} … {max(known):.2g}" if known else "–"


def _without_interval(interval: Interval | None) -> str:
    if interval is None:
        return "–"
    return number_text(replace(interval, low=math.nan, high=math.nan))


def _cells(finding: Finding) -> dict[str, list[float | None] | list[int] | int]:
    """What each cell shows, learning rates of the first weight decay first."""
    panel = finding.panel
    return {
        "test": _flat(panel.mean("test_error")),
        "testSpread": _flat(panel.standard_error("test_error")),
        "validation": _flat(panel.mean("validation_error")),
        "trainError": _flat(panel.mean("train_error")),
        "trainLoss": _flat(panel.mean("train_loss")),
        "ran": panel.done.sum(axis=0).ravel().tolist(),
        "lost": panel.diverged.sum(axis=0).ravel().tolist(),
        "failed": panel.failed.sum(axis=0).ravel().tolist(),
        **(_sweep(panel) if panel.is_sweep else {}),
    }


def _sweep(panel: Panel) -> dict[str, list[float | None]]:
    """The ends of the interval at each learning rate of a sweep."""
    intervals = errors_over_lr(panel)
    return {
        "testLow": [_rounded(each.low) for each in intervals],
        "testHigh": [_rounded(each.high) for each in intervals],
    }


def _curves(curves: Curves) -> dict[str, Any]:
    """For each cell by its place "row,column": training loss, validation and test error."""
    return {
        "updates": curves.updates,
        "cells": {
            f"{row},{column}": [_flat(line) for line in lines]
            for (row, column), lines in curves.cells.items()
        },
    }


def _comparison(row: PairVerdict, settings: list[Setting], unit: str) -> dict[str, Any]:
    comparison = row.comparison
    return {
        "setting": settings.index(row.setting),
        "first": row.first,
        "second": row.second,
        "difference": difference_text(comparison.difference, unit, comparison.pairs),
        "anySamples": difference_text(comparison.any_samples, unit, comparison.pairs),
        "probability": probability_text(row.p_value),
        "detectable": error_text(comparison.detectable, unit).replace("%", "points"),
        "verdict": _verdict(row),
    }


def _verdict(row: PairVerdict) -> str:
    if row.comparison.pairs < 2:
        return "undecided: p needs two seeds"
    return row.verdict if row.better is None else f"{row.better} is {row.verdict}"


def _interval(interval: Interval, text: str) -> dict[str, float | str | None]:
    return {
        "value": _rounded(interval.value),
        "low": _rounded(interval.low),
        "high": _rounded(interval.high),
        "text": text,
    }


def _flat(values: Array) -> list[float | None]:
    return [_rounded(value) for value in np.asarray(values).ravel().tolist()]


def _rounded(value: float) -> float | None:
    """Four digits; what is not finite is null."""
    return float(f"{value:.4g}") if math.isfinite(value) else None
