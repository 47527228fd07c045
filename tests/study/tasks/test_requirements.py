"""What a task lacks is said before anything is trained, and how to mend it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from unyoke.cli import main
from unyoke.study import StudyError, Task
from unyoke.study.running import workers
from unyoke.study.tasks import registry, requirements
from unyoke.study.tasks.reading import Reader

INPUTS = torch.randn(6, 3)
CLASSES = torch.tensor([0, 1, 2, 0, 1, 2])


def task(targets: torch.Tensor = CLASSES, **more: Any) -> Task:
    part = (INPUTS, targets)
    return Task(**{"model": nn.Linear(3, 3), **more}, train=part, validation=part, test=part)


class LossWithWeights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))


def squared(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return (outputs - targets).square().mean()


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (task(model=nn.LazyLinear(3)), "no shape yet .* run the model once"),
        (task(model=nn.Linear(3, 3).requires_grad_(False)), "nothing to train"),
        (task(loss=LossWithWeights()), "weights of its own.* a part of the model"),
        (task(nn.functional.one_hot(CLASSES).float()), r"cross entropy.*targets\.argmax\(1\)"),
        (task(torch.randn(6, 3), loss=squared), "wrong classes.* error= of your own"),
    ],
)
def test_a_requirement_that_is_not_met_is_named(made: Task, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        requirements.check("mine", made)


@pytest.mark.parametrize("part", ["train", "validation", "test"])
@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ((INPUTS.tolist(), CLASSES), "inputs of its {part} are of the type list.*torch.as_tensor"),
        ((list(INPUTS), CLASSES), "inputs of its {part} are of the type list.*torch.stack"),
        ((INPUTS, CLASSES.numpy()), "targets of its {part} are of the type ndarray"),
        ((INPUTS[:4], CLASSES), "its {part} has 4 inputs and 6 targets"),
        ((INPUTS.index_fill(0, CLASSES[:2], torch.nan), CLASSES), "2 of its 6 inputs for {part}"),
    ],
)
def test_samples_that_cannot_be_trained_on_are_named(part: str, samples: Any, said: str) -> None:
    with pytest.raises(StudyError, match=said.format(part=part)):
        requirements.check("mine", Reader().read(replace(task(), **{part: samples})))


TRIED = """
import copy

import torch
from torch import nn

from unyoke.study import Task

MODEL = nn.Sequential(nn.Linear(3, 3), nn.ReLU())


def task(model=None, inputs=torch.randn(6, 3), classes=(0, 1, 2, 0, 1, 2), **more):
    samples = (inputs, torch.tensor(classes))
    return Task(model or nn.Linear(3, 3), train=samples, validation=samples, test=samples, **more)


def same_model(seed):
    return task(MODEL)


def same_layer(seed):
    return task(nn.Sequential(MODEL, nn.Linear(3, 3)))


def copied(seed):
    return task(copy.deepcopy(MODEL))


def frozen(seed):
    return task(nn.Sequential(copy.deepcopy(MODEL).requires_grad_(False), nn.Linear(3, 3)))


def from_one(seed):
    return task(classes=(1, 2, 3, 1, 2, 3))


def negative(seed):
    return task(classes=(0, 1, -1, 0, 1, 2))


def each_sample(seed):
    return task(loss=nn.CrossEntropyLoss(reduction="none"))


def a_number(seed):
    return task(loss=lambda outputs, targets: 1.0)


def doubles(seed):
    return task(inputs=torch.randn(6, 3).double())


class Converts(nn.Linear):
    def forward(self, inputs):
        return super().forward(inputs.float())


class Fails(Converts):
    def forward(self, inputs):
        raise KeyError("token_type_ids")


def failing(seed):
    return task(Fails(3, 3), torch.randn(6, 3).double())


def converted(seed):
    return task(Converts(3, 3), torch.randn(6, 3).double())
"""


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("same_model", ""),  # each training has a copy of it
        ("from_one", "for train contain the class 3, and its model has 3 outputs.*from 0"),
        ("negative", "for train contain the class -1, and its model has 3 outputs.*as many"),
        ("each_sample", r"loss has the shape \(2,\) for a batch of 2 samples.*loss\.mean\(\)"),
        ("a_number", "loss returns float; it must return a scalar tensor"),
        ("doubles", r"inputs are float64 and its model's weights float32.*\.to\(torch\.float32\)"),
        ("failing", r"KeyError: 'token_type_ids'$"),  # of which types are not the reason
        ("copied", ""),
        ("frozen", ""),
        ("converted", ""),
    ],
)
def test_what_shows_when_a_task_is_tried_is_named_in_one_line(
    tmp_path: Path, function: str, said: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(TRIED)
    reference = registry.refer(f"{file}:{function}")
    if not said:
        assert workers.probe(reference, 0) > 0
        return
    with pytest.raises(StudyError, match=said) as caught:
        workers.probe(reference, 0)
    assert "\n" not in str(caught.value)


class MissingValues(nn.Linear):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return super().forward(inputs.nan_to_num())


def test_inputs_that_are_missing_are_for_the_model_to_take() -> None:
    samples = (INPUTS.index_fill(0, CLASSES[:2], torch.nan), CLASSES)
    made = replace(task(model=MissingValues(3, 3)), train=samples)
    requirements.check("mine", made)
    assert made.model.training


def test_a_sound_task_passes() -> None:
    requirements.check("mine", task())
    requirements.check("mine", task(torch.randn(6, 3), loss=squared, error=squared))


def test_a_function_without_a_seed_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "my_file.py"
    file.write_text("def mine():\n    return None\n")
    words = ["map", "--task", f"{file}:mine", "--lr", "1e-3", "--weight-decay", "0"]
    done = CliRunner().invoke(main, [*words, "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "takes no seed: define it with one argument, the seed" in done.output
