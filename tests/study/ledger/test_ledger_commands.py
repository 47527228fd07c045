"""Ledgers shown, put together and exported, through the command line as people use it."""

from __future__ import annotations

import csv
import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from made_up import VERSIONS, outcome

from unyoke.cli import main
from unyoke.study.errors import StudyError
from unyoke.study.landscape.landscape import Axes, Cell, Landscape
from unyoke.study.ledger.ledger import FILE_NAME, Count, Ledger

Fill = Callable[[Path, Landscape, Callable[[Cell], float | None]], None]


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["ledger", *map(str, words)])


def errors(folder: Path) -> dict[Cell, float | None]:
    with Ledger.open_to_read(folder) as ledger:
        return {record.cell: record.outcome.test_error for record in ledger.records()}


def partly(folder: Path, landscape: Landscape, fill: Fill, cells: list[Cell]) -> None:
    """A ledger in which only these cells are done, with their learning rates as errors."""
    fill(folder, landscape, lambda cell: cell.lr)
    with Ledger.open_to_write(folder, landscape) as ledger, ledger._connection as connection:
        for cell in set(landscape.cells()) - set(cells):
            statement = "UPDATE cells SET state = 'open', outcome = NULL WHERE key = ?"
            connection.execute(statement, (cell.key,))


def test_show_tells_question_progress_claims_and_versions(
    tmp_path: Path, landscape: Landscape, fill: Fill
) -> None:
    cells = list(landscape.cells())
    partly(tmp_path, landscape, fill, cells[:5])
    with Ledger.open_to_write(tmp_path, landscape) as ledger:
        ledger.claim_cells(cells[6:9])
        shown = run("show", tmp_path)
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    assert lines[0] == landscape.summary()
    assert lines[1] == "5 of 36 done, 0 of these diverged"
    assert lines[2].startswith("3 claimed by ")
    assert lines[3] == 'made with {"unyoke": "0", "torch": "0"}'


class TestMerge:
    def test_shards_are_the_whole_again(
        self, tmp_path: Path, landscape: Landscape, fill: Fill
    ) -> None:
        cells = list(landscape.cells())
        parts = [tmp_path / str(index) for index in range(3)]
        for index, part in enumerate(parts):
            partly(part, landscape, fill, cells[index::3])
        before = [(part / FILE_NAME).read_bytes() for part in parts]
        merged = run("merge", *parts, "--out", tmp_path / "whole")
        assert (merged.exit_code, merged.output.splitlines()[1:]) == (0, [])
        assert errors(tmp_path / "whole") == {cell: cell.lr for cell in cells}
        with Ledger.open_to_read(tmp_path / "whole") as ledger:
            assert ledger.landscape == landscape
            assert len(ledger.curve(cells[0])) == 1
        assert [(part / FILE_NAME).read_bytes() for part in parts] == before
        assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "whole"]

    def test_grids_are_one_grid_and_what_is_missing_is_open(
        self, tmp_path: Path, landscape: Landscape, fill: Fill
    ) -> None:
        other = replace(
            landscape, axes={"SGD": Axes((0.5, 2.0), (0.25,)), "Adam": Axes((1.0,), (0.0,))}
        )
        fill(tmp_path / "a", landscape, lambda cell: 0.1)
        fill(tmp_path / "b", replace(other, seeds=(2,)), lambda cell: 0.2)
        assert run("merge", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "c").exit_code == 0
        with Ledger.open_to_write(tmp_path / "c", *whole_of(tmp_path / "c")) as ledger:
            whole = ledger.landscape
            assert whole.seeds == (0, 1, 2)
            assert whole.axes["SGD"] == Axes((0.25, 0.5, 1.0, 2.0), (0.0, 0.25, 0.5))
            assert ledger.count() == Count(3 * (9 + 12 + 1), 36 + 3, 0)
            assert len(ledger.open_cells()) == 66 - 39

    def test_of_a_cell_done_twice_the_earlier_is_kept_and_told(
        self, tmp_path: Path, landscape: Landscape, fill: Fill
    ) -> None:
        fill(tmp_path / "a", landscape, lambda cell: 0.1)
        fill(tmp_path / "b", landscape, lambda cell: 0.1 if cell.seed else 0.2)
        merged = run("merge", tmp_path / "b", tmp_path / "a", "--out", tmp_path / "c")
        assert "36 were done twice, 18 of them with other figures" in merged.output
        assert set(errors(tmp_path / "c").values()) == {0.1}

    def test_other_tasks_are_refused(
        self, tmp_path: Path, landscape: Landscape, fill: Fill
    ) -> None:
        other = replace(landscape, task=replace(landscape.task, digest="another"))
        fill(tmp_path / "a", landscape, lambda cell: 0.1)
        fill(tmp_path / "b", other, lambda cell: 0.1)
        refused = run("merge", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "c")
        assert refused.exit_code == 2
        assert "other code of the task" in refused.output
        assert not (tmp_path / "c").exists()

    def test_curves_of_other_looks_are_refused(
        self, tmp_path: Path, landscape: Landscape, fill: Fill
    ) -> None:
        fill(tmp_path / "a", landscape, lambda cell: 0.1)
        fill(tmp_path / "b", replace(landscape, evaluations=1), lambda cell: 0.1)
        refused = run("merge", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "c")
        assert refused.exit_code == 2
        assert "other evaluations" in refused.output
        assert not (tmp_path / "c").exists()

    def test_nothing_is_overwritten(self, tmp_path: Path, landscape: Landscape, fill: Fill) -> None:
        fill(tmp_path / "a", landscape, lambda cell: 0.1)
        (tmp_path / "c").mkdir()
        refused = run("merge", tmp_path / "a", "--out", tmp_path / "c")
        assert refused.exit_code == 2
        assert "exists already" in refused.output
        assert not list((tmp_path / "c").iterdir())

    def test_interrupted_it_leaves_nothing(
        self, tmp_path: Path, landscape: Landscape, fill: Fill, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(tmp_path / "a", landscape, lambda cell: 0.1)

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Ledger, "adopt", interrupt)
        assert run("merge", tmp_path / "a", "--out", tmp_path / "c").exit_code != 0
        assert [path.name for path in tmp_path.iterdir()] == ["a"]


def whole_of(folder: Path) -> tuple[Landscape]:
    with Ledger.open_to_read(folder) as ledger:
        return (ledger.landscape,)


class TestExport:
    @pytest.fixture
    def folder(self, tmp_path: Path, landscape: Landscape, fill: Fill) -> Path:
        """Errors are learning rates; the largest diverged."""
        fill(tmp_path / "map", landscape, lambda cell: None if cell.lr == 1.0 else cell.lr)
        return tmp_path / "map"

    def exported(self, folder: Path, name: str) -> Path:
        path = folder.parent / name
        done = run("export", folder, "--to", path)
        assert done.output == f"{path}: 36 trainings\n"
        return path

    def test_csv(self, folder: Path) -> None:
        with self.exported(folder, "cells.csv").open(encoding="utf-8") as file:
            table = list(csv.DictReader(file))
        assert len(table) == 36
        for row in table:
            assert row["test_error"] == ("" if row["lr"] == "1.0" else row["lr"])

    def test_json(self, folder: Path) -> None:
        table = json.loads(self.exported(folder, "cells.json").read_text())
        assert {row["test_error"] for row in table} == {None, 0.25, 0.5}

    def test_parquet(self, folder: Path) -> None:
        parquet = pytest.importorskip("pyarrow.parquet")
        table = parquet.read_table(self.exported(folder, "cells.parquet")).to_pylist()
        assert table == json.loads(self.exported(folder, "cells.json").read_text())

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore")
    def test_optuna(self, folder: Path) -> None:
        optuna = pytest.importorskip("optuna")
        storage = f"sqlite:///{self.exported(folder, 'study.db')}"
        names = optuna.get_all_study_names(storage)
        assert names == ["made up: AdamW, cosine, 10 updates", "made up: SGD, cosine, 10 updates"]
        study = optuna.load_study(study_name=names[0], storage=storage)
        assert len(study.trials) == 18
        assert study.best_value == study.best_trial.params["lr"] == 0.25
        failed = [trial for trial in study.trials if trial.params["lr"] == 1.0]
        assert {trial.state.name for trial in failed} == {"FAIL"}
        assert failed[0].user_attrs["status"] == "diverged"

    def test_an_existing_file_is_kept_unless_forced(self, folder: Path) -> None:
        path = folder.parent / "cells.csv"
        path.write_text("mine")
        refused = run("export", folder, "--to", path)
        assert (refused.exit_code, path.read_text()) == (2, "mine")
        assert run("export", folder, "--to", path, "--force").exit_code == 0
        assert path.read_text() != "mine"

    @pytest.mark.parametrize("name", ["cells.xlsx", "cells"])
    def test_unknown_forms(self, folder: Path, name: str) -> None:
        refused = run("export", folder, "--to", folder.parent / name)
        assert refused.exit_code == 2
        assert ".csv, .json, .parquet, .db" in refused.output

    def test_a_missing_library_names_the_extra(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module, suffix, extra in (
            ("pyarrow", "parquet", "parquet"),
            ("optuna", "db", "optuna"),
        ):
            monkeypatch.setitem(__import__("sys").modules, module, None)
            refused = run("export", folder, "--to", folder.parent / f"cells.{suffix}")
            assert refused.exit_code == 2
            assert f"pip install 'unyoke[{extra}]'" in refused.output

    def test_no_folder_to_write_to(self, folder: Path) -> None:
        refused = run("export", folder, "--to", folder.parent / "nowhere" / "cells.csv")
        assert refused.exit_code == 2
        assert "No such file" in refused.output


def test_what_a_dead_machine_holds_is_released_by_hand(
    tmp_path: Path, landscape: Landscape
) -> None:
    with Ledger.open_to_write(tmp_path, landscape):
        pass
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection, connection:
        claim = "UPDATE cells SET state = 'claimed', owner = ?, lease_until = ? WHERE position = ?"
        connection.execute(claim, ("node7:41:ab", time.time() + 500, 1))
        connection.execute(claim, ("node7:41:ab", time.time() + 500, 2))
        connection.execute(claim, ("other:5:cd", time.time() - 100, 3))
    with pytest.raises(StudyError, match=r"node7.*unyoke ledger release"):
        Ledger.open_to_write(tmp_path, landscape)
    lines = run("release", tmp_path).output.splitlines()
    assert lines[0].startswith("2 claimed by process 41 of node7, for ")
    assert lines[1].startswith("1 claimed by process 5 of other, until 100 s ago")
    assert lines[2] == "3 trainings are open again"
    with Ledger.open_to_write(tmp_path, landscape) as opened:
        assert len(opened.open_cells()) == 36
        refused = run("release", tmp_path)
        assert refused.exit_code == 2
        assert "another process is filling" in refused.output
    assert "0 trainings are open again" in run("release", tmp_path).output
    assert run("release", tmp_path / "nowhere").exit_code == 2


def test_who_still_lives_is_told_that_its_claims_were_released(
    tmp_path: Path, landscape: Landscape
) -> None:
    with Ledger.open_to_write(tmp_path, landscape) as alive:
        cell = alive.claim()
        assert cell is not None
        with closing(sqlite3.connect(tmp_path / FILE_NAME)) as elsewhere, elsewhere:
            elsewhere.execute("UPDATE cells SET state = 'open'")
        with pytest.raises(
            StudyError, match="not claimed by this driver any more: it was released"
        ):
            alive.record(cell, outcome(0.5), VERSIONS)
