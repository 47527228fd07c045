"""What a task is: data, a model, a loss and an error, all from one seed.

A user's own task is one function `seed -> Task` in one file, given to the command line as
`--task file.py:function`. The study calls it once per cell, with the random numbers of torch, NumPy
and Python seeded beforehand; expensive loading belongs behind `functools.cache`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    Samples = tuple[Any, Tensor]  # inputs as unyoke.population.inputs has them
    PerBatch = Callable[[Any, Tensor], Tensor]


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy of class scores [n, classes] and class numbers [n].

    log Σ exp(o) − o_target: torch's log_softmax takes three times as long for a few classes.
    """
    scores = outputs.gather(1, targets.unsqueeze(1)).squeeze(1)
    return (outputs.logsumexp(dim=1) - scores).mean()


def misclassified(outputs: Tensor, targets: Tensor) -> Tensor:
    """1 for each sample whose highest score is at the wrong class, else 0; shape [n]."""
    return (outputs.argmax(dim=-1) != targets).float()


@dataclass(frozen=True)
class Task:
    """Everything that one training needs, drawn from one seed.

    Attributes:
        model: a fresh model, its weights drawn from the seed.
        train, validation, test: inputs and targets, the first dimension counting samples. Inputs
            are a tensor for ``model(x)``, a tuple of tensors for ``model(*inputs)`` or a dict of
            them for ``model(**inputs)``. Or batches of these, such as a DataLoader, which are
            read once and joined. A cell is chosen by its validation error and reported by its test
            error.
        batch_size: samples per update; where `train` is batches, their size.
        loss: (outputs, targets) to the scalar that is minimised.
        error: (outputs, targets) to one error per sample, shape [n]. Per sample, so that the
            study can say how far the mean is known.
        error_unit: "%" where errors are shares, shown as percentages; else a unit that is shown
            after the number, or nothing.
    """

    model: nn.Module
    train: Samples | Any
    validation: Samples | Any
    test: Samples | Any
    batch_size: int = 32
    loss: PerBatch = cross_entropy
    error: PerBatch = misclassified
    error_unit: str = "%"
