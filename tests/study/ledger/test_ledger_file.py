"""Leases, older versions and full disks: what a ledger's file lives through."""

from __future__ import annotations

import json
import platform
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
from made_up import VERSIONS, outcome

from unyoke.study.errors import StudyError
from unyoke.study.landscape.landscape import Cell, Landscape
from unyoke.study.ledger import file
from unyoke.study.ledger.file import migrate
from unyoke.study.ledger.ledger import FILE_NAME, LEASE, Count, Ledger, NotClaimed
from unyoke.study.ledger.merge import merge

Fill = Callable[[Path, Landscape, Callable[[Cell], float | None]], None]


def changed(folder: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection, connection:
        connection.execute(statement, values)


class TestLeases:
    """A claim of another machine stands until its lease ends; one of this machine never does."""

    CLAIM = "UPDATE cells SET state = 'claimed', owner = ?, lease_until = ? WHERE position = 1"

    @pytest.fixture
    def folder(self, tmp_path: Path, landscape: Landscape) -> Path:
        with Ledger.open_to_write(tmp_path, landscape):
            return tmp_path

    def test_another_machines_is_respected(self, folder: Path, landscape: Landscape) -> None:
        changed(folder, self.CLAIM, "elsewhere:7:ab", time.time() + 500)
        before = (folder / FILE_NAME).read_bytes()
        with pytest.raises(StudyError, match=r"another machine, elsewhere,.*(500|499) s"):
            Ledger.open_to_write(folder, landscape)
        assert (folder / FILE_NAME).read_bytes() == before

    def test_another_machines_ends(self, folder: Path, landscape: Landscape) -> None:
        changed(folder, self.CLAIM, "elsewhere:7:ab", time.time() - 1)
        with Ledger.open_to_write(folder, landscape) as ledger:
            assert ledger.claim() == next(landscape.cells())

    @pytest.mark.parametrize("skew", [-1e9, 0.0, 1e9], ids=["past", "now", "future"])
    def test_this_machines_is_free_whatever_the_clock_says(
        self, folder: Path, landscape: Landscape, skew: float
    ) -> None:
        """The folder's lock was free, so its driver is dead."""
        changed(folder, self.CLAIM, f"{platform.node()}:7:ab", time.time() + skew)
        with Ledger.open_to_write(folder, landscape) as ledger:
            assert ledger.claim() == next(landscape.cells())

    def test_a_clock_that_jumps_loses_nothing_and_records_once(
        self, folder: Path, landscape: Landscape, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Ledger.open_to_write(folder, landscape) as ledger:
            for now in (1e9, 0.0, 2e9, 5.0):
                monkeypatch.setattr(time, "time", lambda now=now: now)
                cell = ledger.claim()
                assert cell is not None
                monkeypatch.setattr(time, "time", lambda now=now: now + 1e8)
                ledger.record(cell, outcome(0.5), VERSIONS)
        with Ledger.open_to_read(folder) as ledger:
            assert [record.cell for record in ledger.records()] == list(landscape.cells())[:4]

    def test_a_driver_prolongs_its_own(self, folder: Path, landscape: Landscape) -> None:
        with Ledger.open_to_write(folder, landscape) as ledger:
            ledger.claim()
            changed(folder, "UPDATE cells SET lease_until = 0 WHERE state = 'claimed'")
            ledger.renew()
            with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
                query = "SELECT max(lease_until) FROM cells"
                left = connection.execute(query).fetchone()[0] - time.time()
            assert LEASE - 60 < left <= LEASE

    def test_what_another_driver_has_taken_over_is_not_recorded(
        self, folder: Path, landscape: Landscape
    ) -> None:
        with Ledger.open_to_write(folder, landscape) as ledger:
            cells = [cell for cell in (ledger.claim(), ledger.claim()) if cell is not None]
            changed(folder, "UPDATE cells SET owner = 'elsewhere:7:ab' WHERE position = 2")
            with pytest.raises(NotClaimed, match="not claimed by this driver"):
                ledger.record_all([(cell, outcome(0.5), VERSIONS) for cell in cells])
            assert ledger.count().done == 0


def of_version_1(folder: Path) -> None:
    """Rewrite a ledger as version 1 had it: no leases, and no batch size in a cell."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection, connection:
        for column in ("owner", "lease_until", "mistakes"):
            connection.execute(f"ALTER TABLE cells DROP COLUMN {column}")
        said = connection.execute("SELECT count(*) FROM cells WHERE configuration LIKE '%batch%'")
        assert said.fetchone() == (0,)
        query = "SELECT value FROM study WHERE name = 'landscape'"
        (text,) = connection.execute(query).fetchone()
        names = ("task", "axes", "schedules", "updates", "seeds")
        plain = json.dumps({name: json.loads(text)[name] for name in names})
        connection.execute("UPDATE study SET value = ? WHERE name = 'landscape'", (plain,))
        connection.execute("PRAGMA user_version = 1")


class TestVersion1:
    @pytest.fixture
    def old(self, tmp_path: Path, landscape: Landscape, fill: Fill) -> Path:
        fill(tmp_path, landscape, lambda cell: cell.lr)
        changed(
            tmp_path, "UPDATE cells SET state='open', outcome=NULL, curve=NULL WHERE position>9"
        )
        of_version_1(tmp_path)
        return tmp_path

    def test_it_is_read_as_it_is(self, old: Path, landscape: Landscape) -> None:
        before = (old / FILE_NAME).read_bytes()
        with Ledger.open_to_read(old) as ledger:
            assert ledger.landscape == landscape
            assert [record.cell for record in ledger.records()] == list(landscape.cells())[:9]
            assert ledger.count() == Count(36, 9, 0)
        assert (old / FILE_NAME).read_bytes() == before

    def test_it_goes_on_with_nothing_lost_or_doubled(self, old: Path, landscape: Landscape) -> None:
        with Ledger.open_to_write(old, landscape) as ledger:
            assert ledger.open_cells() == list(landscape.cells())[9:]
            while (cell := ledger.claim()) is not None:
                ledger.record(cell, outcome(cell.lr), VERSIONS)
        with Ledger.open_to_read(old) as ledger:
            records = list(ledger.records())
            assert [record.cell for record in records] == list(landscape.cells())
            assert all(record.outcome.test_error == record.cell.lr for record in records)
            assert len(ledger.curve(records[0].cell)) == 1

    def test_interrupted_in_the_middle_it_is_still_version_1(
        self, old: Path, landscape: Landscape, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = sqlite_content(old)
        monkeypatch.setattr("unyoke.study.ledger.file.SCHEMA_VERSION", "two words")
        with closing(sqlite3.connect(old / FILE_NAME)) as connection, pytest.raises(sqlite3.Error):
            migrate(connection)
        assert sqlite_content(old) == before


def test_a_ledger_whose_cells_have_other_keys_is_refused_untouched(
    tmp_path: Path, landscape: Landscape, fill: Fill
) -> None:
    """As one that says "batch_size": null where it means the task's own."""
    fill(tmp_path, landscape, lambda cell: cell.lr)
    for cell in landscape.cells():
        text = json.dumps(asdict(cell), sort_keys=True)
        key = sha256(text.encode()).hexdigest()[:32]
        changed(
            tmp_path,
            "UPDATE cells SET key = ?, configuration = ? WHERE key = ?",
            *(key, text, cell.key),
        )
    before = sqlite_content(tmp_path)
    for attempt in (Ledger.open_to_read, partial(Ledger.open_to_write, landscape=landscape)):
        with pytest.raises(StudyError, match="otherwise than this unyoke does") as refused:
            attempt(tmp_path)
        assert "\n" not in str(refused.value)
    assert sqlite_content(tmp_path) == before
    changed(tmp_path, "UPDATE cells SET configuration = '{}'")
    with pytest.raises(StudyError, match="otherwise than this unyoke does"):
        Ledger.open_to_read(tmp_path)


def sqlite_content(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()
        return [str(version), *connection.iterdump()]


class TestWriteErrors:
    def test_a_full_disk_is_one_line_and_the_file_stays_whole(
        self, tmp_path: Path, landscape: Landscape
    ) -> None:
        cells = list(landscape.cells())
        with Ledger.open_to_write(tmp_path, landscape) as ledger:
            ledger.claim_cells(cells)
            ledger.record(cells[0], outcome(0.5), VERSIONS)
            (pages,) = ledger._connection.execute("PRAGMA page_count").fetchone()
            ledger._connection.execute(f"PRAGMA max_page_count = {pages}")
            long = "x" * 100_000
            with pytest.raises(StudyError, match=r"cannot be written: .*full; every recorded") as e:
                ledger.record_all([(cell, outcome(0.5), long) for cell in cells[1:]])
            assert "\n" not in str(e.value)
            assert ledger.count().done == 1
        with Ledger.open_to_write(tmp_path, landscape) as ledger:
            assert ledger.open_cells() == cells[1:]

    def test_a_disk_that_is_full_at_the_beginning_keeps_no_draft(
        self, tmp_path: Path, landscape: Landscape, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*arguments: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(file, "insert", full)
        with pytest.raises(StudyError, match=r"cannot be created: .*full"):
            Ledger.open_to_write(tmp_path, landscape)
        assert not list(tmp_path.glob("*.draft*"))

    def test_a_file_that_becomes_read_only(self, tmp_path: Path, landscape: Landscape) -> None:
        with Ledger.open_to_write(tmp_path, landscape) as ledger:
            ledger._connection.execute("PRAGMA query_only = ON")
            for write in (ledger.claim, ledger.renew):
                with pytest.raises(StudyError, match=r"cannot be written: .*readonly"):
                    write()
            ledger._connection.execute("PRAGMA query_only = OFF")
            assert ledger.claim() == next(landscape.cells())


class TestVersion2:
    """Called evaluations looks, and knew no digests of single files."""

    @pytest.fixture
    def old(self, tmp_path: Path, landscape: Landscape, fill: Fill) -> Path:
        landscape = replace(landscape, evaluations=3)
        fill(tmp_path, landscape, lambda cell: cell.lr)
        plain = json.loads(landscape.to_json())
        plain["looks"] = plain.pop("evaluations")
        del plain["task"]["files"]
        changed(tmp_path, "UPDATE study SET value=? WHERE name='landscape'", json.dumps(plain))
        changed(tmp_path, "ALTER TABLE cells DROP COLUMN mistakes")
        changed(tmp_path, "PRAGMA user_version = 2")
        return tmp_path

    def test_it_is_read_as_it_is(self, old: Path, landscape: Landscape) -> None:
        before = (old / FILE_NAME).read_bytes()
        with Ledger.open_to_read(old) as ledger:
            assert ledger.landscape == replace(landscape, evaluations=3)
            assert len(list(ledger.records())) == 36
        assert (old / FILE_NAME).read_bytes() == before

    def test_it_is_brought_up_to_date(self, old: Path, landscape: Landscape) -> None:
        with pytest.raises(StudyError, match="evaluations 3, not as usual"):
            Ledger.open_to_write(old, landscape)
        with Ledger.open_to_write(old, replace(landscape, evaluations=3)) as ledger:
            assert ledger.landscape.evaluations == 3
        with closing(sqlite3.connect(old / FILE_NAME)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (file.SCHEMA_VERSION,)
            (text,) = connection.execute(
                "SELECT value FROM study WHERE name='landscape'"
            ).fetchone()
        assert "looks" not in text
        with Ledger.open_to_read(old) as ledger:
            assert ledger.count().done == 36

    def test_it_has_no_errors_of_single_samples(self, old: Path, tmp_path: Path) -> None:
        merge([old], tmp_path / "new")
        for folder in (old, tmp_path / "new"):
            with Ledger.open_to_read(folder) as ledger:
                cell = next(ledger.records()).cell
                assert ledger.sample_errors(cell) is None


def test_reading_needs_no_locks_of_this_system(
    tmp_path: Path, landscape: Landscape, fill: Fill
) -> None:
    """As on Windows, which has no fcntl."""
    fill(tmp_path, landscape, lambda cell: cell.lr)
    words = ("import sys", "sys.modules['fcntl'] = None", "from unyoke.cli import main", "main()")
    for command in (["report"], ["ledger", "show"]):
        run = subprocess.run(
            [sys.executable, "-c", "\n".join(words), *command, str(tmp_path)],
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
    assert (tmp_path / "report.html").exists()
