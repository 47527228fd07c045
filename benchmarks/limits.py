"""What AdamW cannot go below: the time in which its memory is only read, or read and written.

    python benchmarks/limits.py
    python benchmarks/limits.py --weights 32000000 [--threads 2]

Prints the shortest of many turns, taken alternately: a step of one thread, and a loop that reads
weights, gradients and both moments and does nothing else. Where the two are close, memory is the
limit and no arithmetic can be saved.

With --weights: medians for one tensor of so many float32 weights that no cache holds. A step in
each format of state stands beside a loop that reads as many bytes and writes as many.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

import numba
import numpy as np
import torch

import unyoke
from unyoke.bench.cases import SHAPES, parameters
from unyoke.bench.timing import alternate

STATES: dict[str, Any] = {"float32": 4, "bfloat16": 2, "int8": 1}
"""Bytes of each moment of a weight."""


@numba.njit(nogil=True)
def read(numbers):
    """All bits of an array of 64-bit integers, combined so that the loop is vector code."""
    bits = 0
    for i in range(len(numbers)):
        bits ^= numbers[i]
    return bits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--weights", type=int)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.weights is not None:
        one_tensor(arguments.weights, arguments.threads, arguments.rounds or 9)
        return
    rounds = arguments.rounds or 300
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


def one_tensor(weights: int, threads: int, rounds: int) -> None:
    """Print nanoseconds per weight of the steps and of the loops beside them."""
    torch.set_num_threads(threads)
    params = parameters([(weights,)])
    memory = np.ones((4, weights), dtype=np.float32)
    actions = {"torch fused": torch.optim.AdamW(params, fused=True).step}
    with ThreadPoolExecutor(threads) as pool:
        for name, size in STATES.items():
            optimizer = unyoke.AdamW(params, backend="cpu", state_dtype=name)
            actions[f"{name} state"] = optimizer.step
            actions[f"{name}, memory only"] = _passes(pool, threads, memory, size)
        found = alternate(actions, rounds=rounds)
    print(f"{weights:,} weights, {threads} thread(s)   ns per weight")
    for name, seconds in found.items():
        print(f"{name:24} {1e9 * seconds / weights:.2f}")


def _passes(pool: Any, threads: int, memory: Any, size: int) -> Callable[[], None]:
    """What reads and writes the bytes of a step, each thread its part."""
    part = memory.shape[1] // threads // 512 * 512
    wide, narrow = memory[:2].view(np.int64), memory[2:].view(np.int64)
    parts = []
    for k in range(threads):
        of_weights = slice(k * part // 2, (k + 1) * part // 2)
        of_state = slice(k * part * size // 8, (k + 1) * part * size // 8)
        parts.append((*wide[:, of_weights], *narrow[:, of_state]))

    def run() -> None:
        list(pool.map(lambda arrays: rewrite(*arrays), parts))

    run()
    return run


@numba.njit(nogil=True)
def rewrite(weight, grad, first, second):
    """Read all four and write to all but the gradients, a block of 128 weights at a time."""
    bits, size = 0, 64 * len(first) // len(weight)
    for block in range(len(weight) // 64):
        at = 64 * block
        for i in range(64):
            bits ^= grad[at + i]
        for i in range(64):
            weight[at + i] ^= 1
        at = size * block
        for i in range(size):
            first[at + i] ^= 1
        for i in range(size):
            second[at + i] ^= 1
    return bits


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
