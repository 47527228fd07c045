"""What cifar_gpu.py's trainings say: Figure 2 as a picture, and its numbers as JSON.

    python benchmarks/cifar_figure.py CELLS.csv BEST.csv --figure FIGURE.svg --json NUMBERS.json

Statistics are the study's: tilt, ridge and α-sensitivity of each map with intervals over the seeds
of Figure 2, and errors of the six cells over seeds that did not choose them, in percent.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unyoke.study import statistics
from unyoke.study.landscape.landscape import Axes, Cell, Landscape, TaskReference
from unyoke.study.landscape.outcome import Outcome
from unyoke.study.ledger.records import Record
from unyoke.study.report.findings import Finding, colour_range, find
from unyoke.study.report.heat_map import draw_heat_map
from unyoke.study.report.survey import Panel, survey

OPTIMIZERS = ("SGD", "SGDW", "Adam", "AdamW")
NUMBERS = ("validation_error", "test_error", "test_standard_error", "train_error", "train_loss")
TEST_IMAGES = 3_000


def read(path: Path) -> list[Record]:
    """The records that cifar_gpu.py wrote."""
    with path.open(encoding="utf-8") as file:
        return [_record(row) for row in csv.DictReader(file)]


def _record(row: dict[str, str]) -> Record:
    numbers: dict[str, Any] = {name: float(row[name]) if row[name] else None for name in NUMBERS}
    outcome = Outcome(
        status="finished" if row["status"] == "finished" else "diverged",
        updates=int(row["updates_made"]),
        test_samples=TEST_IMAGES,
        error_unit="%",
        seconds=float(row["seconds"]),
        curve=(),
        **numbers,
    )
    where = float(row["lr"]), float(row["weight_decay"]), int(row["seed"])
    cell = Cell(row["task"], "", row["optimizer"], row["schedule"], int(row["updates"]), *where)
    return Record(cell, outcome, "{}", 0.0)


def maps(records: Sequence[Record]) -> list[Panel]:
    """The four maps."""
    cells = [record.cell for record in records]
    axes = {
        name: Axes(
            tuple(sorted({cell.lr for cell in cells if cell.optimizer == name})),
            tuple(sorted({cell.weight_decay for cell in cells if cell.optimizer == name})),
        )
        for name in OPTIMIZERS
    }
    seeds = tuple(sorted({cell.seed for cell in cells}))
    updates = (cells[0].updates,)
    task = TaskReference(cells[0].task, "")
    return list(survey(Landscape(task, axes, ("cosine",), updates, seeds), records).panels)


def of_map(panel: Panel) -> dict[str, Any]:
    """One map's numbers."""
    finding: Finding = find(panel)
    assert finding.best is not None
    assert finding.error is not None
    row, column = finding.best
    total = panel.updates * panel.axes.weight_decay[row]
    return {
        "seeds": finding.seeds,
        "diverged": int(panel.diverged.sum()),
        "best_lr": panel.axes.lr[column],
        "best_weight_decay": panel.axes.weight_decay[row],
        "best_total": total if panel.decay_symbol == "λ" else None,
        "edges": [str(edge) for edge in finding.edges],
        "error": _interval(finding.error, 100),
        "tilt": _interval(finding.tilt),
        "ridge": _interval(finding.ridge),
        "lr_sensitivity": _interval(finding.lr_sensitivity, 100),
        "regret": _interval(finding.regret, 100),
        "best_decay_of_each_lr": [x if np.isfinite(x) else None for x in finding.best_decays],
        "lowest_error_of_each_lr": (100 * np.nanmin(panel.mean("test_error"), axis=0)).tolist(),
    }


def _interval(interval: statistics.Interval, scale: float = 1.0) -> dict[str, float | None]:
    values = {"value": interval.value, "low": interval.low, "high": interval.high}
    return {name: scale * x if np.isfinite(x) else None for name, x in values.items()}


def of_the_six(records: Sequence[Record]) -> dict[str, Any]:
    """Errors of the six cells and their differences, paired over fresh seeds."""
    errors: dict[str, dict[int, float]] = {}
    for record in records:
        cell = record.cell
        name = cell.optimizer + ("" if cell.weight_decay else " without decay")
        error = record.outcome.test_error
        errors.setdefault(name, {})[cell.seed] = np.nan if error is None else 100 * error
    seeds = sorted(next(iter(errors.values())))
    lists = {name: [own[seed] for seed in seeds] for name, own in errors.items()}
    pairs = (
        ("SGDW", "SGDW without decay"),
        ("SGD", "SGDW without decay"),
        ("AdamW", "AdamW without decay"),
        ("Adam", "AdamW without decay"),
        ("SGDW", "SGD"),
        ("AdamW", "Adam"),
        ("AdamW", "SGDW"),
    )
    differences = {}
    for first, second in pairs:
        found = statistics.paired_difference(lists[first], lists[second])
        differences[f"{first} - {second}"] = {**_interval(found.difference), "p": found.p_value}
    return {
        "seeds": len(seeds),
        "errors": {name: _interval(statistics.mean_interval(own)) for name, own in lists.items()},
        "differences": differences,
    }


def draw(panels: Sequence[Panel], path: Path) -> None:
    """The four heat maps with one scale of colours."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "unyoke"
    figure = Figure(figsize=(8.6, 7.2), layout="compressed")
    plots = figure.subplots(2, 2)
    low, high = colour_range(panels)
    image: Any = None
    for panel, plot in zip(panels, plots.flat, strict=True):
        circled = statistics.best_cells(panel.choice)
        image = draw_heat_map(plot, panel, circled, (100 * low, 100 * high), 100.0)
        ticks = plot.get_xticks()
        decays = panel.axes.weight_decay[:: -(-len(panel.axes.weight_decay) // len(ticks))]
        if panel.decay_symbol == "λ":  # λT, which has round values
            plot.set_xticks(ticks, [f"{panel.updates * x:.0f}" for x in decays])
            plot.set_xlabel(f"total weight decay λT over {panel.updates:,} updates")
        else:
            plot.set_xticks(ticks, [f"{x:.1e}" if x else "0" for x in decays])
    bar = figure.colorbar(image, ax=plots, extend="max", shrink=0.8)
    bar.set_label(f"test error, %, mean over {len(panels[0].done)} seeds")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cells", type=Path)
    parser.add_argument("best", type=Path)
    parser.add_argument("--figure", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    panels = maps(read(arguments.cells))
    numbers = {
        "maps": {panel.optimizer: of_map(panel) for panel in panels},
        "six cells": of_the_six(read(arguments.best)),
    }
    arguments.json.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    draw(panels, arguments.figure)


if __name__ == "__main__":
    main()
