"""One problem under two backends, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

import unyoke

Make = Callable[[torch.Generator, torch.dtype], torch.Tensor]

SHAPES: dict[str, tuple[int, ...]] = {
    "0-d": (),
    "empty": (0,),
    "empty matrix": (3, 0),
    "one": (1,),
    "odd": (37,),
    "matrix": (5, 13),
    "thin": (7, 1, 3),
    "more than a chunk": (40_001,),
}


def normal(shape: Sequence[int], generator: torch.Generator, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(tuple(shape), generator=generator, dtype=torch.float64).to(dtype)


def trajectory(
    backend: str,
    shapes: Sequence[tuple[int, ...]],
    dtype: torch.dtype = torch.float32,
    updates: int = 4,
    **settings: Any,
) -> list[torch.Tensor]:
    """The weights and the state after some updates under gradients from a fixed seed."""
    generator = torch.Generator().manual_seed(5)
    weights = [torch.nn.Parameter(normal(shape, generator, dtype)) for shape in shapes]
    optimizer = unyoke.Optimizer(weights, backend=backend, **settings)
    for _ in range(updates):
        for weight in weights:
            weight.grad = normal(weight.shape, generator, dtype)
        optimizer.step()
    return everything(optimizer)


def everything(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """All weights, and all state by name."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    state = [
        optimizer.state[weight][name]
        for weight in weights
        for name in sorted(optimizer.state[weight])
    ]
    return [tensor.detach() for tensor in (*weights, *state)]


def assert_same_bits(found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> None:
    """Equal in every bit, but for the kind of a NaN."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
