"""What the gpu backend says, cuts and copies; none of it needs Triton or a GPU."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from interpreting import Interpreter, interpret
from stepping import NEEDS_TRITON, stepped

import unyoke
from unyoke import backends, primitives
from unyoke.backends.gpu import runtime, tables
from unyoke.backends.gpu.launch import Mirror
from unyoke.backends.gpu.runtime import Nvidia

ROOT = Path(__file__).parents[3]


class Pretended(Interpreter):
    """A runtime that has all it needs, so that the tensors are looked at."""

    def why_not(self) -> str | None:
        return None


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends.ALL["gpu"], "_runtime", Pretended())


# Objections


def refused(match: str, **options: Any) -> None:
    optimizer = stepped("gpu", ((4, 6), (8,)), updates=0, **options)
    first, second = optimizer.param_groups[0]["params"]
    first.grad, second.grad = torch.ones_like(first), torch.ones_like(second)
    before = first.detach().clone()
    with pytest.raises(RuntimeError, match=match):
        optimizer.step()
    assert torch.equal(first.detach(), before)


@pytest.mark.usefixtures("pretended")
def test_a_rule_on_whole_tensors() -> None:
    refused("lars with decoupled works on whole tensors", direction="lars")


@pytest.mark.usefixtures("pretended")
def test_differentiable() -> None:
    refused("autograd cannot record", differentiable=True)


def gaps(tensor: torch.Tensor) -> torch.Tensor:
    return torch.stack([tensor, tensor], dim=-1)[..., 0]


def other_order(grad: torch.Tensor) -> torch.Tensor:
    return grad.t().contiguous().t() if grad.dim() == 2 else grad


@pytest.mark.usefixtures("pretended")
def test_gaps() -> None:
    optimizer = stepped("gpu", ((4, 6),), updates=0, place=gaps, direction="gradient")
    (weight,) = optimizer.param_groups[0]["params"]
    weight.grad = gaps(torch.ones(4, 6))
    with pytest.raises(RuntimeError, match=r"parameter 0 .*of shape \(4, 6\) has gaps: strides"):
        optimizer.step()


@pytest.mark.usefixtures("pretended")
@pytest.mark.parametrize(
    ("change", "match"),
    [
        (other_order, r"shape \(4, 6\) has strides \(6, 1\), its grad \(1, 4\)"),
        (lambda grad: grad.to_sparse(), r"the grad of .* shape \(4, 6\) is torch.sparse_coo"),
    ],
    ids=["order", "sparse"],
)
def test_gradients(change: Callable[[torch.Tensor], torch.Tensor], match: str) -> None:
    optimizer = stepped("gpu", ((4, 6),), updates=0)
    (weight,) = optimizer.param_groups[0]["params"]
    weight.grad = change(torch.ones(4, 6))
    with pytest.raises(RuntimeError, match=match):
        optimizer.step()


def test_a_gradient_of_another_layout_at_a_later_step(monkeypatch: pytest.MonkeyPatch) -> None:
    interpret(monkeypatch)
    optimizer = stepped("gpu", ((4, 6),))
    (weight,) = optimizer.param_groups[0]["params"]
    weight.grad = other_order(torch.ones(4, 6))
    with pytest.raises(RuntimeError, match="a kernel needs one order"):
        optimizer.step()


@pytest.mark.usefixtures("pretended")
def test_mixed_devices() -> None:
    here, there = (
        torch.nn.Parameter(torch.ones(3)),
        torch.nn.Parameter(torch.ones(3, device="meta")),
    )
    optimizer = unyoke.Optimizer([here, there], backend="gpu")
    here.grad, there.grad = torch.ones(3), torch.ones(3, device="meta")
    with pytest.raises(RuntimeError, match="mixed devices in one group: cpu, meta"):
        optimizer.step()


def test_a_cpu_tensor_says_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Present(Nvidia):
        def why_not(self) -> str | None:
            return None

    monkeypatch.setattr(backends.ALL["gpu"], "_runtime", Present())
    refused("the tensors are on cpu, and this backend is for cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_says_what_was_looked_for() -> None:
    refused("no GPU: looked for .*torch.cuda.is_available|triton is not installed")


def test_an_old_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "T4")
    said = Nvidia().why_not_on(torch.device("cuda", 0))
    assert said is not None
    assert "T4 has compute capability 7.5, and kernels need 8.0" in said


def test_without_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime.importlib.util, "find_spec", lambda name: None)
    runtime._missing_here.cache_clear()
    try:
        assert "triton is not installed" in (Nvidia().why_not() or "")
    finally:
        runtime._missing_here.cache_clear()


def test_auto_goes_on_without_a_gpu() -> None:
    assert stepped("auto").param_groups[0]["updates"] == 2


# Tables


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 40_000), min_size=1, max_size=6),
    st.integers(1, 5),
    st.sampled_from([1, 8, 1 << 14]),
)
def test_every_element_is_in_one_chunk(lengths: list[int], models: int, programs: int) -> None:
    whole = [models * length for length in lengths]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "PROGRAMS", programs)
        table = tables.chunks(whole, list(range(len(whole))), tables.Shape(1024, 128, 3), models)
    seen = [np.zeros(length, np.int64) for length in whole]
    for tensor, start, count, which in table:
        assert 0 < count <= 3 * 1024
        seen[tensor][start : start + count] += 1
        model = start // lengths[tensor]
        assert which == tensor * models + model
        assert start + count <= (model + 1) * lengths[tensor]
    assert all((times == 1).all() for times in seen)


# Mirrors


class Recorder(Pretended):
    """Pretends to record a CUDA graph while ``recording``."""

    recording = False

    def capturing(self) -> bool:
        return self.recording

    def staged(self, values: torch.Tensor) -> torch.Tensor:
        assert not self.recording, "memory was pinned in a recording"
        return values.clone()


def show(mirror: Mirror, values: Any) -> torch.Tensor:
    return mirror.show(values, values)


def test_a_mirror_copies_what_has_changed() -> None:
    mirror = Mirror(Recorder(), torch.device("cpu"), torch.float32)
    shown = show(mirror, [[1.0, 2.0]])
    version = shown._version
    assert show(mirror, [[1.0, 2.0]])._version == version
    assert show(mirror, [[1.0, 3.0]]).tolist() == [[1.0, 3.0]]
    assert show(mirror, [[1.0], [2.0]]).tolist() == [[1.0], [2.0]]


def test_a_mirror_assumes_nothing_after_a_recording() -> None:
    """A replay writes what it recorded; the next step must write its own again."""
    recorder = Recorder()
    mirror = Mirror(recorder, torch.device("cpu"), torch.int64)
    shown = show(mirror, [[1]])
    recorder.recording = True
    show(mirror, [[2]])
    recorder.recording = False
    show(mirror, [[3]])
    shown.fill_(2)  # a replay
    assert show(mirror, [[3]]).tolist() == [[3]]


def test_a_graph_keeps_the_table_that_it_was_recorded_with() -> None:
    recorder = Recorder()
    mirror = Mirror(recorder, torch.device("cpu"), torch.int64)
    show(mirror, [[1]])
    recorder.recording = True
    graphs = show(mirror, [[1]])
    recorder.recording = False
    assert show(mirror, [[2]]).tolist() == [[2]]
    assert graphs.tolist() == [[1]]


# The house


def test_every_primitive_is_known_to_triton() -> None:
    """What is torch's inside has a Triton function; the rest is a formula in these."""
    pytest.importorskip("triton", reason=NEEDS_TRITON)
    from unyoke.backends.gpu import language

    for primitive in (*primitives.PRIMITIVES, *primitives.BITS):
        inside = {name for name in primitive.__code__.co_names if name in ("torch", "math", "abs")}
        assert primitive in language.WORDS or not inside, primitive.__name__


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="it would measure for minutes")
def test_the_benchmark_says_that_there_is_no_gpu() -> None:
    run = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "gpu.py"], capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith("Nothing was measured: ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "step,nonsense"], "no section nonsense: there are correct, "),
        (["--rehearse", "--json", "/nowhere/at/all.json"], "--json: "),
    ],
)
def test_the_benchmark_refuses_before_it_measures(arguments: list[str], said: str) -> None:
    command = [sys.executable, ROOT / "benchmarks" / "gpu.py", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert said in run.stderr
    assert not run.stdout


@pytest.mark.slow
def test_the_benchmark_can_be_rehearsed() -> None:
    command = [sys.executable, ROOT / "benchmarks" / "gpu.py", "--rehearse"]
    run = subprocess.run(
        [*command, "--only", "correct,state,population"], capture_output=True, text=True, check=True
    )
    assert "adam, cautious" in run.stdout
    assert "failed" not in run.stdout
