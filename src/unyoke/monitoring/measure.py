"""Norms and angles of an update, from the weights before and after it.

One copy of the watched weights is made before the update, and is overwritten with the difference
after it; the numbers of all layers wait for the device together, once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.distributed.tensor import DTensor


@dataclass(frozen=True)
class Moved:
    """One weight's update: ‖θ′‖² after it, ‖Δ‖², and θ′·Δ."""

    after: float
    update: float
    product: float

    @property
    def before(self) -> float:
        """‖θ‖ before the update: θ = θ′ − Δ."""
        return math.sqrt(max(0.0, self.after - 2.0 * self.product + self.update))

    @property
    def ratio(self) -> float:
        """‖Δ‖/‖θ‖; 0 for a weight of zeros."""
        return math.sqrt(self.update) / self.before if self.before else 0.0

    @property
    def rotation(self) -> float:
        """The angle between θ and θ′.

        tan = Δ⊥/(‖θ′‖ − Δ∥), with Δ in parts along and across θ′. The arccosine of a cosine near 1
        would lose half of float32's digits.
        """
        length = math.sqrt(self.after)
        if not length or not self.before:
            return 0.0
        along = self.product / length
        across = math.sqrt(max(0.0, self.update - along * along))
        return math.atan2(across, length - along)

    def decay_share(self, part: float) -> float:
        """‖part·θ‖/(‖part·θ‖ + ‖step‖), where Δ = −step − part·θ."""
        theta = self.before
        along = self.product - self.update  # θ·Δ
        step = self.update + 2.0 * part * along + part * part * theta * theta
        decay = part * theta
        whole = decay + math.sqrt(max(0.0, step))
        return decay / whole if whole else 0.0


@torch.no_grad()
def copies(weights: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The weights before an update."""
    return [weight.detach().clone() for weight in weights]


@torch.no_grad()
def moved(weights: Sequence[torch.Tensor], before: Sequence[torch.Tensor]) -> list[Moved]:
    """What each weight's update was; ``before`` is overwritten."""
    if not weights:
        return []
    after = [weight.detach() for weight in weights]
    torch._foreach_sub_(list(before), after)  # −Δ
    sums = [
        _sum(first, second)
        for theta, delta in zip(after, before, strict=True)
        for first, second in ((theta, theta), (delta, delta), (theta, delta))
    ]
    numbers = torch.stack(sums).tolist()
    rows = zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
    return [Moved(theta, delta, -product) for theta, delta, product in rows]


def _sum(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Σ first·second, in float32 at least; of a sharded tensor over all shards."""
    if isinstance(first, DTensor):
        total = (first * second).sum()
        assert isinstance(total, DTensor)
        return total.full_tensor().float()
    if first.is_complex():
        return (first * second.conj()).real.sum()
    wide = first.dtype in (torch.float32, torch.float64)
    one = first if wide else first.float()
    two = one if second is first else (second if wide else second.float())
    if one.is_contiguous() and two.is_contiguous():
        return torch.dot(one.view(-1), two.view(-1)).to(torch.float32)
    return (one * two).sum().to(torch.float32)
