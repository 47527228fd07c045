"""What one thread's AdamW cannot go below: the time in which its memory is only read.

    python benchmarks/limits.py

Prints the shortest of many turns, taken alternately: a step, and a loop that reads weights,
gradients and both moments and does nothing else. Where the two are close, memory is the limit and
no arithmetic can be saved.
"""

from __future__ import annotations

import argparse
from time import perf_counter

import numba
import numpy as np
import torch

import unyoke
from unyoke.bench.cases import SHAPES


@numba.njit(nogil=True)
def read(numbers):
    """All bits of an array of 64-bit integers, combined so that the loop is vector code."""
    bits = 0
    for i in range(len(numbers)):
        bits ^= numbers[i]
    return bits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=300)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print(f"{'':20} step, µs   only reading, µs")
    for name in ("six small tensors", "400 × 1,000"):
        params = [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES[name]]
        for param in params:
            param.grad = torch.randn_like(param)
        optimizer = unyoke.AdamW(params, backend="cpu")
        for _ in range(3):
            optimizer.step()
        tensors = [each for p in params for each in (p, p.grad, *_moments(optimizer, p))]
        arrays = numba.typed.List(
            each.detach().numpy().reshape(-1).view(np.int64) for each in tensors
        )
        actions = (optimizer.step, lambda arrays=arrays: read_all(arrays))
        actions[1]()
        best = [float("inf")] * 2
        for _ in range(rounds):
            for k, action in enumerate(actions):
                action()
                start = perf_counter()
                action()
                best[k] = min(best[k], perf_counter() - start)
        print(f"{name:20} {best[0] * 1e6:8.1f}   {best[1] * 1e6:8.1f}")


@numba.njit(nogil=True)
def read_all(arrays):
    """The same for many, in one call."""
    bits = 0
    for numbers in arrays:
        bits ^= read(numbers)
    return bits


def _moments(optimizer: unyoke.AdamW, param: torch.Tensor) -> tuple[torch.Tensor, ...]:
    state = optimizer.state[param]
    return state["exp_avg"], state["exp_avg_sq"]


if __name__ == "__main__":
    main()
