"""What the two ways of training a population have in common."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from unyoke.optimizer import Optimizer
from unyoke.population.dropout import KeyedDropout
from unyoke.population.generators import left_alone, seed_all
from unyoke.population.inputs import Inputs, called, taken
from unyoke.population.models import Models, Named
from unyoke.population.settings import Rates, Settings

Loss = Callable[[Any, Tensor], Tensor]


class UnstackableError(ValueError):
    """The models cannot be trained as one program; the message says why."""


@dataclass(frozen=True)
class Blueprint:
    """What all models share.

    Attributes:
        pattern: a module whose weights do not matter.
        settings: of each model.
        loss: ``(outputs, targets)`` → the scalar to minimise.
        optimizer: a class or function of this library, ``(params, lr=, weight_decay=, …)``.
        options: more keywords for it.
        clip_norm: largest norm of each model's gradient, or None.
    """

    pattern: nn.Module
    settings: Settings
    loss: Loss
    optimizer: Callable[..., Optimizer]
    options: Mapping[str, Any]
    clip_norm: float | None
    loss_limit: float


@dataclass(frozen=True)
class Batch:
    """The samples of one update.

    Attributes:
        inputs, targets: [B, …] for all models, or [A, B, …] for each of the active ones.
        per_model: whether they have that first dimension.
        update: the number of updates made before.
        keys: of the dropout masks, one per active model.
        random: whether the model draws random numbers other than dropout's.
    """

    inputs: Inputs
    targets: Tensor
    per_model: bool
    update: int
    keys: Tensor
    random: bool

    def of(self, position: int | Tensor) -> tuple[Inputs, Tensor]:
        """The samples of one of the active models, or of several by an index tensor."""
        if not self.per_model:
            return self.inputs, self.targets
        return taken(self.inputs, position), taken(self.targets, position)

    def only(self, positions: Sequence[int]) -> Batch:
        """The samples of some of the active models."""
        index = torch.tensor(positions, dtype=torch.int64)

        inputs, targets = self.of(index)
        return replace(self, inputs=inputs, targets=targets, keys=taken(self.keys, index))

    @property
    def rng_devices(self) -> list[torch.device]:
        """The devices beside the CPU whose random numbers must be put back."""
        device = self.targets.device
        return [] if device.type == "cpu" else [device]

    @contextmanager
    def drawing(self, position: int) -> Iterator[None]:
        """Models that draw do so by a model's key; the generators are put back at the end."""
        with left_alone(self.rng_devices, enabled=self.random):
            if self.random:
                seed_all(int(self.keys[position]))
            yield


class Engine(ABC):
    """Holds the models of a population and makes the updates of those that are active.

    One update is :meth:`gradients`, then perhaps :meth:`keep`, then :meth:`apply`.
    """

    name: str
    rows: list[int]
    """The active models, ascending."""

    def __init__(self, blueprint: Blueprint, models: Models, rows: Sequence[int]) -> None:
        self.blueprint = blueprint
        self.rows = list(rows)
        self.rates = Rates(blueprint.settings, self.rows)

    @abstractmethod
    def gradients(self, batch: Batch) -> Tensor:
        """The losses of the active models, [A]; keeps their gradients.

        Raises:
            UnstackableError: it cannot be done in this way; nothing is changed.
        """

    @abstractmethod
    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these of the active models.

        The others stay as they were before the last :meth:`gradients`, if :meth:`apply` has not
        been called since.
        """

    @abstractmethod
    def apply(self, update: int) -> None:
        """Clip, and step the active models with their gradients and their rates at ``update``."""

    @abstractmethod
    def finite(self) -> Tensor:
        """Whether all weights of an active model are finite, [A]."""

    @abstractmethod
    def models(self) -> Models:
        """All K models as they are now; may share memory with the engine."""

    @abstractmethod
    def to_evaluate(self) -> Models:
        """The same with the weights to evaluate, where those are not the ones that are trained."""

    @abstractmethod
    def outputs(self, inputs: Inputs, rows: Sequence[int]) -> Any:
        """What these models in evaluation mode give for the same inputs, [len(rows), …].

        A tensor, or what the model returns of tuples and dicts of tensors.
        """

    def _call(self, model: Callable[..., Any], inputs: Inputs, targets: Tensor, key: Tensor) -> Any:
        """The loss of one model."""
        with KeyedDropout(key):
            return self.blueprint.loss(called(model, inputs), targets)

    def _optimizer(self, weights: Named, lr: Any, weight_decay: Any) -> Optimizer:
        """An optimizer with its state; where λ comes from is the population's business."""
        blueprint = self.blueprint
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*weight_decay", category=UserWarning)
            optimizer: Optimizer = blueprint.optimizer(
                list(weights.values()), lr=lr, weight_decay=weight_decay, **blueprint.options
            )
        if isinstance(optimizer, Optimizer):  # trained one by one, it may be somebody else's
            optimizer.init_state()  # populations copy it about from their first update on
        return optimizer


@contextmanager
def to_evaluate(optimizer: object) -> Iterator[None]:
    """With the weights to evaluate in place, where those are not the ones that are trained."""
    if not isinstance(optimizer, Optimizer):  # somebody else's
        yield
        return
    optimizer.eval()
    try:
        yield
    finally:
        optimizer.train()


def put_state(optimizer: Optimizer, named: Named, saved: Mapping[str, Named], row: Any) -> None:
    """Write saved state into an optimizer; ``row`` chooses from the first dimension of all of it.

    Args:
        named: the optimizer's parameters by name.
        saved: by parameter name, as :attr:`Models.state`.
        row: a number for one model, an index tensor for stacked parameters.
    """
    for name, weight in named.items():
        for key, value in saved.get(name, {}).items():
            target = optimizer.state[weight][key]
            chosen = value[row]
            target.copy_(chosen if target.shape == chosen.shape else chosen[0])
