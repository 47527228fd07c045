"""The report of a ledger: page, pictures and tables, all drawn anew from what is recorded."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from unyoke.study import output_files
from unyoke.study.errors import StudyError
from unyoke.study.ledger.ledger import Ledger
from unyoke.study.report.comparisons import PairVerdict, comparisons
from unyoke.study.report.curves import read_curves
from unyoke.study.report.exponents import torch_ridge, upright
from unyoke.study.report.extension import extension
from unyoke.study.report.figures import FORMATS, PICTURES, drawn, write_figures
from unyoke.study.report.findings import (
    Finding,
    edge_text,
    find,
    lacking,
    sampling_error,
)
from unyoke.study.report.page import write_page
from unyoke.study.report.samples import Samples
from unyoke.study.report.survey import Survey, survey
from unyoke.study.report.tables import rows, write_csv, write_json
from unyoke.study.wording import difference_text, error_text, interval_text, number_text

PAGE = "report.html"
NAMES = (
    *(PAGE, "cells.csv", "cells.json"),
    *(f"{name}.{kind}" for name in PICTURES for kind in FORMATS),
)
"""Every file that a report may have."""
MOST_LINES = 12
"""Comparisons that are printed; the page has all."""


WIDTH = 300
"""Characters of a failure that are printed; the ledger has more."""


@dataclass(frozen=True)
class Report:
    """What was written, and what it says in a few lines of text.

    Attributes:
        failures: what tasks raised, each text once with its number, the most frequent first.
    """

    page: Path
    lines: list[str]
    failures: list[tuple[str, int]]


def check_folder(folder: Path) -> None:
    """Whether a report may be written into the folder, checked before anything is trained.

    Raises:
        StudyError: something there that is not a report has the name of a part of one.
    """
    output_files.check(folder, NAMES, _is_filled)


def _is_filled(folder: Path) -> bool:
    """Whether a version of unyoke that kept no list of its files has reported here."""
    try:
        with (folder / PAGE).open(encoding="utf-8", errors="replace") as file:
            return "<title>unyoke map: " in file.read(500)
    except OSError:
        return False


def write_report(folder: Path) -> Report:
    """Write report.html, cells.csv, cells.json and the figures beside the ledger in `folder`.

    Without matplotlib the figures are left out, and the report's lines say so.

    Raises:
        StudyError: there is no ledger, nothing is recorded in it, the folder is not writable, or
            something there that is not a report has the name of a part of one.
    """
    with Ledger.open_to_read(folder) as ledger:
        records = list(ledger.records())
        if not records:
            raise StudyError(
                f"the ledger in {folder} has no finished cell yet; run: unyoke map --out {folder}"
            )
        result = survey(ledger.landscape, records)
        curves = read_curves(result, ledger.curve)
        samples = Samples(result.landscape, ledger.sample_errors)
        findings = [find(panel, samples) for panel in result.panels]
        compared = comparisons(findings, samples)
    note = []
    try:
        with output_files.written(folder, NAMES, _is_filled) as drafts:
            table = rows(records, result.landscape.task.own)
            write_csv(table, drafts / "cells.csv")
            write_json(table, result, findings, compared, drafts / "cells.json")
            note = _figures(result, findings, drafts)
            pictures = [f"{name}.png" for name in PICTURES if (drafts / f"{name}.png").exists()]
            write_page(result, findings, compared, curves, drafts / PAGE, folder, pictures)
    except OSError as error:
        raise StudyError(
            f"the report cannot be written into {folder}: {error.strerror}; "
            "make room or copy the ledger elsewhere and run: unyoke report FOLDER"
        ) from error
    return Report(
        folder / PAGE, _lines(result, findings, compared, folder) + note, result.failures()
    )


def _figures(result: Survey, findings: list[Finding], folder: Path) -> list[str]:
    try:
        write_figures(result, findings, folder)
    except ImportError as error:
        return [f"no PNG, SVG or PDF: {error}; install it with: pip install 'unyoke[plot]'"]
    shown = drawn(findings)
    if len(shown) < len(findings):
        return [
            f"the pictures show {len(shown)} of {len(findings)} maps ({shown[0].panel.setting}); "
            "the page shows all and saves each"
        ]
    return []


def _lines(
    result: Survey, findings: list[Finding], compared: list[PairVerdict], folder: Path
) -> list[str]:
    unit = result.error_unit
    failed = f", {result.failed} failed" if result.failed else ""
    lines = [f"{result.done} of {result.total} cells, {result.diverged} diverged{failed}"]
    lines += [f"{number} failed: {text[:WIDTH]}" for text, number in result.failures()[:MOST_LINES]]
    lines += [result.landscape.decaying, *result.known]
    lines += [f"some by other code than began this ledger: {text}" for text in result.accepted]
    for finding in findings:
        panel = finding.panel
        error = interval_text(finding.error, unit, finding.seeds)
        lines.append(f"{panel.title:10} {panel.setting}: test error {error}")
        lines += _coupling(finding, unit)
        if (missing := lacking(finding)) is not None:
            lines.append(f"  {missing}")
        lines += [f"  {edge_text(edge, panel)}" for edge in finding.edges]
    decided = [row for row in compared if row.better is not None]
    lines += [_decided(row, unit) for row in decided[:MOST_LINES]]
    lines += _compared(result, compared, len(decided))
    error = error_text(sampling_error(findings), unit)
    lines.append(f"{result.test_samples} test samples leave a standard error of {error}")
    command = extension(result, findings, folder)
    if command is not None:
        lines += ["a best cell lies on an edge of its grid; this extends it:", f"  {command}"]
    return lines


def _decided(row: PairVerdict, unit: str) -> str:
    """Which of the two is better, and by how much: the better one's error less the other's."""
    found = row.comparison.difference
    other = row.second
    if row.better == row.second:
        other = row.first
        found = replace(found, value=-found.value, low=-found.high, high=-found.low)
    gap = difference_text(found, unit, row.comparison.pairs)
    return f"{row.better} is {row.verdict} than {other}: {gap}, {row.setting}"


def _compared(result: Survey, compared: list[PairVerdict], decided: int) -> list[str]:
    """How many comparisons are decided, where there is something to compare; and what [ ] are."""
    seeds = len(result.landscape.seeds)
    if seeds == 1:
        return ["one seed has no spread: for intervals and comparisons give more with --seeds"]
    lines = []
    if len(result.landscape.axes) == 1:
        lines.append("one optimizer: there is no other to compare it with")
    if compared and len(result.landscape.axes) == 1:
        lines[0] += f", only itself at λ = 0: {decided} of {len(compared)} decided"
    elif compared:
        lines.append(f"{decided} of {len(compared)} comparisons are decided")
    return [*lines, f"[low, high] are 95 % intervals over {seeds} seeds"]


def _coupling(finding: Finding, unit: str) -> list[str]:
    """How far α and λ depend on each other; nothing of a sweep or of a map that is not whole."""
    if finding.panel.is_sweep or not finding.basis.whole.any():
        return []
    symbol, seeds = finding.panel.decay_symbol, int(finding.basis.whole.sum())
    lines = [
        f"  LR sensitivity {difference_text(finding.lr_sensitivity, unit, seeds)}, one-at-a-time "
        f"regret {difference_text(finding.regret, unit, seeds)}, basin tilt "
        f"{number_text(finding.tilt, seeds=seeds)}"
    ]
    line = f"  best {symbol} ∝ αᵖ, p "
    if math.isfinite(finding.ridge.value):
        line += f"= {number_text(finding.ridge, seeds=seeds)}: {upright(finding)}"
        if (torchs := torch_ridge(finding)) is not None:
            line += f"; of torch's λ/α {number_text(torchs, seeds=seeds)}"
    else:
        line += upright(finding)
    return [*lines, line]
