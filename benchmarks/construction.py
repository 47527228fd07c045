"""An optimizer of very many parameters: its construction and first step, AdamW on one thread.

    python benchmarks/construction.py [--parameters N] [--rounds N]

Each round makes both contenders anew, in turn, so that a busy machine slows both, and takes one
step with each. The figures are medians over the rounds: seconds of the thread, not of the clock,
and the ratio to torch's fused step of the same round: 2 is twice as fast. The kernel has been
compiled before.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import torch

import unyoke

SIZE = 10
"""Elements of a parameter."""


def seconds(make: Any, count: int, **more: Any) -> tuple[float, float]:
    """Of the construction, and of the first step."""
    weights = [torch.nn.Parameter(torch.ones(SIZE)) for _ in range(count)]
    for weight in weights:
        weight.grad = torch.ones(SIZE)
    start = time.thread_time()
    optimizer = make(weights, **more)
    made = time.thread_time()
    optimizer.step()
    return made - start, time.thread_time() - made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parameters", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(1)
    seconds(unyoke.AdamW, 10)
    ours, theirs = [], []
    for _ in range(given.rounds):
        ours.append(seconds(unyoke.AdamW, given.parameters))
        theirs.append(seconds(torch.optim.AdamW, given.parameters, fused=True))
    for name, found in {"unyoke": ours, "torch fused": theirs}.items():
        made, first = (statistics.median(column) for column in zip(*found, strict=True))
        both = statistics.median(map(sum, found))
        print(f"{name:12} constructed {made:.2f} s, first step {first:.2f} s, both {both:.2f} s")
    ratio = statistics.median(sum(b) / sum(a) for a, b in zip(ours, theirs, strict=True))
    print(f"{ratio:.2f} × torch fused")


if __name__ == "__main__":
    main()
