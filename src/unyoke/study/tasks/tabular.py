"""Small tables that scikit-learn ships: breast cancer (two classes) and diabetes (a number).

Few samples are for training, so that a network learns them by heart and regularization matters.
Columns are scaled by the mean and the standard deviation of the training samples. The seed draws
the split, the initial weights and the order of the batches.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from unyoke.study.tasks import shipped
from unyoke.study.tasks.task import Task

if TYPE_CHECKING:
    from unyoke.study.tasks.task import Samples

HIDDEN = 64
BATCH_SIZE = 25


def breast_cancer(seed: int) -> Task:
    """569 tumours, 30 measurements, malignant or benign: 100 train, 200 choose, 269 report."""
    torch.manual_seed(seed)
    train, validation, test = _divided(*_classes(), 100, 200)
    model = nn.Sequential(nn.Linear(30, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2))
    return Task(model, train, validation, test, batch_size=BATCH_SIZE)


def diabetes(seed: int) -> Task:
    """442 patients, 10 measurements, the disease a year later: 100 train, 150 choose, 192 report.

    The error is the squared error as a share of the variance of the training targets: 100 % is
    what their mean achieves.
    """
    torch.manual_seed(seed)
    train, validation, test = _divided(*_numbers(), 100, 150)
    model = nn.Sequential(
        nn.Linear(10, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1), nn.Flatten(start_dim=0)
    )
    return Task(
        model,
        train,
        validation,
        test,
        batch_size=BATCH_SIZE,
        loss=nn.functional.mse_loss,
        error=squared_error,
    )


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """The squared error of each sample, shape [n]."""
    return (outputs - targets) ** 2


@cache
def _classes() -> tuple[Tensor, Tensor]:
    inputs, targets = shipped.breast_cancer()
    return torch.tensor(inputs), torch.tensor(targets).long()


@cache
def _numbers() -> tuple[Tensor, Tensor]:
    inputs, targets = shipped.diabetes()
    return torch.tensor(inputs), torch.tensor(targets)


def _divided(
    inputs: Tensor, targets: Tensor, training: int, validation: int
) -> tuple[Samples, Samples, Samples]:
    """A drawn split, with numbers scaled by the samples that train; classes stay."""
    order = torch.randperm(len(targets))
    columns, answers = _scaled(inputs[order], training), targets[order]
    if answers.is_floating_point():
        answers = _scaled(answers, training)
    bounds = [training, training + validation]
    first, second, third = zip(
        columns.tensor_split(bounds), answers.tensor_split(bounds), strict=True
    )
    return first, second, third


def _scaled(values: Tensor, training: int) -> Tensor:
    """Mean 0 and standard deviation 1 over the first `training` rows."""
    known = values[:training]
    return ((values - known.mean(dim=0)) / known.std(dim=0)).float()
