"""monitor(): its numbers against what the update did, and its warnings."""

from __future__ import annotations

import copy
import gc
import math
import os
import pickle
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

import unyoke
from unyoke import directions, schedules
from unyoke.monitoring import Reading
from unyoke.monitoring.decay import FollowedDecay
from unyoke.monitoring.measure import Moved


class Kept:
    """A writer that keeps readings."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.closed = False

    def write(self, reading: Reading) -> None:
        self.readings.append(reading)

    def close(self) -> None:
        self.closed = True


def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))


def train(net: torch.nn.Module, optimizer: torch.optim.Optimizer, updates: int) -> None:
    generator = torch.Generator().manual_seed(1)
    for _ in range(updates):
        optimizer.zero_grad()
        net(torch.randn(4, 8, generator=generator)).square().mean().backward()
        optimizer.step()


MAKE: dict[str, Any] = {
    "adamw": lambda p: unyoke.AdamW(p, lr=0.01, weight_decay=0.003),
    "sgdw": lambda p: unyoke.SGDW(p, lr=0.01, weight_decay=0.003),
    "torch": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.3),
    "decoupled": lambda p: unyoke.decouple(torch.optim.RMSprop)(p, lr=0.01, weight_decay=0.003),
}


@pytest.mark.parametrize("name", MAKE)
def test_layers_are_what_the_update_did(name: str) -> None:
    net = model()
    optimizer = MAKE[name](net.parameters())
    train(net, optimizer, 2)
    watching = unyoke.monitor(optimizer, model=net, every=1)
    before = copy.deepcopy(net).double()
    train(net, optimizer, 1)
    assert watching.last is not None
    assert [row.name for row in watching.last.layers] == ["0.weight", "2.weight"]
    for row in watching.last.layers:
        theta = before.get_parameter(row.name).detach().flatten()
        after = net.get_parameter(row.name).detach().double().flatten()
        delta = after - theta
        assert row.weight_norm == pytest.approx(theta.norm().item(), rel=1e-5)
        assert row.update_ratio == pytest.approx((delta.norm() / theta.norm()).item(), rel=1e-4)
        cosine = torch.dot(theta, after) / (theta.norm() * after.norm())
        assert row.rotation == pytest.approx(math.acos(cosine), rel=1e-3)
        decay, step = 0.003 * theta.norm(), (delta + 0.003 * theta).norm()
        assert row.decay_share == pytest.approx((decay / (decay + step)).item(), rel=1e-3)


def test_small_rotations_keep_their_digits() -> None:
    theta = torch.tensor([3.0, 4.0], dtype=torch.float64)
    delta = 1e-7 * torch.tensor([-4.0, 3.0], dtype=torch.float64)
    after = theta + delta
    numbers = [float(torch.dot(*pair)) for pair in ((after, after), (delta, delta), (after, delta))]
    found = Moved(*numbers)
    assert found.rotation == pytest.approx(1e-7, rel=1e-6)
    assert found.ratio == pytest.approx(1e-7, rel=1e-6)
    assert Moved(0.0, 0.0, 0.0).rotation == Moved(0.0, 0.0, 0.0).ratio == 0.0


def test_total_decay_so_far_and_to_come_under_a_schedule() -> None:
    net = model()
    eta = schedules.cosine(50)
    optimizer = unyoke.AdamW(net.parameters(), weight_decay=0.004, schedule=eta)
    train(net, optimizer, 7)
    kept = Kept()
    unyoke.monitor(optimizer, every=10, writers=kept)
    train(net, optimizer, 30)
    assert [reading.update for reading in kept.readings] == [8, 18, 28]
    for reading in kept.readings:
        (group,) = reading.groups
        expected = sum(0.004 * eta(t) for t in range(reading.update))
        assert group.decay_so_far == pytest.approx(expected)
        rest = sum(0.004 * eta(t) for t in range(reading.update, 50))
        assert group.decay_to_come == pytest.approx(rest)
        assert group.updates_left == 50 - reading.update
        assert group.window == pytest.approx(1 / (0.004 * eta(reading.update - 1)))


def test_torch_s_scheduler_is_followed_by_the_trapezium_rule() -> None:
    net = model()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.3)
    watching = unyoke.monitor(optimizer, every=10, updates=200)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedules.cosine(200))
    taken = 0.0
    for _ in range(101):
        taken += 0.3 * optimizer.param_groups[0]["lr"]
        train(net, optimizer, 1)
        scheduler.step()
    assert watching.last is not None
    (group,) = watching.last.groups
    assert watching.last.update == 101
    assert group.decay_so_far == pytest.approx(taken, rel=2e-3)


def walk(optimizer: unyoke.Optimizer, updates: int) -> tuple[float, float | None]:
    """A random walk of a weight that a normalization would follow: its rotation, at last, and what
    was predicted."""
    (weight,) = optimizer.param_groups[0]["params"]
    kept = Kept()
    unyoke.monitor(optimizer, every=20, writers=kept)
    generator = torch.Generator().manual_seed(1)
    for _ in range(updates):
        weight.grad = torch.randn(60, 60, generator=generator)
        optimizer.step()
    rows = [reading.layers[0] for reading in kept.readings[-15:]]
    return sum(row.rotation for row in rows) / len(rows), rows[0].rotation_predicted


def walker() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.randn(60, 60, generator=torch.Generator().manual_seed(0)))


def test_rotation_in_equilibrium_is_predicted() -> None:
    optimizer = unyoke.AdamW([walker()], lr=0.02, weight_decay=0.009, betas=(0.9, 0.99))
    found, predicted = walk(optimizer, 700)
    assert found == pytest.approx(predicted, rel=0.05)


class TestWarnings:
    def words(self, updates: int = 1000, dtype: Any = torch.float32, **arguments: Any) -> str:
        weight = torch.nn.Parameter(torch.randn(8, 8).to(dtype))
        per_epoch = arguments.pop("updates_per_epoch", None)
        optimizer = unyoke.AdamW([weight], lr=1e-3, **arguments)
        watching = unyoke.monitor(optimizer, updates=updates, updates_per_epoch=per_epoch)
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        assert watching.last is not None
        return "\n".join(watching.last.warnings)

    def test_too_weak(self) -> None:
        assert "too weak to matter" in self.words(weight_decay=1e-5)
        assert "λ 1e+02 times as large" in self.words(weight_decay=1e-5)

    def test_equilibrium_is_never_reached(self) -> None:
        assert "do not reach equilibrium" in self.words(weight_decay=1e-3)

    def test_too_strong(self) -> None:
        assert "decay is too strong" in self.words(updates=100_000, weight_decay=5e-3)
        found = self.words(updates=2_000, weight_decay=5e-3, updates_per_epoch=500)
        assert "τ = 0.4 epochs" in found

    def test_lost_to_rounding(self) -> None:
        lost = self.words(updates=5_000, weight_decay=1e-3, dtype=torch.bfloat16)
        assert "1e+02 % of the decay is lost to rounding in bfloat16" in lost
        kahan = self.words(updates=5_000, weight_decay=1e-3, dtype=torch.bfloat16, rounding="kahan")
        assert kahan == ""

    def test_nothing_to_say(self) -> None:
        assert self.words(updates=5_000, weight_decay=1e-3) == ""
        assert self.words(weight_decay=0.0) == ""

    def test_each_is_said_once(self) -> None:
        net, said = model(), list[str]()
        optimizer = unyoke.AdamW(net.parameters(), weight_decay=1e-6)
        unyoke.monitor(optimizer, every=1, updates=100, say=said.append)
        train(net, optimizer, 5)
        assert len(said) == 1


class TestAroundTheStep:
    def test_training_is_what_it_was(self) -> None:
        ends = []
        for watched in (False, True):
            net = model()
            optimizer = unyoke.AdamW(net.parameters(), weight_decay=1e-3)
            if watched:
                unyoke.monitor(optimizer, every=3)
            train(net, optimizer, 10)
            ends.append(torch.nn.utils.parameters_to_vector(net.parameters()))
        assert torch.equal(*ends)

    def test_closures_return_their_loss(self) -> None:
        net = model()
        optimizer = unyoke.AdamW(net.parameters())
        unyoke.monitor(optimizer, every=2)
        for _ in range(3):
            assert optimizer.step(lambda: 0.25) == 0.25

    def test_on_demand_only(self) -> None:
        net = model()
        optimizer = unyoke.AdamW(net.parameters())
        watching = unyoke.monitor(optimizer, every=0)
        train(net, optimizer, 3)
        assert watching.last is None
        watching.read()
        train(net, optimizer, 3)
        assert watching.last is not None
        assert watching.last.update == 4

    def test_close_leaves_the_optimizer_as_it_was(self) -> None:
        net, kept = model(), Kept()
        optimizer = unyoke.AdamW(net.parameters())
        watching = unyoke.monitor(optimizer, every=1, writers=[kept])
        train(net, optimizer, 1)
        watching.close()
        assert kept.closed
        assert "step" not in vars(optimizer)
        train(net, optimizer, 2)
        assert len(kept.readings) == 1

    def test_two_monitors_and_a_scheduler(self) -> None:
        net = model()
        optimizer = unyoke.AdamW(net.parameters())
        first = unyoke.monitor(optimizer, every=1)
        torch.optim.lr_scheduler.StepLR(optimizer, 10)
        second = unyoke.monitor(optimizer, every=1)
        train(net, optimizer, 2)
        assert first.last is not None
        assert second.last is not None
        assert first.last.layers == second.last.layers

    def test_the_optimizer_can_be_saved_and_is_freed(self) -> None:
        net = model()
        optimizer = unyoke.AdamW(net.parameters())
        unyoke.monitor(optimizer, every=1)
        train(net, optimizer, 1)
        assert type(pickle.loads(pickle.dumps(optimizer))) is unyoke.AdamW
        gone = weakref.ref(optimizer)
        gc.disable()
        del optimizer
        gc.enable()
        assert gone() is None

    def test_groups_that_come_later(self) -> None:
        net = model()
        optimizer = unyoke.AdamW(net[0].parameters())
        watching = unyoke.monitor(optimizer, every=1, model=net)
        train(net, optimizer, 1)
        optimizer.add_param_group({"params": list(net[2].parameters()), "weight_decay": 1e-3})
        train(net, optimizer, 1)
        assert watching.last is not None
        assert [row.group for row in watching.last.layers] == [0, 1]
        assert watching.last.groups[1].weight_decay == 1e-3

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"every": -1}, "every must be an integer ≥ 0"),
            ({"updates": 0}, "updates must be an integer ≥ 1"),
            ({"updates_per_epoch": 0}, "updates_per_epoch must be > 0"),
        ],
    )
    def test_bad_input(self, arguments: dict[str, Any], words: str) -> None:
        with pytest.raises(ValueError, match=words):
            unyoke.monitor(unyoke.AdamW(model().parameters()), **arguments)


def test_prints_for_people_and_flat_for_programs() -> None:
    net = model()
    optimizer = unyoke.AdamW(net.named_parameters(), weight_decay=1e-5)
    watching = unyoke.monitor(optimizer, updates=100)
    train(net, optimizer, 1)
    assert watching.last is not None
    text = str(watching.last)
    for part in ("update 1", "2.weight", "Σηλ 1e-05 so far", "warning: group 0"):
        assert part in text
    scalars = watching.last.scalars()
    assert scalars["decay/group0/effective_decay"] == 1e-5
    assert scalars["decay/0.weight/rotation"] > 0
    assert all(isinstance(value, float) for value in scalars.values())


def test_a_model_in_the_place_of_the_optimizer() -> None:
    with pytest.raises(TypeError, match=r"not Linear: give monitor\(optimizer, model=model\)"):
        unyoke.monitor(torch.nn.Linear(2, 2))  # type: ignore[arg-type]


def sharded(rank: int, folder: str) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=1
    )
    mesh = init_device_mesh("cpu", (1,))
    start = torch.randn(6, 4)
    rows = []
    for weight in (start.clone(), distribute_tensor(start.clone(), mesh, [Shard(0)])):
        parameter = torch.nn.Parameter(weight)
        optimizer = unyoke.AdamW([parameter], lr=1e-2, weight_decay=1e-3)
        watching = unyoke.monitor(optimizer)
        (parameter * parameter).sum().backward()
        optimizer.step()
        assert watching.last is not None
        rows.append(watching.last.layers[0])
    assert isinstance(parameter.data, DTensor)
    plain, of_shards = rows
    assert of_shards.weight_norm == pytest.approx(plain.weight_norm, rel=1e-5)
    assert of_shards.update_ratio == pytest.approx(plain.update_ratio, rel=1e-5)
    assert of_shards.rotation == pytest.approx(plain.rotation, rel=1e-4)
    os._exit(0)  # now and then gloo's threads abort the interpreter's own exit


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="gloo's file rendezvous")
@pytest.mark.filterwarnings("ignore::UserWarning:torch", "ignore::DeprecationWarning")
def test_sharded_weights_on_a_mesh_of_one_process(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(sharded, args=(str(tmp_path),), nprocs=1)


def test_the_momentum_is_that_of_the_groups_own_direction() -> None:
    """torch puts every default into every group."""
    weights = [torch.nn.Parameter(torch.ones(2, 2)) for _ in range(4)]
    optimizer = unyoke.AdamW(
        [
            {"params": weights[0], "betas": (0.8, 0.99)},
            {"params": weights[1], "direction": "momentum", "momentum": 0.5},
            {"params": weights[2], "direction": "gradient"},
            {"params": weights[3], "direction": "nadam"},
        ]
    )
    found = [FollowedDecay(optimizer, index).momentum for index in range(4)]
    assert found == [0.8, 0.5, 0.0, None]
    torchs = torch.optim.NAdam([weights[0]])
    assert FollowedDecay(torchs, 0).momentum is None


AVERAGES = [name for name, part in directions.ALL.items() if part.averages]


def test_who_averages_gradients() -> None:
    """Not who looks a step ahead, takes signs, or follows the norms of weights or of gradients."""
    assert {"adam", "amsgrad", "radam", "adabelief", "stable_adam", "adopt"} <= {*AVERAGES}
    assert {"gradient", "heavy_ball", "momentum", "rmsprop"} <= {*AVERAGES}
    assert not {"nadam", "nesterov_adam", "nesterov", "lion", "signum", "muon"} & {*AVERAGES}
    assert not {"lamb", "lars", "grams_adam", "cautious_adam", "adan", "mars"} & {*AVERAGES}
    adam = directions.get("adam")
    assert not any(mask(adam).averages for mask in (directions.cautious, directions.grams))


@pytest.mark.slow
@pytest.mark.parametrize("direction", AVERAGES)
def test_the_rotation_of_every_average_of_gradients_is_predicted(direction: str) -> None:
    """Second moments that only grow leave the equilibrium behind."""
    optimizer = unyoke.Optimizer([walker()], 0.02, weight_decay=0.009, direction=direction)
    found, predicted = walk(optimizer, 900)
    assert found == pytest.approx(predicted, rel=0.05)
