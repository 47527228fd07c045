"""The compile backend: eager's update in one graph, which new rates do not compile again."""

from __future__ import annotations

import pytest
import torch
from following_backends import normal

import unyoke
from unyoke import backends, schedules
from unyoke.backends.base import Work
from unyoke.backends.compiled import Compiled

SHAPES = [(37,), (5, 13), ()]


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Compiled:
    """Without a C++ compiler, which takes half a minute: the graph is the same."""
    backend = Compiled("aot_eager")
    monkeypatch.setattr(backends, "_ALONE", {**backends._ALONE, "compile": (backend,)})
    monkeypatch.setattr(backends, "ALL", {**backends.ALL, "compile": backend})
    return backend


def run(backend: str, **settings: object) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    weights = [torch.nn.Parameter(normal(shape, generator, torch.float32)) for shape in SHAPES]
    optimizer = unyoke.Optimizer(weights, lr=0.02, weight_decay=0.004, backend=backend, **settings)  # type: ignore[arg-type]
    for _ in range(6):
        for weight in weights:
            weight.grad = normal(weight.shape, generator, torch.float32)
        optimizer.step()
    return [weight.detach() for weight in weights]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_is_eager_and_compiles_once(traced: Compiled) -> None:
    """Six updates at six rates, and Adam's corrections that change with t."""
    torch._dynamo.reset()  # another test may have compiled this rule in this process
    torch._dynamo.utils.counters.clear()
    settings = {"direction": "adam", "decay": "cautious", "schedule": schedules.cosine(20)}
    for ours, expected in zip(run("compile", **settings), run("eager", **settings), strict=True):
        # float64 numbers enter as tensors; where the compiler rounds them is its own affair
        torch.testing.assert_close(ours, expected, rtol=3e-7, atol=1e-7)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


def test_is_only_taken_on_request() -> None:
    assert "compile" in backends.ALL
    assert "compile" not in [backend.name for backend in backends.AUTO]


def test_says_what_it_does_not_do(traced: Compiled) -> None:
    weight = torch.nn.Parameter(torch.randn(5000))
    weight.grad = torch.randn(5000)
    optimizer = unyoke.AdamW([weight], backend="compile", rounding="kahan")
    with pytest.raises(RuntimeError, match="kahan"):
        optimizer.step()
    work = Work(optimizer.groups.rule(optimizer.param_groups[0]), [weight], [], differentiable=True)
    assert "autograd" in (traced.why_not(work) or "")
