"""unyoke in Lightning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import unyoke
from unyoke.monitoring.callbacks import lightning_callback as monitor
from unyoke.schedules import Schedule

__all__ = ["configure", "monitor"]


def configure(
    module: Any,
    *,
    lr: float,
    weight_decay: float | None = None,
    total_decay: float | None = None,
    optimizer: Callable[..., Any] = unyoke.AdamW,
    schedule: Callable[[int], Schedule] = unyoke.schedules.cosine,
    **options: Any,
) -> Any:
    """The optimizer of a LightningModule: what ``configure_optimizers`` returns.

    Its groups are ``groups.split(module)``'s, and its schedule runs over the updates that the
    trainer expects (``trainer.estimated_stepping_batches``); there is no scheduler to return.

    Args:
        module: the LightningModule, attached to its trainer.
        lr: the peak of the learning rate.
        weight_decay: λ, per update; or, instead,
        total_decay: the decay of the whole run, Σηλ.
        optimizer: makes the optimizer of ``(groups, lr=, schedule=, **options)``.
        schedule: makes the schedule of a number of updates.
        options: of the optimizer.

    Raises:
        ValueError: both or neither of weight_decay and total_decay; or the trainer does not know
            how long the run is.
    """
    if (weight_decay is None) == (total_decay is None):
        raise ValueError("configure: give either weight_decay= (λ, per update) or total_decay=")
    updates = module.trainer.estimated_stepping_batches
    if not 0 < updates < float("inf"):
        raise ValueError(
            f"configure: the trainer expects {updates} updates; give it max_epochs or max_steps, "
            "or make the optimizer yourself with schedule="
        )
    eta = schedule(int(updates))
    if weight_decay is None:
        assert total_decay is not None
        weight_decay = unyoke.total_decay(total_decay, schedule=eta)
    groups = unyoke.groups.split(module, weight_decay=weight_decay)
    return optimizer(groups, lr=lr, schedule=eta, **options)
