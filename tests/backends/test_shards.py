"""Sharded parameters: every process updates its shard to the bits of the whole parameter's update.

torch's "fake" process group stands for one process of several; what a step would send is lost, and
a step on shards sends nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any
from zlib import crc32

import pytest
import torch
import torch.distributed as dist
from bits import exact_root
from following_backends import assert_same_bits, everything
from interpreting import interpret
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard
from torch.testing._internal.distributed.fake_pg import FakeStore

import unyoke
from unyoke import decays, directions
from unyoke.equation import combine
from unyoke.storage import formats
from unyoke.storage.rounding import rounding_of
from unyoke.storage.shards import local, place_of

ROWS, COLUMNS = 7, 640
NAME = "output.weight"
"""Its hash, which random bits go by, has 32 bits."""


def element_wise() -> Iterator[tuple[str, str]]:
    for direction, decay in itertools.product(directions.ALL, decays.ALL):
        try:
            rule = combine(directions.get(direction), decays.get(decay))
        except ValueError:
            continue  # they do not go together
        if rule.scope == "element":
            yield direction, decay


ALL_OF_THREE = pytest.mark.parametrize("mesh", [0, 1, 2], indirect=True)


@pytest.fixture
def mesh(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Of three processes, seen by one of them."""
    rank = getattr(request, "param", 1)
    dist.init_process_group("fake", store=FakeStore(), rank=rank, world_size=3)
    # a name of its own: torch keeps what it has found out for equal meshes
    yield init_device_mesh("cpu", (3,), mesh_dim_names=(f"seen by {rank}",))
    dist.destroy_process_group()


def part_of(whole: torch.Tensor, mesh: Any, placements: list[Any]) -> torch.Tensor:
    """What this process holds of a tensor."""
    for placement in placements:
        if isinstance(placement, Shard):
            parts = whole.chunk(mesh.size(), placement.dim)
            empty = whole.narrow(placement.dim, 0, 0)
            whole = [*parts, *[empty] * mesh.size()][mesh.get_local_rank()]
    return whole.clone(memory_format=torch.contiguous_format)


def sharded(whole: torch.Tensor, mesh: Any, placements: list[Any]) -> DTensor:
    part = part_of(whole, mesh, placements)
    return DTensor.from_local(
        part, mesh, placements, run_check=False, shape=whole.shape, stride=whole.stride()
    )


class Twins:
    """A whole parameter and its shard, with an optimizer each."""

    def __init__(
        self,
        mesh: Any,
        placements: list[Any],
        rows: int = ROWS,
        dtype: torch.dtype = torch.float32,
        columns: int = COLUMNS,
        **options: Any,
    ) -> None:
        self._generator = torch.Generator().manual_seed(0)
        self.mesh, self.placements = mesh, placements
        first = torch.randn(rows, columns, generator=self._generator)
        self.whole = torch.nn.Parameter(first.to(dtype))
        self.shard = torch.nn.Parameter(sharded(self.whole.detach(), mesh, placements))
        self.optimizers = [
            unyoke.Optimizer([weight], 1e-2, 1e-3, **options) for weight in (self.whole, self.shard)
        ]
        self.options = options

    def give_gradients(self) -> None:
        grad = torch.randn(self.whole.shape, generator=self._generator).to(self.whole.dtype)
        self.whole.grad, self.shard.grad = grad, sharded(grad, self.mesh, self.placements)

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            self.give_gradients()
            for optimizer in self.optimizers:
                optimizer.step()

    def check(self) -> None:
        expected = part_of(self.whole.detach(), self.mesh, self.placements)
        torch.testing.assert_close(self.shard.to_local(), expected, rtol=0, atol=0)

    @property
    def used(self) -> str:
        return repr(self.optimizers[1]).splitlines()[-2].rsplit(" ", 1)[1]


@pytest.mark.parametrize(("direction", "decay"), list(element_wise()))
def test_every_element_wise_rule_is_the_whole_ones(mesh, direction, decay):
    twins = Twins(mesh, [Shard(0)], direction=direction, decay=decay, backend="eager")
    twins.step(3)
    twins.check()


ON_BOTH = pytest.mark.parametrize("backend", ["eager", pytest.param("cpu", marks=pytest.mark.slow)])
EVERY_FORMAT = list(itertools.product(formats.STATE_DTYPES, formats.ROUNDINGS))


@ALL_OF_THREE
@ON_BOTH
@pytest.mark.parametrize("rows", [6, 7, 2])
@pytest.mark.parametrize(("state_dtype", "rounding"), EVERY_FORMAT)
def test_formats_and_random_bits_are_the_whole_ones(mesh, state_dtype, rounding, rows, backend):
    """Rows are whole blocks. Six among three are even parts, 3, 3 and 1 uneven ones; of two
    rows the third process has none."""
    twins = Twins(
        mesh, [Shard(0)], rows, state_dtype=state_dtype, rounding=rounding, backend=backend
    )
    twins.step(3)
    twins.check()
    assert twins.used == backend


def taken(dtype: torch.dtype, rounding: str) -> bool:
    try:
        rounding_of(rounding, dtype)
    except ValueError:
        return False
    return True


@ALL_OF_THREE
@ON_BOTH
@pytest.mark.parametrize("state_dtype", formats.STATE_DTYPES)
@pytest.mark.parametrize(
    ("dtype", "rounding"),
    [
        (dtype, rounding)
        for dtype in (torch.bfloat16, torch.float16, torch.float64)
        for rounding in formats.ROUNDINGS
        if taken(dtype, rounding)
    ],
    ids=str,
)
def test_formats_of_other_weights_are_the_whole_ones(mesh, dtype, rounding, state_dtype, backend):
    twins = Twins(
        *(mesh, [Shard(0)], ROWS, dtype),
        state_dtype=state_dtype,
        rounding=rounding,
        backend=backend,
    )
    twins.step(3)
    twins.check()
    assert twins.used == backend


@pytest.mark.slow
@ALL_OF_THREE
@pytest.mark.parametrize(("state_dtype", "rounding"), EVERY_FORMAT)
def test_compiled_code_makes_eagers_bits_of_columns(monkeypatch, mesh, state_dtype, rounding):
    """As tensor parallelism cuts: 640 columns among three are 214, 214 and 212."""
    monkeypatch.setattr(torch, "sqrt", exact_root)
    options = {"state_dtype": state_dtype, "rounding": rounding}
    found = []
    for backend in ("cpu", "eager"):
        twins = Twins(mesh, [Shard(1)], backend=backend, **options)
        twins.step(3)
        assert twins.used == backend
        if state_dtype != "int8":  # whose blocks are others in a part of a row
            twins.check()
        found.append([local(each) for each in everything(twins.optimizers[1])])
    assert_same_bits(*found)


@ALL_OF_THREE
@ON_BOTH
@pytest.mark.parametrize(
    ("dtype", "state_dtype", "rounding"),
    [
        (dtype, state_dtype, rounding)
        for dtype in (torch.float32, torch.bfloat16, torch.float16)
        for state_dtype, rounding in EVERY_FORMAT
        if taken(dtype, rounding) and (state_dtype, rounding) != ("float32", "nearest")
    ],
    ids=str,
)
def test_columns_are_rounded_as_in_the_whole(mesh, dtype, state_dtype, rounding, backend):
    """Of 640 columns the three have 214, 214 and 212. Blocks of 8-bit state are those of the whole
    where a row of each part is whole blocks: here of 384 columns."""
    columns = 384 if state_dtype == "int8" else COLUMNS
    options = {"state_dtype": state_dtype, "rounding": rounding, "backend": backend}
    twins = Twins(mesh, [Shard(1)], ROWS, dtype, columns, **options)
    twins.step(3)
    twins.check()
    assert twins.used == backend


@pytest.mark.slow
@ALL_OF_THREE
@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize(
    ("state_dtype", "rounding"),
    [("float32", "stochastic"), ("bfloat16", "nearest"), ("int8", "stochastic")],
)
def test_kernels_of_a_gpu_round_as_in_the_whole(monkeypatch, mesh, state_dtype, rounding, dim):
    """By Triton's interpreter."""
    pytest.importorskip("triton")
    interpret(monkeypatch)
    columns = 384 if state_dtype == "int8" else 170
    options = {"state_dtype": state_dtype, "rounding": rounding, "backend": "gpu"}
    twins = Twins(mesh, [Shard(dim)], 25, torch.float32, columns, **options)
    twins.step(2)
    twins.check()
    assert twins.used == "gpu"


@pytest.mark.parametrize("placement", [Shard(1), Replicate()])
def test_other_placements(mesh, placement):
    twins = Twins(mesh, [placement], backend="cpu")
    twins.step(3)
    twins.check()


def test_steps_are_replayed_and_keep_no_gradient(mesh):
    twins = Twins(mesh, [Shard(0)], backend="cpu")
    twins.step(4)
    assert twins.optimizers[1]._stepper.replay is not None
    assert twins.shard._local_tensor.grad is None


def test_what_a_parameter_holds_may_be_exchanged(mesh):
    """As ``fully_shard`` does it in ``model.to(…)``."""
    twins = Twins(mesh, [Shard(0)], backend="cpu")
    twins.step(3)
    left = twins.shard._local_tensor
    before = left.clone()
    twins.shard._local_tensor = left.clone()
    twins.step(3)
    twins.check()
    assert torch.equal(left, before)


def test_autograd_sees_that_the_weight_has_changed(mesh):
    twins = Twins(mesh, [Shard(0)], backend="cpu")
    for _ in range(4):
        before = twins.shard._version
        twins.step()
        assert twins.shard._version > before


def test_a_gradient_that_is_cut_otherwise_goes_torchs_way(mesh):
    """Nothing is taken from another element's gradient; here of one that is on every process."""
    twins = Twins(mesh, [Replicate()])
    twins.step(3)
    grad = torch.ones_like(twins.whole)
    twins.whole.grad = grad
    twins.shard.grad = DTensor.from_local(grad / 3, mesh, [Partial()], run_check=False)
    twins.optimizers[0].step()
    twins.optimizers[1].step()
    assert twins.used == "eager"
    twins.step(3)
    assert twins.used == "cpu"


def test_narrow_state_is_refused_where_shards_do_not_fit(mesh):
    twins = Twins(mesh, [Replicate()], state_dtype="int8")
    twins.step()
    before = twins.shard._local_tensor.clone()
    grad = torch.ones_like(twins.whole)
    twins.shard.grad = DTensor.from_local(grad, mesh, [Partial()], run_check=False)
    with pytest.raises(RuntimeError, match=r"the gradient is cut as .*Partial.* the weight as"):
        twins.optimizers[1].step()
    assert torch.equal(twins.shard._local_tensor, before)


@pytest.mark.parametrize("options", [{"state_dtype": "int8"}, {"rounding": "kahan"}])
def test_narrow_formats_of_rules_on_whole_tensors_are_refused(mesh, options):
    weight = torch.nn.Parameter(sharded(torch.ones(ROWS, COLUMNS), mesh, [Shard(0)]))
    with pytest.raises(ValueError, match="in each shard by itself"):
        unyoke.LambW([weight], **options)


def test_rules_on_whole_tensors_refuse_fsdp1():
    weight = torch.nn.Parameter(torch.ones(40))
    weight._fsdp_flattened = True  # as FullyShardedDataParallel marks them
    with pytest.raises(ValueError, match="FSDP1"):
        unyoke.LambW([weight])
    unyoke.AdamW([weight])


@pytest.mark.parametrize("state_dtype", [torch.bfloat16, "int8"])
def test_fsdp1_keeps_its_state_in_float32(state_dtype):
    """Its optim_state_dict fails on one process and waits for ever on another."""
    weight = torch.nn.Parameter(torch.ones(40))
    optimizer = unyoke.AdamW([weight], state_dtype=state_dtype)
    weight._fsdp_flattened = True  # wrapped afterwards
    weight.grad = torch.ones(40)
    with pytest.raises(ValueError, match=r"parameter 0 of its group: .*FSDP1.*fully_shard"):
        optimizer.step()
    assert torch.equal(weight.detach(), torch.ones(40))
    with pytest.raises(ValueError, match=r"parameter 0 of shape \(40,\): .*FSDP1.*fully_shard"):
        unyoke.AdamW([weight], state_dtype=state_dtype)
    unyoke.AdamW([weight], rounding="kahan")


def test_the_name_is_one_whose_hash_is_negative_in_32_bits():
    assert crc32(NAME.encode()) >> 31


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("size", [(4, 6, 1), (3, 4, 5), (2, 3, 4, 5)])
def test_places_are_those_in_the_whole(size, axes):
    """Cut along one dimension, or along the first and another: FSDP and tensor parallelism. Along
    two others each place is taken once."""
    whole = torch.arange(torch.Size(size).numel()).view(size)
    cuts = [range(0, n, 2) if axis in axes else (0,) for axis, n in enumerate(size)]
    taken = []
    for start in itertools.product(*cuts):
        ends = [begin + 2 if axis in axes else None for axis, begin in enumerate(start)]
        part = whole[tuple(map(slice, start, ends))]
        first, run, gap = place_of(size, part.shape, start)
        places = [first + i + i // run * gap for i in range(part.numel())]
        if not {1, 2} <= set(axes) or size[2] == 1:
            assert places == part.flatten().tolist()
        taken += places
    assert sorted(taken) == whole.flatten().tolist()


@ALL_OF_THREE
@pytest.mark.parametrize("direction", ["schedule_free_adam", "schedule_free_sgd"])
def test_weights_to_evaluate_come_and_go_on_each_shard(mesh, direction):
    """The rows of the whole parameter's, to the bit, both ways."""
    twins = Twins(mesh, [Shard(0)], direction=direction)
    twins.step(3)
    trained = twins.whole.detach().clone()
    for optimizer in twins.optimizers:
        optimizer.eval()
    assert not torch.equal(twins.whole.detach(), trained)
    twins.check()
    for optimizer in twins.optimizers:
        optimizer.train()
    assert torch.equal(twins.whole.detach(), trained)
    twins.check()
