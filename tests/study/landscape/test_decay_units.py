"""Weight decays of a map in λ, normalized, and as the total decay of a run."""

from __future__ import annotations

import csv
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from asking import asked
from click.testing import CliRunner

from unyoke import schedules
from unyoke.cli import main
from unyoke.study.errors import StudyError
from unyoke.study.landscape.decay_units import given_to, numbers
from unyoke.study.landscape.landscape import Cell, Landscape
from unyoke.study.ledger.merge import merge
from unyoke.study.planning import words
from unyoke.study.planning.commands import map_command
from unyoke.study.statistics import Edge, edges
from unyoke.study.tasks import registry
from unyoke.study.training.training import train_together


def test_units_are_each_others_inverses() -> None:
    """Under a cosine Σ η is half of the updates and a half."""
    for unit in (None, "norm", "total"):
        found = numbers(0.3, unit, "cosine", 99)
        assert found is not None
        assert found.norm == pytest.approx(found.per_update * math.sqrt(99), rel=1e-12)
        assert found.total == pytest.approx(found.per_update * 50, rel=1e-12)
    assert numbers(0.3, "total", "cosine", 99).total == 0.3


def test_normalized_decay_follows_the_restarts() -> None:
    """Runs of 10, 20 and 40 updates; the total is that of λ_norm/√T_i in each."""
    restarts = schedules.warm_restarts(10, growth=2)
    found = numbers(0.5, "norm", "warm_restarts(first=10, growth=2)", 70)
    assert found is not None
    assert found.per_update == pytest.approx(0.5 / math.sqrt(10))
    parts = [
        sum(restarts(t) for t in range(start, start + length)) * 0.5 / math.sqrt(length)
        for start, length in ((0, 10), (10, 20), (30, 40))
    ]
    assert found.total == pytest.approx(sum(parts), rel=1e-12)


def test_under_a_schedule_of_a_file_of_ones_own_units_are_not_known() -> None:
    assert numbers(0.5, "total", "mine.py:ramp", 10) is None


@pytest.mark.parametrize("unit", ["norm", "total"])
@pytest.mark.parametrize("engine", ["stacked", "one_by_one"])
def test_a_cell_trains_with_the_decay_that_its_unit_means(unit: str, engine: str) -> None:
    landscape = asked(
        updates=30, seeds="1", weight_decay=f"{unit}:0.5,2", lr="0.01", optimizers="AdamW"
    )
    cells = list(landscape.cells())
    assert {cell.decay_unit for cell in cells} == {unit}
    plain = [
        replace(
            cell,
            decay_unit=None,
            weight_decay=numbers(cell.weight_decay, unit, cell.schedule, cell.updates).per_update,
        )
        for cell in cells
    ]
    build = registry.load(landscape.task)
    found = train_together(cells, build, time.perf_counter, engine)
    expected = train_together(plain, build, time.perf_counter, engine)
    assert [each.curve for each in found] == [each.curve for each in expected]
    assert found[0].train_loss != found[1].train_loss


def test_a_restart_changes_what_a_normalized_cell_gets() -> None:
    cell = replace(next(asked(weight_decay="norm:0.5").cells()), updates=70)
    restarts = schedules.warm_restarts(10, growth=2)
    given = given_to(cell, restarts)
    assert given.at(0, restarts) == 0.5 / math.sqrt(10)
    assert given.at(30, restarts) == 0.5 / math.sqrt(40)


def test_another_unit_is_another_landscape() -> None:
    plain, norm = (asked(optimizers="AdamW", weight_decay=text) for text in ("0.5", "norm:0.5"))
    assert plain.difference(norm) == "AdamW's weight decay in λ, not in norm"
    assert not plain.is_part_of(norm)
    assert Landscape.from_json(norm.to_json()) == norm
    assert '"decay_unit"' not in plain.to_json()
    assert '"decay_unit"' not in next(plain.cells()).to_json()
    cell = next(norm.cells())
    assert Cell.from_json(cell.to_json()) == cell
    assert "'AdamW=norm:2^-1'" in map_command(norm, Path("out"))


@pytest.mark.parametrize("text", ["norms:2^-1", "lr:1", "norm:", "total:-1", "norm:0:1"])
def test_what_is_no_unit_or_axis_is_refused(text: str) -> None:
    with pytest.raises(StudyError):
        words.axis(text, "weight decay")


def test_a_learning_rate_has_no_unit() -> None:
    with pytest.raises(StudyError, match="no unit"):
        words.axis("norm:2^-1", "learning rate")


@pytest.mark.slow
def test_a_map_in_total_decay_shows_every_unit_and_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    line = Path(__file__).parents[1] / "line.py"
    command = [
        *["map", "--task", f"{line}:line", "--out", str(out), "--optimizers", "AdamW"],
        *["--lr", "2^-4:2^-3", "--weight-decay", "total:0,1,2", "--seeds", "1", "--updates", "10"],
        *["--workers", "1"],
    ]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, (done.output, done.exception)
    with (out / "cells.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    eta = sum(schedules.cosine(10)(t) for t in range(10))
    for row in rows:
        total = float(row["total_decay"])
        assert total in (0.0, 1.0, 2.0)
        assert float(row["weight_decay"]) == pytest.approx(total / eta)
        assert float(row["torch_weight_decay"]) == pytest.approx(total / eta / float(row["lr"]))
        assert float(row["lambda_norm"]) == pytest.approx(total / eta * math.sqrt(10))
        assert row["groups"] == "all"
    assert "AdamW=total:0,2^0,2^1" in (out / "report.html").read_text(encoding="utf-8")
    again = CliRunner().invoke(main, command)
    assert again.exit_code == 0
    assert "6 of 6 cells" in again.stdout
    other = CliRunner().invoke(main, [word.removeprefix("total:") for word in command])
    assert other.exit_code == 2
    assert "weight decay in total, not in λ" in other.output


def test_ledgers_of_other_units_or_clipping_are_not_merged(tmp_path: Path, fill) -> None:
    plain = asked(optimizers="AdamW", weight_decay="0.5", lr="0.5", seeds="1")
    others = [
        (asked(optimizers="AdamW", weight_decay="norm:0.5", lr="0.5", seeds="1"), "other units"),
        (replace(plain, clip=1.0), "clip"),
        (replace(plain, groups="split"), "groups"),
    ]
    fill(tmp_path / "plain", plain, lambda cell: 0.1)
    for number, (other, reason) in enumerate(others):
        fill(tmp_path / str(number), other, lambda cell: 0.1)
        with pytest.raises(StudyError, match=reason):
            merge([tmp_path / "plain", tmp_path / str(number)], tmp_path / f"merged-{number}")


def test_a_best_lambda_of_zero_is_an_edge_as_long_as_the_smallest_is_worse() -> None:
    """Otherwise the advice to extend the grid would never end."""
    decays = (0.0, 0.25, 0.5)
    steep = np.array([[0.10, 0.12, 0.2], [0.15, 0.17, 0.3], [0.2, 0.3, 0.4]]).repeat(2, axis=1)
    assert edges(steep[:, 1:], decays) == [Edge("lr", "low"), Edge("weight_decay", "zero")]
    flat = steep.copy()
    flat[1] = flat[0] + 1e-4
    assert edges(flat[:, 1:], decays) == [Edge("lr", "low"), Edge("weight_decay", "flat")]
