"""The report's page: plain data put into a template that draws it; no network, no libraries.

What the file holds: for each cell the means over seeds, rounded to four digits (about 40 bytes),
and the curves of as many cells as `curves.read_curves` gives (about 200 bytes each). 100,000 cells
are a file of a few megabytes, of which the browser draws the maps of one setting at a time.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from unyoke.study.landscape.axes import label
from unyoke.study.planning.commands import map_command
from unyoke.study.report.comparisons import Row
from unyoke.study.report.curves import Curves
from unyoke.study.report.findings import (
    Finding,
    colour_range,
    edge_text,
    errors_over_lr,
    extension,
    sampling_error,
)
from unyoke.study.report.survey import Array, Panel, Setting, Survey
from unyoke.study.report.templates import rendered, text_of
from unyoke.study.statistics import Interval
from unyoke.study.wording import (
    difference_text,
    difference_unit,
    error_text,
    estimate_text,
    interval_text,
    number_text,
    probability_text,
)

PACKAGE = "unyoke.study.report"
SCRIPTS = ("svg", "maps", "sweep", "curves", "tables", "page")


def write_page(
    survey: Survey, findings: list[Finding], compared: list[Row], curves: list[Curves], path: Path
) -> None:
    """Write the report as one HTML file."""
    data = page_data(survey, findings, compared, curves, path.parent)
    text = rendered(
        PACKAGE,
        "page.html",
        {
            "title": f"unyoke map: {survey.landscape.task.name}",
            "style": text_of(PACKAGE, "page.css"),
            "script": "\n".join(text_of(PACKAGE, f"{name}.js") for name in SCRIPTS),
            "data": _json(data),
        },
    )
    path.write_text(text, encoding="utf-8")


def _json(data: dict[str, Any]) -> str:
    """JSON that cannot end the script it stands in."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    return text.replace("</", "<\\/").replace("<!--", "<\\!--")


def page_data(
    survey: Survey, findings: list[Finding], compared: list[Row], curves: list[Curves], folder: Path
) -> dict[str, Any]:
    """Everything that the page shows, as JSON knows it."""
    low, high = colour_range(survey.panels)
    landscape, unit = survey.landscape, survey.error_unit
    settings = list(survey.settings())
    return {
        "task": landscape.task.name,
        "unit": unit,
        "differenceUnit": difference_unit(unit),
        "total": survey.total,
        "done": survey.done,
        "diverged": survey.diverged,
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
            _panel(finding, settings, unit) | {"curves": _curves(of_cells)}
            for finding, of_cells in zip(findings, curves, strict=True)
        ],
        "comparisons": [_comparison(row, settings, unit) for row in compared],
    }


def _panel(finding: Finding, settings: list[Setting], unit: str) -> dict[str, Any]:
    panel = finding.panel
    return {
        "title": panel.title,
        "setting": settings.index(panel.setting),
        "decay": panel.decay_symbol,
        "lr": [label(value) for value in panel.axes.lr],
        "weightDecay": [label(value) for value in panel.axes.weight_decay],
        **_cells(finding),
        "best": finding.best,
        "bestError": _rounded(finding.error.value) if finding.error else None,
        "circled": finding.circled,
        "edges": [edge_text(edge, panel) for edge in finding.edges],
        "seedsOfBest": finding.seeds,
        "error": interval_text(finding.error, unit),
        "anySamples": interval_text(finding.any_samples, unit),
        "withoutDecay": estimate_text(finding.without_decay, unit),
        "knobs": {
            "tilt": _interval(finding.tilt, number_text(finding.tilt)),
            "regret": _interval(finding.regret, difference_text(finding.regret, unit)),
            **{
                f"{name}{off.factor:g}": _interval(interval, difference_text(interval, unit))
                for off in finding.off
                for name, interval in (("kept", off.decay_kept), ("retuned", off.decay_retuned))
            },
        },
    }


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


def _comparison(row: Row, settings: list[Setting], unit: str) -> dict[str, Any]:
    comparison = row.comparison
    return {
        "setting": settings.index(row.setting),
        "first": row.first,
        "second": row.second,
        "difference": difference_text(comparison.difference, unit),
        "anySamples": difference_text(comparison.any_samples, unit),
        "probability": probability_text(row.p_value),
        "detectable": error_text(comparison.detectable, unit).replace("%", "points"),
        "verdict": row.verdict if row.better is None else f"{row.better} is {row.verdict}",
    }


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
