"""The step of sharded parameters: FSDP2 on one process, where only the steps themselves differ."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

import unyoke
from unyoke.bench.contenders import BASELINE
from unyoke.bench.measure import machine
from unyoke.bench.timing import alternate

CASES = ((50, 32), (12, 1024))
"""Layers and their width."""

UNSHARDED = "unyoke, not sharded"


def measure(rounds: int) -> str:
    """AdamW on one thread against torch's fused one on the same DTensors; a table as Markdown."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _one_process():
            rows = [_row(layers, width, rounds) for layers, width in CASES]
    finally:
        torch.set_num_threads(before)
    where = ", ".join(f"{name} {value}" for name, value in machine().items())
    head = f"| FSDP2, one process | unyoke | {BASELINE} | | {UNSHARDED} |\n|---|---|---|---|---|"
    return "\n".join([f"Machine: {where}.\n", head, *rows, ""])


@contextmanager
def _one_process() -> Iterator[None]:
    import torch.distributed as dist

    with tempfile.TemporaryDirectory() as folder:
        meeting = (Path(folder) / "meeting").as_uri()
        dist.init_process_group("gloo", init_method=meeting, rank=0, world_size=1)
        try:
            yield
        finally:
            dist.destroy_process_group()


def _row(layers: int, width: int, rounds: int) -> str:
    from unyoke.bench.report import seconds_as_text

    sharded = _weights(layers, width, is_sharded=True)
    optimizers = {
        "unyoke": unyoke.AdamW(sharded),
        BASELINE: torch.optim.AdamW(sharded, fused=True),
        UNSHARDED: unyoke.AdamW(_weights(layers, width, is_sharded=False)),
    }
    times = alternate({name: made.step for name, made in optimizers.items()}, rounds=rounds)
    ratio = times[BASELINE] / times["unyoke"]
    ours, torchs, whole = (seconds_as_text(seconds) for seconds in times.values())
    return f"| {layers} layers of {width} × {width} | {ours} | {torchs} | {ratio:.2g}× | {whole} |"


def _weights(layers: int, width: int, is_sharded: bool) -> list[nn.Parameter]:
    """Parameters with gradients, as a backward pass leaves them."""
    from torch.distributed.fsdp import fully_shard

    model = nn.Sequential(*(nn.Linear(width, width) for _ in range(layers)))
    if is_sharded:
        for layer in model:
            fully_shard(layer)
        fully_shard(model)
    model(torch.randn(4, width)).square().mean().backward()
    return list(model.parameters())
