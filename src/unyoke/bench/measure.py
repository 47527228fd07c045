"""The measurements. All times are medians of alternating rounds, in seconds."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

import unyoke
from unyoke.bench import cases
from unyoke.bench.contenders import BASELINE, FEW, Contender, all_of, reason
from unyoke.bench.timing import alternate


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        quick: under a minute: small cases, one thread, nothing that compiles for long.
        threads: numbers of threads, one run of the steps each.
        rounds: how many times everybody has a turn.
        peers: a folder with other libraries.
    """

    quick: bool = False
    threads: tuple[int, ...] = (1, 2)
    rounds: int = 15
    peers: str | None = None


@dataclass
class Result:
    """Everything that was measured; plain numbers and words.

    Attributes:
        machine: where, with what, at which commit.
        bandwidth: threads → bytes per second of an in-place multiplication of 128 MB.
        steps: one row for each threads × case × contender: seconds per step.
        iterations: the same for forward, backward and step of small models.
        bytes_per_weight: of the state of a 256 × 1024 weight.
        first_step: seconds from the constructor to the end of the first step.
        release: peak memory of one training step, MB, with and without gradient release.
        absent: who could not be timed, and why.
    """

    machine: dict[str, str]
    bandwidth: dict[str, float] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    iterations: list[dict[str, Any]] = field(default_factory=list)
    bytes_per_weight: dict[str, float] = field(default_factory=dict)
    first_step: dict[str, float] = field(default_factory=dict)
    release: dict[str, float] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> str:
        """The result for other programs."""
        return json.dumps(asdict(self), indent=1)


def run(settings: Settings, tell: Callable[[str], None] = lambda line: None) -> Result:
    """Measure everything; ``tell`` hears what is being measured."""
    everybody, absent = all_of(settings.peers, settings.quick)
    result = Result(machine=machine(), absent=absent)
    before = torch.get_num_threads()
    try:
        for threads in settings.threads[:1] if settings.quick else settings.threads:
            torch.set_num_threads(threads)
            result.bandwidth[str(threads)] = bandwidth()
            shapes = cases.QUICK if settings.quick else cases.SHAPES
            for case, tensors in shapes.items():
                tell(f"steps of {case}, {threads} thread(s)")
                able = those_able(everybody, tensors, case, absent)
                result.steps += step_rows(able, case, tensors, threads, settings.rounds)
            tell(f"training iterations, {threads} thread(s)")
            result.iterations += iteration_rows(everybody, threads, settings.rounds)
    finally:
        torch.set_num_threads(before)
    tell("state, first steps, peak memory")
    matrix = those_able(everybody, [(256, 1024)], "one matrix", absent)
    result.bytes_per_weight = {one.name: bytes_per_weight(one) for one in matrix}
    result.first_step = first_steps()
    result.release = peak_memory()
    return result


def machine() -> dict[str, str]:
    """What the figures depend on."""
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        processor = models[0] if models else processor
    return {
        "processor": processor,
        "cores": str(os.cpu_count()),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "unyoke": unyoke.__version__,
        "commit": _commit(),
    }


def _commit() -> str:
    folder = Path(__file__).parent
    try:
        asked = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "not in a repository"
    return asked.stdout.strip()


def bandwidth() -> float:
    """Bytes per second, read and written, of multiplying 128 MB in place."""
    numbers = torch.ones(32_000_000)
    times = alternate({"multiply": lambda: numbers.mul_(1.0)}, rounds=9)
    return 8 * len(numbers) / times["multiply"]


def those_able(
    contenders: Iterable[Contender], shapes: cases.Shapes, case: str, absent: dict[str, str]
) -> list[Contender]:
    """Those who can make a step of this case; for the rest the reason goes into ``absent``."""
    able = []
    for one in contenders:
        if one.compiled and len(shapes) > FEW:
            continue
        weights = cases.parameters(shapes)
        try:
            one.make(weights).step()
        except Exception as error:  # whatever foreign code may raise is a reason
            absent[f"{one.name}, {case}"] = reason(error)
        else:
            able.append(one)
    return able


def step_rows(
    contenders: Iterable[Contender],
    case: str,
    shapes: cases.Shapes,
    threads: int,
    rounds: int,
) -> list[dict[str, Any]]:
    """Seconds per step of everybody, on the same parameters."""
    weights = cases.parameters(shapes)
    actions = {one.name: _repeatable(one.make(weights).step, weights) for one in contenders}
    times = alternate(actions, rounds=rounds)
    weights_there = cases.size(shapes)
    return [
        {**row, "weights": weights_there, "speed": times[BASELINE] / row["seconds"]}
        for row in _rows(threads, case, times)
    ]


def _rows(threads: int, case: str, times: Mapping[str, float]) -> list[dict[str, Any]]:
    return [
        {"threads": threads, "case": case, "contender": name, "seconds": seconds}
        for name, seconds in times.items()
    ]


def _repeatable(
    step: Callable[[], object], weights: Sequence[torch.Tensor]
) -> Callable[[], object]:
    """The step; with the gradients put back after it, if it is one that takes them away.

    Others step the same weights, and without gradients they would be done in no time.
    """
    grads = [weight.grad for weight in weights]

    def put_back() -> None:
        for weight, grad in zip(weights, grads, strict=True):
            weight.grad = grad

    def again() -> None:
        step()
        put_back()

    step()
    takes_away = any(weight.grad is None for weight in weights)
    put_back()
    return again if takes_away else step


def iteration_rows(
    contenders: Iterable[Contender], threads: int, rounds: int
) -> list[dict[str, Any]]:
    """Seconds per iteration: zero_grad, forward, backward, step; and without the step."""
    rows = []
    for case, (model, batch) in cases.models().items():
        steps: dict[str, Callable[[], object]] = {"forward and backward": lambda: None}
        for one in contenders:
            if not one.compiled:
                steps[one.name] = one.make(list(model.parameters())).step
        actions = {name: _iteration(model, batch, step) for name, step in steps.items()}
        rows += _rows(threads, case, alternate(actions, rounds=rounds))
    return rows


def _iteration(
    model: torch.nn.Module, batch: torch.Tensor, step: Callable[[], object]
) -> Callable[[], object]:
    def iterate() -> None:
        model.zero_grad()
        model(batch).square().mean().backward()
        step()

    return iterate


def bytes_per_weight(contender: Contender) -> float:
    """Bytes of state for each weight, after two steps of a large matrix."""
    weight = torch.nn.Parameter(torch.randn(256, 1024))
    optimizer = contender.make([weight])
    weight.grad = torch.randn_like(weight)
    for _ in range(2):
        optimizer.step()
    return _bytes(optimizer.state[weight]) / weight.numel()


def _bytes(state: Any) -> int:
    if isinstance(state, torch.Tensor):
        inner = getattr(state, "__tensor_flatten__", None)  # how wrapper subclasses are opened
        if inner is not None:
            return sum(_bytes(getattr(state, name)) for name in inner()[0])
        shared = state.numel() <= 256  # counters and code tables
        return 0 if shared else state.numel() * state.element_size()
    if isinstance(state, dict):
        return sum(map(_bytes, state.values()))
    return sum(map(_bytes, state)) if isinstance(state, (list, tuple)) else 0


_FIRST_STEP = """
import sys, time, torch
make = {
    "torch fused": lambda ps: torch.optim.AdamW(ps, fused=True),
    "torch for-loop": lambda ps: torch.optim.AdamW(ps, foreach=False),
}
if sys.argv[1] not in make:
    import unyoke
    make[sys.argv[1]] = unyoke.AdamW
ps = [torch.nn.Parameter(torch.randn(64, 64)) for _ in range(6)]
for p in ps:
    p.grad = torch.randn_like(p)
start = time.perf_counter()
make[sys.argv[1]](ps).step()
print(time.perf_counter() - start)
"""


def first_steps() -> dict[str, float]:
    """In processes of their own: with an empty cache of kernels, and again with a filled one."""
    labels = {
        "unyoke, nothing compiled yet": "unyoke",
        "unyoke, kernels on disk": "unyoke",
        "torch fused": "torch fused",
        "torch for-loop": "torch for-loop",
    }
    with tempfile.TemporaryDirectory() as cache:
        return {
            label: float(_in_process(_FIRST_STEP, name, UNYOKE_CACHE_DIR=cache))
            for label, name in labels.items()
        }


_PEAK = """
import sys, torch, unyoke
def memory(what):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what + ":")) / 1024
def train(width):
    model = torch.nn.Sequential(*(torch.nn.Linear(width, width) for _ in range(20)))
    optimizer = unyoke.SGDW(model.parameters(), momentum=0, backend="eager")
    if sys.argv[1] == "released":
        unyoke.release(optimizer)
    before = memory("VmRSS")
    for _ in range(3):
        model(torch.ones(4, width)).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return memory("VmHWM") - before
train(8)  # what the first step loads is not the question
print(train(1500))
"""


def peak_memory() -> dict[str, float]:
    """MB by which training a model of 45 M weights (180 MB) exceeds holding it."""
    if sys.platform != "linux":  # which says so in /proc
        return {}
    seen = {"MALLOC_MMAP_THRESHOLD_": "1000000"}  # glibc gives back at once what is freed
    labels = {"step() after backward": "plain", "unyoke.release()": "released"}
    return {label: float(_in_process(_PEAK, how, **seen)) for label, how in labels.items()}


def _in_process(script: str, argument: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, argument],
        env={**os.environ, **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip().splitlines()[-1]
