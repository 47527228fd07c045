"""What is the user's in an output folder stays, and nothing is written through a link."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from unyoke.cli import main
from unyoke.study import output_files
from unyoke.study.errors import StudyError
from unyoke.study.landscape.landscape import Cell, Landscape
from unyoke.study.ledger.ledger import FILE_NAME, Ledger
from unyoke.study.report.report import NAMES, write_report

Fill = Callable[[Path, Landscape, Callable[[Cell], float | None]], None]


@pytest.fixture
def folder(tmp_path: Path, landscape: Landscape, fill: Fill) -> Path:
    fill(tmp_path / "out", landscape, lambda cell: cell.lr)
    return tmp_path / "out"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


class TestWritten:
    def write(self, folder: Path, text: str, *names: str) -> None:
        with output_files.written(folder, ("a", "b")) as drafts:
            for name in names or ("a",):
                (drafts / name).write_text(text)

    def test_what_was_written_is_written_anew(self, tmp_path: Path) -> None:
        self.write(tmp_path / "new" / "folder", "1")
        for text in ("2", "3"):
            self.write(tmp_path / "new" / "folder", text, "a", "b")
        assert contents(tmp_path / "new" / "folder").keys() == {"a", "b", output_files.LIST}
        assert (tmp_path / "new" / "folder" / "b").read_text() == "3"

    @pytest.mark.parametrize("before", [False, True])
    def test_what_somebody_else_wrote_is_refused_and_kept(
        self, tmp_path: Path, before: bool
    ) -> None:
        if before:
            self.write(tmp_path, "1")
        (tmp_path / "a").write_text("mine")
        (tmp_path / "b").unlink(missing_ok=True)
        kept = contents(tmp_path)
        with pytest.raises(StudyError, match=r"a was not written by unyoke.*move it away"):
            self.write(tmp_path, "2", "a", "b")
        assert contents(tmp_path) == kept

    @pytest.mark.parametrize("target", ["thesis", "nowhere", "a folder"])
    def test_a_link_is_not_followed(self, tmp_path: Path, target: str) -> None:
        (tmp_path / "thesis").write_text("mine")
        (tmp_path / "a folder").mkdir()
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "b").symlink_to(tmp_path / target)
        with pytest.raises(StudyError, match="is a link to"):
            self.write(tmp_path / "out", "2")
        assert (tmp_path / "thesis").read_text() == "mine"
        assert not (tmp_path / "nowhere").exists()

    def test_a_folder_of_the_name_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        with pytest.raises(StudyError, match="was not written by unyoke"):
            self.write(tmp_path, "2")

    def test_a_writer_that_is_killed_disowns_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After each exchange of a file in turn, the list's included."""
        self.write(tmp_path, "old", "a", "b")
        exchange = output_files.os.replace
        for most in range(4):
            done = []

            def killed(
                source: Path, target: Path, done: list[Path] = done, most: int = most
            ) -> None:
                if len(done) == most:
                    raise KeyboardInterrupt
                done.append(target)
                exchange(source, target)

            monkeypatch.setattr(output_files.os, "replace", killed)
            with pytest.raises(KeyboardInterrupt):
                self.write(tmp_path, f"new {most}", "a", "b")
            monkeypatch.setattr(output_files.os, "replace", exchange)
            assert not list(tmp_path.glob(".unyoke-*/"))
            output_files.check(tmp_path, ("a", "b"))
            self.write(tmp_path, f"again {most}", "a", "b")

    def test_a_name_that_was_not_checked_is_a_mistake_of_ours(self, tmp_path: Path) -> None:
        with pytest.raises(RuntimeError, match="c was not checked"):
            self.write(tmp_path, "1", "c")

    @pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}'])
    def test_a_damaged_list_owns_nothing(self, tmp_path: Path, text: str) -> None:
        self.write(tmp_path, "1")
        (tmp_path / output_files.LIST).write_text(text)
        with pytest.raises(StudyError, match="was not written by unyoke"):
            self.write(tmp_path, "2")


@pytest.mark.parametrize("name", NAMES)
def test_a_map_refuses_before_it_trains(tmp_path: Path, name: str, line_file: Path) -> None:
    (tmp_path / name).write_text("mine")
    run = CliRunner().invoke(main, ["map", "--out", str(tmp_path), "--task", f"{line_file}:line"])
    assert run.exit_code == 2
    assert f"{name} was not written by unyoke" in run.stderr
    assert contents(tmp_path) == {name: b"mine"}


def test_a_report_is_drawn_again_also_where_it_was_copied(folder: Path, tmp_path: Path) -> None:
    write_report(folder)
    shutil.copytree(folder, tmp_path / "copy")
    before = contents(folder)
    for place in (folder, tmp_path / "copy"):
        write_report(place)
        assert contents(place).keys() == before.keys()


def test_a_report_of_an_older_version_is_drawn_over(folder: Path) -> None:
    """Which kept no list; its page says that it is one."""
    write_report(folder)
    (folder / output_files.LIST).unlink()
    write_report(folder)
    (folder / output_files.LIST).unlink()
    (folder / "report.html").write_text("<title>My report</title>")
    with pytest.raises(StudyError, match="was not written by unyoke"):
        write_report(folder)


def test_a_table_that_was_changed_by_hand_is_not_lost(folder: Path) -> None:
    write_report(folder)
    (folder / "cells.csv").write_text("with a column of mine")
    before = contents(folder)
    with pytest.raises(StudyError, match=r"cells\.csv was not written by unyoke, or was changed"):
        write_report(folder)
    assert contents(folder) == before


@pytest.mark.parametrize("name", [FILE_NAME, f".{FILE_NAME}.lock"])
def test_a_ledger_is_not_filled_through_a_link(
    folder: Path, tmp_path: Path, landscape: Landscape, name: str
) -> None:
    """Two folders whose locks differ could fill it at once."""
    other = tmp_path / "other"
    other.mkdir()
    (other / name).symlink_to(folder / name)
    before = contents(folder)
    with pytest.raises(StudyError, match="is a link to"):
        Ledger.open_to_write(other, landscape)
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["claims", "p1"], "claims.md"),
        (["figure", "s1", "--task", "digits"], "digits/figure-s1.csv"),
    ],
)
def test_claims_and_figures_refuse_before_they_train(
    tmp_path: Path, words: list[str], name: str
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    run = CliRunner().invoke(main, [*words, "--scale", "smoke", "--out", str(tmp_path)])
    assert run.exit_code == 2
    assert "was not written by unyoke" in run.stderr
    assert (tmp_path / name).read_text() == "mine"
