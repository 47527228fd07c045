"""What torch itself brings: schedulers, averages, scaling, compilation, replicas and shards."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from comparing import (
    BATCH,
    DECAY,
    LR,
    UPDATES,
    data,
    distance,
    flat,
    loss,
    made,
    model,
    on_two,
    plain,
    refusal,
    tell,
    whole,
)
from torch import nn
from torch.distributed.algorithms.model_averaging import averagers
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.distributed.optim import PostLocalSGDOptimizer, ZeroRedundancyOptimizer
from torch.distributed.tensor import Replicate
from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module
from torch.nn.parallel import DistributedDataParallel
from torch.optim import lr_scheduler as schedulers
from torch.optim.swa_utils import SWALR, AveragedModel, get_ema_multi_avg_fn

import unyoke

SCHEDULERS: dict[str, Callable[[Any], Any]] = {
    "ConstantLR": lambda o: schedulers.ConstantLR(o, 0.5, 4),
    "CosineAnnealingLR": lambda o: schedulers.CosineAnnealingLR(o, UPDATES),
    "CosineAnnealingWarmRestarts": lambda o: schedulers.CosineAnnealingWarmRestarts(o, 5),
    "CyclicLR": lambda o: schedulers.CyclicLR(o, LR / 10, LR, 3, cycle_momentum=False),
    "ExponentialLR": lambda o: schedulers.ExponentialLR(o, 0.9),
    "LambdaLR": lambda o: schedulers.LambdaLR(o, lambda t: 1 / (1 + t)),
    "LinearLR": lambda o: schedulers.LinearLR(o, 0.2),
    "MultiStepLR": lambda o: schedulers.MultiStepLR(o, [4, 8]),
    "MultiplicativeLR": lambda o: schedulers.MultiplicativeLR(o, lambda t: 0.9),
    "OneCycleLR": lambda o: schedulers.OneCycleLR(o, LR, total_steps=UPDATES + 1),
    "PolynomialLR": lambda o: schedulers.PolynomialLR(o, UPDATES),
    "StepLR": lambda o: schedulers.StepLR(o, 4),
    "SWALR": lambda o: SWALR(o, LR / 2, 4),
    "ChainedScheduler": lambda o: schedulers.ChainedScheduler(
        [schedulers.ConstantLR(o, 0.5, 4), schedulers.ExponentialLR(o, 0.9)]
    ),
    "SequentialLR": lambda o: schedulers.SequentialLR(
        o, [schedulers.LinearLR(o, 0.2, 1.0, 4), schedulers.ExponentialLR(o, 0.9)], [4]
    ),
}


def ours(module: nn.Module) -> unyoke.Optimizer:
    return unyoke.AdamW(module.parameters(), lr=LR, weight_decay=DECAY)


def torchs(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(module.parameters(), lr=LR, weight_decay=DECAY / LR)


def under(make: Callable[[Any], Any]) -> float:
    return distance(plain(ours, after=make), plain(torchs, after=make))


def loop(module: nn.Module, optimizer: Any, first: int, last: int, after: Any = None) -> None:
    inputs, targets = data()
    for t in range(first, last):
        part = slice(t * BATCH, (t + 1) * BATCH)
        optimizer.zero_grad()
        loss(module(inputs[part]), targets[part]).backward()
        optimizer.step()
        if after is not None:
            after()


def resumed() -> float:
    """Model, optimizer and scheduler saved after five updates, and a group added before that."""
    whole, first, second = model(), model(), model()

    def parts(module: nn.Module) -> Any:
        optimizer = unyoke.AdamW(module[0].parameters(), lr=LR, weight_decay=DECAY)
        optimizer.add_param_group({"params": list(module[1:].parameters()), "lr": LR / 2})
        return optimizer, schedulers.CosineAnnealingLR(optimizer, UPDATES)

    optimizer, scheduler = parts(whole)
    loop(whole, optimizer, 0, UPDATES, scheduler.step)
    optimizer, scheduler = parts(first)
    loop(first, optimizer, 0, 5, scheduler.step)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "saved.pt"
        torch.save([x.state_dict() for x in (first, optimizer, scheduler)], file)
        saved = torch.load(file, weights_only=True)
    optimizer, scheduler = parts(second)
    for one, state in zip((second, optimizer, scheduler), saved, strict=True):
        one.load_state_dict(state)
    loop(second, optimizer, 5, UPDATES, scheduler.step)
    return distance(flat(second), flat(whole))


def averaged() -> float:
    ends = []
    for make in (ours, torchs):
        module = model()
        average = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(0.9))
        loop(module, make(module), 0, UPDATES, lambda m=module, a=average: a.update_parameters(m))
        ends.append(flat(average.module))
    return distance(*ends)


def scaled() -> float:
    ends = []
    for make in (ours, torchs):
        module = model()
        optimizer = make(module)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        inputs, targets = data()
        for t in range(UPDATES):
            part = slice(t * BATCH, (t + 1) * BATCH)
            optimizer.zero_grad()
            scaler.scale(loss(module(inputs[part]), targets[part])).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(module.parameters(), 0.5)
            scaler.step(optimizer)
            scaler.update()
        ends.append(flat(module))
    return distance(*ends)


def compiled_model() -> float:
    module = model()
    compiled = torch.compile(module, backend="aot_eager")
    optimizer = made(compiled)
    loop(compiled, optimizer, 0, UPDATES)
    return distance(flat(module), plain())


def compiled_step(fullgraph: bool) -> Any:
    module = model()
    optimizer = ours(module)
    step = torch.compile(optimizer.step, backend="aot_eager", fullgraph=fullgraph)
    inputs, targets = data()

    def run() -> None:
        for t in range(UPDATES):
            part = slice(t * BATCH, (t + 1) * BATCH)
            optimizer.zero_grad()
            loss(module(inputs[part]), targets[part]).backward()
            step()

    if fullgraph:
        try:
            run()
        except Exception as error:
            first = str(error).strip().splitlines()[0]
            return f'refused: torch.compile says {first!r}; without fullgraph, or backend="compile"'
    else:
        run()
    return distance(flat(module), plain(ours))


# On two processes


def ddp() -> torch.Tensor:
    module = DistributedDataParallel(model())
    loop(module, made(module), 0, UPDATES)
    return flat(module)


def zero() -> torch.Tensor:
    module = DistributedDataParallel(model())
    optimizer = ZeroRedundancyOptimizer(
        module.parameters(), optimizer_class=unyoke.AdamW, lr=LR, weight_decay=DECAY
    )
    loop(module, optimizer, 0, UPDATES)
    return flat(module)


def post_local() -> torch.Tensor:
    module = model()
    averager = averagers.PeriodicModelAverager(period=3, warmup_steps=2)
    loop(module, PostLocalSGDOptimizer(made(module), averager), 0, UPDATES)
    return flat(module)


def released_ddp() -> str:
    module = DistributedDataParallel(model())
    optimizer = made(module)
    return refusal(lambda: unyoke.release(optimizer), RuntimeError)


def fsdp2() -> torch.Tensor:
    module = model()
    fully_shard(module)
    loop(module, made(module), 0, UPDATES)
    return whole(module)


def fsdp2_released() -> torch.Tensor:
    module = model()
    fully_shard(module)
    optimizer = made(module)
    unyoke.release(optimizer)
    loop(module, optimizer, 0, UPDATES)
    return whole(module)


def tensor_parallel() -> torch.Tensor:
    module = model()
    mesh = init_device_mesh("cpu", (2,))
    parallelize_module(module, mesh, {"0": ColwiseParallel(output_layouts=Replicate())})
    loop(module, made(module), 0, UPDATES)
    return whole(module)


def fsdp1() -> torch.Tensor:
    module = FullyShardedDataParallel(model(), use_orig_params=True, device_id=torch.device("cpu"))
    loop(module, ours(module), 0, UPDATES)
    with FullyShardedDataParallel.summon_full_params(module):
        return flat(module).clone()


def fsdp1_split() -> str:
    module = FullyShardedDataParallel(model(), use_orig_params=True, device_id=torch.device("cpu"))
    return refusal(lambda: unyoke.groups.split(module), ValueError)


def distributed_checkpoint() -> torch.Tensor:
    """Five updates, saved in shards, loaded into another model, and on."""
    folder = os.environ["CHECKPOINT"]
    first, second = model(), model()
    for module in (first, second):
        fully_shard(module)
    optimizer = made(first)
    loop(first, optimizer, 0, 5)
    weights, state = get_state_dict(first, optimizer)
    dcp.save({"model": weights, "optimizer": state}, checkpoint_id=folder)
    optimizer = made(second)
    weights, state = get_state_dict(second, optimizer)
    dcp.load({"model": weights, "optimizer": state}, checkpoint_id=folder)
    set_state_dict(second, optimizer, model_state_dict=weights, optim_state_dict=state)
    loop(second, optimizer, 5, UPDATES)
    return whole(second)


if __name__ == "__main__":
    for name, make in SCHEDULERS.items():
        tell(f"{name}, as torch's AdamW under it", lambda make=make: under(make))
    tell("a checkpoint with scheduler and an added group, and on", resumed)
    tell("swa_utils: AveragedModel", averaged)
    tell("GradScaler with clipping", scaled)
    tell("torch.compile of the model", compiled_model)
    tell("torch.compile of the step", lambda: compiled_step(fullgraph=False))
    tell("torch.compile of the step, fullgraph=True", lambda: compiled_step(fullgraph=True))
    tell("DDP on two processes", lambda: distance(on_two(ddp), plain()))
    tell("ZeroRedundancyOptimizer on two processes", lambda: distance(on_two(zero), plain(ours)))
    tell("PostLocalSGDOptimizer on two processes", lambda: distance(on_two(post_local), plain()))
    tell("FSDP2 on two processes", lambda: distance(on_two(fsdp2), plain()))
    tell("FSDP2 with `release()`", lambda: distance(on_two(fsdp2_released), plain()))
    tell("tensor parallelism on two processes", lambda: distance(on_two(tensor_parallel), plain()))
    tell(
        "torch.distributed.checkpoint of FSDP2, and on",
        lambda: distance(on_two(distributed_checkpoint), plain()),
    )
    tell("FSDP1 on two processes", lambda: distance(on_two(fsdp1), plain(ours)))
    tell("`groups.split` of an FSDP1 model", lambda: on_two(fsdp1_split))
    tell("`release()` under DDP", lambda: on_two(released_ddp))
