"""In which units an optimizer's α and λ are: what decides its usual axes, and is found by trying.

So a new direction or decay, somebody's own included, has usual axes as soon as it exists.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import torch

import unyoke
from unyoke.equation import Decay, Direction, per_update

UPDATES = 20
"""Enough for averages to begin and for RAdam to know its denominator."""

Steps = Literal["rate", "gradient"]
Strength = Literal["penalty", "per update"]


@cache
def size_of_steps(direction: Direction) -> Steps | None:
    """What a step is as large as: α (``"rate"``), or α times the gradient (``"gradient"``).

    None where it is neither, as in LARS, whose steps are a thousandth of the weights.
    """
    small, large = _last_step(direction, 1.0), _last_step(direction, 16.0)
    if not 0.01 < small < 10.0:  # RAdam's last step is 0.02 α, that of RMSprop with momentum 7 α
        return None
    if 0.9 < large / small < 1.1:
        return "rate"
    return "gradient" if 14.0 < large / small < 18.0 else None


def _last_step(direction: Direction, scale: float) -> float:
    """Root mean square of the last step over α, under drawn gradients of this size."""
    lr, generator = 1e-3, torch.Generator().manual_seed(0)
    drawn = torch.randn(UPDATES + 1, 4, 4, generator=generator, dtype=torch.float64)
    weight = torch.nn.Parameter(drawn[0].clone())
    optimizer = unyoke.Optimizer(
        [weight], lr=lr, weight_decay=0.0, direction=direction, decay="none", backend="eager"
    )
    before = drawn[0]
    for gradient in drawn[1:]:
        before = weight.detach().clone()
        weight.grad = scale * gradient
        optimizer.step()
    return float((weight.detach() - before).square().mean().sqrt()) / lr


def unit_of_decay(decay: Decay) -> Strength | None:
    """What λ is: that of an L2 penalty, or the paper's, per update; None for anything else."""
    if decay.kind in ("none", "penalty", "moment_penalty"):
        return "penalty"
    return "per update" if decay.kind == "pull" and decay.strength is per_update else None
