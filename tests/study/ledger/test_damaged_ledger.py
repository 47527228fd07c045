"""Ledgers that SQLite finds whole and that no unyoke wrote: one line, with table and row."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from unyoke.cli import main
from unyoke.study.landscape.landscape import Cell, Landscape
from unyoke.study.ledger.ledger import FILE_NAME

Fill = Callable[[Path, Landscape, Callable[[Cell], float | None]], None]

ROW = "WHERE position = 5"
SET_OUTCOME = "UPDATE cells SET outcome = json_set(outcome, '$.{}', {}) " + ROW
STUDY = "UPDATE study SET value = {} WHERE name = 'landscape'"
CELLS, LANDSCAPE = "table cells, row ", "table study, row landscape"


@pytest.fixture
def folder(tmp_path: Path, landscape: Landscape, fill: Fill) -> Path:
    fill(tmp_path / "out", landscape, lambda cell: cell.lr)
    return tmp_path / "out"


def key(folder: Path) -> str:
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        return str(connection.execute(f"SELECT key FROM cells {ROW}").fetchone()[0])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (f"UPDATE cells SET outcome = '{{' {ROW}", CELLS),
        (f"UPDATE cells SET outcome = '[]' {ROW}", CELLS),
        (f"UPDATE cells SET outcome = x'00ff' {ROW}", CELLS),
        (SET_OUTCOME.format("test_error", "'low'"), "its test_error is 'low'"),
        (SET_OUTCOME.format("validation_error", "json('[1]')"), "its validation_error is [1]"),
        (SET_OUTCOME.format("validation_error", "NULL"), "finished without an error"),
        (SET_OUTCOME.format("test_samples", "NULL"), "its test_samples is None"),
        (SET_OUTCOME.format("more", "1"), CELLS),
        (f"UPDATE cells SET outcome = json_remove(outcome, '$.status') {ROW}", CELLS),
        (f"UPDATE cells SET curve = '[[1, 2]]' {ROW}", CELLS),
        (f"UPDATE cells SET curve = '[[1, 2, 3, \"x\"]]' {ROW}", "its curve has the point"),
        (f"UPDATE cells SET curve = NULL {ROW}", "None where a text should be"),
        (f"UPDATE cells SET versions = NULL {ROW}", "None where a text should be"),
        (f"UPDATE cells SET versions = '3' {ROW}", "its versions are '3'"),
        (f"UPDATE cells SET recorded_at = 'then' {ROW}", "'then' where a moment should be"),
        (f"UPDATE cells SET configuration = '{{}}' {ROW}", "is not that of its key"),
        (
            f"UPDATE cells SET configuration = replace(configuration, '0.5', '0.6') {ROW}",
            "is not that of its key",
        ),
        (STUDY.format("'{}'"), LANDSCAPE),
        (STUDY.format("'['"), LANDSCAPE),
        (STUDY.format("x'00'"), LANDSCAPE),
        (STUDY.format("json_set(value, '$.axes', json('{}'))"), "it has no cells"),
        (STUDY.format("json_set(value, '$.axes.SGD.lr[0]', 'x')"), "a value that is no number"),
        (STUDY.format("json_set(value, '$.seeds[0]', 'x')"), "is no whole number"),
        (STUDY.format("json_set(value, '$.seeds[0]', 5)"), "the landscape has no such cell"),
        (STUDY.format("json_set(value, '$.more', 1)"), "REPORTED"),
        ("DELETE FROM study WHERE name = 'landscape'", LANDSCAPE),
        ("INSERT INTO study VALUES ('accepted_code', '{}')", "table study, row accepted_code"),
        ("DROP TABLE study", "the table study has no name, value"),
        ("ALTER TABLE cells RENAME COLUMN outcome TO result", "the table cells has no outcome"),
    ],
)
def test_one_line_says_which_row(folder: Path, tmp_path: Path, change: str, says: str) -> None:
    row = key(folder)
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(change)
    before = (folder / FILE_NAME).read_bytes()
    report = CliRunner().invoke(main, ["report", str(folder)])
    if says == "REPORTED":  # a newer version may say more
        assert report.exit_code == 0
        return
    commands = (["ledger", "merge", str(folder), "--out", str(tmp_path / "new")],)
    for run in (report, *(CliRunner().invoke(main, words) for words in commands)):
        assert run.exit_code == 2, run.exception
        (line,) = run.stderr.splitlines()
        assert says in line
        assert str(folder / FILE_NAME) in line
        assert "move it away" in line
        if says == CELLS:
            assert f"{CELLS}{row}: " in line
    assert (folder / FILE_NAME).read_bytes() == before
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE cells SET state = 'claimed', outcome = NULL, owner = 'me', lease_until = 1e10",
        "UPDATE cells SET state = 'claimed', outcome = NULL, owner = 'a:1:b', lease_until = 'x'",
    ],
)
def test_claims_too(folder: Path, change: str) -> None:
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection, connection:
        connection.execute(f"{change} {ROW}")
    for command in ("show", "release"):
        run = CliRunner().invoke(main, ["ledger", command, str(folder)])
        assert run.exit_code == 2, run.exception
        (line,) = run.stderr.splitlines()
        assert "table cells, row claimed by" in line


def test_what_is_whole_stays_readable(folder: Path) -> None:
    for command in (["show"], ["export", "--to", str(folder / "x.json")]):
        run = CliRunner().invoke(main, ["ledger", command[0], str(folder), *command[1:]])
        assert run.exit_code == 0, run.output
    assert len(json.loads((folder / "x.json").read_text())) == 36
