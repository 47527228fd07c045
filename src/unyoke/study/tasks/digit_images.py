"""The handwritten digits that scikit-learn ships, divided anew by each seed."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from unyoke.study.tasks import shipped

if TYPE_CHECKING:
    from torch import Tensor

    from unyoke.study.tasks.task import Samples

CLASSES = 10
PIXELS = 64


def divided(training: int, validation: int) -> tuple[Samples, Samples, Samples]:
    """So many images train, so many choose, and the rest of 1,797 reports; drawn by torch.

    Where a seed draws the split, an interval over seeds covers other images too.
    """
    import torch

    inputs, targets = _images()
    order = torch.randperm(len(targets))
    ends = (0, training, training + validation, len(order))
    parts = [order[start:end] for start, end in pairwise(ends)]
    train, choose, test = ((inputs[part], targets[part]) for part in parts)
    return train, choose, test


@cache
def _images() -> tuple[Tensor, Tensor]:
    """Pixels from −1 to 1, [1797, 64], and classes."""
    import torch

    pixels, classes = shipped.digits()
    return (
        torch.tensor(pixels, dtype=torch.float32) / 8 - 1,
        torch.tensor(classes, dtype=torch.int64),
    )
