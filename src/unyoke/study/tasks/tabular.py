"""Small tables that scikit-learn ships: breast cancer (two classes) and diabetes (a number).

Few samples are for training, so that a network learns them by heart and regularization matters.
Columns are scaled by the mean and the standard deviation of the training samples. The split is the
same for every seed; the seed draws the initial weights and the order of the batches.
"""

from __future__ import annotations

from collections.abc import Callable
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
    train, validation, test = _parts(shipped.breast_cancer, 100, 200, classes=True)
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(30, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2))
    return Task(model, train, validation, test, batch_size=BATCH_SIZE)


def diabetes(seed: int) -> Task:
    """442 patients, 10 measurements, the disease a year later: 100 train, 150 choose, 192 report.

    The error is the squared error as a share of the variance of the training targets: 100 % is
    what their mean achieves.
    """
    train, validation, test = _parts(shipped.diabetes, 100, 150, classes=False)
    torch.manual_seed(seed)
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
def _parts(
    read: Callable[[], tuple[shipped.Numbers, shipped.Numbers]],
    training: int,
    validation: int,
    *,
    classes: bool,
) -> tuple[Samples, Samples, Samples]:
    inputs, targets = read()
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(0))
    columns = _scaled(torch.tensor(inputs)[order], training)
    answers = torch.tensor(targets)[order]
    answers = answers.long() if classes else _scaled(answers, training)
    bounds = [training, training + validation]
    first, second, third = zip(
        columns.tensor_split(bounds), answers.tensor_split(bounds), strict=True
    )
    return first, second, third


def _scaled(values: Tensor, training: int) -> Tensor:
    """Mean 0 and standard deviation 1 over the first `training` rows."""
    known = values[:training]
    return ((values - known.mean(dim=0)) / known.std(dim=0)).float()
