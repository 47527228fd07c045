"""State dicts that come from elsewhere: torch's optimizers, other orders, distributed checkpoints.

What a checkpoint of our own does is in core/test_checkpoint.py.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from saving import through_a_file
from test_convert import CASES, TOLERANCE, assert_close, make, parameters, walk, weights
from torch import nn
from torch.distributed.checkpoint import state_dict as dcp

import unyoke
from unyoke import schedules
from unyoke.interchange.counterparts import forms_of


def counterpart(theirs: torch.optim.Optimizer, start: list[torch.Tensor]) -> unyoke.Optimizer:
    """Ours with the same settings, on weights of its own."""
    ours = unyoke.from_torch(theirs)
    group = ours.param_groups[0]
    return unyoke.Optimizer(
        [nn.Parameter(weight.clone()) for weight in start],
        lr=0.02,
        weight_decay=group["weight_decay"],
        decay=group["decay"],
        direction=ours.direction,
        backend="eager",
    )


@pytest.mark.parametrize("name", CASES)
def test_torch_s_state_dict_loads_as_it_is(name: str) -> None:
    """Hyperparameters and moments are the checkpoint's; weight decay and α the constructor's."""
    whole, first = make(name), make(name)
    walk(whole, 1, 30)
    walk(first, 1, 10)
    ours = counterpart(make(name), weights(first))
    λ = ours.param_groups[0]["weight_decay"]
    ours.load_state_dict(through_a_file(first.state_dict()))
    group = ours.param_groups[0]
    assert (group["lr"], group["base_lr"], group["weight_decay"]) == (0.02, 0.02, λ)
    assert group["updates"] == (10 if forms_of(first)[0].counts else min(1, len(first.state)))
    assert set(group) == set(counterpart(make(name), weights(first)).param_groups[0])
    walk(ours, 11, 30)
    assert_close(weights(ours), weights(whole), TOLERANCE.get(name, 1e-12))


class TestFromTorch:
    def test_lr_shows_where_torch_s_schedule_stood(self) -> None:
        theirs = make("AdamW")
        theirs.param_groups[0]["lr"] = 0.005
        walk(theirs, 1, 3)
        ours = unyoke.AdamW(parameters(), lr=0.02, weight_decay=0.002)
        ours.load_state_dict(theirs.state_dict())
        found = ours.explain().groups[0]
        assert (found.eta, found.per_update) == (0.25, pytest.approx(5e-4))

    def test_a_schedule_goes_on_at_torch_s_count(self) -> None:
        theirs = make("AdamW")
        walk(theirs, 1, 10)
        ours = unyoke.AdamW(
            parameters(),
            lr=0.02,
            weight_decay=lambda t: 1e-4 * (t + 1),
            schedule=schedules.cosine(40),
        )
        ours.load_state_dict(theirs.state_dict())
        group = ours.param_groups[0]
        assert group["lr"] == pytest.approx(0.02 * schedules.cosine(40)(10))
        assert group["weight_decay"] == pytest.approx(1.1e-3)

    def test_sgd_does_not_say_where_a_schedule_stood(self) -> None:
        theirs = make("SGD momentum")
        walk(theirs, 1, 3)
        ours = unyoke.SGD(parameters(), momentum=0.9, schedule=schedules.cosine(40))
        refused(ours, theirs.state_dict(), r"how many updates.*from_torch")

    def test_the_paper_s_sgd_takes_the_rate_into_its_buffer(self) -> None:
        whole, first = make("SGD momentum"), make("SGD momentum")
        walk(whole, 1, 30)
        walk(first, 1, 10)
        start = [nn.Parameter(weight) for weight in weights(first)]
        ours = unyoke.SGDW(start, lr=0.02, weight_decay=0.1, decay="l2", backend="eager")
        ours.load_state_dict(through_a_file(first.state_dict()))
        walk(ours, 11, 30)
        assert_close(weights(ours), weights(whole), 1e-12)

    @pytest.mark.parametrize(
        ("saved", "direction", "says"),
        [
            ("SGD nesterov", "momentum", r"'nesterov': True.*nesterov=False"),
            ("SGD momentum", "nesterov", r"'nesterov': False.*nesterov=True"),
            ("SGD momentum", "gradient", r"'momentum': 0\.9.*momentum=0"),
            ("SGD dampening", "heavy_ball", r"dampening=0\.3"),
            ("Adam amsgrad", "adam", r"'amsgrad': True.*amsgrad=False"),
            ("AdamW", "amsgrad", r"'amsgrad': False.*amsgrad=True"),
            ("RAdam", "adam", r"'betas'.*Adam"),
            ("Adam", "radam", r"'amsgrad'.*RAdam"),
            ("RAdam", "adamax", r"exp_avg_sq.*exp_inf"),
            ("NAdam", "adam", r"momentum_decay.*Adam"),
            ("RMSprop centered", "rmsprop", r"'centered': True.*centered=False"),
            ("Adagrad", "adam", r"lr_decay.*Adam"),
            ("SGD momentum", "adam", r"'nesterov'.*Adam"),
            ("AdamW", "lion", r"this library only"),
        ],
    )
    def test_another_algorithm_is_refused(self, saved: str, direction: str, says: str) -> None:
        theirs = make(saved)
        walk(theirs, 1, 2)
        ours = unyoke.Optimizer(parameters(), direction=direction, decay="none", backend="eager")
        refused(ours, theirs.state_dict(), says)


def refused(optimizer: unyoke.Optimizer, saved: Any, says: str) -> None:
    """It raises, and the optimizer is as it was."""
    walk(optimizer, 1, 1)
    before = str(copy.deepcopy(optimizer.state_dict()))
    with pytest.raises(ValueError, match=says):
        optimizer.load_state_dict(saved)
    assert str(optimizer.state_dict()) == before
    walk(optimizer, 2, 2)


class TestNames:
    """Two parameters of one shape: an order that is mixed up would not show in any shape."""

    def pair(self, *names: str) -> tuple[dict[str, nn.Parameter], list[tuple[str, nn.Parameter]]]:
        found = {
            name: nn.Parameter(torch.full((2, 3), float(ord(name)), dtype=torch.float64))
            for name in "ab"
        }
        return found, [(name, found[name]) for name in names]

    def saved(self, cls: Callable[..., Any] = unyoke.AdamW) -> tuple[Any, Any]:
        found, named = self.pair("a", "b")
        optimizer = cls(named, lr=0.02, weight_decay=0.0)
        walk(optimizer, 1, 3)
        moments = {name: optimizer.state[p]["exp_avg"].clone() for name, p in found.items()}
        return through_a_file(optimizer.state_dict()), moments

    @pytest.mark.parametrize("cls", [unyoke.AdamW, torch.optim.AdamW])
    def test_another_order_is_matched_by_name(self, cls: Any) -> None:
        saved, moments = self.saved(cls)
        found, named = self.pair("b", "a")
        optimizer = unyoke.AdamW(named, lr=0.02)
        optimizer.load_state_dict(saved)
        assert not torch.equal(moments["a"], moments["b"])
        for name, p in found.items():
            assert torch.equal(optimizer.state[p]["exp_avg"], moments[name])
        assert optimizer.param_groups[0]["param_names"] == ["b", "a"]

    def test_keys_may_be_the_names(self) -> None:
        """As torch.distributed.checkpoint writes them."""
        saved, moments = self.saved()
        names = saved["param_groups"][0].pop("param_names")
        saved["param_groups"][0]["params"] = names[::-1]
        saved["state"] = {name: saved["state"][key] for key, name in enumerate(names)}
        found, named = self.pair("b", "a")
        optimizer = unyoke.AdamW(named)
        optimizer.load_state_dict(saved)
        for name, p in found.items():
            assert torch.equal(optimizer.state[p]["exp_avg"], moments[name])

    def test_other_names_are_refused(self) -> None:
        saved, _ = self.saved()
        saved["param_groups"][0]["param_names"] = ["a", "c"]
        refused(unyoke.AdamW(self.pair("a", "b")[1]), saved, r"one side only: b, c")

    def test_without_names_the_place_counts(self) -> None:
        saved, moments = self.saved()
        optimizer = unyoke.AdamW([p for _, p in self.pair("a", "b")[1]])
        optimizer.load_state_dict(saved)
        for p, name in zip(optimizer.param_groups[0]["params"], "ab", strict=True):
            assert torch.equal(optimizer.state[p]["exp_avg"], moments[name])


class TestBadCheckpoints:
    def test_no_checkpoint_at_all(self) -> None:
        refused(unyoke.AdamW(parameters()), {"model": {}}, r"'state' and 'param_groups'.*'model'")
        refused(unyoke.AdamW(parameters()), {}, "nothing")

    def test_state_of_parameters_that_are_in_no_group(self) -> None:
        optimizer = unyoke.AdamW(parameters())
        walk(optimizer, 1, 1)
        saved = copy.deepcopy(optimizer.state_dict())
        saved["state"][7] = saved["state"][0]
        refused(optimizer, saved, "state of 7")

    def test_numbers_out_of_range(self) -> None:
        optimizer = unyoke.AdamW(parameters())
        saved = copy.deepcopy(optimizer.state_dict())
        saved["param_groups"][0]["betas"] = (0.9, 1.5)
        refused(optimizer, saved, r"1\.5")

    def test_an_unknown_decay(self) -> None:
        optimizer = unyoke.AdamW(parameters())
        saved = copy.deepcopy(optimizer.state_dict())
        saved["param_groups"][0]["decay"] = "decopled"
        refused(optimizer, saved, "decoupled")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = nn.Linear(4, 6), nn.Linear(6, 2)
        self.two.bias.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.two(torch.tanh(self.one(x)))
        return result


def train(model: nn.Module, optimizer: torch.optim.Optimizer, updates: int, first: int = 0) -> None:
    for t in range(first, first + updates):
        optimizer.zero_grad()
        x = torch.randn(8, 4, generator=torch.Generator().manual_seed(t))
        model(x).square().sum().backward()
        optimizer.step()


OPTIMIZERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "AdamW": lambda m: unyoke.AdamW(unyoke.groups.split(m, 1e-3), backend="eager"),
    "AdamW, schedule": lambda m: unyoke.AdamW(
        [p for p in m.parameters() if p.requires_grad],
        weight_decay=unyoke.normalized(0.05),
        schedule=schedules.warm_restarts(4),
        backend="eager",
    ),
    "SGDW": lambda m: unyoke.SGDW(m.parameters(), 0.01, weight_decay=1e-3, backend="eager"),
    "NAdam": lambda m: unyoke.NAdam(m.parameters(), backend="eager"),
    "toward_initial": lambda m: unyoke.AdamW(
        m.parameters(), weight_decay=1e-3, decay="toward_initial", backend="eager"
    ),
    "decoupled Adam": lambda m: unyoke.decouple(torch.optim.Adam)(
        [p for p in m.parameters() if p.requires_grad], weight_decay=1e-3
    ),
}


@pytest.mark.parametrize("flat", [False, True], ids=["nested", "flat"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_trap_13_and_16_distributed_checkpoints_go_through(name: str, flat: bool) -> None:
    """get_ and set_optimizer_state_dict into a fresh process; nothing decays on the way."""
    options = dcp.StateDictOptions(flatten_optimizer_state_dict=flat)
    model, fresh = Net(), Net()
    optimizer, other = OPTIMIZERS[name](model), OPTIMIZERS[name](fresh)
    train(model, optimizer, 5)
    saved = through_a_file(dcp.get_optimizer_state_dict(model, optimizer, options=options))
    fresh.load_state_dict(model.state_dict())
    dcp.set_optimizer_state_dict(fresh, other, saved, options=options)
    for (key, mine), its in zip(model.named_parameters(), fresh.parameters(), strict=True):
        assert torch.equal(mine, its), f"{key} was moved"
    train(model, optimizer, 5, first=5)
    train(fresh, other, 5, first=5)
    for mine, its in zip(model.parameters(), fresh.parameters(), strict=True):
        assert torch.equal(mine, its)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_trap_13_asking_a_fresh_optimizer_changes_nothing(name: str) -> None:
    model = Net()
    optimizer = OPTIMIZERS[name](model)
    before = copy.deepcopy(model.state_dict())
    dcp.get_optimizer_state_dict(model, optimizer)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert all(group["updates"] == 0 for group in optimizer.param_groups)


@pytest.mark.parametrize("cls", [unyoke.AdamW, unyoke.decouple(torch.optim.Rprop)])
def test_a_path_is_refused_in_words(cls: Any) -> None:
    optimizer = cls([torch.nn.Parameter(torch.ones(2))])
    with pytest.raises(TypeError, match=r"not 'ckpt\.pt': load a file first, with torch\.load"):
        optimizer.load_state_dict("ckpt.pt")


def sharded(rank: int, world: int, folder: str) -> None:
    """One process of trap 19's test."""
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor

    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=world
    )
    try:
        mesh = torch.distributed.init_device_mesh("cpu", (world,))
        alone, model = Net(), Net()
        whole = unyoke.AdamW(alone.parameters(), lr=0.01, weight_decay=1e-3, backend="eager")
        fully_shard(model, mesh=mesh)
        optimizer = unyoke.AdamW(model.parameters(), lr=0.01, weight_decay=1e-3)
        train(alone, whole, 3)
        train(model, optimizer, 3)
        states = [
            optimizer.state[p] for p in optimizer.param_groups[0]["params"] if p.requires_grad
        ]
        assert all(isinstance(state["exp_avg"], DTensor) for state in states)
        saved = dcp.get_optimizer_state_dict(model, optimizer)
        dcp.set_optimizer_state_dict(model, optimizer, saved)
        train(alone, whole, 3, first=3)
        train(model, optimizer, 3, first=3)
        for mine, its in zip(alone.parameters(), model.parameters(), strict=True):
            torch.testing.assert_close(its.full_tensor(), mine, rtol=1e-5, atol=1e-6)
        torch.distributed.barrier()
    finally:
        torch.distributed.destroy_process_group()
    os._exit(0)  # now and then gloo's threads abort the interpreter's own exit


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="gloo's file rendezvous")
@pytest.mark.filterwarnings("ignore::UserWarning:torch", "ignore::DeprecationWarning")
def test_trap_19_fully_sharded(tmp_path: Any) -> None:
    """FSDP2 over two processes: moments are DTensors, and the run is that of one process."""
    torch.multiprocessing.spawn(sharded, args=(2, str(tmp_path)), nprocs=2)
