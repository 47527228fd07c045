"""The command line: what it prints, what it leaves, and how it refuses."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from report_files import WRITTEN

from unyoke.cli import main

LINE = Path(__file__).parent / "study" / "line.py"
SMALL = [
    *("--task", f"{LINE}:line", "--optimizers", "AdamW,SGD", "--lr", "0.1,0.2,0.4"),
    *("--weight-decay", "0,2^-9,2^-8", "--seeds", "2", "--updates", "8", "--workers", "1"),
]


def unyoke(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def refused(result: Result) -> str:
    """The one line of a refusal."""
    assert result.exit_code == 2, (result.output, result.exception)
    lines = [line for line in result.stderr.splitlines() if line]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("unyoke: ")
    return lines[0]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished small map. Tests that change it make a copy."""
    folder = tmp_path_factory.mktemp("map") / "out"
    result = unyoke("map", "--out", folder, *SMALL)
    assert result.exit_code == 0, (result.output, result.exception)
    assert "36 of 36 cells" in result.stdout
    assert f"report: {folder / 'report.html'}" in result.stdout
    assert "diverged" in result.stderr  # the progress bar counts them
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def dump(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as connection:
        return list(connection.iterdump())


def test_a_map_leaves_report_tables_figures_and_ledger(finished: Path) -> None:
    assert {path.name for path in finished.iterdir()} == WRITTEN


def test_the_same_command_again_draws_the_report_and_runs_nothing(
    finished: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(finished, tmp_path / "out")
    (folder / "report.html").unlink()
    result = unyoke("map", "--out", folder, *SMALL)
    assert result.exit_code == 0
    assert (folder / "report.html").exists()
    # Every record bears the moment it was made, in the ledger and in nothing else.
    assert dump(folder) == dump(finished)


def test_report_draws_any_ledger_anew(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    shutil.copy(finished / "ledger.sqlite", folder)
    result = unyoke("report", folder)
    assert result.exit_code == 0
    assert {path.name for path in folder.iterdir()} == WRITTEN - {".ledger.sqlite.lock"}
    assert (folder / "cells.csv").read_bytes() == (finished / "cells.csv").read_bytes()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--task", "digts"], "unknown task 'digts'"),
        (["--task", "nowhere.py:task"], "nowhere.py"),
        (["--task", f"{LINE}:missing"], "no function 'missing'"),
        (["--lr", "-0.1"], "learning rate '-0.1'"),
        (["--lr", "nan"], "learning rate 'nan'"),
        (["--lr", "fast"], "not a number"),
        (["--lr", ""], "empty"),
        (["--lr", "2^-1:2^-3"], "empty"),
        (["--weight-decay", "-1"], "weight decay '-1'"),
        (["--weight-decay", "nan"], "weight decay 'nan'"),
        (["--weight-decay", "much"], "not a number"),
        (["--weight-decay", ","], "empty"),
        (["--optimizers", ""], "empty"),
        (["--optimizers", "Adamm"], "unknown optimizer 'Adamm'"),
        (["--schedule", "linear"], "unknown schedule 'linear'"),
        (["--seeds", "0"], "seeds '0'"),
        (["--updates", "-5"], "updates '-5'"),
        (["--workers", "0"], "workers"),
        (["--engine", "fast"], "'--engine'"),
        (["--refine", "some"], "budget of --refine 'some'"),
        (["--refine", "0"], "budget of --refine '0'"),
        (["--epochs", "3", "--updates", "3"], "both budgets"),
        (["--colour", "red"], "--colour"),
    ],
)
def test_bad_input_is_one_line_exit_code_2_and_nothing_created(
    tmp_path: Path, words: list[str], reason: str
) -> None:
    folder = tmp_path / "out"
    assert reason in refused(unyoke("map", "--out", folder, *words))
    assert not folder.exists()


def test_a_ledger_of_another_configuration_is_refused_and_kept(
    finished: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(finished, tmp_path / "out")
    before = contents(folder)
    for words in (["--updates", "9"], ["--lr", "0.1"], ["--seeds", "3"]):
        assert "another landscape" in refused(unyoke("map", "--out", folder, *SMALL, *words))
    assert contents(folder) == before


def test_a_damaged_ledger_is_refused_and_kept(finished: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(finished, tmp_path / "out")
    data = (folder / "ledger.sqlite").read_bytes()
    (folder / "ledger.sqlite").write_bytes(data[:100] + b"damage" * 1000 + data[6100:])
    before = contents(folder)
    assert "ledger.sqlite" in refused(unyoke("map", "--out", folder, *SMALL))
    assert "ledger.sqlite" in refused(unyoke("report", folder))
    assert contents(folder) == before


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "out"):
        assert "cannot be written" in refused(unyoke("map", "--out", folder, *SMALL))
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_folder_without_a_ledger_has_no_report(tmp_path: Path) -> None:
    assert "does not exist" in refused(unyoke("report", tmp_path))


def test_extend_adds_cells_to_what_is_there(finished: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(finished, tmp_path / "out")
    result = unyoke("map", "--out", folder, *SMALL, "--seeds", "3", "--extend")
    assert result.exit_code == 0, result.output
    assert "54 of 54 cells" in result.stdout
    old, new = ((f / "cells.csv").read_text().splitlines() for f in (finished, folder))
    assert set(old) <= set(new)


def test_extend_needs_no_more_than_what_is_new(finished: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(finished, tmp_path / "out")
    result = unyoke("map", "--out", folder, "--extend", "--seeds", "3")
    assert result.exit_code == 0, result.output
    assert "54 of 54 cells" in result.stdout
    said = refused(unyoke("map", "--out", folder, "--extend", "--clip", "1"))
    assert "gradients clipped at None, not 1.0); --extend adds values" in said


def test_there_is_nothing_to_extend_in_another_folder(tmp_path: Path) -> None:
    said = refused(unyoke("map", "--out", tmp_path / "slip", "--extend", "--lr", "0.8"))
    assert "slip holds no map to extend" in said
    assert not (tmp_path / "slip").exists()


def test_a_dry_run_tries_the_task_first(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    samples = "(torch.randn(9, 3).double(), torch.tensor([0, 1, 2] * 3))"
    lines = [
        "import torch",
        "from unyoke.study import Task",
        "def mine(seed):",
        f"    s = {samples}",
    ]
    file.write_text("\n".join([*lines, "    return Task(torch.nn.Linear(3, 3), s, s, s)", ""]))
    said = refused(unyoke("map", "--task", f"{file}:mine", "--out", tmp_path / "out", "--dry-run"))
    assert "its inputs are float64 and its model's weights float32" in said
    assert not (tmp_path / "out").exists()


def test_refine_trains_a_part_and_says_how_much(tmp_path: Path) -> None:
    axes = ("--lr", "2^-8:2^0", "--weight-decay", "2^-9:2^-1", "--optimizers", "SGD")
    words = ("--task", f"{LINE}:line", "--updates", "4", "--seeds", "2", "--engine", "stacked")
    result = unyoke("map", "--out", tmp_path / "out", *axes, *words, "--refine", "40")
    assert result.exit_code == 0, result.output
    assert "refined: 40 of 162 trainings, 160 of 648 updates; 75% saved" in result.output
    assert "40 of 162 cells" in result.output


def test_a_learning_rate_sweep_ends_with_its_curve(tmp_path: Path) -> None:
    words = [*SMALL, "--optimizers", "NDAdam,SGD", "--weight-decay", "0", "--seeds", "1"]
    result = unyoke("map", "--out", tmp_path, *words)
    assert result.exit_code == 0, (result.output, result.exception)
    assert {path.name for path in tmp_path.glob("*.png")} == {"sweep.png"}


def test_help_and_version() -> None:
    result = unyoke("--help")
    assert result.exit_code == 0
    assert "map" in result.stdout
    assert "report" in result.stdout
    assert "unyoke, version" in unyoke("--version").stdout
    words = " ".join(unyoke("map", "--help").stdout.split())
    assert "Adam the rest; all: every matrix. [default: hidden]" in words


def test_optimizers_lists_every_one_with_its_parts() -> None:
    from unyoke.optimizers import rows

    lines = unyoke("optimizers").output.splitlines()
    assert [line.split()[:3] for line in lines] == [list(row[:3]) for row in rows()]
    assert all(line.endswith(row.summary) for line, row in zip(lines, rows(), strict=True))


def test_optimizers_says_more_of_those_that_are_named() -> None:
    lines = unyoke("optimizers", "ScheduleFreeAdamW", "MARSW").output.splitlines()
    assert lines[0].startswith("MARSW: MARS")
    assert "  state      3 per weight" in lines
    assert "  backends   cpu, eager, compile" in lines
    assert "  goes with  every decay but L2 in one moment" in lines
    assert any("source     Defazio" in line and "2405.15682" in line for line in lines)
    wrong = unyoke("optimizers", "ScheduelFree")
    assert wrong.exit_code != 0
    assert "no optimizer is called ScheduelFree" in wrong.output


def test_optimizers_says_as_much_of_a_class_of_a_users_file(tmp_path: Path) -> None:
    file = tmp_path / "my_file.py"
    file.write_text(
        """
from unyoke.equation import direction
from unyoke.optimizers import Named
@direction(coefficients=lambda lr: {"lr": lr})
def mine(grad, lr):
    return lr * grad
class Mine(Named, direction=mine):
    "Descent. And more."
class Bare(Named, direction="muon", decay="l2"):
    pass
def make(params, lr, weight_decay):
    pass
"""
    )
    assert unyoke("optimizers", f"{file}:Mine", "AdamW").output.splitlines()[7:] == [
        "my_file.py:Mine: Descent. And more.",
        "  direction  my_file.py:mine",
        "  decay      decoupled",
        "  state      0 per weight",
        "  backends   every",
        "  goes with  every decay but L2 in one moment",
        "  source     none named",
    ]
    lines = unyoke("optimizers", f"{file}:Bare").output.splitlines()
    assert lines[:3] == [
        "my_file.py:Bare: without documentation",
        "  direction  muon",
        "  decay      l2",
    ]
    for name, said in (("mine", "is a direction and no optimizer"), ("make", "is a function")):
        refused = unyoke("optimizers", f"{file}:{name}")
        assert refused.exit_code == 2
        assert said in refused.output


def test_backends_says_of_each_what_it_lacks_here(monkeypatch: pytest.MonkeyPatch) -> None:
    from unyoke import backends

    rows = [("gpu", "no GPU", None), ("cpu", None, "it has no folder"), ("eager", None, None)]
    monkeypatch.setattr(backends, "tried", lambda: iter(rows))
    assert unyoke("backends").output.splitlines() == [
        "gpu     no GPU",
        "cpu     ready, but it has no folder",
        "eager   ready",
    ]


def test_workers_are_on_their_way_before_the_command_imports_torch() -> None:
    script = """
import sys
from unyoke.cli import main
from unyoke.study.running import workers
workers.start_server = lambda: print("torch" in sys.modules)
main(["map", "--task", "nowhere.py:task"])
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stdout.split() == ["False"]


@pytest.mark.parametrize(
    ("words", "old", "new"),
    [
        (["map", *SMALL, "--looks=0"], "--looks", "--evaluations"),
        (["map", *SMALL, "--looks", "0"], "--looks", "--evaluations"),
        (["claims", "no such", "--draw"], "--draw", "--report-only"),
    ],
)
def test_old_names_of_options_work_for_one_release(
    tmp_path: Path, words: list[str], old: str, new: str
) -> None:
    result = unyoke(*words, "--out", tmp_path / "out")
    warning, refusal = (line for line in result.stderr.splitlines() if line)
    assert warning.startswith(f"unyoke: DeprecationWarning: {old} is called {new}")
    assert "No such option" not in refusal
    assert old not in unyoke(words[0], "--help").stdout


def test_an_old_name_is_unknown_to_commands_that_never_had_it(tmp_path: Path) -> None:
    assert "No such option" in refused(unyoke("report", tmp_path, "--looks", "3"))


@pytest.mark.parametrize("option", ["--clip", "--cell-timeout"])
@pytest.mark.parametrize("value", ["nan", "inf", "0", "much"])
def test_what_is_no_positive_number_is_refused_before_anything_is_made(
    tmp_path: Path, option: str, value: str
) -> None:
    """click's own ranges let NaN through, with which a map trained, and could not go on."""
    result = unyoke("map", *SMALL, option, value, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert option in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
