"""How the gpu backend's kernels go through memory: time of a launch for some shapes and formats.

    PYTHONPATH=src python benchmarks/gpu_shapes.py

This is what unyoke.backends.gpu.tables.shape was chosen by. Without a GPU it says so.
"""

from __future__ import annotations

import statistics
import sys
from typing import Any

import torch
from gpu import CASES, OPTIONS, parameters
from gpu_timing import Bench, copy_bandwidth

import unyoke

BYTES = dict(zip(OPTIONS, (28, 20, 16 + 8 / 128, 36), strict=True))
"""That an update of one weight reads and writes, by AdamW in each of the formats."""

SHAPES = ((1024, 128, 1), (1024, 256, 1), (512, 128, 1), (2048, 256, 1), (2048, 256, 8))
"""Elements of a block, threads, and blocks in a chunk at most."""


def launch_seconds(case: str, bench: Bench, options: dict[str, Any]) -> float:
    """Seconds of one launch, by the device's own clock."""
    from unyoke.backends.gpu import launches

    optimizer = unyoke.AdamW(parameters(CASES[case], bench), **options)
    optimizer.step()
    work = optimizer._stepper.plans[0].work
    (launch,) = work.cache["gpu"]._launches
    row = launches.row(work)
    assert row is not None
    times = []
    for _ in range(5):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(10):
            launch.run(work, row)
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / 1e4)
    return statistics.median(times)


def main() -> int:
    missing = unyoke.backends.ALL["gpu"].missing()
    if missing is not None:
        print(f"Nothing was measured: {missing}.")
        return 0
    from unyoke.backends.gpu import tables

    bench = Bench(rehearsal=False)
    bandwidth = copy_bandwidth(bench)
    print(f"{torch.cuda.get_device_name()}, copy {bandwidth / 1e9:.0f} GB/s")
    for name, options in OPTIONS.items():
        for sizes in SHAPES:
            shape = tables.Shape(*sizes)
            tables.shape = lambda recipe, shape=shape: shape  # type: ignore[misc]
            for case in ("one of 256 M", "2000 of 4096"):
                seconds = launch_seconds(case, bench, options)
                moved = BYTES[name] * sum(torch.Size(each).numel() for each in CASES[case])
                share = moved / seconds / bandwidth
                print(f"{name:<24} {shape} {case}: {1e6 * seconds:.0f} µs, {share:.1%} of copy")
                bench.free()
    return 0


if __name__ == "__main__":
    sys.exit(main())
