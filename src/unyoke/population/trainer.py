"""The population: K models, their settings, and the loop around an engine."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from unyoke.optimizer import Optimizer
from unyoke.optimizers import AdamW
from unyoke.population import checkpoints, settings
from unyoke.population.choice import ENGINES, Choice, choose
from unyoke.population.dropout import keys
from unyoke.population.engine import Batch, Blueprint, Engine, Loss
from unyoke.population.inputs import Inputs, taken
from unyoke.population.models import Models, Progress, load_row, make
from unyoke.population.order import BatchOrder
from unyoke.population.settings import OneWeightDecay
from unyoke.schedules import Schedule

LOOK = 32
"""Weights are looked at for numbers that are not finite after so many updates, and at the end."""


class Population:
    """K models of one architecture, trained together, each with its own settings.

    Model k is what training it alone with its settings gives, up to the rounding of sums (the
    stated tolerance: docs/population.md), whatever other models there are. Settings given once hold
    for all models; lists or [K] tensors give one per model. A model stops for good, its weights,
    its buffers and its optimizer's state untouched from then on, when its budget is used up, when
    its lr is 0, or when it diverges.

    Args:
        model_factory: makes one module; called without arguments once for each different seed,
            with the random numbers of torch, NumPy and Python seeded.
        lr: α ≥ 0 of each model.
        weight_decay: λ ≥ 0 of each model, per update, not multiplied by lr (see
            :class:`unyoke.Optimizer`); numbers, :func:`unyoke.normalized` or functions of t.
        seeds: of initial weights, order of batches and dropout.
        optimizer: a class of :mod:`unyoke.optimizers`, or a function with its signature. Groups
            whose lr or weight decay is a multiple of what was given stay so one by one; those
            with ``"decays": False`` keep their weight decay.
        schedule: t → η_t, from :mod:`unyoke.schedules`.
        updates: budget; by default the schedule's, if it has one.
        loss: ``(outputs, targets)`` → the scalar to minimise.
        clip_norm: the largest norm of each model's own gradient, over all its parameters.
        loss_limit: a loss above this many times max(1, the model's smallest loss so far) counts
            as diverged, as one that is not finite does.
        engine: ``"stacked"`` trains the models as one program, ``"one_by_one"`` in a loop,
            ``"auto"`` tries both at the first update and takes the faster one that can do it.
        options: more keywords for the optimizer, such as ``betas`` or ``decay``.

    Raises:
        ValueError: settings of different lengths or out of range, or models of two architectures.
        TypeError: the factory makes no module, or the optimizer does not know an option.

    >>> import torch, unyoke
    >>> from unyoke.population import Population
    >>> inputs, targets = torch.randn(64, 8), torch.randint(0, 3, (64,))
    >>> population = Population(
    ...     lambda: torch.nn.Linear(8, 3),
    ...     lr=torch.tensor([1e-3, 1e-2, 1e-1]),
    ...     weight_decay=1e-4,
    ...     schedule=unyoke.schedules.cosine(20),
    ... )
    >>> population.train(inputs, targets, batch_size=16).shape
    torch.Size([3])
    >>> population.done, population.updates.tolist()
    (True, [20, 20, 20])
    >>> population.model(1)
    Linear(in_features=8, out_features=3, bias=True)
    """

    def __init__(
        self,
        model_factory: Callable[[], nn.Module],
        lr: float | Tensor | Sequence[float] = 1e-3,
        weight_decay: OneWeightDecay | Tensor | Sequence[OneWeightDecay] = 1e-5,
        *,
        seeds: int | Tensor | Sequence[int] = 0,
        optimizer: Callable[..., Optimizer] = AdamW,
        schedule: Schedule | Sequence[Schedule | None] | None = None,
        updates: int | Tensor | Sequence[int | None] | None = None,
        loss: Loss = functional.cross_entropy,
        clip_norm: float | None = None,
        loss_limit: float = math.inf,
        engine: str = "auto",
        **options: Any,
    ) -> None:
        if engine != "auto" and engine not in ENGINES:
            raise ValueError(f"unknown engine {engine!r}: there are auto, {', '.join(ENGINES)}")
        for name, value in (("clip_norm", clip_norm), ("loss_limit", loss_limit)):
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0, not {value!r}")
        self.settings = settings.read(lr, weight_decay, seeds, schedule, updates)
        pattern, self._models = make(model_factory, self.settings.seeds)
        self._blueprint = Blueprint(
            pattern, self.settings, loss, optimizer, options, clip_norm, loss_limit
        )
        self._one_by_one(self._models.rows([0]))  # lets the optimizer object to its options now
        self._asked = engine
        self._choice: Choice | None = None
        self._engine: Engine | None = None
        rows = [row for row in range(len(self)) if self.settings.begins(row)]
        self._at = Progress.at_first(len(self), rows)
        self._order: tuple[tuple[int, int], BatchOrder] | None = None

    def _one_by_one(self, models: Models) -> Engine:
        """An engine that has these models and trains none of them."""
        return ENGINES["one_by_one"](self._blueprint, models, [])

    def __len__(self) -> int:
        return len(self.settings)

    @property
    def updates(self) -> Tensor:
        """Updates made by each model, [K]."""
        return self._at.made.clone()

    @property
    def losses(self) -> Tensor:
        """Each model's loss at its last update, before that update, [K] float64; NaN without."""
        return self._at.losses.clone()

    @property
    def active(self) -> Tensor:
        """Which models still train, [K] bool."""
        active = torch.zeros(len(self), dtype=torch.bool)
        active[self._at.active] = True
        return active

    @property
    def diverged(self) -> dict[int, int]:
        """Diverged models: number → the update at which it was found, 1 for the first.

        The loss of that update was not finite or above ``loss_limit``, and the update was not made;
        or the weights after it were not finite.
        """
        return dict(self._at.diverged)

    @property
    def done(self) -> bool:
        """Whether no model trains any more."""
        return not self._at.active

    @property
    def engine(self) -> str:
        """What trains the models; under ``"auto"`` known after the first update."""
        return self._choice.engine if self._choice else self._asked

    @property
    def reason(self) -> str:
        """Why that engine."""
        return self._choice.reason if self._choice else "not chosen before the first update"

    @property
    def draws(self) -> bool:
        """Whether the models draw random numbers other than dropout's; known as ``engine`` is.

        In a stack such numbers depend on which models share it.
        """
        return self._choice is not None and self._choice.random

    # Training

    def step(self, inputs: Inputs, targets: Tensor, indices: Tensor | None = None) -> Tensor:
        """One update of every active model.

        Args:
            inputs: x [N, …] for ``model(x)``; a tuple of such tensors for ``model(*inputs)``; a
                dict of them for ``model(**inputs)``. Tuples and dicts may hold each other.
            targets: [N, …].
            indices: which samples are the batch: [B] for all models, or [K, B] for each; all N if
                left out.

        Returns:
            The losses before the update, [K] float64; NaN for models that had stopped before.

        Raises:
            RuntimeError: every model has stopped.
            UnstackableError: at the first update under ``engine="stacked"``, if it cannot be.
        """
        if not self._at.active:
            raise RuntimeError(
                f"all {len(self)} models have stopped ({len(self._at.diverged)} diverged): ask "
                "population.done before population.step"
            )
        batch = self._batch(inputs, targets, indices)
        if self._engine is None:
            batch = self._start(batch)
        assert self._engine is not None
        rows = self._at.active
        found = self._engine.gradients(batch).double().cpu()
        losses = torch.full_like(self._at.losses, math.nan)
        losses[rows] = found
        self._at.losses[rows] = found
        healthy = found.isfinite() & (found <= self._at.limits[rows])
        self.stop(self._note_diverged(healthy, self._at.updates + 1))
        if math.isfinite(self._blueprint.loss_limit):
            bound = self._blueprint.loss_limit * found.clamp(min=1.0)
            self._at.limits[rows] = torch.fmin(self._at.limits[rows], bound)
        if self._at.active:
            self._engine.apply(self._at.updates)
            self._at.made[self._at.active] += 1
        self._at.updates += 1
        self._stop_finished()
        return losses

    def _batch(self, inputs: Inputs, targets: Tensor, indices: Tensor | None) -> Batch:
        per_model = indices is not None and indices.dim() == 2
        if indices is not None:
            if per_model and len(indices) != len(self):
                raise ValueError(f"indices for {len(indices)} models, and there are {len(self)}")
            chosen = indices[self._at.active] if per_model else indices
            inputs = taken(inputs, chosen)
            targets = targets[chosen.to(targets.device)]
        seeds = torch.tensor([self.settings.seeds[row] for row in self._at.active])
        key = keys(seeds, self._at.updates).to(targets.device)
        return Batch(inputs, targets, per_model, self._at.updates, key, self.draws)

    def _start(self, batch: Batch) -> Batch:
        """Choose the engine, and hand it the models."""
        asked = self._choice.engine if self._choice else self._asked
        choice = choose(asked, self._blueprint, self._models, self._at.active, batch)
        self._choice = replace(self._choice or choice, random=choice.random)
        self._engine = ENGINES[choice.engine](self._blueprint, self._models, self._at.active)
        return replace(batch, random=choice.random)

    def _note_diverged(self, healthy: Tensor, update: int) -> set[int]:
        """The active models that are not healthy, recorded as found at an update."""
        pairs = zip(self._at.active, healthy.tolist(), strict=True)
        broken = [row for row, good in pairs if not good]
        self._at.diverged |= dict.fromkeys(broken, update)
        return set(broken)

    def _stop_finished(self) -> None:
        """Stop models whose weights are not finite or whose budget is used up."""
        assert self._engine is not None
        made = self._at.updates
        gone = {row for row in self._at.active if self.settings.budgets[row] == made}
        if gone or made % LOOK == 0:
            gone |= self._note_diverged(self._engine.finite(), made)
        self.stop(gone)

    def train(
        self, inputs: Inputs, targets: Tensor, *, batch_size: int, updates: int | None = None
    ) -> Tensor:
        """Train until every model has stopped, or for so many updates more.

        Each model goes through the samples in the order that its seed draws, see
        :class:`BatchOrder`.

        Returns:
            :attr:`losses`.

        Raises:
            ValueError: ``updates`` is left out and a model has no budget.
        """
        budgets = [self.settings.budgets[row] for row in self._at.active]
        if updates is None and None in budgets:
            raise ValueError(
                f"model {self._at.active[budgets.index(None)]} has no budget: give updates= here "
                "or to the population, or a schedule that has a length"
            )
        end = math.inf if updates is None else self._at.updates + updates
        order = self._batch_order(len(targets), batch_size)
        while self._at.active and self._at.updates < end:
            self.step(inputs, targets, order.at(self._at.updates))
        return self.losses

    def _batch_order(self, samples: int, batch_size: int) -> BatchOrder:
        kind = (samples, batch_size)
        if self._order is None or self._order[0] != kind:
            self._order = kind, BatchOrder(samples, batch_size, self.settings.seeds)
        return self._order[1]

    # Looking at the models

    def predict(self, inputs: Inputs, models: Sequence[int] | None = None) -> Any:
        """What models give for the same inputs, in evaluation mode, [len(models), N, …].

        Where a model returns tuples or dicts of tensors, so does this.

        Args:
            models: their numbers; by default all K.
        """
        rows = list(range(len(self))) if models is None else list(models)
        if not rows or min(rows) < 0 or max(rows) >= len(self):
            raise IndexError(f"there are models 0 to {len(self) - 1}, not {rows}")
        return (self._engine or self._one_by_one(self._models)).outputs(inputs, rows)

    def stop(self, models: Iterable[int]) -> None:
        """Leave these models as they are from now on, as if their budget were used up."""
        stopped = set(models)
        rows = [row for row in self._at.active if row not in stopped]
        if len(rows) < len(self._at.active):
            if self._engine is not None:
                self._engine.keep(rows)
            self._at.active = rows

    def model(self, number: int) -> nn.Module:
        """An ordinary module of its own with one model's buffers and weights, those to evaluate."""
        if not -len(self) <= number < len(self):
            raise IndexError(f"there is no model {number} in a population of {len(self)}")
        module = copy.deepcopy(self._blueprint.pattern)
        models = self._models if self._engine is None else self._engine.to_evaluate()
        return load_row(module, models, number).train()

    def _current(self) -> Models:
        return self._models if self._engine is None else self._engine.models()

    # Checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Everything that a later process needs to go on bit for bit; plain, for weights_only."""
        models = self._current().map(Tensor.clone)
        return checkpoints.write(self._blueprint, self._choice, models, self._at)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where the population that wrote ``state_dict`` was.

        The constructor's functions (factory, loss, optimizer, schedules) must be the same ones.
        The engine is the checkpoint's.

        Raises:
            ValueError: another number of models, other settings or shapes; nothing is changed.
        """
        one = self._one_by_one(self._current().rows([0])).models()
        found = checkpoints.read(self._blueprint, one, state_dict)
        self._choice, self._models, self._at = found
        self._engine = None  # made from these models at the next update
