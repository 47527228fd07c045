"""What monitor() costs: time of a training iteration with it and without, on three nets.

    python benchmarks/monitor.py [--every 250] [--seconds 10] [--threads 2]

Both trainings, each with its own copy of the net, make an iteration in turn. Times are the
processor's (every thread of this process), which other programs on the machine lengthen less than
the clock's. "reading" is one reading, timed alone, over the interval and the median iteration;
"between" the Python call that stands before every other step, timed alone; "adds" the difference
of the two trainings' median iterations, and the reading.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

import unyoke

Net = tuple[torch.nn.Module, Callable[[], torch.Tensor]]


def small_mlp() -> Net:
    """Two layers on 64 inputs, as the task digits-plain has it: 2,410 weights."""
    return torch.nn.Sequential(
        torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10)
    ), lambda: torch.randn(64, 64)


def convolutions() -> Net:
    """Four convolutions with BatchNorm on 16×16 images, batch 32: 100,000 weights."""
    layers: list[torch.nn.Module] = []
    for before, after in ((3, 32), (32, 64), (64, 64), (64, 64)):
        layers += [
            torch.nn.Conv2d(before, after, 3, padding=1),
            torch.nn.BatchNorm2d(after),
            torch.nn.ReLU(),
        ]
    layers += [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(64, 10)]
    return torch.nn.Sequential(*layers), lambda: torch.randn(32, 3, 16, 16)


def transformer() -> Net:
    """Four encoder layers of width 128, batch 8 of 64 tokens: 800,000 weights."""
    layer = torch.nn.TransformerEncoderLayer(128, 4, 512, batch_first=True, dropout=0.0)
    return torch.nn.TransformerEncoder(layer, 4), lambda: torch.randn(8, 64, 128)


NETS = {"MLP": small_mlp, "convolutions": convolutions, "transformer": transformer}


class Training:
    """A net with an optimizer, monitored or not."""

    def __init__(self, net: torch.nn.Module, batch: torch.Tensor, every: int | None) -> None:
        self.net, self.batch = net, batch
        self.optimizer = unyoke.AdamW(net.parameters(), lr=1e-4, weight_decay=1e-5)
        self.monitor: Any = None
        if every is not None:
            self.monitor = unyoke.monitor(self.optimizer, model=net, every=every, updates=10**6)

    def run(self) -> float:
        """Processor's seconds of one iteration."""
        start = time.process_time()
        self.optimizer.zero_grad()
        self.net(self.batch).square().mean().backward()
        self.optimizer.step()
        return time.process_time() - start


def share(name: str, every: int, seconds: float) -> tuple[int, float, float, float, float]:
    """(iterations, seconds of one, share that monitoring adds, of one reading, of the call)."""
    torch.manual_seed(0)
    net, batch = NETS[name]()
    inputs = batch()
    plain = Training(copy.deepcopy(net), inputs, None)
    watched = Training(net, inputs, every)
    for _ in range(20):
        plain.run()
        watched.run()
    without, with_it = [], []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        without.append(plain.run())
        with_it.append(watched.run())
    usual = statistics.median(without)
    # Medians of iterations without a reading, which other programs disturb least, and the readings
    parts = _parts(watched, plain, usual, every)
    added = statistics.median(with_it) / usual - 1.0 + parts[0]
    return len(without), usual, added, *parts


def _parts(watched: Training, plain: Training, iteration: float, every: int) -> tuple[float, float]:
    """A reading's share of an interval, and the call's of an iteration, each timed alone."""

    def seconds(training: Training, read: bool, steps: int) -> float:
        times = []
        for _ in range(steps):
            if read:
                training.monitor.read()
            start = time.process_time()
            training.optimizer.step()
            times.append(time.process_time() - start)
        return statistics.median(times)

    bare = seconds(plain, False, 101)
    reading = seconds(watched, True, 41) - bare
    watched.monitor.close()
    quiet = unyoke.monitor(watched.optimizer, every=0)
    wrapped = [_loop(watched), _loop(plain), _loop(watched), _loop(plain)]
    quiet.close()
    call = (wrapped[0] - wrapped[1] + wrapped[2] - wrapped[3]) / 2
    return reading / every / iteration, call / iteration


def _loop(training: Training, steps: int = 100) -> float:
    start = time.process_time()
    for _ in range(steps):
        training.optimizer.step()
    return (time.process_time() - start) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=250)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each net")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"one reading in {arguments.every} updates, {arguments.threads} threads\n")
    print("| net | iterations | one takes | monitoring adds | reading | between |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in NETS:
        count, iteration, added, reading, call = share(name, arguments.every, arguments.seconds)
        print(
            f"| {name} | {count:,} | {1e3 * iteration:.2f} ms | {100 * added:+.2f} % | "
            f"{100 * reading:.2f} % | {100 * call:.2f} % |"
        )


if __name__ == "__main__":
    main()
