"""unyoke in Hugging Face's Trainer."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch

import unyoke
from unyoke.schedules import Schedule


def trainer(
    base: type[Any] | None = None,
    *,
    optimizer: Callable[..., Any] = unyoke.AdamW,
    schedule: Callable[[int], Schedule] = unyoke.schedules.cosine,
    weight_decay: float | None = None,
    **options: Any,
) -> type[Any]:
    """A Trainer whose optimizer is unyoke's, and whose schedule is in it.

    The optimizer has ``groups.split(model)``'s groups, the arguments' ``learning_rate`` as its
    peak, and after the arguments' warmup the schedule over the updates that the Trainer counts. The
    Trainer's scheduler only reports what the optimizer does. So a checkpoint restores both.

    Args:
        base: the class to extend; transformers' Trainer by default.
        optimizer: makes the optimizer of ``(groups, lr=, schedule=, **options)``.
        schedule: makes the schedule after the warmup of a number of updates.
        weight_decay: λ, per update. By default the arguments' ``weight_decay``, which is torch's
            number there, times their ``learning_rate``.
        options: of the optimizer.

    Raises:
        ImportError: transformers is not installed.
    """
    base = base or importlib.import_module("transformers").Trainer

    def create_optimizer(self: Any, model: Any = None) -> Any:
        if self.optimizer is None:
            steps, arguments = self.state.max_steps, self.args
            if steps < 1:
                raise ValueError("the Trainer does not know yet how many updates it will make")
            lr = arguments.learning_rate
            decay = lr * arguments.weight_decay if weight_decay is None else weight_decay
            climb = arguments.get_warmup_steps(steps)
            eta = unyoke.schedules.warmup(climb, then=schedule(max(1, steps - climb)))
            groups = unyoke.groups.split(self.model if model is None else model, weight_decay=decay)
            self.optimizer = optimizer(groups, lr=lr, schedule=eta, **options)
        return self.optimizer

    def create_scheduler(self: Any, num_training_steps: int, optimizer: Any = None) -> Any:
        if self.lr_scheduler is None:
            made = self.optimizer if optimizer is None else optimizer
            self.lr_scheduler = unyoke.schedules.follow(made)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    members = {"create_optimizer": create_optimizer, "create_scheduler": create_scheduler}
    return type(f"Unyoke{base.__name__}", (base,), {**members, "__doc__": trainer.__doc__})


def optimizers(
    model: torch.nn.Module,
    *,
    lr: float,
    weight_decay: float,
    schedule: Schedule,
    optimizer: Callable[..., Any] = unyoke.AdamW,
    **options: Any,
) -> tuple[Any, Any]:
    """An optimizer and a scheduler that follows it, for ``Trainer(optimizers=…)``.

    Args:
        model: the Trainer's.
        lr: the peak of the learning rate.
        weight_decay: λ, per update.
        schedule: of the optimizer, over as many updates as the Trainer will make.
        optimizer: makes the optimizer of ``(groups, lr=, schedule=, **options)``.
        options: of the optimizer.

    >>> model = torch.nn.Linear(2, 2)
    >>> cosine = unyoke.schedules.cosine(100)
    >>> made, scheduler = optimizers(model, lr=1e-3, weight_decay=1e-5, schedule=cosine)
    >>> [len(group["params"]) for group in made.param_groups], scheduler.get_last_lr()
    ([1, 1], [0.001, 0.001])
    """
    groups = unyoke.groups.split(model, weight_decay=weight_decay)
    made = optimizer(groups, lr=lr, schedule=schedule, **options)
    return made, unyoke.schedules.follow(made)
