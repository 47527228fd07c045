"""Time of a step of what needs norms: the cpu backend beside eager, and AdamW for comparison.

    python benchmarks/norms.py [--threads 1,2] [--rounds 9]

All make their step in turn on the same tensors (see unyoke.bench.timing); medians over rounds.
"""

from __future__ import annotations

import argparse

import torch

import unyoke
from unyoke.bench import cases
from unyoke.bench.report import seconds_as_text
from unyoke.bench.timing import alternate

SHAPES = {
    "six small": cases.mlp_shapes(),
    "400 × 1,000": [(1000,)] * 400,
    "ResNet-50": cases.resnet50_shapes(),
}


CLASSES = (
    unyoke.LambW,
    unyoke.LarsW,
    unyoke.CautiousAdamW,
    unyoke.StableAdamW,
    unyoke.MARSW,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    print("| optimizer | threads | case | cpu | eager | eager / cpu | cpu's AdamW |")
    print("|---|---|---|---|---|---|---|")
    for cls in CLASSES:
        for threads in map(int, arguments.threads.split(",")):
            torch.set_num_threads(threads)
            for case, shapes in SHAPES.items():
                weights = cases.parameters(shapes)
                steps = {
                    name: cls(weights, lr=1e-4, backend=name).step for name in ("cpu", "eager")
                }
                steps["adamw"] = unyoke.AdamW(weights, lr=1e-4, backend="cpu").step
                times = alternate(steps, rounds=arguments.rounds)
                ratio = times["eager"] / times["cpu"]
                cpu, eager, adamw = (seconds_as_text(times[n]) for n in ("cpu", "eager", "adamw"))
                row = f"| {cls.__name__} | {threads} | {case} | {cpu} | {eager} "
                print(f"{row}| {ratio:.1f} × | {adamw} |", flush=True)


if __name__ == "__main__":
    main()
