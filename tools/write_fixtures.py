"""Writes tests/fixtures: checkpoints of each format and a ledger, which later versions must read.

    python tools/write_fixtures.py NAME…       only what is named and not there yet is written

Never write a fixture again that a release had: what it holds is the promise.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

import unyoke

FIXTURES = Path(__file__).resolve().parents[1] / "tests" / "fixtures"
SMALL, LARGE = ((9, 7), (7,)), ((65, 64), (7,))
"""State of fewer than 4,096 elements is never narrow."""

COSINE = unyoke.schedules.cosine(10)
OPTIMIZERS: dict[str, Any] = {
    "adamw": lambda p: unyoke.AdamW(p, 1e-2, weight_decay=1e-3),
    "adamw-amsgrad": lambda p: unyoke.AdamW(p, 1e-2, weight_decay=1e-3, amsgrad=True),
    "adamw-bfloat16": lambda p: unyoke.AdamW(p, 1e-2, state_dtype=torch.bfloat16),
    "adamw-int8": lambda p: unyoke.AdamW(p, 1e-2, state_dtype="int8"),
    "adamw-kahan": lambda p: unyoke.AdamW(p, 1e-2, rounding="kahan"),
    "adamw-stochastic": lambda p: unyoke.AdamW(p, 1e-2, rounding="stochastic", seed=3),
    "adamw-schedule": lambda p: unyoke.AdamW(p, 1e-2, weight_decay=1e-3, schedule=COSINE),
    "adamw-toward-initial": lambda p: unyoke.AdamW(
        p, 1e-2, weight_decay=1e-3, decay="toward_initial"
    ),
    "ademamixw": lambda p: unyoke.AdEMAMixW(p, 1e-2),
    "lionw": lambda p: unyoke.LionW(p, 1e-3),
    "muonw": lambda p: unyoke.MuonW(p[:1], 1e-2),
    "nadam": lambda p: unyoke.NAdam(p, 1e-2),
    "schedule-free": lambda p: unyoke.ScheduleFreeAdamW(p, 1e-2),
    "sgdw": lambda p: unyoke.SGDW(p, 0.1, 0.9, 1e-3),
}


def built(name: str) -> tuple[list[torch.nn.Parameter], Any]:
    """The weights and the optimizer of a fixture, as before their first update."""
    generator = torch.Generator().manual_seed(0)
    shapes = LARGE if name in ("adamw-bfloat16", "adamw-int8") else SMALL
    weights = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    return weights, OPTIMIZERS[name](weights)


def updates(weights: list[torch.nn.Parameter], optimizer: Any, first: int, last: int) -> None:
    """Updates by gradients that are drawn from their numbers."""
    for t in range(first, last):
        generator = torch.Generator().manual_seed(100 + t)
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=generator)
        optimizer.step()


def write(name: str) -> None:
    """A checkpoint after three updates, and the weights after six."""
    file = FIXTURES / "checkpoints" / f"{name}.pt"
    if file.exists():
        return
    weights, optimizer = built(name)
    updates(weights, optimizer, 0, 3)
    saved = {
        "weights": [weight.detach().clone() for weight in weights],
        "optimizer": optimizer.state_dict(),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(saved | {"after": []}, file)  # before the tensors of its state go on
    updates(weights, optimizer, 3, 6)
    saved = torch.load(file, weights_only=True)
    torch.save(saved | {"after": [weight.detach().clone() for weight in weights]}, file)


if __name__ == "__main__":
    for each in sys.argv[1:] or OPTIMIZERS:
        write(each)
