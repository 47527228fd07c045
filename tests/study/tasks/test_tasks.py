"""Finding a task, and saying in one line what is wrong with one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from unyoke.study import Task
from unyoke.study.errors import StudyError
from unyoke.study.running import workers
from unyoke.study.tasks.digits import digits
from unyoke.study.tasks.digits_noisy import digits_noisy
from unyoke.study.tasks.digits_plain import digits_plain
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
    copy.write_text(line_file.read_text() + "\nchanged = True\n")
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
    with pytest.raises(StudyError, match="its validation has 0 inputs and 0 targets"):
        load(refer(f"{file}:task"))(0)


def parts_of(task: Task) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [task.train, task.validation, task.test]


@pytest.mark.parametrize(
    ("build", "sizes"),
    [
        (digits, [200, 698, 899]),
        (digits_plain, [200, 698, 899]),
        (digits_noisy, [300, 598, 899]),
    ],
)
def test_the_seed_of_digits_draws_the_split_and_the_weights(
    build: Callable[[int], Task], sizes: list[int]
) -> None:
    first, again, other = build(0), build(0), build(1)
    for task in (first, other):
        assert [len(part[1]) for part in parts_of(task)] == sizes
        images = torch.cat([inputs for inputs, _ in parts_of(task)])
        assert len(images.unique(dim=0)) == len(images) == 1797  # each once, in one part
    assert torch.equal(first.train[0], again.train[0])
    assert torch.equal(first.train[1], again.train[1])
    assert not torch.equal(first.train[0], other.train[0])
    weights, same, differ = (next(task.model.parameters()) for task in (first, again, other))
    assert torch.equal(weights, same)
    assert not torch.equal(weights, differ)


def test_both_networks_of_a_seed_see_the_same_images() -> None:
    for mine, theirs in zip(parts_of(digits(3)), parts_of(digits_plain(3)), strict=True):
        assert torch.equal(mine[0], theirs[0])
        assert torch.equal(mine[1], theirs[1])


def test_noisy_digits_have_wrong_labels_where_they_train_only() -> None:
    right = {
        tuple(image.tolist()): int(label)
        for part in parts_of(digits(0))
        for image, label in zip(*part, strict=True)
    }
    shares = []
    for seed in range(5):
        for part in parts_of(digits_noisy(seed)):
            labels = torch.tensor([right[tuple(image.tolist())] for image in part[0]])
            shares.append(float((labels != part[1]).float().mean()))
    assert [share for place, share in enumerate(shares) if place % 3] == [0.0] * 10
    assert sum(shares) / 5 == pytest.approx(0.3, abs=0.04)


def test_no_weight_of_digits_has_a_size_that_matters() -> None:
    """Each trained matrix can be scaled by itself without any change of the outputs."""
    task = digits(0)
    trained = [weight for weight in task.model.parameters() if weight.requires_grad]
    assert sum(weight.numel() for weight in trained) == 9_472
    before = task.model(task.test[0]).detach()
    assert float(before.std()) == pytest.approx(3.0, abs=0.05)
    for weight in trained:
        with torch.no_grad():
            weight.mul_(5.0)
        torch.testing.assert_close(task.model(task.test[0]).detach(), before, rtol=1e-3, atol=1e-3)
