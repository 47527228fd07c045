"""Finding a task, and saying in one line what is wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from unyoke.study import Task
from unyoke.study.errors import StudyError
from unyoke.study.running import workers
from unyoke.study.tasks.digits import digits
from unyoke.study.tasks.registry import load, refer


def one_line(error: pytest.ExceptionInfo[StudyError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_built_in_task_and_a_file_are_found(line_file: Path) -> None:
    assert isinstance(load(refer("digits"))(0), Task)
    reference = refer(f"{line_file}:line")
    assert reference.name == "line.py:line"
    assert isinstance(load(reference)(0), Task)


def test_a_task_whose_code_changes_is_another_task(tmp_path: Path, line_file: Path) -> None:
    copy = tmp_path / "line.py"
    copy.write_text(line_file.read_text())
    assert refer(f"{copy}:line").digest == refer(f"{line_file}:line").digest
    copy.write_text(line_file.read_text() + "\n# changed\n")
    assert refer(f"{copy}:line").digest != refer(f"{line_file}:line").digest


@pytest.mark.parametrize("text", ["digit", "", "file.py", "line.py:", "line.py:two words"])
def test_unknown_tasks_name_the_known_ones(text: str) -> None:
    with pytest.raises(StudyError, match="unknown task") as refused:
        refer(text)
    assert "digits" in one_line(refused)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(StudyError, match=r"nowhere\.py"):
        refer("nowhere.py:task")


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("missing", "no function 'missing'"),
        ("number", "no function 'number'"),
        ("not_a_task", "returned int"),
        ("fails", "ValueError: no data on this machine (line.py, line"),
    ],
)
def test_a_function_that_is_no_task(line_file: Path, function: str, reason: str) -> None:
    with pytest.raises(StudyError) as refused:
        load(refer(f"{line_file}:{function}"))(0)
    assert reason in one_line(refused)


def test_an_error_that_is_not_per_sample_is_refused(line_file: Path) -> None:
    with pytest.raises(StudyError, match="per sample") as refused:
        workers.probe(refer(f"{line_file}:scalar_error"), 0)
    one_line(refused)


def test_a_file_that_cannot_be_run(tmp_path: Path) -> None:
    file = tmp_path / "broken_file.py"
    file.write_text("import nothing_of_this_name\n")
    with pytest.raises(StudyError, match="cannot be run: ModuleNotFoundError") as refused:
        load(refer(f"{file}:task"))
    assert "broken_file.py, line 1" in one_line(refused)


def test_parts_without_samples_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "no_samples.py"
    file.write_text(
        "import torch\nfrom unyoke.study import Task\n"
        "def task(seed):\n"
        "    some, none = torch.zeros(3, 2), torch.zeros(0, 2)\n"
        "    y = torch.zeros(3).long()\n"
        "    return Task(torch.nn.Linear(2, 2), (some, y), (none, y[:0]), (some, y))\n"
    )
    with pytest.raises(StudyError, match="0 inputs and 0 targets for validation"):
        load(refer(f"{file}:task"))(0)


def test_digits_are_split_alike_for_every_seed_and_begin_differently() -> None:
    first, again, other = digits(0), digits(0), digits(1)
    assert [len(part[1]) for part in (first.train, first.validation, first.test)] == [200, 698, 899]
    for part in ("train", "validation", "test"):
        for mine, theirs in zip(getattr(first, part), getattr(other, part), strict=True):
            assert torch.equal(mine, theirs)
    weights, same, differ = (next(task.model.parameters()) for task in (first, again, other))
    assert torch.equal(weights, same)
    assert not torch.equal(weights, differ)
