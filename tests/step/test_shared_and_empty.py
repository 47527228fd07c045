"""Groups without parameters, and counts of updates that several processes share."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.multiprocessing
from following import follow, noisy_quadratic, parameter
from torch import nn

import unyoke

pytestmark = pytest.mark.usefixtures("definition")


class TestEmptyGroups:
    """As PEFT, ZeRO and a split of a model without biases make them."""

    @pytest.mark.parametrize("backend", ["auto", "eager"])
    @pytest.mark.parametrize("first", [False, True])
    def test_change_nothing(self, first: bool, backend: str) -> None:
        p, q = parameter(), parameter()
        empty = {"params": [], "weight_decay": 0.0}
        groups: Any = [empty, {"params": [p]}] if first else [{"params": [p]}, empty]
        schedule = unyoke.schedules.cosine(10)
        optimizer = unyoke.AdamW(groups, lr=0.1, schedule=schedule, backend=backend)
        alone = unyoke.AdamW([q], lr=0.1, schedule=schedule, backend=backend)
        for _ in range(5):
            for own, weight in ((optimizer, p), (alone, q)):
                weight.grad = torch.ones_like(weight)
                own.step()
        assert torch.equal(p, q)
        assert [group["updates"] for group in optimizer.param_groups] == [5, 5]
        assert str(optimizer.explain())
        again = copy.deepcopy(optimizer)
        again.load_state_dict(optimizer.state_dict())

    def test_added_later(self) -> None:
        optimizer = unyoke.SGDW([parameter()])
        optimizer.add_param_group({"params": []})
        follow(optimizer, noisy_quadratic, 2)
        assert len(optimizer.param_groups) == 2

    def test_an_optimizer_without_any_group_is_refused_as_torch_refuses_it(self) -> None:
        with pytest.raises(ValueError, match="empty parameter list"):
            unyoke.AdamW([])


def shared(cls: Any, before: int, **settings: Any) -> tuple[nn.Parameter, Any]:
    weight = nn.Parameter(torch.ones(300, 20))
    optimizer = cls([weight], lr=1e-2, **settings)
    optimizer.init_state()
    train(optimizer, weight, before)
    for state in optimizer.state.values():
        for value in state.values():
            value.share_memory_()
    weight.share_memory_()
    return weight, optimizer


def train(optimizer: Any, weight: nn.Parameter, updates: int) -> None:
    for _ in range(updates):
        weight.grad = torch.full_like(weight, 0.1)
        optimizer.step()


class TestSharedMemory:
    """Hogwild: processes that make updates of the same weights, with the same state."""

    @pytest.mark.parametrize("cls", [unyoke.AdamW, unyoke.SGDW, unyoke.NAdamW])
    @pytest.mark.parametrize("before", [0, 1, 5])
    @pytest.mark.parametrize("settings", [{}, {"state_dtype": "int8"}, {"rounding": "kahan"}])
    def test_stays_where_it_is(self, cls: Any, before: int, settings: Any) -> None:
        weight, optimizer = shared(cls, before, **settings)
        kept = dict(optimizer.state[weight])
        train(optimizer, weight, 5)
        state = optimizer.state[weight]
        assert all(value is kept[name] and value.is_shared() for name, value in state.items())
        assert state["step"] == before + 5
        twin = nn.Parameter(torch.ones(300, 20))
        train(cls([twin], lr=1e-2, **settings), twin, before + 5)
        assert torch.equal(weight, twin)

    def test_counts_that_another_process_has_made_count(self) -> None:
        weight, optimizer = shared(unyoke.AdamW, 0)
        train(optimizer, weight, 4)
        optimizer.state[weight]["step"].fill_(50.0)
        train(optimizer, weight, 2)
        assert optimizer.state[weight]["step"] == 52

    @pytest.mark.slow
    def test_a_child_counts_for_its_parent(self) -> None:
        weight, optimizer = shared(unyoke.AdamW, 0, backend="eager")
        torch.multiprocessing.spawn(in_child, (weight, optimizer.state[weight]), nprocs=1)
        assert optimizer.state[weight]["step"] == 3
        train(optimizer, weight, 2)
        assert optimizer.state[weight]["step"] == 5


def in_child(rank: int, weight: nn.Parameter, state: dict[str, torch.Tensor]) -> None:
    optimizer = unyoke.AdamW([weight], lr=1e-2, backend="eager")
    optimizer.state[weight] = state
    train(optimizer, weight, 3)
