"""Accelerate: what prepare() hands out, and the exchange of parameters under FSDP2."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from comparing import BATCH, UPDATES, data, distance, flat, loss, made, model, on_two, plain, tell
from comparing import whole as weights_of
from torch.distributed.tensor import DTensor

import unyoke


def train(accelerator: Any, module: Any, optimizer: Any, first: int, last: int) -> None:
    """The plain loop's updates, with every process at the whole batch."""
    inputs, targets = data()
    for t in range(first, last):
        part = slice(t * BATCH, (t + 1) * BATCH)
        accelerator.backward(loss(module(inputs[part]), targets[part]))
        optimizer.step()
        optimizer.zero_grad()


def followed() -> float:
    accelerator = Accelerator(cpu=True)
    module = model()
    optimizer = made(module)
    scheduler = unyoke.schedules.follow(optimizer)
    dataset = torch.utils.data.TensorDataset(*data())
    module, optimizer, scheduler, loader = accelerator.prepare(
        module, optimizer, scheduler, torch.utils.data.DataLoader(dataset, batch_size=BATCH)
    )
    for inputs, targets in loader:
        accelerator.backward(loss(module(inputs), targets))
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    return distance(flat(accelerator.unwrap_model(module)), plain())


def saved() -> float:
    """save_state after five updates, load_state into other objects, and on."""
    with tempfile.TemporaryDirectory() as folder:
        accelerator = Accelerator(cpu=True)
        module = model()
        module, optimizer = accelerator.prepare(module, made(module))
        train(accelerator, module, optimizer, 0, 5)
        accelerator.save_state(folder)
        accelerator.free_memory()
        module = model()
        module, optimizer = accelerator.prepare(module, made(module))
        accelerator.load_state(folder)
        train(accelerator, module, optimizer, 5, UPDATES)
        return distance(flat(module), plain())


def released() -> float:
    accelerator = Accelerator(cpu=True)
    module = model()
    module, optimizer = accelerator.prepare(module, made(module))
    unyoke.release(optimizer)
    train(accelerator, module, optimizer, 0, UPDATES)
    return distance(flat(module), plain())


def ddp() -> torch.Tensor:
    accelerator = Accelerator(cpu=True)
    module = model()
    module, optimizer = accelerator.prepare(module, made(module))
    train(accelerator, module, optimizer, 0, UPDATES)
    return flat(accelerator.unwrap_model(module))


def sharding() -> Accelerator:
    """Accelerate chooses FSDP on GPUs only; here the choice is made for it, the rest is its own."""
    accelerator = Accelerator(cpu=True)
    accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin(fsdp_version=2)
    choose(accelerator)
    return accelerator


def choose(accelerator: Accelerator) -> None:
    """Wrappers that Accelerate makes set the type back."""
    accelerator.state.distributed_type = DistributedType.FSDP
    assert accelerator.is_fsdp2


def exchanged() -> torch.Tensor:
    """The groups get other parameters in prepare(); state and checkpoint are of these."""
    accelerator = sharding()
    module = model()
    optimizer = made(module)
    before = [weight for group in optimizer.param_groups for weight in group["params"]]
    module, prepared = accelerator.prepare(module, optimizer)
    after = [weight for group in optimizer.param_groups for weight in group["params"]]
    assert all(isinstance(weight, DTensor) for weight in after)
    assert not {*map(id, before)} & {*map(id, after)}
    train(accelerator, module, prepared, 0, 5)
    state = prepared.state_dict()["state"]
    assert sorted(state) == list(range(len(after)))
    assert all(isinstance(entry["exp_avg"], DTensor) for entry in state.values())
    assert set(optimizer.state) == set(after)
    train(accelerator, module, prepared, 5, UPDATES)
    return weights_of(module)


def exchanged_and_saved() -> torch.Tensor:
    """save_state and load_state in shards, between updates five and six."""
    folder = os.environ["CHECKPOINT"]
    ends = []
    for first, last in ((0, 5), (5, UPDATES)):
        accelerator = sharding()
        module = model()
        module, optimizer = accelerator.prepare(module, made(module))
        choose(accelerator)
        if first:
            accelerator.load_state(folder)
        train(accelerator, module, optimizer, first, last)
        if not first:
            accelerator.save_state(folder)
        ends.append(weights_of(module))
        accelerator.free_memory()
    return ends[-1]


if __name__ == "__main__":
    tell("prepare, with `follow`", followed)
    tell("save_state, load_state and on", saved)
    tell("`release()` of the prepared optimizer", released)
    tell("DDP on two processes", lambda: distance(on_two(ddp), plain()))
    tell(
        "FSDP2 on two processes: prepare exchanges the parameters, and state_dict()",
        lambda: distance(on_two(exchanged), plain()),
    )
    tell(
        "FSDP2: save_state, load_state and on",
        lambda: distance(on_two(exchanged_and_saved), plain()),
    )
