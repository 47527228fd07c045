"""Which test samples a training got wrong: recorded, read again, merged, and damaged."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from line import line
from made_up import VERSIONS, outcome

from unyoke.population.inputs import called
from unyoke.study.errors import StudyError
from unyoke.study.landscape.landscape import Cell, Landscape
from unyoke.study.landscape.outcome import Outcome
from unyoke.study.ledger.ledger import FILE_NAME, Ledger
from unyoke.study.ledger.merge import merge
from unyoke.study.tasks.task import Task
from unyoke.study.training.training import evaluate, train, train_together

CELL = Cell("line", "0" * 16, "SGDW", "cosine", updates=12, lr=0.01, weight_decay=0.0, seed=0)


def with_mistakes(wrong: list[int], samples: int = 11) -> Outcome:
    bits = np.packbits(np.isin(np.arange(samples), wrong))
    error = len(wrong) / samples
    return replace(outcome(0.5), test_error=error, test_samples=samples, mistakes=bits.tobytes())


def test_they_are_those_of_the_model() -> None:
    task = line(0)
    found = evaluate(task, task.test)
    assert found.mistakes is not None
    bits = np.unpackbits(np.frombuffer(found.mistakes, np.uint8), count=len(task.test[1]))
    assert 0 < bits.sum() < len(bits)
    wrong = task.error(called(task.model.eval(), task.test[0]), task.test[1])
    assert bits.tolist() == wrong.tolist()


def test_they_are_as_many_as_the_trained_model_has() -> None:
    found = train(CELL, line, time.time)
    assert found.mistakes is not None
    wrong = int.from_bytes(found.mistakes, "big").bit_count()
    assert 0 < wrong / found.test_samples == pytest.approx(found.test_error, abs=1e-12)


def test_stacked_they_are_the_same() -> None:
    cells = [replace(CELL, lr=lr, seed=seed) for lr in (0.01, 0.1) for seed in range(3)]
    together = train_together(cells, line, time.time, "stacked")
    alone = [train(cell, line, time.time) for cell in cells]
    assert [one.mistakes for one in together] == [one.mistakes for one in alone]


def test_errors_of_other_values_have_none() -> None:
    def half(seed: int) -> Task:
        task = line(seed)
        return replace(task, error=lambda outputs, targets: task.error(outputs, targets) / 2)

    assert train(CELL, half, time.time).mistakes is None


def test_a_training_that_diverged_has_none() -> None:
    found = train(replace(CELL, lr=1e30), line, time.time)
    assert (found.status, found.mistakes) == ("diverged", None)


@pytest.fixture
def folder(tmp_path: Path, landscape: Landscape) -> Path:
    """A ledger with two cells: one has made mistakes 0, 9 and 10 of 11, one is of no classes."""
    with Ledger.open_to_write(tmp_path / "old", landscape) as ledger:
        for one in (with_mistakes([0, 9, 10]), outcome(0.5)):
            cell = ledger.claim()
            assert cell is not None
            ledger.record(cell, one, VERSIONS)
    return tmp_path / "old"


def read(folder: Path) -> list[list[float] | None]:
    with Ledger.open_to_read(folder) as ledger:
        found = [ledger.sample_errors(record.cell) for record in ledger.records()]
    return [None if each is None else each.tolist() for each in found]


def test_they_are_read_as_they_were_recorded(folder: Path) -> None:
    assert read(folder) == [[1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1], None]


def test_they_are_merged(folder: Path, tmp_path: Path) -> None:
    merge([folder], tmp_path / "new")
    assert read(tmp_path / "new") == read(folder)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("x'80'", "no bits of 11 test samples"),
        ("'text'", "no bits of 11 test samples"),
        ("x'8040'", "are 2 of 11"),
        ("x'8061'", "are 4 of 11"),
        ("x'8041'", "are 3 of 11"),  # the third is no sample
    ],
)
def test_damage_is_named(folder: Path, tmp_path: Path, value: str, says: str) -> None:
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection, connection:
        connection.execute(f"UPDATE cells SET mistakes = {value} WHERE position = 1")
    for use in (lambda: read(folder), lambda: merge([folder], tmp_path / "new")):
        with pytest.raises(StudyError, match=says):
            use()
