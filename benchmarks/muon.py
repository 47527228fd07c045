"""Muon: ours beside torch's, the reference implementation, and other libraries', in one run.

    pip install --no-deps --target peers -r benchmarks/peers.txt
    python benchmarks/muon.py [--peers peers] [--threads 1,2] [--rounds 7] [--only gpt2,resnet56]
                              [--contenders "ours;torch;reference"]

All make their step in turn on the same matrices (see unyoke.bench.timing); figures are medians over
the rounds, and how many times ours is as fast. ``float32`` is ours with ``ns_dtype="float32"``.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable

import torch

import unyoke
from unyoke.bench import cases
from unyoke.bench.report import seconds_as_text
from unyoke.bench.timing import alternate

Weights = list[torch.Tensor]
Step = Callable[[], object]
LR = 1e-4


def gpt2() -> cases.Shapes:
    """The 48 matrices of GPT-2 small's 12 layers, as torch.nn.Linear has them: 85 M weights."""
    width = 768
    return [(3 * width, width), (width, width), (4 * width, width), (width, 4 * width)] * 12


def resnet56() -> cases.Shapes:
    """The convolutions of ResNet-56 for CIFAR as matrices: 55 of them, 0.8 M weights."""
    shapes, inner = [(16, 27)], 16
    for width in (16, 32, 64):
        for _ in range(9):
            shapes += [(width, 9 * inner), (width, 9 * width)]
            inner = width
    return [*shapes]


CASES = {"gpt2": gpt2, "resnet56": resnet56}


class Reference:
    """Jordan's Muon, its step written out: github.com/KellerJordan/Muon, muon.py.

    Its five products of each matrix are in bfloat16. The published class also shares matrices out
    among processes, which is left out here.
    """

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._buffers = [torch.zeros_like(weight) for weight in weights]

    @torch.no_grad()
    def step(self) -> None:
        for weight, buffer in zip(self._weights, self._buffers, strict=True):
            assert weight.grad is not None
            buffer.lerp_(weight.grad, 1 - 0.95)
            update = self._orthogonalized(weight.grad.lerp(buffer, 0.95))
            update *= max(1, weight.size(-2) / weight.size(-1)) ** 0.5
            weight.mul_(1 - LR * 0.1)
            weight.add_(update, alpha=-LR)

    @staticmethod
    def _orthogonalized(update: torch.Tensor) -> torch.Tensor:
        a, b, c = (3.4445, -4.7750, 2.0315)
        x = update.bfloat16()
        tall = update.size(-2) > update.size(-1)
        if tall:
            x = x.mT
        x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
        for _ in range(5):
            gram = x @ x.mT
            x = a * x + (b * gram + c * gram @ gram) @ x
        return x.mT if tall else x


def heavyball(weights: Weights) -> Step:
    """HeavyBall's, uncompiled: to compile takes it minutes for so many matrices.

    It takes the gradients away; to give them back costs microseconds.
    """
    import heavyball as library

    library.utils.compile_mode = None
    optimizer = library.Muon(weights, lr=LR, weight_decay=0.1)
    grads = [weight.grad for weight in weights]

    def step() -> None:
        optimizer.step()
        for weight, grad in zip(weights, grads, strict=True):
            weight.grad = grad

    return step


def pytorch_optimizer(weights: Weights) -> Step:
    """pytorch_optimizer's."""
    import pytorch_optimizer as library

    group = {"params": weights, "use_muon": True}
    return library.Muon([group], lr=LR, weight_decay=0.1).step  # type: ignore[no-any-return]


MAKERS: dict[str, Callable[[Weights], Step]] = {
    "ours": lambda weights: unyoke.Muon(weights, lr=LR).step,
    "ours, eager": lambda weights: unyoke.Muon(weights, lr=LR, backend="eager").step,
    "ours, float32": lambda weights: unyoke.Muon(weights, lr=LR, ns_dtype="float32").step,
    "torch": lambda weights: torch.optim.Muon(weights, lr=LR).step,
    "reference": lambda weights: Reference(weights).step,
    "heavyball": heavyball,
    "pytorch_optimizer": pytorch_optimizer,
}


def contenders(names: list[str], weights: Weights) -> dict[str, Step]:
    """Those of them who are there and make a step."""
    found = {}
    for name in names:
        try:
            step = MAKERS[name](weights)
            step()
        except Exception as error:  # whatever another library raises
            reason = str(error).split("\n")[0]
            print(f"not here: {name}: {type(error).__name__}: {reason}", file=sys.stderr)
            continue
        found[name] = step
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", help="a folder with other libraries")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--contenders", default=";".join(MAKERS), help="separated by semicolons")
    arguments = parser.parse_args()
    if arguments.peers:
        sys.path.append(arguments.peers)
    warnings.filterwarnings("ignore")
    names = arguments.contenders.split(";")
    print("| matrices | threads | optimizer | time of a step | ours is faster by |")
    print("|---|---|---|---|---|")
    for case in arguments.only.split(","):
        for threads in map(int, arguments.threads.split(",")):
            torch.set_num_threads(threads)
            weights = cases.parameters(CASES[case]())
            times = alternate(contenders(names, weights), rounds=arguments.rounds)
            for name, seconds in times.items():
                ratio = seconds / times["ours"]
                row = (
                    f"| {case} | {threads} | {name} | {seconds_as_text(seconds)} | {ratio:.2f} × |"
                )
                print(row, flush=True)


if __name__ == "__main__":
    main()
