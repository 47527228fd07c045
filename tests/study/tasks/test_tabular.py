"""The tables that scikit-learn ships: sizes, scaling, and errors that mean something."""

from __future__ import annotations

import pytest
import torch
from sklearn import datasets

from unyoke.study import Task
from unyoke.study.tasks.tabular import breast_cancer, diabetes
from unyoke.study.training.training import evaluate


@pytest.mark.parametrize(
    ("task", "sizes"), [(breast_cancer, [100, 200, 269]), (diabetes, [100, 150, 192])]
)
def test_samples_are_scaled_by_the_training_part_and_none_is_used_twice(
    task: object, sizes: list[int]
) -> None:
    assert callable(task)
    made: Task = task(0)
    parts = [made.train, made.validation, made.test]
    assert [len(targets) for _, targets in parts] == sizes
    everything = torch.cat([inputs for inputs, _ in parts])
    assert len({tuple(row) for row in everything.tolist()}) == sum(sizes)
    columns = made.train[0].shape[1]
    torch.testing.assert_close(made.train[0].mean(dim=0), torch.zeros(columns), atol=1e-5, rtol=0)
    torch.testing.assert_close(made.train[0].std(dim=0), torch.ones(columns))
    again, other = task(0), task(1)
    assert torch.equal(made.test[0], again.test[0])
    assert not torch.equal(made.test[1], other.test[1])
    weights, same, differ = (next(t.model.parameters()) for t in (made, again, other))
    assert torch.equal(weights, same)
    assert not torch.equal(weights, differ)


def test_the_classes_are_scikit_learns() -> None:
    made = breast_cancer(0)
    targets = torch.cat([made.train[1], made.validation[1], made.test[1]])
    assert targets.bincount().tolist() == [212, 357]
    assert datasets.load_breast_cancer().target_names[1] == "benign"


def test_the_error_of_diabetes_is_a_share_of_the_variance() -> None:
    made = diabetes(0)
    for parameter in made.model.parameters():
        torch.nn.init.zeros_(parameter)  # the model now answers with the mean
    loss, error, *_ = evaluate(made, made.train)
    assert error == pytest.approx(0.99)  # the variance divides by n − 1
    assert loss == pytest.approx(error)
    assert made.error(made.model(made.test[0]), made.test[1]).shape == (192,)
