"""Finding and naming data: the order of places, digests, and refusals in one line."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
from asking import asked
from click.testing import CliRunner

from unyoke.cli import main
from unyoke.study.errors import StudyError
from unyoke.study.ledger import code_digest
from unyoke.study.planning import defaults
from unyoke.study.planning.commands import map_command
from unyoke.study.tasks import built_in, registry
from unyoke.study.tasks.data import Source

SOURCE = Source("two files", ("one", "two"), "UNYOKE_TEST_DATA", "write them", more=("three",))


def write(folder: Path, **contents: bytes) -> Path:
    folder.mkdir()
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return folder


def test_the_flag_goes_before_the_variable_and_that_before_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag, variable, package = (write(tmp_path / n, one=b"1", two=b"2") for n in "abc")
    source = replace(SOURCE, places=(tmp_path / "nowhere", package))
    monkeypatch.delenv(source.variable, raising=False)
    assert source.find(None) == package
    monkeypatch.setenv(source.variable, str(variable))
    assert source.find(None) == variable
    assert source.find(str(flag)) == flag


def test_data_that_are_nowhere_can_be_had_in_three_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SOURCE.variable, raising=False)
    with pytest.raises(StudyError) as refused:
        SOURCE.find(None)
    for way in ("write them", "--data FOLDER", "UNYOKE_TEST_DATA=FOLDER"):
        assert way in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_that_lacks_a_file_names_it(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"has no two;"):
        SOURCE.find(str(write(tmp_path / "data", one=b"1")))
    with pytest.raises(StudyError, match="is no folder"):
        SOURCE.find(str(tmp_path / "nowhere"))


def test_the_digest_is_of_contents_and_not_of_places_or_compression(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain", one=b"1", two=b"2")
    packed = write(tmp_path / "packed", **{"one": b"1", "two.gz": gzip.compress(b"2")})
    other = write(tmp_path / "other", one=b"1", two=b"3")
    larger = write(tmp_path / "larger", one=b"1", two=b"2", three=b"3")
    swapped = write(tmp_path / "swapped", one=b"2", two=b"1")
    digests = [SOURCE.digest(f) for f in (plain, packed, other, larger, swapped)]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4


@pytest.mark.parametrize(
    "damaged",
    [gzip.compress(b"2" * 99)[:-9], b"no gzip at all", b""],
    ids=["cut off", "no gzip", "empty"],
)
def test_a_damaged_compressed_file_is_named(tmp_path: Path, damaged: bytes) -> None:
    folder = write(tmp_path / "data", **{"one": b"1", "two.gz": damaged})
    with pytest.raises(StudyError, match=r"two\.gz cannot be read|cut off") as refused:
        SOURCE.digest(folder)
    assert "\n" not in str(refused.value)


def test_data_are_frozen_with_the_task_and_their_place_is_not(tmp_path: Path) -> None:
    texts = [tmp_path / name for name in ("a.txt", "b.txt", "c.txt")]
    for path, text in zip(texts, ("same", "same", "other"), strict=True):
        path.write_text(text)
    first, moved, other = (asked(task="shakespeare", data=str(t)) for t in texts)
    assert first.difference(moved) is None
    assert next(first.cells()).key == next(moved.cells()).key
    assert first.difference(other) == "other data of the task shakespeare"
    assert not first.is_part_of(other)
    assert next(first.cells()).key != next(other.cells()).key
    assert f"--data {texts[0]}" in map_command(first, Path("out"))


def test_data_that_change_during_a_run_are_noticed(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("some")
    reference = registry.refer("shakespeare", str(text))
    text.write_text("other")
    with pytest.raises(StudyError, match="not those that the run began with"):
        registry.load(reference)


@pytest.mark.parametrize("task", ["digits", "diabetes"])
def test_a_task_without_files_takes_no_data(task: str) -> None:
    with pytest.raises(StudyError, match=r"reads no data from --data.*fashion-mnist"):
        registry.refer(task, "somewhere")


@pytest.mark.parametrize("task", built_in.BUILT_IN)
def test_every_built_in_task_has_code_and_axes(task: str) -> None:
    assert len(code_digest.of_package(built_in.BUILT_IN[task].module).digest) == 16
    for preset in (defaults.full(task), defaults.quick(task)):
        for optimizer in defaults.OPTIMIZERS:
            axes = preset.axes(optimizer)
            assert axes.weight_decay[0] == 0
            assert len(axes.lr) >= 3
            assert len(axes.weight_decay) >= 4
    quick, full = defaults.quick(task).axes("SGDW"), defaults.full(task).axes("SGDW")
    assert set(quick.lr) < set(full.lr)


def test_the_command_line_refuses_damaged_data_and_creates_nothing(tmp_path: Path) -> None:
    text = tmp_path / "input.txt.gz"
    text.write_bytes(gzip.compress(b"cut off" * 99)[:-9])
    words = ["map", "--task", "shakespeare", "--data", str(tmp_path), "--workers", "1"]
    result = CliRunner().invoke(main, [*words, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2, (result.output, result.exception)
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"unyoke: {text} cannot be read")
    assert not (tmp_path / "out").exists()
