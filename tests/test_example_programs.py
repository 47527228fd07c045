"""The examples, run as a reader would run them, with budgets that a test can afford."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
PROGRAMS = sorted(EXAMPLES.glob("*.py"))
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def printed(name: str, *arguments: str, folder: Path) -> str:
    """What an example prints, run by itself in a folder of its own."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def last_number(text: str) -> float:
    return float(re.findall(r"-?\d+\.\d+", text)[-1])


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_an_example_is_short_and_says_how_to_run_it(program: Path) -> None:
    text = program.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 80
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring is not None
    assert f"examples/{program.name}" in docstring


@pytest.mark.slow
def test_classification_learns(tmp_path: Path) -> None:
    assert last_number(printed("classification.py", "--updates", "700", folder=tmp_path)) < 8


@pytest.mark.slow
def test_a_small_gpt_learns_by_muon_and_adam(tmp_path: Path) -> None:
    text = printed("gpt_characters.py", "--updates", "100", folder=tmp_path)
    assert re.search(r"blocks.1.down.weight .* muon ", text)
    end, beginning = re.findall(r"\d\.\d\d", text.splitlines()[-1])
    assert float(end) < 0.6 * float(beginning)


@pytest.mark.slow
def test_a_direction_of_one_s_own_learns_with_8_bit_state(tmp_path: Path) -> None:
    assert last_number(printed("custom_direction.py", folder=tmp_path)) < 0.1


@pytest.mark.slow
def test_fine_tuning_toward_the_start_keeps_more_of_what_was_learned(tmp_path: Path) -> None:
    text = printed("fine_tuning.py", "--seeds", "2", folder=tmp_path)
    old = {
        (rule, float(total)): float(error)
        for rule, total, error in re.findall(r"^(\w+) +([\d.]+) .* ([\d.]+) ± [\d.]+$", text, re.M)
    }
    assert old["toward_initial", 3.0] < old["none", 0.0] < old["decoupled", 3.0]


@pytest.mark.slow
def test_fsdp2_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    text = printed("fsdp2.py", "--updates", "10", folder=tmp_path)
    first, second = map(float, re.findall(r"\d\.\d{4}", text))
    assert second < first
    assert "update 20 of 20" in text


@pytest.mark.slow
def test_a_map_of_one_s_own(tmp_path: Path) -> None:
    here = EXAMPLES / "own_map.py"
    command = [
        *[sys.executable, "-m", "unyoke", "map", "--task", f"{here}:rings", "--seeds", "1"],
        *["--optimizers", f"AdamW,{here}:adamw_of_torch", "--lr", "2^-8,2^-6"],
        *["--weight-decay", "0,2^-8", "--updates", "20", "--out", str(tmp_path / "rings")],
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "rings" / "report.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_a_notebook_executes(
    notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    matplotlib.pyplot.switch_backend("agg")
    names: dict[str, Any] = {}
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), notebook.name, "exec"), names)
    matplotlib.pyplot.close("all")
