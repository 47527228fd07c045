"""Optimizers of other libraries beside ours, path by path, and two that are not here.

    pip install --no-deps --target sources timm==1.0.31 lion-pytorch==0.2.5 \\
        pytorch_optimizer==4.1.0 pytorch-cpr==0.3.1 prodigyopt==1.1.2
    python benchmarks/sources.py sources

Both sides begin at the same 4 × 6 weights and take the same 60 updates of a noisy quadratic. The
table has the largest difference of a weight on the way, as a part of the largest weight. The tests
hold every direction against torch.optim or the oracle; this is for those whose source is elsewhere.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

import unyoke

UPDATES = 60
Make = Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer]
DECAY = 1e-3  # per update
LR = 0.02
ADAM: dict[str, Any] = {"betas": (0.8, 0.99), "eps": 1e-4}


def find(folder: Path) -> None:
    """Make the libraries importable, and of timm no models, which want torchvision."""
    sys.path.insert(0, str(folder))
    for name in ("timm", "timm.optim"):
        package = ModuleType(name)
        package.__path__ = [str(folder.joinpath(*name.split(".")))]
        sys.modules[name] = package


def of(module: str, name: str) -> Any:
    return getattr(import_module(module), name)


def start(shape: tuple[int, int] = (4, 6), dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, dtype=torch.float64, generator=generator).to(dtype)


def path(make: Make, weights: Tensor, disturbed: float = 0.0) -> Tensor:
    """Where the weights go under gradients that depend on them and on the update."""
    p = torch.nn.Parameter(weights.clone())
    optimizer = make([p])
    generator = torch.Generator().manual_seed(1)
    iterates = []
    for _ in range(UPDATES):
        noise = torch.randn(p.shape, dtype=torch.float64, generator=generator)
        grad = 0.7 * p.detach() + noise.to(p.dtype)
        p.grad = (grad * (1.0 + disturbed)).to(p.dtype)
        optimizer.step()
        iterates.append(p.detach().double().clone())
    return torch.stack(iterates)


def difference(ours: Make, theirs: Make, dtype: torch.dtype = torch.float64) -> float:
    found, expected = path(ours, start(dtype=dtype)), path(theirs, start(dtype=dtype))
    return float((found - expected).abs().max() / expected.abs().max())


def comparisons() -> Iterable[tuple[str, float]]:
    """What was compared with what, and by how much they differ."""
    torchs = {"weight_decay": DECAY / LR, "lr": LR}  # multiplied by the learning rate, as torch's
    ours = {"weight_decay": DECAY, "lr": LR}
    nadamw, lion = of("timm.optim.nadamw", "NAdamW"), of("timm.optim.lion", "Lion")
    lamb, lars = of("timm.optim.lamb", "Lamb"), of("timm.optim.lars", "Lars")
    other_lion, normuon = of("lion_pytorch", "Lion"), of("pytorch_optimizer", "NorMuon")
    yield (
        "NAdamW, timm",
        difference(
            lambda p: unyoke.NAdamW(p, **ours, **ADAM),
            lambda p: nadamw(p, **torchs, **ADAM, foreach=False),
        ),
    )
    for name, make in {"timm": lion, "lion-pytorch": other_lion}.items():
        yield (
            f"LionW, {name}",
            difference(lambda p: unyoke.LionW(p, **ours), lambda p, make=make: make(p, **torchs)),
        )
    for name, decay in {"without decay": 0.0, "with decay": 1.0}.items():
        yield (
            f"LambW {name}, timm: decoupled, always adapting, without clipping",
            difference(
                lambda p, decay=decay: unyoke.LambW(p, lr=LR, weight_decay=decay * DECAY, **ADAM),
                lambda p, decay=decay: lamb(
                    *(p, LR),
                    weight_decay=decay * DECAY / LR,
                    decoupled_decay=True,
                    always_adapt=True,
                    max_grad_norm=None,
                    **ADAM,
                ),
            ),
        )
    yield (
        "LarsW without decay, timm: always adapting, eps 0",
        difference(
            lambda p: unyoke.LarsW(p, lr=LR, weight_decay=0.0, momentum=0.9, trust_coeff=0.1),
            lambda p: lars(p, lr=LR, momentum=0.9, trust_coeff=0.1, eps=0.0, always_adapt=True),
        ),
    )
    yield (
        "NorMuonW, pytorch_optimizer: match_rms, no Nesterov momentum; float32, bfloat16 stages",
        difference(
            lambda p: unyoke.NorMuonW(p, **ours),
            lambda p: normuon(
                [{"params": p, "use_muon": True}],
                **torchs,
                update_scale="match_rms",
                nesterov=False,
            ),
            torch.float32,
        ),
    )
    cpr = of("pytorch_cpr.adamcpr", "AdamCPR")
    yield (
        "decay='constrained', pytorch-cpr: 'dependent' bound; float32",
        difference(
            lambda p: unyoke.AdamW(p, lr=LR, decay="constrained", weight_decay=1.0),
            lambda p: cpr(
                [{"params": p, "regularize": True}],
                lr=LR,
                kappa_init_method="dependent",
                kappa_init_param=1.0,
            ),
            torch.float32,
        ),
    )


def not_here() -> Iterable[str]:
    """Why SOAP and Prodigy are left out, in numbers."""
    soap, prodigy = of("pytorch_optimizer", "SOAP"), of("prodigyopt", "Prodigy")
    for shape in ((4, 6), (5, 5)):
        one, other = (
            path(lambda p: soap(p, lr=LR, weight_decay=0.0), start(shape), disturbed)
            for disturbed in (0.0, 2.0**-52)
        )
        apart = float((one - other)[-1].abs().max() / one.abs().max())
        yield f"SOAP, {shape[0]} × {shape[1]}: gradients that differ by 2e-16 end {apart:.1e} apart"
    for after in (0.0, 1e-5):
        weight = torch.nn.Parameter(torch.ones(10))
        optimizer = prodigy([weight], weight_decay=0.0 if after else 0.01)
        for _ in range(1000):
            weight.grad = weight.detach() - 3.0  # the minimum: decay pulls away from it
            optimizer.step()
            with torch.no_grad():
                weight.mul_(1.0 - after)
        own = f"a decay of {after:g} after its step" if after else "its own weight decay of 0.01"
        yield f"Prodigy with {own}: from 1 to {float(weight[0].detach()):.3f}, the minimum is at 3"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the libraries, as pip --target put them there")
    find(parser.parse_args().folder)
    for name, apart in comparisons():
        print(f"{apart:8.1e}  {name}")
    print(*not_here(), sep="\n")


if __name__ == "__main__":
    main()
