"""Each cell claimed, run and recorded exactly once; what is foreign or damaged left alone."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from unyoke.study.errors import StudyError
from unyoke.study.landscape.axes import label
from unyoke.study.landscape.landscape import Axes, Cell, Landscape
from unyoke.study.landscape.outcome import Outcome
from unyoke.study.ledger.ledger import FILE_NAME, Count, Ledger, NotClaimed

VERSIONS = '{"unyoke": "0"}'


def finished(error: float | None = 0.25) -> Outcome:
    return Outcome(
        status="diverged" if error is None else "finished",
        updates=10,
        train_loss=error,
        train_error=error,
        validation_error=error,
        test_error=error,
        test_standard_error=error,
        test_samples=100,
        error_unit="%",
        seconds=0.1,
        curve=(),
    )


def test_every_cell_is_claimed_once_in_order(tmp_path: Path, landscape: Landscape) -> None:
    with Ledger.open_to_write(tmp_path, landscape) as ledger:
        claimed = [ledger.claim() for _ in range(37)]
    assert claimed == [*landscape.cells(), None]


def test_cells_are_claimed_together_or_not_at_all(tmp_path: Path, landscape: Landscape) -> None:
    cells = list(landscape.cells())
    with Ledger.open_to_write(tmp_path, landscape) as ledger:
        assert ledger.open_cells() == cells
        ledger.claim_cells(cells[3:8])
        assert ledger.open_cells() == cells[:3] + cells[8:]
        with pytest.raises(RuntimeError, match="only 2 were open"):
            ledger.claim_cells([cells[0], cells[3], cells[9]])
        assert ledger.open_cells() == cells[:3] + cells[8:]
        ledger.record(cells[3], finished(), VERSIONS)
        assert ledger.count().done == 1


def test_what_is_recorded_comes_back_whole(tmp_path: Path, landscape: Landscape) -> None:
    with Ledger.open_to_write(tmp_path, landscape) as ledger:
        cell = ledger.claim()
        assert cell is not None
        ledger.record(cell, finished(), VERSIONS)
        second = ledger.claim()
        assert second is not None
        ledger.record(second, finished(None), VERSIONS)
        assert ledger.count() == Count(total=36, done=2, diverged=1)
    with Ledger.open_to_read(tmp_path) as ledger:
        records = list(ledger.records())
        assert [(r.cell, r.outcome, r.versions) for r in records] == [
            (cell, finished(), VERSIONS),
            (second, finished(None), VERSIONS),
        ]
        assert ledger.landscape == landscape


def test_curves_are_kept(tmp_path: Path, landscape: Landscape, fill: Callable[..., None]) -> None:
    fill(tmp_path, landscape, lambda cell: 0.1)
    with Ledger.open_to_read(tmp_path) as ledger:
        cell = next(landscape.cells())
        assert ledger.curve(cell) == ((5, 1.0, 0.5, 0.5),)
        with pytest.raises(KeyError):
            ledger.curve(replace(cell, seed=99))


def test_a_cell_is_recorded_only_once_and_only_when_claimed(
    tmp_path: Path, landscape: Landscape
) -> None:
    with Ledger.open_to_write(tmp_path, landscape) as ledger:
        with pytest.raises(NotClaimed, match="not claimed"):
            ledger.record(next(landscape.cells()), finished(), VERSIONS)
        cell = ledger.claim()
        assert cell is not None
        ledger.record(cell, finished(), VERSIONS)
        with pytest.raises(NotClaimed, match="not claimed"):
            ledger.record(cell, finished(0.9), VERSIONS)
        assert next(iter(ledger.records())).outcome == finished()


def test_claims_of_a_dead_driver_are_open_again(tmp_path: Path, landscape: Landscape) -> None:
    dead = Ledger.open_to_write(tmp_path, landscape)
    first = dead.claim()
    assert first is not None
    dead.record(first, finished(), VERSIONS)
    lost = dead.claim()
    dead._connection.close()  # as the system does with what a process leaves
    assert dead._lock is not None
    dead._lock.release()
    with Ledger.open_to_read(tmp_path) as ledger:
        assert [claims.cells for claims in ledger.claimed()] == [1]
    with Ledger.open_to_write(tmp_path, landscape) as ledger:
        assert ledger.claim() == lost


def test_a_driver_that_ends_lets_go_of_its_claims(tmp_path: Path, landscape: Landscape) -> None:
    with Ledger.open_to_write(tmp_path, landscape) as ledger:
        lost = ledger.claim()
    with Ledger.open_to_read(tmp_path) as ledger:
        assert ledger.claimed() == []
        assert ledger.open_cells()[0] == lost


def test_a_second_driver_is_refused_while_the_first_lives(
    tmp_path: Path, landscape: Landscape
) -> None:
    with (
        Ledger.open_to_write(tmp_path, landscape),
        pytest.raises(StudyError, match="another process"),
    ):
        Ledger.open_to_write(tmp_path, landscape)
    with Ledger.open_to_write(tmp_path, landscape):
        pass


def test_a_report_can_read_while_a_driver_writes(tmp_path: Path, landscape: Landscape) -> None:
    with Ledger.open_to_write(tmp_path, landscape) as ledger:
        cell = ledger.claim()
        assert cell is not None
        ledger.record(cell, finished(), VERSIONS)
        with Ledger.open_to_read(tmp_path) as reader:
            assert reader.count().done == 1


def test_a_ledger_of_another_landscape_is_refused_untouched(
    tmp_path: Path, landscape: Landscape, fill: Callable[..., None]
) -> None:
    fill(tmp_path, landscape, lambda cell: 0.1)
    before = (tmp_path / FILE_NAME).read_bytes()
    for extend in (False, True):
        with pytest.raises(StudyError, match=r"another landscape .*updates 10, not 20"):
            Ledger.open_to_write(tmp_path, replace(landscape, updates=(20,)), extend=extend)
    with pytest.raises(StudyError, match=r"add --extend; .* at once, as --updates 10,20"):
        Ledger.open_to_write(tmp_path, replace(landscape, updates=(20,)))
    with pytest.raises(StudyError, match="another landscape") as refused:
        Ledger.open_to_write(tmp_path, replace(landscape, clip=0.5))
    assert "--extend" not in str(refused.value)
    assert (tmp_path / FILE_NAME).read_bytes() == before


def test_a_wider_grid_is_taken_only_when_asked_for(
    tmp_path: Path, landscape: Landscape, fill: Callable[..., None]
) -> None:
    fill(tmp_path, landscape, lambda cell: 0.1)
    wider = Axes((*landscape.axes["SGD"].lr, 2.0), landscape.axes["SGD"].weight_decay)
    larger = replace(landscape, axes={**landscape.axes, "SGD": wider})
    with pytest.raises(StudyError, match=r"another landscape .* add --extend; choose"):
        Ledger.open_to_write(tmp_path, larger)
    with Ledger.open_to_write(tmp_path, larger, extend=True) as ledger:
        assert ledger.count() == Count(total=42, done=36, diverged=0)
        new: list[Cell] = []
        while (cell := ledger.claim()) is not None:
            new.append(cell)
    assert Counter(label(cell.lr) for cell in new) == {"2^1": 6}
    with pytest.raises(StudyError, match="another landscape"):
        Ledger.open_to_write(tmp_path, landscape)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"these are not the pages of a database" * 100,
        lambda data: data[: len(data) // 2],
        lambda data: data[:4096] + bytes(len(data) - 4096),
        lambda data: data[:-4096] + b"\xff" * 4096,
    ],
    ids=["empty", "foreign", "truncated", "zeroed", "last page"],
)
def test_a_damaged_ledger_is_refused_untouched(
    tmp_path: Path,
    landscape: Landscape,
    fill: Callable[..., None],
    damage: Callable[[bytes], bytes],
) -> None:
    fill(tmp_path, landscape, lambda cell: 0.1)
    path = tmp_path / FILE_NAME
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    for opening in (
        lambda: Ledger.open_to_write(tmp_path, landscape),
        lambda: Ledger.open_to_read(tmp_path),
    ):
        with pytest.raises(StudyError, match="ledger") as refused:
            opening()
        assert "\n" not in str(refused.value)
        assert str(path) in str(refused.value)
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_untouched(
    tmp_path: Path, landscape: Landscape
) -> None:
    path = tmp_path / FILE_NAME
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE cells (x)")
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(StudyError, match="not a ledger"):
        Ledger.open_to_write(tmp_path, landscape)
    assert path.read_bytes() == before


def test_a_ledger_of_a_newer_version_is_refused(
    tmp_path: Path, landscape: Landscape, fill: Callable[..., None]
) -> None:
    fill(tmp_path, landscape, lambda cell: 0.1)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StudyError, match="version 99"):
        Ledger.open_to_write(tmp_path, landscape)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, landscape: Landscape) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StudyError, match="cannot be written"):
        Ledger.open_to_write(tmp_path / "file" / "folder", landscape)


def test_no_ledger_to_read(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="does not exist"):
        Ledger.open_to_read(tmp_path)


KILLED = """
import os, sys
from pathlib import Path
from unyoke.study.landscape.landscape import Landscape
from unyoke.study.ledger.ledger import Ledger
from unyoke.study.landscape.outcome import Outcome
landscape = Landscape.from_json(Path(sys.argv[2]).read_text())
with Ledger.open_to_write(Path(sys.argv[1]), landscape) as ledger:
    print("open", flush=True)
    while (cell := ledger.claim()) is not None:
        ledger.record(cell, Outcome("finished", 1, 0, 0, 0, 0, 0, 1, "", 0, ()), "{}")
"""


@pytest.mark.slow
def test_killed_at_random_moments_nothing_is_lost_or_recorded_twice(
    tmp_path: Path, landscape: Landscape
) -> None:
    """Three drivers killed with SIGKILL while they write; a last one finishes."""
    large = replace(landscape, seeds=tuple(range(400)))
    configuration = tmp_path / "landscape.json"
    configuration.write_text(large.to_json())
    folder = tmp_path / "out"
    done = 0
    for delay in (0.0, 0.1, 0.3):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, str(folder), str(configuration)],
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        ) as driver:
            assert driver.stdout is not None
            assert driver.stdout.readline() == b"open\n"
            time.sleep(delay)
            driver.kill()
        with Ledger.open_to_read(folder) as ledger:
            assert ledger.count().done >= done
            done = ledger.count().done
    assert done > 0
    with Ledger.open_to_write(folder, large) as ledger:
        while (cell := ledger.claim()) is not None:
            ledger.record(cell, finished(), VERSIONS)
        assert [record.cell for record in ledger.records()] == list(large.cells())
