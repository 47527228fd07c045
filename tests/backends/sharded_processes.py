"""What the tests of sharded trainings share: a network, a training of it, and processes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.distributed.fsdp import fully_shard

from unyoke.storage import formats

FORMATS: list[dict[str, Any]] = [
    {"state_dtype": state_dtype, "rounding": rounding}
    for state_dtype in formats.STATE_DTYPES
    for rounding in formats.ROUNDINGS
]
"""Every format of state with every rounding of weights."""


def network(bias: bool = True) -> nn.Module:
    torch.manual_seed(0)
    sizes = [(8, 128), (128, 128), (128, 3)]
    return nn.Sequential(*(nn.Linear(*size, bias=bias) for size in sizes))


def train(model: nn.Module, optimizer: torch.optim.Optimizer, updates: range) -> torch.Tensor:
    """Every process has the same batch, so that their mean is each one's gradient, to the bit."""
    for t in updates:
        generator = torch.Generator().manual_seed(t)
        optimizer.zero_grad()
        model(torch.randn(8, 8, generator=generator)).square().mean().backward()
        optimizer.step()
    weights = [getattr(p, "full_tensor", lambda p=p: p)() for p in model.parameters()]
    return torch.cat([weight.detach().flatten() for weight in weights])


def sharded(bias: bool = True) -> nn.Module:
    model = network(bias)
    fully_shard(model)
    return model


def _begin(rank: int, world: int, function: Callable[..., None], file: str, *given: Any) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=world)
    try:
        function(*given)
        dist.barrier()
    finally:
        dist.destroy_process_group()
    os._exit(0)  # now and then gloo's threads abort the interpreter's own exit


def on(world: int, function: Callable[..., None], *given: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "rendezvous")
        mp.start_processes(
            _begin, args=(world, function, file, *given), nprocs=world, start_method="spawn"
        )
