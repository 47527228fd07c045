"""How benchmarks/gpu.py takes times and keeps what it found."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


@dataclass
class Row:
    """A line of the table."""

    section: str
    case: str
    contestant: str
    value: float
    unit: str
    note: str = ""


class Bench:
    """The device, how time is taken on it, and what was found.

    Attributes:
        rehearsal: everything tiny, on the CPU.
    """

    def __init__(self, rehearsal: bool) -> None:
        self.rehearsal = rehearsal
        self.device = torch.device("cpu" if rehearsal else "cuda")
        self.rows: list[Row] = []

    def note(self, *values: Any) -> None:
        row = Row(*values)
        self.rows.append(row)
        print(line(row), flush=True)

    def synchronize(self) -> None:
        if not self.rehearsal:
            torch.cuda.synchronize()

    def free(self) -> None:
        if not self.rehearsal:
            torch.cuda.empty_cache()

    def seconds(self, *steps: Callable[[], object], rounds: int = 7) -> list[float]:
        """Seconds per call of each, the contestants alternating; medians over rounds."""
        for step in steps:
            for _ in range(8):  # kernels are compiled, and ours replays after some
                step()
        self.synchronize()
        spent: list[list[float]] = [[] for _ in steps]
        for _ in range(2 if self.rehearsal else rounds):
            for step, times in zip(steps, spent, strict=True):
                calls = self._calls(step)
                self.synchronize()
                start = time.perf_counter()
                for _ in range(calls):
                    step()
                self.synchronize()
                times.append((time.perf_counter() - start) / calls)
        return [statistics.median(times) for times in spent]

    def _calls(self, step: Callable[[], object]) -> int:
        """How many fill a few hundredths of a second."""
        self.synchronize()
        start = time.perf_counter()
        step()
        self.synchronize()
        return max(1, min(200, int(0.03 / (time.perf_counter() - start))))


def line(row: Row) -> str:
    return (
        f"{row.section:<11} {row.case:<26} {row.contestant:<34} "
        f"{row.value:>12.5g} {row.unit:<12} {row.note}"
    )


def copy_bandwidth(bench: Bench) -> float:
    """Bytes per second, read and written, of the largest device-to-device copy."""
    source = torch.randn(1 << (10 if bench.rehearsal else 28), device=bench.device)
    target = torch.empty_like(source)
    (seconds,) = bench.seconds(lambda: target.copy_(source))
    return 2 * source.numel() * 4 / seconds


def machine(bench: Bench, given: str | None) -> dict[str, str]:
    """What the figures belong to."""
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:  # no git on this machine
        commit = ""
    name = "rehearsal on the CPU" if bench.rehearsal else torch.cuda.get_device_name()
    try:
        import triton

        version = triton.__version__
    except ImportError:
        version = "none"
    return {
        "device": name,
        "torch": torch.__version__,
        "triton": version,
        "CUDA": str(torch.version.cuda),
        "commit": given or commit.strip() or "unknown",
    }
