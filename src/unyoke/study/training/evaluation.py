"""Mean loss and error over samples: of one model, or of many that were trained together."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from unyoke.population.generators import seed_all
from unyoke.population.inputs import Inputs, called, leaves, mapped, taken
from unyoke.study.tasks.task import Task

if TYPE_CHECKING:
    from unyoke.population import Population
    from unyoke.study.tasks.task import PerBatch, Samples

_NUMBERS = 2**19
"""Numbers in the inputs that are evaluated at once; large samples would fill the memory."""

_TARGETS = 4096
"""Targets, counted for each model, that are evaluated at once: activations stay in the cache."""

_WEIGHTS = 2**18
"""Weights of the models that are evaluated at once, which stay in the cache with them."""


class Figures(NamedTuple):
    """Means over samples.

    Attributes:
        loss: NaN where it was not wanted.
        error: NaN where an output is not a finite number.
        standard_error: of the mean error.
        mistakes: which samples have the error 1, if all have 0 or 1: a bit for each, the first
            sample's the highest of the first byte. None of other errors, and where not wanted.
    """

    loss: float
    error: float
    standard_error: float
    mistakes: bytes | None = None


def evaluate(task: Task, samples: Samples) -> Figures:
    """The figures of the task's own model, in evaluation mode, with the loss."""
    training = task.model.training
    task.model.eval()
    with torch.no_grad():

        def predict(inputs: Inputs) -> Any:
            return mapped(lambda x: x[None], called(task.model, inputs))

        found = _figures(predict, task, samples, 1, _in_turn, loss=True, mistakes=True)
    task.model.train(training)
    return found[0]


class Evaluation:
    """Evaluates the models of a population, many in one call where the task's functions allow it.

    Loss and error are written for one model. They are tried on the stacked outputs of two models
    first, and called model by model if they fail there or mean something else.
    """

    def __init__(self, population: Population, task: Task) -> None:
        self._population = population
        self._task = task
        self._each: _Each | None = None
        weights = sum(weight.numel() for weight in task.model.parameters())
        self._together = min(16, max(1, _WEIGHTS // max(1, weights)))

    def __call__(
        self,
        models: Sequence[int],
        samples: Samples,
        *,
        loss: bool = False,
        mistakes: bool = False,
    ) -> list[Figures]:
        """The figures of these models; the loss and the mistakes if they are wanted."""
        stacked = self._population.engine == "stacked"
        together = self._together if stacked else 1
        each = self._each_way(models, samples) if stacked else _in_turn
        found: list[Figures] = []
        for start in range(0, len(models), together):
            group = models[start : start + together]

            def predict(inputs: Inputs, group: Sequence[int] = group) -> Any:
                return self._population.predict(inputs, group)

            seed_all(0)  # a metric that draws random numbers draws the same for every model
            with torch.no_grad():
                found += _figures(
                    predict,
                    self._task,
                    samples,
                    len(group),
                    each,
                    loss=loss,
                    mistakes=mistakes,
                )
        return found

    def _each_way(self, models: Sequence[int], samples: Samples) -> _Each:
        if self._each is None:
            inputs, targets = taken(samples, slice(8))
            outputs = self._population.predict(inputs, models[:2])
            functions = (self._task.loss, self._task.error)
            same = all(_means_the_same(function, outputs, targets) for function in functions)
            self._each = _at_once if same else _in_turn
        return self._each


_Each = Callable[["PerBatch", Any, Tensor], Tensor]


def _at_once(function: PerBatch, outputs: Any, targets: Tensor) -> Tensor:
    return vmap(function, in_dims=(0, None))(outputs, targets)


def _in_turn(function: PerBatch, outputs: Any, targets: Tensor) -> Tensor:
    models = range(len(leaves(outputs)[0]))
    return torch.stack([function(taken(outputs, model), targets) for model in models])


def _means_the_same(function: PerBatch, outputs: Any, targets: Tensor) -> bool:
    expected = _in_turn(function, outputs, targets)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # torch warns of what it would run in a loop
            found = _at_once(function, outputs, targets)
    except Exception:  # whatever torch.func cannot do has just been done in turn
        return False
    return found.shape == expected.shape and torch.allclose(
        found.double(), expected.double(), rtol=1e-4, atol=1e-6, equal_nan=True
    )


def _figures(
    predict: Callable[[Inputs], Any],
    task: Task,
    samples: Samples,
    models: int,
    each: _Each,
    *,
    loss: bool,
    mistakes: bool,
) -> list[Figures]:
    """Of models whose outputs for some inputs `predict` gives as [models, n, …]."""
    inputs, targets = samples
    numbers = models * max(1, sum(each[0].numel() for each in leaves(inputs)))
    answers = models * max(1, targets[0].numel())  # a text has one for each character
    size = max(1, min(_TARGETS // answers, _NUMBERS // numbers))
    losses = torch.full((models,), 0.0 if loss else math.nan, dtype=torch.float64)
    finite = torch.ones(models, dtype=torch.bool)
    errors = []
    for part in (slice(start, start + size) for start in range(0, len(targets), size)):
        outputs = predict(taken(inputs, part))
        for each_output in leaves(outputs):
            finite &= each_output.isfinite().reshape(models, -1).all(dim=1).cpu()
        errors.append(each(task.error, outputs, targets[part]).double().cpu())
        if loss:
            share = len(targets[part]) / len(targets)
            losses += share * each(task.loss, outputs, targets[part]).double().cpu()
    error = torch.cat(errors, dim=1)
    spread = error.std(dim=1) if len(targets) > 1 else torch.zeros(models)
    mean = torch.where(finite, error.mean(dim=1), math.nan)
    columns = (losses, mean, spread / math.sqrt(len(targets)))
    bits = _packed(error) if mistakes else [None] * models
    found = zip(*torch.stack(columns).tolist(), bits, strict=True)
    return list(itertools.starmap(Figures, found))


def _packed(errors: Tensor) -> list[bytes | None]:
    """The errors [models, n] of each model in bits, None of a model with others than 0 and 1."""
    wrong = errors == 1
    whole = (wrong | (errors == 0)).all(dim=1).tolist()
    packed = np.packbits(wrong.numpy(), axis=1)
    return [row.tobytes() if known else None for row, known in zip(packed, whole, strict=True)]
