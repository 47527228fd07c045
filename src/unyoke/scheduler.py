"""A scheduler of torch's kind for frameworks that insist on one; it follows ``schedule=``."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler

from unyoke._support.wrappers import inner_optimizer


class follow(LRScheduler):
    """A scheduler that only reports what ``schedule=`` of the optimizer does, and sets nothing.

    For frameworks that make a scheduler if they are given none (Hugging Face's Trainer) or that
    step one in their own rhythm (Accelerate): how often ``step()`` is called changes nothing. The
    number of updates is in the optimizer's checkpoint; this one's is only loaded for its counters.

    Args:
        optimizer: one with ``schedule=``; a framework may have wrapped it.

    Raises:
        ValueError: the optimizer has no schedule to follow.

    >>> import unyoke
    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> optimizer = unyoke.AdamW([weight], lr=0.1, schedule=unyoke.schedules.cosine(2))
    >>> scheduler = unyoke.schedules.follow(optimizer)
    >>> weight.grad = torch.ones(1)
    >>> optimizer.step()
    >>> scheduler.step()
    >>> [round(lr, 3) for lr in scheduler.get_last_lr()]
    [0.05]
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        # LRScheduler's own would wrap optimizer.step to count its calls, and write initial_lr
        inside = inner_optimizer(optimizer)
        if getattr(inside, "schedule", None) is None:
            raise ValueError(
                f"follow: {type(inside).__name__} has no schedule to follow: give schedule= to an "
                "optimizer of unyoke, or use a scheduler of torch"
            )
        self.optimizer = optimizer
        self._step_count = 1
        self._look()

    def step(self, epoch: int | None = None) -> None:
        """Look where the optimizer stands; ``epoch`` is for torch's interface only."""
        self._step_count += 1
        self._look()

    def get_lr(self) -> list[float | torch.Tensor]:
        """The groups' α·η_t of the coming update."""
        rates = [group["lr"] for group in self.optimizer.param_groups]
        return [lr.clone() if isinstance(lr, torch.Tensor) else lr for lr in rates]

    def get_last_lr(self) -> list[float | torch.Tensor]:
        """The groups' α·η_t of the coming update, without waiting for ``step()``."""
        return self.get_lr()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the counters of a checkpoint; the optimizer's own decides where it stands."""
        self._step_count = int(state_dict.get("_step_count", self._step_count))
        self._look()

    def _look(self) -> None:
        groups = self.optimizer.param_groups
        self.last_epoch = groups[0]["updates"]
        self.base_lrs = [group["base_lr"] for group in groups]
        self._last_lr = self.get_lr()
