"""Steps of two backends side by side, from the same start and under the same gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

import unyoke

Shape = tuple[int, ...]
SHAPES: Sequence[Shape] = ((5, 16), (7,), (), (0, 3))  # 16 bytes, a rest, one element, none

NEEDS_TRITON = "triton is not installed (the extra gpu-test brings it)"


def random(shape: Shape, seed: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    kind = torch.complex128 if dtype.is_complex else torch.float64
    return torch.randn(shape, generator=generator, dtype=kind).to(dtype)


def stepped(
    backend: str,
    shapes: Sequence[Shape] = SHAPES,
    *,
    updates: int = 2,
    dtype: torch.dtype = torch.float32,
    place: Callable[[torch.Tensor], torch.Tensor] = torch.clone,
    grad: Callable[[torch.Tensor, int, int], torch.Tensor | None] = lambda g, t, n: g,
    **options: Any,
) -> unyoke.Optimizer:
    """An optimizer after some updates.

    Args:
        backend: who steps.
        shapes: of the parameters.
        updates: how many.
        dtype: of the parameters.
        place: lays a parameter or gradient out in memory.
        grad: the gradient at update t of parameter n.
        options: of the optimizer.
    """
    weights = [
        torch.nn.Parameter(place(random(shape, number, dtype)))
        for number, shape in enumerate(shapes)
    ]
    settings: dict[str, Any] = {"lr": 0.01, "weight_decay": 0.004, **options}
    own = {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in settings.items()}
    optimizer = unyoke.Optimizer(weights, backend=backend, **own)
    for t in range(updates):
        for number, weight in enumerate(weights):
            drawn = random(tuple(weight.shape), 100 + 10 * t + number, dtype)
            chosen = grad(drawn, t, number)
            weight.grad = None if chosen is None else place(chosen)
        optimizer.step()
    return optimizer


def difference(one: unyoke.Optimizer, other: unyoke.Optimizer) -> float:
    """The largest difference in weights and plain states, relative to the largest number."""
    worst = 0.0
    for tensor, expected in zip(_tensors(one), _tensors(other), strict=True):
        assert tensor.shape == expected.shape
        assert tensor.dtype == expected.dtype
        a, b = tensor.detach().to(torch.complex128), expected.detach().to(torch.complex128)
        same_nan = torch.equal(a.isnan(), b.isnan())
        same_inf = torch.equal(a[a.isinf()], b[b.isinf()])
        if not (same_nan and same_inf):
            return float("inf")
        finite = a.isfinite()
        if finite.any():
            scale = max(float(b[finite].abs().max()), 1e-30)
            worst = max(worst, float((a - b)[finite].abs().max()) / scale)
    return worst


def _tensors(optimizer: unyoke.Optimizer) -> list[torch.Tensor]:
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    return weights + [
        optimizer.state[weight][name]
        for weight in weights
        for name in sorted(optimizer.state[weight])
    ]


def refusal(direction: str, decay: str) -> str | None:
    """Why a direction and a decay do not go together, or do not go element by element."""
    try:
        rule = unyoke.equation.combine(unyoke.directions.get(direction), unyoke.decays.get(decay))
    except ValueError as error:
        return str(error)
    return f"{rule.name} works on whole tensors" if rule.scope == "tensor" else None
