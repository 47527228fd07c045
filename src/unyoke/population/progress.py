"""Where the training of a population stands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Progress:
    """What has become of K models so far.

    Attributes:
        updates: made by those that still train.
        made: updates of each model, [K].
        rows: the models that still train.
        diverged: model → the update at which it was found, 1 for the first.
        losses: of each model at its last update, before that update, [K] float64; NaN without.
        limits: losses above which each model counts as diverged, [K] float64.
    """

    updates: int
    made: Tensor
    rows: Sequence[int]
    diverged: dict[int, int]
    losses: Tensor
    limits: Tensor

    @classmethod
    def at_first(cls, count: int, rows: Sequence[int]) -> Progress:
        """Of so many models before the first update, of which these are to be trained."""
        return cls(
            updates=0,
            made=torch.zeros(count, dtype=torch.int64),
            rows=rows,
            diverged={},
            losses=torch.full((count,), math.nan, dtype=torch.float64),
            limits=torch.full((count,), math.inf, dtype=torch.float64),
        )
