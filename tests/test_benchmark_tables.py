"""The tables that programs in benchmarks/ print, of figures as `unyoke map` leaves them."""

from __future__ import annotations

import math
import runpy
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


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
