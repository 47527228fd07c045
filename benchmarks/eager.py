"""The eager backend beside torch's own loops: AdamW on one thread.

    python benchmarks/eager.py [--rounds N]

Each round runs one step of every contender, in turn, so that a busy machine slows all of them. The
figures are medians over the rounds of the milliseconds of a step, and of the ratio to torch's
``foreach`` step of the same round: 2 is twice as fast. Times are the thread's, not the clock's.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

import unyoke

CASES = {
    "50 layers of 32 × 32": [(32, 32)] * 50,
    "12 layers of 1,024 × 1,024": [(1024, 1024)] * 12,
    "one of 32 M": [(32, 1024, 1024)],
}

ROUNDS = {"50 layers of 32 × 32": 20}
"""How many times as many rounds for short steps."""


def weights(shapes: list[tuple[int, ...]]) -> list[torch.nn.Parameter]:
    """Parameters with gradients."""
    generator = torch.Generator().manual_seed(0)
    made = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    for weight in made:
        weight.grad = torch.randn(weight.shape, generator=generator)
    return made


def contenders(shapes: list[tuple[int, ...]]) -> dict[str, Callable[[], object]]:
    """A step of each, on weights of its own."""
    return {
        "torch foreach": torch.optim.AdamW(weights(shapes), foreach=True, fused=False).step,
        "torch for-loop": torch.optim.AdamW(weights(shapes), foreach=False, fused=False).step,
        "torch fused": torch.optim.AdamW(weights(shapes), fused=True).step,
        "unyoke eager": unyoke.AdamW(weights(shapes), backend="eager").step,
    }


def measured(steps: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each step in each round."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 3):
        for name, step in steps.items():
            start = time.thread_time()
            step()
            if number >= 3:
                times[name].append(time.thread_time() - start)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    for case, shapes in CASES.items():
        times = measured(contenders(shapes), rounds * ROUNDS.get(case, 1))
        print(case)
        for name, own in times.items():
            ratios = [
                theirs / ours for theirs, ours in zip(times["torch foreach"], own, strict=True)
            ]
            print(
                f"  {name:15}{1e3 * statistics.median(own):9.2f} ms"
                f"{statistics.median(ratios):7.2f} × torch foreach"
            )


if __name__ == "__main__":
    main()
