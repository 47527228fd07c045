"""The landscape as plain tables: cells.csv, one line per training, and cells.json with verdicts."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from operator import itemgetter
from pathlib import Path
from typing import Any

from unyoke.study.landscape.decay_units import numbers
from unyoke.study.landscape.landscape import Cell
from unyoke.study.landscape.optimizers import NOT_TORCHS, TORCHS, decay
from unyoke.study.landscape.task_reference import OwnCode
from unyoke.study.ledger.ledger import Record
from unyoke.study.report.comparisons import PairVerdict
from unyoke.study.report.exponents import torch_ridge, upright
from unyoke.study.report.findings import Finding, OffBest, edge_text, lacking
from unyoke.study.report.survey import Panel, Survey
from unyoke.study.statistics import Comparison, Interval

COLUMNS = (
    "task",
    "optimizer",
    "schedule",
    "updates",
    "batch_size",
    "clip",
    "groups",
    "matrices",
    "lr",
    "weight_decay",
    "torch_weight_decay",
    "lambda_norm",
    "total_decay",
    "seed",
    "status",
    "diverged",
    "failed",
    "validation_error",
    "test_error",
    "test_standard_error",
    "train_error",
    "train_loss",
    "updates_made",
    "seconds",
    "failure",
)


def rows(records: Iterable[Record], own: tuple[OwnCode, ...] = ()) -> list[dict[str, Any]]:
    """One plain row per finished cell; figures of one that diverged or failed are None.

    Args:
        own: of the landscape's task: what is known of the user's own optimizers.
    """
    table = []
    for record in records:
        # Both have `updates`: how many were planned, and how many were made before it diverged.
        figures = vars(record.outcome) | vars(record.cell)
        figures |= _decay_columns(record.cell, own)
        figures["updates_made"] = record.outcome.updates
        figures["diverged"] = int(record.outcome.status == "diverged")
        figures["failed"] = int(record.outcome.status == "failed")
        table.append({column: figures[column] for column in COLUMNS})
    return table


def _decay_columns(cell: Cell, own: tuple[OwnCode, ...]) -> dict[str, Any]:
    """The weight decay in every unit; None where a schedule of the user's own would decide.

    torch's number is λ/α of a decoupled decay, and what was given of all others of torch's kind.
    """
    rule = decay(cell.optimizer, own)
    found = numbers(cell.weight_decay, cell.decay_unit, cell.schedule, cell.updates)
    per_update = cell.weight_decay if cell.decay_unit is None else None
    if found is not None:
        per_update = found.per_update
    torchs = per_update
    if rule in NOT_TORCHS:
        torchs = None
    elif per_update is not None and rule not in TORCHS and not rule.startswith("l2"):
        torchs = per_update / cell.lr if cell.lr else None
    if found is None or rule in (*TORCHS, "constrained"):
        norm, total = None, None
    else:
        norm, total = found.norm, found.total
    return {
        "weight_decay": per_update,
        "torch_weight_decay": torchs,
        "lambda_norm": norm,
        "total_decay": total,
        "groups": cell.groups or "all",
    }


def write_csv(table: list[dict[str, Any]], path: Path) -> None:
    """Write `rows` as CSV; None is an empty field."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(map(itemgetter(*COLUMNS), table))


def write_json(
    table: list[dict[str, Any]],
    survey: Survey,
    findings: list[Finding],
    compared: list[PairVerdict],
    path: Path,
) -> None:
    """Write the configuration, the verdicts and `rows` as JSON; what is not known is null.

    One line for each training, so that large tables stay readable and are written fast.
    """
    document = {
        "landscape": json.loads(survey.landscape.to_json()),
        "versions": survey.versions,
        "verdicts": _verdicts(findings),
        "findings": [_finding(finding) for finding in findings],
        "comparisons": [_row(row) for row in compared],
        "cells": [],
    }
    head, tail = json.dumps(document, indent=1, allow_nan=False).split('"cells": []')
    encode = json.JSONEncoder(allow_nan=False).encode
    lines = ",\n  ".join(map(encode, table))
    path.write_text(f'{head}"cells": [\n  {lines}\n ]{tail}\n', encoding="utf-8")


def _finding(finding: Finding) -> dict[str, Any]:
    panel = finding.panel
    best = None
    if finding.best is not None:
        row, column = finding.best
        best = {
            "lr": panel.axes.lr[column],
            "weight_decay": panel.axes.weight_decay[row],
            **_units(panel, row),
            "seeds": finding.seeds,
            "test_error": _plain(finding.error),
            "test_error_any_samples": _plain(finding.any_samples),
        }
    return {
        "optimizer": panel.optimizer,
        "schedule": panel.schedule,
        "updates": panel.updates,
        "batch_size": panel.batch_size,
        "lacking": lacking(finding),
        "best": best,
        "without_decay": _plain(finding.without_decay),
        "gain_of_decay": _plain(finding.gain),
        "edges": [edge_text(edge, panel) for edge in finding.edges],
        **_hyperparameters(finding),
        "one_at_a_time_regret": _plain(finding.regret),
        "lr_off": [_plain(off) for off in finding.off],
    }


def _units(panel: Panel, row: int) -> dict[str, Any]:
    found = panel.decay_in_units(row)
    return {} if found is None else {"in_units": found._asdict()}


def _hyperparameters(finding: Finding) -> dict[str, Any]:
    """The headline numbers: each with its value and its interval over seeds."""
    known = [value for value in finding.best_decays if math.isfinite(value)]
    return {
        "tilt": _plain(finding.tilt),
        "lr_sensitivity": _plain(finding.lr_sensitivity),
        "ridge": {
            **_without_nan(asdict(finding.ridge)),
            "upright": upright(finding),
            "in_torchs_number": _plain(torch_ridge(finding)),
            "best_weight_decay": [number(value) for value in finding.best_decays],
            "range": [min(known), max(known)] if known else None,
        },
    }


def _verdicts(findings: list[Finding]) -> dict[str, Any]:
    """The headline numbers by optimizer; of several settings, those of its lowest error."""
    found: dict[str, Finding] = {}
    for finding in findings:
        name = finding.panel.optimizer
        if name not in found or _height(finding) < _height(found[name]):
            found[name] = finding
    return {
        name: {"setting": finding.panel.setting._asdict(), **_hyperparameters(finding)}
        for name, finding in found.items()
    }


def _height(finding: Finding) -> float:
    """The validation error of the best cell."""
    return math.inf if finding.best is None else float(finding.basis.choice[finding.best])


def _row(row: PairVerdict) -> dict[str, Any]:
    return {
        **row.setting._asdict(),
        "first": row.first,
        "second": row.second,
        "holm_p_value": number(row.p_value),
        "verdict": row.verdict,
        "better": row.better,
        "comparison": _plain(row.comparison),
    }


def _plain(value: Interval | Comparison | OffBest | None) -> dict[str, Any] | None:
    """A dataclass of numbers as JSON knows it."""
    return None if value is None else _without_nan(asdict(value))


def _without_nan(plain: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _without_nan(value) if isinstance(value, dict) else number(value)
        for name, value in plain.items()
    }


def number(value: float) -> float | None:
    """`value` as JSON knows numbers: what is not finite is null."""
    return float(value) if math.isfinite(value) else None
