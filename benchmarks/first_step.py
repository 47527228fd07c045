"""How long the first step of a process takes: with nothing compiled yet, and with kernels on disk.

    python benchmarks/first_step.py [--rounds N]

Each round begins with an empty folder of kernels and starts two processes that use it, one after
the other: the first has to compile, the second finds what the first has left. Both make AdamW for
six small tensors and take a step, and then do so with SGDW, whose kernel is another. A third
process does the same with torch's fused AdamW and SGD: with whichever optimizer is the first of a
process, torch imports a good deal. From the constructor to the end of the step, by the clock;
medians over the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

PROGRAM = """
import json, sys, time, torch, unyoke
make = {
    "unyoke": [lambda p: unyoke.AdamW(p, backend="cpu"), lambda p: unyoke.SGDW(p, backend="cpu")],
    "torch": [
        lambda p: torch.optim.AdamW(p, fused=True),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, fused=True),
    ],
}
seconds = []
for one in make[sys.argv[1]]:
    weights = [torch.nn.Parameter(torch.randn(64, 64)) for _ in range(6)]
    for weight in weights:
        weight.grad = torch.randn_like(weight)
    start = time.perf_counter()
    one(weights).step()
    seconds.append(time.perf_counter() - start)
print(json.dumps(seconds))
"""


def seconds(library: str, cache: str) -> list[float]:
    """Of the first step of AdamW and of SGD's relative, in a process of its own."""
    environment = {**os.environ, "UNYOKE_CACHE_DIR": cache}
    command = [sys.executable, "-c", PROGRAM, library]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    ways = {"unyoke, nothing compiled": "unyoke", "unyoke, kernels on disk": "unyoke"}
    ways["torch, fused"] = "torch"
    found: dict[str, list[list[float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            for name, library in ways.items():
                found[name].append(seconds(library, cache))
    print(f"{'':26} AdamW   then SGDW or SGD, s")
    for name, times in found.items():
        first, second = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{name:26} {first:5.2f} {second:9.3f}")


if __name__ == "__main__":
    main()
