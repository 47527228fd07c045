"""A model that gets, loses and exchanges its memory: every optimizer, state format and rounding.

What happens to a model between updates leaves no trace where numbers stay the same, so a story is
equal in every bit to one in which nothing happens. The product is that of the registries; kernels
are made for one in so many of the stories, as in test_cast_product.py, which looks at the numbers.
"""

from __future__ import annotations

import copy
import gc
import warnings
import weakref
from typing import Any

import pytest
import torch
from pairs import COMPILED, STORIES
from torch import nn
from torch.distributed.checkpoint import state_dict

import unyoke

pytestmark = [pytest.mark.any_backend, pytest.mark.usefixtures("swapped_tensors")]

SHAPE = (70, 64)
SLOW = [pytest.param(*each, marks=pytest.mark.slow) for each in STORIES if each not in COMPILED]


def draw(seed: int) -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


class Training:
    """A weight with its optimizer; its gradients are those of the update's number."""

    def __init__(self, name: str, backend: str, has_memory: bool = True, **kept: Any) -> None:
        with torch.device("cpu" if has_memory else "meta"):
            self.model = nn.ParameterDict({"w": nn.Parameter(torch.empty(SHAPE))})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of one optimizer's own rates
            self.optimizer: Any = unyoke.optimizers.ALL[name](
                self.model.named_parameters(), lr=0.02, backend=backend, **kept
            )
        if not has_memory:
            self.model.to_empty(device="cpu")
        self.t = 0
        self.put(draw(0))

    @property
    def weight(self) -> Any:
        return self.model["w"]

    def put(self, numbers: torch.Tensor) -> None:
        with torch.no_grad():
            self.weight.copy_(numbers)

    def update(self, count: int = 2) -> None:
        for _ in range(count):
            self.t += 1
            self.weight.grad = draw(self.t)
            self.optimizer.step()
        self.optimizer.zero_grad()

    def exchange(self) -> None:
        """Another parameter in the old one's place, as Accelerate does it for FSDP2."""
        self.model = copy.deepcopy(self.model)
        self.optimizer.param_groups[0]["params"] = [self.weight]

    def everything(self) -> dict[str, torch.Tensor]:
        return {"weight": self.weight.detach(), **self.optimizer.state[self.weight]}


def assert_same(one: Training, other: Training) -> None:
    first, second = one.everything(), other.everything()
    assert first.keys() == second.keys()
    for name in first:
        assert first[name].dtype == second[name].dtype, name
        assert torch.equal(first[name], second[name]), name
    assert one.optimizer.param_groups[0]["lr"] == other.optimizer.param_groups[0]["lr"]


def moved(name: str, backend: str, **kept: Any) -> None:
    """From the meta device, to it and back, and through an exchange of tensors."""
    training = Training(name, backend, has_memory=False, **kept)
    still = Training(name, backend, **kept)
    training.update()
    numbers = training.weight.detach().clone()
    training.model.to("meta")
    training.model.to_empty(device="cpu")
    training.put(numbers)
    training.update()
    torch.utils.swap_tensors(training.weight, nn.Parameter(training.weight.detach().clone()))
    training.update()
    still.update(6)
    assert_same(training, still)


def exchanged(name: str, backend: str, **kept: Any) -> None:
    """Old state is freed, and new state begins as that of another optimizer."""
    training = Training(name, backend, **kept)
    training.update(3)
    state = training.optimizer.state[training.weight].values()
    old = [weakref.ref(each) for each in state if each.dim()]
    del state
    training.exchange()
    fresh = Training(name, backend, **kept)
    fresh.put(training.weight.detach())
    training.t = 0
    for each in (training, fresh):
        each.update()
    gc.collect()
    assert all(ref() is None for ref in old)
    assert [*training.optimizer.state] == [training.weight]
    assert_same(training, fresh)
    assert len(training.optimizer.state_dict()["state"]) == 1


def rehearsed(name: str, backend: str, **kept: Any) -> None:
    """The step at lr 0 with zero gradients of torch.distributed.checkpoint counts nothing."""
    training, twin = Training(name, backend, **kept), Training(name, backend, **kept)
    state_dict._init_optim_state(training.optimizer)
    assert torch.equal(training.weight, draw(0))
    assert training.optimizer.param_groups[0]["updates"] == 0
    assert training.optimizer.state[training.weight]["step"] == 0
    for each in (training, twin):
        each.update()
    assert_same(training, twin)


HAPPENINGS = {each.__name__: each for each in (moved, exchanged, rehearsed)}


@pytest.mark.parametrize("happens", HAPPENINGS)
@pytest.mark.parametrize(("name", "state_dtype", "rounding"), [*COMPILED, *SLOW])
def test_by_the_definition(name: str, state_dtype: str, rounding: str, happens: str) -> None:
    HAPPENINGS[happens](name, "eager", state_dtype=state_dtype, rounding=rounding)


@pytest.mark.slow
@pytest.mark.parametrize("happens", HAPPENINGS)
@pytest.mark.parametrize(("name", "state_dtype", "rounding"), COMPILED)
def test_by_kernels(name: str, state_dtype: str, rounding: str, happens: str) -> None:
    HAPPENINGS[happens](name, "auto", state_dtype=state_dtype, rounding=rounding)
