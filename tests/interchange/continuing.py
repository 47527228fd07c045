"""Optimizers of torch's to begin with, and how weights go on under them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

import unyoke

DECAY = {"lr": 0.02, "weight_decay": 0.1}

from_torch = functools.partial(unyoke.from_torch, backend="eager")  # the definition

CASES: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "SGD": (torch.optim.SGD, {}),
    "SGD momentum": (torch.optim.SGD, {"momentum": 0.9}),
    "SGD dampening": (torch.optim.SGD, {"momentum": 0.9, "dampening": 0.3}),
    "SGD nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "Adam": (torch.optim.Adam, {"betas": (0.8, 0.99), "eps": 1e-4}),
    "Adam amsgrad": (torch.optim.Adam, {"amsgrad": True}),
    "Adam decoupled": (torch.optim.Adam, {"decoupled_weight_decay": True}),
    "AdamW": (torch.optim.AdamW, {"betas": (0.8, 0.99), "eps": 1e-4}),
    "AdamW amsgrad": (torch.optim.AdamW, {"amsgrad": True}),
    "NAdam": (torch.optim.NAdam, {"momentum_decay": 0.01}),
    "NAdam decoupled": (torch.optim.NAdam, {"decoupled_weight_decay": True}),
    "RAdam": (torch.optim.RAdam, {}),
    "RAdam decoupled": (torch.optim.RAdam, {"decoupled_weight_decay": True}),
    "Adamax": (torch.optim.Adamax, {}),
    "Adagrad": (torch.optim.Adagrad, {"lr_decay": 0.01, "initial_accumulator_value": 0.2}),
    "Adadelta": (torch.optim.Adadelta, {"rho": 0.8}),
    "RMSprop": (torch.optim.RMSprop, {"alpha": 0.9}),
    "RMSprop centered": (torch.optim.RMSprop, {"centered": True, "alpha": 0.9}),
    "RMSprop momentum": (torch.optim.RMSprop, {"momentum": 0.8}),
    "RMSprop both": (torch.optim.RMSprop, {"momentum": 0.8, "centered": True}),
}
if hasattr(torch.optim, "Muon"):
    CASES["Muon"] = (torch.optim.Muon, {"momentum": 0.9})
    CASES["Muon plain"] = (torch.optim.Muon, {"nesterov": False})
    CASES["Muon matched"] = (torch.optim.Muon, {"adjust_lr_fn": "match_rms_adamw"})


def parameters(dtype: torch.dtype = torch.float64) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(7)
    shapes = ((4, 6), (5, 3))
    return [
        torch.nn.Parameter(torch.randn(s, generator=generator, dtype=torch.float64).to(dtype))
        for s in shapes
    ]


@functools.cache
def noise(t: int, n: int, shape: torch.Size) -> torch.Tensor:
    generator = torch.Generator().manual_seed(100 * t + n)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def walk(
    optimizer: torch.optim.Optimizer, first: int, last: int, after: Callable[[], object] = int
) -> None:
    """Updates first … last under a gradient that depends on weights and update."""
    for t in range(first, last + 1):
        for group in optimizer.param_groups:
            for n, p in enumerate(group["params"]):
                p.grad = (0.7 * p.detach() + noise(t, n, p.shape)).to(p.dtype)
        optimizer.step()
        after()


def weights(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [p.detach().clone() for group in optimizer.param_groups for p in group["params"]]


def moved(optimizer: torch.optim.Optimizer, factor: float) -> Callable[[], None]:
    """Something that moves lr after each update, as a scheduler would."""

    def move() -> None:
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] * factor

    return move


def make(name: str, dtype: torch.dtype = torch.float64, **more: Any) -> torch.optim.Optimizer:
    cls, own = CASES[name]
    return cls(parameters(dtype), **{**DECAY, **own, **more})


def assert_close(found: list[torch.Tensor], expected: list[torch.Tensor], tolerance: float) -> None:
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=tolerance * float(theirs.abs().max()))
