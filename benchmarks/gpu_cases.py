"""What benchmarks/gpu.py puts side by side: tensors, whoever steps them, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from gpu_timing import Bench
from torch import nn

import unyoke

Shapes = list[tuple[int, ...]]


def gpt2_xl() -> Shapes:
    block: Shapes = [(1600,), (1600,), (1600, 4800), (4800,), (1600, 1600), (1600,)]
    block += [(1600,), (1600,), (1600, 6400), (6400,), (6400, 1600), (1600,)]
    return [(50257, 1600), (1024, 1600), *block * 48, (1600,), (1600,)]


CASES: dict[str, Shapes] = {
    "six small": [(128, 64), (128,), (128, 128), (128,), (10, 128), (10,)],
    "2000 of 4096": [(4096,)] * 2000,
    "one of 256 M": [(256 << 20,)],
    "GPT-2 XL": gpt2_xl(),
}
SMALL_CASES: dict[str, Shapes] = {"six small": CASES["six small"], "one": [(5000,)]}
OPTIONS: dict[str, dict[str, Any]] = {
    "unyoke": {},
    "unyoke, bfloat16 state": {"state_dtype": torch.bfloat16},
    "unyoke, 8-bit state": {"state_dtype": "int8"},
    "unyoke, Kahan": {"rounding": "kahan"},
}


def parameters(shapes: Shapes, bench: Bench, dtype: torch.dtype = torch.float32) -> list[Any]:
    torch.manual_seed(0)
    weights = [nn.Parameter(torch.randn(s, device=bench.device, dtype=dtype)) for s in shapes]
    for weight in weights:
        weight.grad = torch.randn_like(weight)
    return weights


def torchs(kind: str) -> Callable[[list[Any]], Callable[[], object]]:
    def make(weights: list[Any]) -> Callable[[], object]:
        if kind != "compiled":
            return torch.optim.AdamW(weights, **{kind: True}).step
        optimizer = torch.optim.AdamW(
            weights, lr=torch.tensor(1e-3, device=weights[0].device), foreach=True, capturable=True
        )
        return torch.compile(optimizer.step, fullgraph=False)

    return make


def ours(**options: Any) -> Callable[[list[Any]], Callable[[], object]]:
    return lambda weights: unyoke.AdamW(weights, **options).step


def followed(
    shapes: Shapes, device: torch.device, dtype: torch.dtype, backend: str, **options: Any
) -> list[torch.Tensor]:
    """Weights after twenty updates from the same start under the same gradients."""
    generator = torch.Generator().manual_seed(1)

    def draw(shape: tuple[int, ...]) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(device, dtype)

    torch.manual_seed(5)  # the seed of stochastic rounding
    weights = [nn.Parameter(draw(shape)) for shape in shapes]
    optimizer = unyoke.Optimizer(weights, lr=0.01, weight_decay=0.004, backend=backend, **options)
    for _ in range(20):
        for weight in weights:
            weight.grad = draw(tuple(weight.shape))
        optimizer.step()
    return [weight.detach().double().cpu() for weight in weights]


def apart(found: Iterable[torch.Tensor], expected: Iterable[torch.Tensor]) -> float:
    pairs = list(zip(found, expected, strict=True))
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def convnet() -> nn.Module:
    layers = [nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU()]
    return nn.Sequential(nn.Unflatten(1, (1, 8, 8)), *layers, nn.Flatten(), nn.Linear(144, 10))
