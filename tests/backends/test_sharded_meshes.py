"""FSDP2 with what goes with it: replicas, tensor parallelism, precision, schedules, release."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from sharded_processes import FORMATS, network, on, sharded, train
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

import unyoke

pytestmark = pytest.mark.slow

LR = 1e-2


def compare(place: Callable[[nn.Module], None]) -> None:
    """Every format: the weights of a model laid out by `place`, and those of one whole model.

    The whole model gets the other's gradients, since products over several processes round
    otherwise. Random bits go by the place in the whole parameter, however it is cut; blocks of
    8-bit state lie within a shard, and are others where it is cut along its second dimension.
    """
    for options in FORMATS:
        whole, model = network(), network()
        place(model)
        ours, theirs = (
            unyoke.AdamW(m.parameters(), lr=LR, weight_decay=1e-3, **options)
            for m in (model, whole)
        )
        for t in range(6):
            batch = torch.randn(8, 8, generator=torch.Generator().manual_seed(t))
            model(batch).square().mean().backward()
            for p, other in zip(model.parameters(), whole.parameters(), strict=True):
                other.grad = gathered(p.grad).clone()
            ours.step()
            theirs.step()
            ours.zero_grad()
        in_blocks = options["state_dtype"] == "int8"
        for p, other in zip(model.parameters(), whole.parameters(), strict=True):
            difference = (gathered(p.detach()) - other.detach()).square().mean().sqrt()
            assert difference <= (0.1 * LR if in_blocks and has_columns_cut(p) else 0.0), options
        assert repr(ours).splitlines()[-2].endswith(" cpu"), options


def has_columns_cut(tensor: Any) -> bool:
    return isinstance(tensor, DTensor) and any(each.is_shard(1) for each in tensor.placements)


def gathered(tensor: Any) -> torch.Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def replicas_of_shards(model: nn.Module) -> None:
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("replicate", "shard"))
    fully_shard(model, mesh=mesh)


def columns(parameter: nn.Parameter) -> Shard | None:
    return Shard(1) if parameter.dim() == 2 else None


def shards_of_columns(model: nn.Module) -> None:
    fully_shard(model, shard_placement_fn=columns)


def replicas_of_shards_of_columns(model: nn.Module) -> None:
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("replicate", "shard"))
    fully_shard(model, mesh=mesh, shard_placement_fn=columns)


def tensor_parallel(model: nn.Module, mesh: DeviceMesh | None = None) -> None:
    mesh = init_device_mesh("cpu", (2,)) if mesh is None else mesh
    plan = {"0": ColwiseParallel(), "1": RowwiseParallel()}
    parallelize_module(model, mesh, plan)


def shards_of_tensor_parallel(model: nn.Module, **more: Any) -> None:
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("shard", "tensor"))
    tensor_parallel(model, mesh["tensor"])
    fully_shard(model, mesh=mesh["shard"], **more)


def columns_of_tensor_parallel(model: nn.Module) -> None:
    shards_of_tensor_parallel(model, shard_placement_fn=columns)


@pytest.mark.parametrize(
    ("world", "place"),
    [
        *((2, shards_of_columns), (4, replicas_of_shards), (4, replicas_of_shards_of_columns)),
        *((2, tensor_parallel), (4, shards_of_tensor_parallel), (4, columns_of_tensor_parallel)),
    ],
)
def test_every_layout_is_the_whole_model(world, place):
    on(world, compare, place)


def _uneven_columns() -> None:
    """Of 128 columns three processes have 43, 43 and 42; torch's own layers need even parts."""
    mesh, generator = init_device_mesh("cpu", (3,)), torch.Generator().manual_seed(0)
    for options in FORMATS:
        first, *grads = torch.randn(5, 40, 128, generator=generator)
        whole = nn.Parameter(first.clone())
        parts = nn.Parameter(distribute_tensor(first, mesh, [Shard(1)]))
        ours, theirs = (
            unyoke.AdamW([each], lr=LR, weight_decay=1e-3, **options) for each in (parts, whole)
        )
        for grad in grads:
            whole.grad, parts.grad = grad, distribute_tensor(grad, mesh, [Shard(1)])
            ours.step()
            theirs.step()
        difference = (gathered(parts.detach()) - whole.detach()).square().mean().sqrt()
        assert difference <= (0.1 * LR if options["state_dtype"] == "int8" else 0.0), options


def test_uneven_columns_are_the_whole_parameter():
    on(3, _uneven_columns)


def _mixed_precision() -> None:
    """Weights in float32, a forward pass in bfloat16: torch's step with the same gradients."""
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    model = network()
    fully_shard(model, mp_policy=policy)
    copies = [nn.Parameter(p.detach().clone()) for p in model.parameters()]
    theirs = torch.optim.AdamW(copies, lr=LR, weight_decay=0.1)
    ours = unyoke.AdamW(model.parameters(), lr=LR, weight_decay=0.1 * LR)
    for t in range(6):
        batch = torch.randn(8, 8, generator=torch.Generator().manual_seed(t))
        model(batch).square().mean().backward()
        for p, copy in zip(model.parameters(), copies, strict=True):
            copy.grad = p.grad.clone()
        ours.step()
        theirs.step()
        ours.zero_grad()
    for p, copy in zip(model.parameters(), copies, strict=True):
        torch.testing.assert_close(gathered(p), gathered(copy), rtol=2e-6, atol=1e-7)


def test_mixed_precision_is_torchs():
    on(2, _mixed_precision)


def _schedule_release_and_accumulation() -> None:
    cosine = unyoke.schedules.cosine(8)
    options = {"lr": LR, "weight_decay": 1e-3, "schedule": cosine}
    whole, model = network(), sharded()
    expected = train(whole, unyoke.AdamW(whole.parameters(), **options), range(6))
    plain = unyoke.AdamW(model.parameters(), **options)
    assert torch.equal(train(model, plain, range(6)), expected)
    released = sharded()
    optimizer = unyoke.AdamW(released.parameters(), **options)
    handle = unyoke.release(optimizer)
    assert torch.equal(train(released, optimizer, range(6)), expected)
    assert all("released gradient" in repr(p.grad) for p in released.parameters())
    handle.remove()


def test_schedules_and_release_are_the_unsharded_models():
    on(2, _schedule_release_and_accumulation)


def _a_direction_for_each_group() -> None:
    ends = []
    for model in (network(), sharded()):
        rule = unyoke.groups.hidden_matrices(
            model, {"direction": "lion", "lr": LR / 3}, rest="adam"
        )
        groups = unyoke.groups.split(model, weight_decay=1e-3, directions=rule)
        ends.append(train(model, unyoke.AdamW(groups, lr=LR), range(6)))
    assert torch.equal(ends[0], ends[1])


def test_a_direction_for_each_group_is_the_unsharded_models():
    on(2, _a_direction_for_each_group)
