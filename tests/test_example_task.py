"""The example task runs as its docstring says, only smaller."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from unyoke.cli import main

EXAMPLE = Path(__file__).parents[1] / "examples" / "noisy_digits.py"


@pytest.mark.slow
def test_the_example_runs(tmp_path: Path) -> None:
    task = f"{EXAMPLE}:noisy_digits"
    assert f"--task examples/{EXAMPLE.name}:noisy_digits" in EXAMPLE.read_text()
    words = ["map", "--task", task, "--out", str(tmp_path / "out"), "--updates", "40"]
    small = ["--optimizers", "AdamW", "--lr", "2^-8:2^-6", "--weight-decay", "0,2^-7,2^-6"]
    result = CliRunner().invoke(main, [*words, *small, "--seeds", "1", "--workers", "2"])
    assert result.exit_code == 0, (result.output, result.exception)
    assert "9 of 9 cells, 0 diverged" in result.stdout
    assert (tmp_path / "out" / "report.html").exists()
