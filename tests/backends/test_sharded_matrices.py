"""Muon over sharded matrices: the numbers of one process, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from sharded_processes import network, on, sharded, train
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor

import unyoke

pytestmark = pytest.mark.slow

OPTIONS: list[dict[str, Any]] = [
    {},
    {"nesterov": False, "decay": "l2"},
    {"decay": "cautious", "ns_dtype": "float32"},
    {"state_dtype": torch.bfloat16, "rounding": "stochastic"},
    {"state_dtype": "int8", "rounding": "kahan"},
    {"backend": "eager"},
]


def _compare() -> None:
    for options in OPTIONS:
        whole, model = network(bias=False), sharded(bias=False)
        expected = train(whole, unyoke.MuonW(whole.parameters(), lr=1e-2, **options), range(6))
        optimizer = unyoke.MuonW(model.parameters(), lr=1e-2, **options)
        assert torch.equal(train(model, optimizer, range(6)), expected), options
        used = options.get("backend", "cpu")
        assert repr(optimizer).splitlines()[-2].endswith(f" {used}"), options


def _compare_rows() -> None:
    for options in [{}, {"state_dtype": "int8"}, {"backend": "eager"}]:
        whole, model = network(bias=False), sharded(bias=False)
        expected = train(whole, unyoke.NorMuonW(whole.parameters(), lr=1e-2, **options), range(6))
        optimizer = unyoke.NorMuonW(model.parameters(), lr=1e-2, **options)
        assert torch.equal(train(model, optimizer, range(6)), expected), options
        used = options.get("backend", "cpu")
        assert repr(optimizer).splitlines()[-2].endswith(f" {used}"), options


def test_state_of_rows_is_sharded_as_they_are():
    on(2, _compare_rows)


def test_fsdp2_is_the_unsharded_model_to_the_bit():
    """128 rows, and 3, on two processes: even and uneven shards, wide matrices and tall ones.

    A product that is a sum over processes, each part rounded to bfloat16, is another by 3e-3 of
    the first step, and by 1.4e-2 after six.
    """
    on(2, _compare)


def _compare_meshes() -> None:
    for size, placements in [((2, 1), [Replicate(), Shard(0)]), ((2,), [Shard(1)])]:
        mesh = init_device_mesh("cpu", size)
        found = []
        for is_cut in (False, True):
            generator = torch.Generator().manual_seed(1)
            tensors = [torch.randn(5, 7, generator=generator) for _ in range(6)]
            if is_cut:
                tensors = [distribute_tensor(each, mesh, placements) for each in tensors]
            params = [torch.nn.Parameter(weight) for weight in tensors[:3]]
            optimizer = unyoke.MuonW(params, lr=1e-2)
            for _ in range(3):
                for param, grad in zip(params, tensors[3:], strict=True):
                    param.grad = grad
                optimizer.step()
            found.append([getattr(p, "full_tensor", lambda p=p: p)().detach() for p in params])
        for one, other in zip(*found, strict=True):
            assert torch.equal(one, other), placements


def test_replicas_of_shards_and_columns():
    """HSDP, and matrices that are cut along columns, as tensor parallelism does."""
    on(2, _compare_meshes)


def test_newton_schulz_magnifies_the_last_bit_of_a_gradient():
    """So nothing less than equal bits could be asked above: one process is as far from itself."""

    def trained(nudge: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        model = network(bias=False)
        for p in model.parameters():
            p.register_hook(nudge)
        return train(model, unyoke.MuonW(model.parameters(), lr=1e-2), range(6))

    apart = trained(lambda g: torch.nextafter(g, g + 1)) - trained(lambda g: g)
    assert 1e-3 < float(apart.abs().max()) < 2e-2
