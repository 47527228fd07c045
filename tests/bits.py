"""Equality to the bit, and the square root that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch


def same(one: Sequence[Any], other: Sequence[Any]) -> bool:
    """Equal one by one, tensors in every number."""
    return len(one) == len(other) and all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
        for a, b in zip(one, other, strict=True)
    )


def exact_root(x: torch.Tensor) -> torch.Tensor:
    """IEEE's square root; torch's own is one unit off in the last place for one in five."""
    return torch.from_numpy(np.asarray(np.sqrt(x.numpy())))
