"""Other parameters have a gradient at each step, as of experts or branches: AdamW on one thread.

    python benchmarks/gradients_come_and_go.py [--rounds N]

Each round runs one step of both contenders, in turn, so that a busy machine slows both. The figures
are medians over the rounds of the milliseconds of a step, and of the ratio to torch's fused step of
the same round: 2 is twice as fast. Times are the process's, not the clock's. Before the rounds,
every parameter has had a gradient, and two steps were made.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

import unyoke

CASES = {
    "400 of 1,000, of which 8 have none": (400, 1000, 8, 10),
    "20,000 of 10, of which one has none": (20_000, 10, 1, 1),
}
"""Parameters, elements of each, how many have no gradient in a step, how many times the rounds."""


class Contender:
    """An optimizer, and parameters that take turns in having no gradient."""

    def __init__(self, make: type[torch.optim.Optimizer], count: int, size: int, **more: bool):
        self.weights = [torch.nn.Parameter(torch.ones(size)) for _ in range(count)]
        self.optimizer = make(self.weights, **more)
        self.grad = torch.ones(size)
        for weight in self.weights:
            weight.grad = self.grad

    def seconds(self, number: int, away: int) -> float:
        """Of a step in which these have no gradient, and those of the last step have one again."""
        first = number * away % len(self.weights)
        for weight in self.weights[first - away : first] or self.weights[-away:]:
            weight.grad = self.grad
        for weight in self.weights[first : first + away]:
            weight.grad = None
        start = time.process_time()
        self.optimizer.step()
        return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    for case, (count, size, away, times) in CASES.items():
        ours = Contender(unyoke.AdamW, count, size)
        fused = Contender(torch.optim.AdamW, count, size, fused=True)
        for each in (ours, fused):
            each.optimizer.step()
        found = [
            (ours.seconds(k, away), fused.seconds(k, away)) for k in range(1, 2 + rounds * times)
        ][1:]
        first, second = (1e3 * statistics.median(column) for column in zip(*found, strict=True))
        ratio = statistics.median(theirs / own for own, theirs in found)
        print(
            f"{case}: unyoke {first:.2f} ms, torch fused {second:.2f} ms; {ratio:.2f} × torch fused"
        )


if __name__ == "__main__":
    main()
