"""FSDP2 on two processes of the CPU: shards, their state, and a checkpoint that goes on.

    python examples/fsdp2.py [--processes 2] [--updates 20]

Make the optimizer after `fully_shard` or before it; either way its state is made at the first
update, in shards like the weights'. On GPUs the backend is nccl, and nothing else changes.
"""

import argparse
import tempfile

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.fsdp import fully_shard

import unyoke


def built(updates: int) -> tuple[nn.Module, unyoke.Optimizer]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(32, 64), nn.LayerNorm(64), nn.GELU(), nn.Linear(64, 8))
    for layer in model:
        if list(layer.parameters()):
            fully_shard(layer)
    fully_shard(model)
    groups = unyoke.groups.split(model, weight_decay=1e-3)
    schedule = unyoke.schedules.cosine(2 * updates)
    return model, unyoke.AdamW(groups, lr=1e-2, schedule=schedule, state_dtype=torch.bfloat16)


def train(model: nn.Module, optimizer: unyoke.Optimizer, updates: int) -> float:
    loss = torch.tensor(0.0)
    for update in range(updates):
        generator = torch.Generator().manual_seed(1000 * update + dist.get_rank())
        inputs = torch.randn(16, 32, generator=generator)
        loss = (model(inputs) - inputs[:, :8]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def work(rank: int, processes: int, updates: int, folder: str) -> None:
    meeting = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=processes)
    model, optimizer = built(updates)
    first = train(model, optimizer, updates)
    weights, state = get_state_dict(model, optimizer)
    dcp.save({"model": weights, "optimizer": state}, checkpoint_id=f"{folder}/checkpoint")

    model, optimizer = built(updates)  # as a new job would
    weights, state = get_state_dict(model, optimizer)
    dcp.load({"model": weights, "optimizer": state}, checkpoint_id=f"{folder}/checkpoint")
    set_state_dict(model, optimizer, model_state_dict=weights, optim_state_dict=state)
    second = train(model, optimizer, updates)
    if rank == 0:
        print(f"loss {first:.4f}, after the restart {second:.4f}")
        print(f"update {optimizer.param_groups[0]['updates']} of {2 * updates}")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--processes", type=int, default=2)
    arguments.add_argument("--updates", type=int, default=20)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        parts = (given.processes, given.updates, folder)
        torch.multiprocessing.spawn(work, parts, nprocs=given.processes)
