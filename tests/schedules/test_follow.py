"""`schedules.follow`: a scheduler for frameworks that insist on one, which sets nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from following import parameter

import unyoke
from unyoke import schedules

pytestmark = pytest.mark.usefixtures("definition")

UPDATES = 7


def run(steps: int, stop: int | None = None) -> tuple[torch.Tensor, list[float]]:
    """A run with so many calls of the scheduler an update, begun anew from a checkpoint."""
    weight, rates = parameter(), []
    optimizer, scheduler = made(weight)
    for t in range(UPDATES):
        if t == stop:
            saved = copy.deepcopy((optimizer.state_dict(), scheduler.state_dict()))
            optimizer, scheduler = made(weight)
            scheduler.load_state_dict(saved[1])  # in either order
            optimizer.load_state_dict(saved[0])
            assert scheduler.get_last_lr() == [optimizer.param_groups[0]["lr"]]
        rates += scheduler.get_last_lr()
        weight.grad = torch.sin(weight.detach() * (t + 1))
        optimizer.step()
        for _ in range(steps):
            scheduler.step()
    assert steps == 0 or scheduler.last_epoch == UPDATES
    return weight.detach(), rates


def made(weight: torch.nn.Parameter) -> tuple[unyoke.Optimizer, Any]:
    schedule = schedules.warmup(2, then=schedules.cosine(6))
    optimizer = unyoke.AdamW([weight], lr=0.1, weight_decay=1e-3, schedule=schedule)
    return optimizer, schedules.follow(optimizer)


@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("stop", [None, 0, 4])
def test_however_often_it_is_called_the_run_is_that_of_the_schedule(
    steps: int, stop: int | None
) -> None:
    weight = parameter()
    optimizer, _ = made(weight)
    rates = []
    for t in range(UPDATES):
        rates.append(optimizer.param_groups[0]["lr"])
        weight.grad = torch.sin(weight.detach() * (t + 1))
        optimizer.step()
    assert rates[:4] == pytest.approx([0.1 / 3, 0.2 / 3, 0.1, 0.1 * schedules.cosine(6)(1)])
    found, reported = run(steps, stop)
    assert torch.equal(found, weight)
    assert reported == rates


def test_it_is_a_scheduler_of_torch_s_and_leaves_the_optimizer_as_it_is() -> None:
    optimizer, _ = made(parameter())
    before = dict(optimizer.__dict__), copy.deepcopy(optimizer.state_dict()["param_groups"])
    scheduler = schedules.follow(optimizer)
    assert isinstance(scheduler, torch.optim.lr_scheduler.LRScheduler)
    assert scheduler.optimizer is optimizer
    assert scheduler.base_lrs == [0.1]
    assert (optimizer.__dict__, optimizer.state_dict()["param_groups"]) == before


def test_it_sees_through_a_framework_s_wrapper() -> None:
    class Wrapper:
        def __init__(self, optimizer: Any) -> None:
            self.optimizer = optimizer
            self.param_groups = optimizer.param_groups

    optimizer, _ = made(parameter())
    wrapper: Any = Wrapper(optimizer)
    assert schedules.follow(wrapper).get_last_lr() == [pytest.approx(0.1 / 3)]


def test_a_rate_that_is_a_tensor_is_reported_as_it_was() -> None:
    weight = parameter()
    rate = torch.tensor(0.1)
    optimizer = unyoke.AdamW([weight], lr=rate, schedule=schedules.cosine(2))
    reported = schedules.follow(optimizer).get_last_lr()
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    assert float(reported[0]) == pytest.approx(0.1)
    assert float(rate) == pytest.approx(0.05)


@pytest.mark.parametrize("cls", [torch.optim.AdamW, unyoke.AdamW])
def test_without_a_schedule_there_is_nothing_to_follow(cls: Any) -> None:
    with pytest.raises(ValueError, match="AdamW has no schedule to follow: give schedule="):
        schedules.follow(cls([parameter()]))
