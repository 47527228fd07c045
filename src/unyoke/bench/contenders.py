"""Whose AdamW is timed: ours in every backend and format, torch's, and other libraries'.

Other libraries are imported if they are there; which are not is reported with the reason. They
can live in a folder of their own, so that nothing they ask for changes the environment:

    pip install --no-deps --target peers -r benchmarks/peers.txt
    unyoke bench --peers peers
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

import unyoke
from unyoke import backends

Make = Callable[[list[torch.Tensor]], torch.optim.Optimizer]

BASELINE = "torch fused"


@dataclass(frozen=True)
class Contender:
    """An optimizer to be timed.

    Attributes:
        name: in the table.
        make: parameters → optimizer.
        compiled: needs seconds to minutes to compile; left out of quick runs, and of cases of more
            tensors than FEW.
    """

    name: str
    make: Make
    compiled: bool = False


FEW = 20
"""Tensors that can be compiled for in reasonable time."""


def ours() -> list[Contender]:
    """Every backend in float32, and the fastest one in every format."""
    options = {name: {"backend": name} for name in backends.ALL if name != "gpu"} | FORMATS
    return [
        Contender(f"unyoke {label}", partial(unyoke.AdamW, **own), label == "compile")
        for label, own in options.items()
    ]


FORMATS: dict[str, dict[str, Any]] = {
    "bfloat16 state": {"state_dtype": torch.bfloat16},
    "8-bit state": {"state_dtype": "int8"},
    "kahan": {"rounding": "kahan"},
    "stochastic": {"rounding": "stochastic"},
}


def torchs() -> list[Contender]:
    """torch.optim.AdamW in its three forms, and compiled."""
    return [
        Contender("torch for-loop", partial(torch.optim.AdamW, foreach=False, fused=False)),
        Contender("torch foreach", partial(torch.optim.AdamW, foreach=True)),
        Contender(BASELINE, partial(torch.optim.AdamW, fused=True)),
        Contender("torch compiled", _Compiled, compiled=True),
    ]


class _Compiled(torch.optim.AdamW):
    """torch's foreach step under torch.compile, as torch's own recipe has it."""

    def __init__(self, weights: list[torch.Tensor]) -> None:
        super().__init__(weights, foreach=True)
        self._run = torch.compile(super().step, fullgraph=False)

    def step(self, closure: Any = None) -> Any:
        return self._run()


@dataclass(frozen=True)
class Peer:
    """An optimizer of another library: module and class by name."""

    name: str
    module: str
    cls: str
    compiled: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


PEERS = (
    Peer("optimi", "optimi", "AdamW", options={"lr": 1e-3}),
    Peer("pytorch_optimizer", "pytorch_optimizer", "AdamW"),
    Peer("timm NAdamW", "timm.optim", "NAdamW"),
    Peer("heavyball", "heavyball", "AdamW", compiled=True),
    Peer("torchao 8-bit", "torchao.optim", "AdamW8bit", compiled=True),
    Peer("bitsandbytes", "bitsandbytes.optim", "AdamW"),
    Peer("bitsandbytes 8-bit", "bitsandbytes.optim", "AdamW8bit"),
    Peer("DeepSpeed CPUAdam", "deepspeed.ops.adam", "DeepSpeedCPUAdam"),
)


def peers(folder: str | None, quick: bool) -> tuple[list[Contender], dict[str, str]]:
    """The other libraries' that work here, and why the rest does not."""
    if folder is not None and folder not in sys.path:
        sys.path.append(folder)  # at the end: whatever is in there replaces nothing
    found: list[Contender] = []
    absent: dict[str, str] = {}
    for peer in PEERS:
        if quick and peer.compiled:
            absent[peer.name] = "compiles at the first step: left out of quick runs"
            continue
        try:
            cls = getattr(importlib.import_module(peer.module), peer.cls)
            make = partial(cls, **peer.options)
            _try(make)
        except Exception as error:  # whatever a foreign import may raise is a reason
            absent[peer.name] = reason(error)
        else:
            found.append(Contender(peer.name, make, peer.compiled))
    return found, absent


def reason(error: Exception) -> str:
    """An exception in one short line."""
    return f"{type(error).__name__}: {str(error).strip()[:100]}".splitlines()[0]


def _try(make: Make) -> None:
    weight = torch.nn.Parameter(torch.ones(64, 64))
    optimizer = make([weight])
    weight.grad = torch.ones(64, 64)
    optimizer.step()
    if torch.equal(weight.detach(), torch.ones(64, 64)):
        raise RuntimeError("its step changes nothing on the CPU")


def all_of(folder: str | None, quick: bool) -> tuple[list[Contender], dict[str, str]]:
    """Everybody who can be timed here, and the absent with their reasons."""
    others, absent = peers(folder, quick)
    everybody = [*ours(), *torchs(), *others]
    return [one for one in everybody if not (quick and one.compiled)], absent
