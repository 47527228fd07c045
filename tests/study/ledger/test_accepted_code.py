"""Ledgers that go on with other code than began them: refused, accepted, kept, and shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_up import VERSIONS, outcome

from unyoke.study.errors import StudyError
from unyoke.study.landscape.landscape import Landscape
from unyoke.study.ledger.ledger import Ledger
from unyoke.study.ledger.merge import merge
from unyoke.study.report.report import write_report


def by(landscape: Landscape, trainer: str, **files: str) -> Landscape:
    task = replace(landscape.task, trainer=trainer, files={**FILES, **files})
    return replace(landscape, task=task)


FILES = {"unyoke.decays": "1", "unyoke.schedules": "1", "task.py": "1"}


def fill_some(folder: Path, landscape: Landscape, cells: int, **how: bool) -> None:
    with Ledger.open_to_write(folder, landscape, **how) as ledger:
        for _ in range(cells):
            cell = ledger.claim()
            assert cell is not None
            ledger.record(cell, outcome(cell.lr), VERSIONS)


def test_other_code_is_refused_and_the_file_named(tmp_path: Path, landscape: Landscape) -> None:
    fill_some(tmp_path, by(landscape, "a"), 3)
    other = by(landscape, "b", **{"unyoke.decays": "2", "unyoke.new": "1"})
    with pytest.raises(StudyError, match=r"unyoke: unyoke\.decays, unyoke\.new\).*--accept-code"):
        Ledger.open_to_write(tmp_path, other)
    with Ledger.open_to_read(tmp_path) as ledger:
        assert ledger.landscape.task.trainer == "a"
        assert ledger.other_code(other.task) is not None


def test_of_many_files_some_are_named(tmp_path: Path, landscape: Landscape) -> None:
    fill_some(tmp_path, by(landscape, "a"), 1)
    other = by(landscape, "b", **{f"unyoke.{letter}": "1" for letter in "abcdefg"})
    with pytest.raises(StudyError, match=r"unyoke\.a, .*, unyoke\.e and 2 more"):
        Ledger.open_to_write(tmp_path, other)


def test_code_is_accepted_once_and_all_that_it_trains_says_so(
    tmp_path: Path, landscape: Landscape
) -> None:
    fill_some(tmp_path, by(landscape, "a"), 3)
    second = by(landscape, "b", **{"unyoke.decays": "2"})
    fill_some(tmp_path, second, 2, accept_code=True)
    fill_some(tmp_path, second, 2)  # without being asked again
    third = by(landscape, "c", **{"unyoke.decays": "2", "unyoke.schedules": "2"})
    with pytest.raises(StudyError, match=r"\(filled by other code of unyoke: unyoke\.schedules\)"):
        fill_some(tmp_path, third, 1)
    fill_some(tmp_path, third, 1, accept_code=True)
    with pytest.raises(StudyError, match="belongs to another landscape"):
        fill_some(tmp_path, by(landscape, "a"), 1)
    with Ledger.open_to_read(tmp_path) as ledger:
        said = ["accepted change" in record.versions for record in ledger.records()]
        assert said == [False] * 3 + [True] * 5
        last = list(ledger.records())[-1].versions
        assert "decays; then" in last
        assert last.count("schedules") == 1
        assert [record.cell for record in ledger.records()] == list(by(landscape, "a").cells())[:8]


def test_a_grid_is_extended_by_accepted_code(tmp_path: Path, landscape: Landscape) -> None:
    small = replace(landscape, seeds=(0,))
    fill_some(tmp_path, by(small, "a"), 18)
    with pytest.raises(StudyError, match="accept-code"):
        Ledger.open_to_write(tmp_path, by(landscape, "b"), extend=True)
    fill_some(tmp_path, by(landscape, "b"), 18, extend=True, accept_code=True)
    with Ledger.open_to_read(tmp_path) as ledger:
        assert ledger.count().done == ledger.count().total == 36
        assert ledger.landscape.task.trainer == "a"


def test_another_landscape_is_refused_whatever_is_accepted(
    tmp_path: Path, landscape: Landscape
) -> None:
    fill_some(tmp_path, by(landscape, "a"), 1)
    for other, reason in (
        (replace(by(landscape, "b"), updates=(11,)), "updates 10, not 11"),
        (replace(landscape, task=replace(landscape.task, name="another")), "task made up"),
        (replace(landscape, task=replace(by(landscape, "a").task, data_digest="1")), "other data"),
    ):
        with pytest.raises(StudyError, match=reason):
            Ledger.open_to_write(tmp_path, other, accept_code=True)
    with Ledger.open_to_read(tmp_path) as ledger:
        assert ledger.other_code(by(landscape, "a").task) is None
        assert ledger.other_code(by(landscape, "b").task) is not None


@pytest.mark.slow
def test_the_report_and_merged_ledgers_show_it(tmp_path: Path, landscape: Landscape) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    fill_some(one, by(landscape, "a"), 30)
    fill_some(one, by(landscape, "b", **{"unyoke.decays": "2"}), 6, accept_code=True)
    report = write_report(one)
    said = [line for line in report.lines if "other code" in line]
    assert len(said) == 1
    assert said[0].endswith("accepted change: filled by other code of unyoke: unyoke.decays")
    assert "accepted change: filled by other code" in report.page.read_text()
    fill_some(two, by(landscape, "a"), 3)
    merge([one, two], tmp_path / "both")
    assert any("accepted change" in line for line in write_report(tmp_path / "both").lines)
