"""What narrow state and careful rounding cost: time of a step of AdamW, against torch's fused step.

    python benchmarks/formats.py [--weights 262144] [--threads 1] [--rounds 31] [--processor-time]

One tensor of float32 weights. All make their step in turn (see unyoke.bench.timing); medians over
rounds. 262,144 weights stay in a processor's caches, 32 million do not. With --processor-time what
counts is the time that this process was running: for one thread on a machine that others use too.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch

import unyoke
from unyoke.bench import cases
from unyoke.bench.timing import alternate

FORMATS: dict[str, dict[str, Any]] = {
    "float32": {},
    "bfloat16 state": {"state_dtype": torch.bfloat16},
    "8-bit state": {"state_dtype": "int8"},
    "kahan": {"rounding": "kahan"},
    "stochastic": {"rounding": "stochastic"},
}


def times(weights: int, rounds: int, processor_time: bool) -> dict[str, float]:
    """Seconds of a step in each format, and of torch's."""
    parameters = cases.parameters([(weights,)])
    steps: dict[str, Any] = {"torch fused": torch.optim.AdamW(parameters, fused=True).step}
    for name, options in FORMATS.items():
        steps[name] = unyoke.AdamW(parameters, backend="cpu", **options).step
    clock = time.process_time if processor_time else time.perf_counter
    return alternate(steps, rounds=rounds, clock=clock)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=int, default=1 << 18)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--processor-time", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found = times(arguments.weights, arguments.rounds, arguments.processor_time)
    print(f"{arguments.weights:,} weights, {arguments.threads} thread(s)\n")
    print("| | ns per weight | torch fused / this |\n| --- | --- | --- |")
    for name, seconds in found.items():
        each, ratio = 1e9 * seconds / arguments.weights, found["torch fused"] / seconds
        print(f"| {name} | {each:.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
