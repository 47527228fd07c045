"""The tables that programs in benchmarks/ print, of figures as `unyoke map` leaves them."""

from __future__ import annotations

import math
import runpy
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from unyoke.cli import main

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
LINE = Path(__file__).parent / "study" / "line.py"


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ({"value": -0.5, "low": -1.0, "high": 0.25}, "−0.50 [−1.00, 0.25]"),
        ({"value": 0.5, "low": math.nan, "high": math.nan}, "0.50"),  # one seed
        ({"value": 0.5, "low": None, "high": None}, "0.50"),
        ({"value": math.nan, "low": math.nan, "high": math.nan}, "–"),
        ({"value": None, "low": None, "high": None}, "–"),
        (None, "–"),
    ],
)
def test_one_seed_has_no_interval(found: dict[str, Any] | None, text: str) -> None:
    interval = runpy.run_path(str(BENCHMARKS / "decay_by_direction.py"))["interval"]
    assert interval(found) == text


def test_a_table_of_what_a_map_has_left(tmp_path: Path) -> None:
    words = ["map", "--task", f"{LINE}:line", "--out", str(tmp_path / "map"), "--workers", "1"]
    words += ["--optimizers", "AdamW,AdamW+cautious,AdamW+l2", "--lr", "0.1,0.2,0.4"]
    words += ["--weight-decay", "0,2^-9,2^-8,2^-7", "--seeds", "2", "--updates", "8"]
    ended = CliRunner().invoke(main, words)
    assert ended.exit_code == 0, ended.output
    table = runpy.run_path(str(BENCHMARKS / "decay_by_direction.py"))["table"]
    _, _, *rows, cautious, l2 = table(tmp_path / "map").splitlines()
    assert [row.split(" | ")[1] for row in rows] == ["`decoupled`", "`cautious`", "`l2`"]
    assert cautious.startswith("| all | `cautious` |")
    assert l2.startswith("| all | `l2` |")
