"""A step that is interrupted, at any moment, is made or not made, and the next one goes on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
import torch
from bits import same

import unyoke

pytestmark = pytest.mark.usefixtures("definition")

WARM = 4
"""Updates after which a step is a replay."""


class Interrupt(KeyboardInterrupt):
    """What Ctrl-C raises, and nobody else."""


class Handler(Exception):
    """What a signal's handler may raise."""


def make(length: int = 70_000, **settings: Any) -> unyoke.Optimizer:
    """Three groups; of some length on, threads share the work of the first."""
    generator = torch.Generator().manual_seed(1)
    weights = [
        torch.nn.Parameter(torch.randn(shape, generator=generator))
        for shape in ((3, 5), (length,), (4,), (2,))
    ]
    for number, weight in enumerate(weights):
        weight.grad = torch.full_like(weight, 0.1 * (number + 1))
    groups: Any = [{"params": weights[:2]}, {"params": weights[2:3]}, {"params": weights[3:]}]
    torch.manual_seed(5)
    return unyoke.AdamW(groups, lr=0.1, **settings)


def everything(optimizer: unyoke.Optimizer) -> list[Any]:
    """What an update changes, as it is."""
    found: list[Any] = []
    for group in optimizer.param_groups:
        found += [group["lr"], group["weight_decay"], group["updates"]]
        for weight in group["params"]:
            found.append(weight.detach().clone())
            state = optimizer.state[weight]
            if state.get("step", 0) > 0:  # before the first update it holds nothing
                found += [tensor.clone() for tensor in state.values()]
    return found


def interrupted(call: Callable[[], object], at: int, error: type[BaseException]) -> bool:
    """Call, and raise before instruction number ``at`` of this package; False if it has fewer."""
    left = at

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal left
        if "unyoke" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left < 0:
                sys.settrace(None)
                raise error
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except error:
        return True
    finally:
        sys.settrace(before)
    return False


SETTINGS: list[dict[str, Any]] = [
    {},
    {"length": 70},
    {"schedule": unyoke.schedules.cosine(50)},
    {
        "schedule": unyoke.schedules.warm_restarts(2),
        "weight_decay": unyoke.normalized(0.05),
        "rounding": "stochastic",
    },
]


@pytest.mark.parametrize(
    "settings", SETTINGS, ids=["plain", "formed by compiled code", "scheduled", "all of it"]
)
@pytest.mark.parametrize("error", [Interrupt, pytest.param(Handler, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("updates", "stride"), [(0, 301), (WARM, 7)], ids=["capture", "replay"])
def test_a_step_is_made_or_not_made(
    settings: dict[str, Any], error: type[BaseException], updates: int, stride: int
) -> None:
    """Before some instructions of a capture, and before every seventh of a replay."""
    twin = make(backend="cpu", **settings)
    for _ in range(updates):
        twin.step()
    states = [everything(twin)]
    for _ in range(3):
        twin.step()
        states.append(everything(twin))
    ends: list[int] = []
    while True:
        optimizer = make(backend="cpu", **settings)
        for _ in range(updates):
            optimizer.step()
        at = len(ends) * stride
        if not interrupted(optimizer.step, at, error):
            break
        found = everything(optimizer)
        made = next((k for k in (0, 1) if same(found, states[k])), None)
        assert made is not None, f"neither made nor not made after instruction {at}"
        ends.append(made)
        optimizer.step()
        optimizer.step()
        assert same(everything(optimizer), states[made + 2]), f"another path after {at}"
    assert set(ends) == {0, 1}
