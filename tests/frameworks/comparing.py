"""What the checks of frameworks share: a small model, its data in a fixed order, a plain loop.

Each check is a program that runs in its framework's environment. It prints a line for each feature:
how far the framework's weights are from those of a plain loop, or why it was refused.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import tempfile
import traceback
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

import unyoke

UPDATES, BATCH = 12, 4
LR, DECAY = 1e-2, 1e-3
warnings.simplefilter("ignore")


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 3))


def data(updates: int = UPDATES) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(updates * BATCH, 8, generator=generator)
    return inputs, torch.randint(3, (updates * BATCH,), generator=generator)


def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(outputs, targets)


def made(module: nn.Module, updates: int = UPDATES, **options: Any) -> unyoke.Optimizer:
    """AdamW with groups and a cosine in it."""
    groups = unyoke.groups.split(module, weight_decay=DECAY)
    given = {"lr": LR, "schedule": unyoke.schedules.cosine(updates), **options}
    return unyoke.AdamW(groups, **given)


def plain(
    make: Callable[[nn.Module], torch.optim.Optimizer] = made,
    updates: int = UPDATES,
    after: Callable[[torch.optim.Optimizer], Any] = lambda optimizer: None,
) -> torch.Tensor:
    """The weights after an ordinary loop."""
    module = model()
    optimizer = make(module)
    hook = after(optimizer)
    inputs, targets = data()
    for t in range(updates):
        part = slice(t * BATCH, (t + 1) * BATCH)
        optimizer.zero_grad()
        loss(module(inputs[part]), targets[part]).backward()
        optimizer.step()
        if hook is not None:
            hook.step()
    return flat(module)


def flat(module: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten().float() for p in module.parameters()])


def tell(feature: str, check: Callable[[], Any]) -> None:
    """Run a check, which returns a difference, or a text that begins with "refused"."""
    try:
        found = check()
    except Exception:
        text = traceback.format_exc()
        print(text, file=sys.stderr)
        found = "failed: " + text.strip().splitlines()[-1]
    value = found if isinstance(found, str) else f"{float(found):.1e}"
    print("RESULT " + json.dumps({"feature": feature, "result": value}), flush=True)


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max())


def refusal(action: Callable[[], Any], *errors: type[BaseException]) -> str:
    """The message by which something is refused."""
    try:
        action()
    except errors as error:
        return f"refused: {error}"
    raise AssertionError("was not refused")


def example(name: str, most: float) -> str:
    """Run an example; its loss or error must come below so much."""
    file = Path(__file__).parents[2] / "examples" / f"{name}.py"
    found = runpy.run_path(str(file))["main"]()
    assert found < most, f"{file.name}: {found}"
    return "runs"


def _work(rank: int, function: Callable[[], Any], folder: str) -> None:
    torch.set_num_threads(1)
    own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {
        **own,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "0",
    }  # Accelerate asks for them
    os.environ["CHECKPOINT"] = f"{folder}/checkpoint"
    meeting = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    found = function()
    if rank == 0:
        torch.save(found, f"{folder}/found")
    dist.barrier()
    dist.destroy_process_group()
    sys.stdout.flush()
    os._exit(0)  # not to wait for what a framework has left running


def on_two(function: Callable[[], Any]) -> Any:
    """What a function of the running program's gives on the first of two processes."""
    with tempfile.TemporaryDirectory() as folder:
        mp.start_processes(_work, args=(function, folder), nprocs=2, start_method="spawn")
        return torch.load(f"{folder}/found", weights_only=False)


def whole(module: nn.Module) -> torch.Tensor:
    """The weights, those of shards gathered from all processes."""
    parts = [p.full_tensor() if hasattr(p, "full_tensor") else p for p in module.parameters()]
    return torch.cat([p.detach().flatten() for p in parts])


class _Names(type):
    """A class that has every attribute."""

    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class _Anything(types.ModuleType):
    """A module in which every name is there, for imports of what is not used."""

    __path__ = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Names(name, (), {})


def without_torchvision() -> None:
    """Put a stub in torchvision's place, whose wheel does not load beside this build of torch."""
    import importlib.abc
    import importlib.machinery

    class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
        def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
            if name.split(".")[0] == "torchvision":
                return importlib.machinery.ModuleSpec(name, self, is_package=True)
            return None

        def create_module(self, spec: Any) -> Any:
            return _Anything(spec.name)

        def exec_module(self, module: Any) -> None:
            pass

    sys.meta_path.insert(0, Finder())
