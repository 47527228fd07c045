"""What a task raises reaches the user as itself, whatever kind of exception it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from asking import asked

from unyoke.study.errors import StudyError
from unyoke.study.ledger.ledger import Count, Ledger
from unyoke.study.running import driver, workers
from unyoke.study.running.workers import TaskFailure

TASK = """
import sys
import torch
from line import line
from unyoke.study import Task


class NeedsTwo(Exception):
    def __init__(self, first, second):
        super().__init__(f"{{first}} and\\n{{second}}")


class Holds(Exception):
    def __init__(self):
        super().__init__("holds a function")
        self.function = lambda: None


class Mute(Exception):
    def __str__(self):
        raise RuntimeError


def task(seed):
    made = line(seed)

    def loss(outputs, targets):
        if seed == {seed}:
            {statement}
        return torch.nn.functional.cross_entropy(outputs, targets)

    return Task(made.model, made.train, made.validation, made.test, batch_size=16, loss=loss)
"""

KINDS = [
    ("raise NeedsTwo(1, 2)", "NeedsTwo: 1 and 2"),
    ("raise Holds()", "Holds: holds a function"),
    ("raise Mute()", r"Mute: \(its message cannot be read: RuntimeError\)"),
    ("raise KeyError('x')", "KeyError: 'x'"),
    ("sys.exit('enough')", "SystemExit: enough"),
]


def landscape_of(folder: Path, line_file: Path, seed: int, statement: str) -> object:
    (folder / "line.py").write_text(line_file.read_text())
    (folder / "task.py").write_text(TASK.format(seed=seed, statement=statement))
    return asked(
        task=f"{folder / 'task.py'}:task",
        optimizers="SGD",
        lr=["0.1"],
        weight_decay=["0"],
        seeds="2",
        updates="4",
    )


class Watcher:
    def begin(self, count: Count) -> None: ...

    def advance(self, cell: object, outcome: object) -> None: ...

    def end(self) -> None: ...


@pytest.mark.parametrize(("statement", "says"), KINDS)
def test_an_exception_at_the_first_try_is_told_as_itself(
    tmp_path: Path, line_file: Path, statement: str, says: str
) -> None:
    landscape = landscape_of(tmp_path, line_file, 0, statement)
    with pytest.raises(StudyError, match=says) as refused:
        driver.run(landscape, tmp_path / "out", Watcher(), workers=1, engine="one_by_one")  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)
    assert "killed" not in str(refused.value)


@pytest.mark.parametrize(("statement", "says"), KINDS)
def test_an_exception_in_a_training_is_kept_as_itself(
    tmp_path: Path, line_file: Path, statement: str, says: str
) -> None:
    landscape = landscape_of(tmp_path, line_file, 1, statement)
    count = driver.run(landscape, tmp_path / "out", Watcher(), workers=1, engine="one_by_one")  # type: ignore[arg-type]
    assert count == Count(2, 2, 0, 1)
    with Ledger.open_to_read(tmp_path / "out") as ledger:
        found = {record.cell.seed: record.outcome for record in ledger.records()}
    assert found[0].status == "finished"
    assert found[1].status == "failed"
    assert re.search(says, str(found[1].failure))


def test_a_failure_survives_the_way(line_file: Path) -> None:
    import pickle

    error = pickle.loads(pickle.dumps(TaskFailure.of(ValueError("a\nb"))))
    assert isinstance(error, TaskFailure)
    assert str(error) == "ValueError: a b"
    assert str(TaskFailure.of(ValueError())) == "ValueError"


def test_interruptions_are_not_failures() -> None:
    def interrupted(reference: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        workers.told(interrupted, None, ())  # type: ignore[arg-type]
