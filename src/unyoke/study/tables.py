"""The landscape as plain tables: cells.csv, one line per training, and cells.json with verdicts."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from unyoke.study.findings import Finding, edge_text
from unyoke.study.ledger import Record
from unyoke.study.statistics import Estimate
from unyoke.study.survey import Survey

COLUMNS = (
    "task",
    "optimizer",
    "schedule",
    "updates",
    "batch_size",
    "lr",
    "weight_decay",
    "seed",
    "status",
    "validation_error",
    "test_error",
    "test_standard_error",
    "train_error",
    "train_loss",
    "updates_made",
    "seconds",
)


def rows(records: Iterable[Record]) -> list[dict[str, Any]]:
    """One plain row per finished cell; figures of a diverged cell are None."""
    table = []
    for record in records:
        figures = asdict(record.cell) | record.outcome.figures()
        # Both have `updates`: what was asked for, and what was made before it diverged.
        figures |= {"updates": record.cell.updates, "updates_made": record.outcome.updates}
        table.append({column: figures[column] for column in COLUMNS})
    return table


def write_csv(table: list[dict[str, Any]], path: Path) -> None:
    """Write `rows` as CSV; None is an empty field."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(table)


def write_json(
    table: list[dict[str, Any]], survey: Survey, findings: list[Finding], path: Path
) -> None:
    """Write the configuration, the verdicts and `rows` as JSON; what is not known is null."""
    document = {
        "landscape": json.loads(survey.landscape.to_json()),
        "versions": survey.versions,
        "findings": [_finding(finding) for finding in findings],
        "cells": table,
    }
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _finding(finding: Finding) -> dict[str, Any]:
    panel = finding.panel
    best = None
    if finding.best is not None:
        row, column = finding.best
        best = {
            "lr": panel.axes.lr[column],
            "weight_decay": panel.axes.weight_decay[row],
            "test_error": _estimate(finding.error),
        }
    return {
        "optimizer": panel.optimizer,
        "schedule": panel.schedule,
        "updates": panel.updates,
        "batch_size": panel.batch_size,
        "best": best,
        "without_decay": _estimate(finding.without_decay),
        "edges": [edge_text(edge, panel) for edge in finding.edges],
        "tilt": _estimate(finding.tilt),
        "one_knob_regret": _estimate(finding.regret),
    }


def _estimate(estimate: Estimate | None) -> dict[str, float | None] | None:
    if estimate is None:
        return None
    return {name: number(value) for name, value in asdict(estimate).items()}


def number(value: float) -> float | None:
    """`value` as JSON knows numbers: what is not finite is null."""
    return float(value) if math.isfinite(value) else None
