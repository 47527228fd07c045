"""What the checks of frameworks share: a small model, its data in a fixed order, a plain loop.

Each check is a program that runs in its framework's environment. It prints a line for each feature:
how far the framework's weights are from those of a plain loop, or why it was refused.
"""

from __future__ import annotations

import json
import runpy
import sys
import traceback
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
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
