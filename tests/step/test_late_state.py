"""State made at the first update: where the weight is by then, and only of weights that are there.

Each story is told three times: to the optimizer that was made too early, to one that was made when
everything was in place, and in float64 by the definition.
"""

from __future__ import annotations

import copy
import gc
import warnings
import weakref
from typing import Any

import pytest
import torch
from following import no_gradient, parameter, set_gradient
from pairs import some_decay
from torch import nn

import unyoke
from unyoke import decays, directions, schedules
from unyoke.storage import formats

pytestmark = pytest.mark.usefixtures("definition")

SHAPE = (70, 64)  # enough for narrow state, and no whole number of 8-bit blocks to a row
STORAGE: list[dict[str, Any]] = [
    {"state_dtype": dtype, "rounding": rounding}
    for dtype in formats.STATE_DTYPES
    for rounding in ("nearest", "kahan", "stochastic")
]
SCHEDULES = [schedules.cosine(10), schedules.warmup(3, schedules.constant())]
ANCHORED = [name for name, decay in decays.ALL.items() if decay.state]


def optimizer_of(weight: nn.Parameter, backend: str, **settings: Any) -> unyoke.Optimizer:
    return unyoke.Optimizer(
        [("w", weight)], lr=1e-2, weight_decay=1e-3, backend=backend, **settings
    )


def start(seed: int = 0) -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def walk(optimizer: torch.optim.Optimizer, weight: nn.Parameter, updates: int) -> None:
    for t in range(updates):
        weight.grad = start(t + 1).to(weight.dtype)
        optimizer.step()


def from_meta(backend: str, **settings: Any) -> tuple[nn.Parameter, unyoke.Optimizer]:
    """A model without memory, its optimizer, then memory and weights."""
    with torch.device("meta"):
        model = nn.ParameterList([nn.Parameter(torch.empty(SHAPE))])
    optimizer = optimizer_of(model[0], backend, **settings)
    model.to_empty(device="cpu")
    with torch.no_grad():
        model[0].copy_(start())
    return model[0], optimizer


class TestNothingBeforeTheFirstUpdate:
    def test_the_state_dict_is_torch_s(self) -> None:
        ours, theirs = unyoke.AdamW([parameter()]), torch.optim.AdamW([parameter()])
        assert ours.state_dict()["state"] == theirs.state_dict()["state"] == {}

    def test_a_weight_that_has_had_no_gradient_has_none(self) -> None:
        p, q = parameter(), parameter()
        optimizer = unyoke.AdamW([p, q])
        set_gradient(p, no_gradient, 1)
        optimizer.step()
        assert set(optimizer.state) == {p}

    def test_an_empty_checkpoint_loads(self) -> None:
        p, q = parameter(), parameter()
        optimizer, fresh = unyoke.AdamW([p]), unyoke.AdamW([q])
        set_gradient(p, no_gradient, 1)
        optimizer.step()
        optimizer.load_state_dict(fresh.state_dict())
        assert not optimizer.state
        assert optimizer.param_groups[0]["updates"] == 0


@pytest.mark.usefixtures("swapped_tensors")
class TestAModelThatGetsItsMemoryLater:
    @pytest.mark.parametrize("backend", ["eager", "cpu"])
    @pytest.mark.parametrize("settings", STORAGE, ids=str)
    def test_in_every_storage_format(self, settings: dict[str, Any], backend: str) -> None:
        weight, optimizer = from_meta(backend, **settings)
        twin = nn.Parameter(start())
        late = optimizer_of(twin, backend, **settings)
        exact = nn.Parameter(start().double())
        definition = optimizer_of(exact, "eager")
        for each, its in ((optimizer, weight), (late, twin), (definition, exact)):
            walk(each, its, 6)
        assert torch.equal(weight, twin)
        narrow = 1e-2 if settings["state_dtype"] == "int8" else 2e-3
        tolerance = 1e-6 if settings["state_dtype"] == "float32" else narrow
        torch.testing.assert_close(weight.double(), exact, rtol=0, atol=tolerance)

    @pytest.mark.parametrize("backend", ["eager", "auto"])
    @pytest.mark.parametrize("direction", directions.ALL)
    def test_in_every_direction(self, direction: str, backend: str) -> None:
        settings = {"direction": direction, "decay": some_decay(direction)}
        weight, optimizer = from_meta(backend, **settings)
        walk(optimizer, weight, 4)
        exact = nn.Parameter(start().double())
        walk(optimizer_of(exact, "eager", **settings), exact, 4)
        scale = float(exact.detach().abs().max())
        torch.testing.assert_close(weight.double(), exact, rtol=0, atol=2e-4 * scale)

    def test_state_that_init_state_made_without_memory_is_made_again(self) -> None:
        with torch.device("meta"):
            model = nn.Linear(3, 2)
        optimizer = unyoke.AdamW(model.parameters(), rounding="kahan")
        optimizer.init_state()
        model.to_empty(device="cpu")
        for p in model.parameters():
            nn.init.ones_(p)
            p.grad = torch.ones_like(p)
        optimizer.step()
        for p in model.parameters():
            assert p.isfinite().all()
            assert not any(value.is_meta for value in optimizer.state[p].values())

    def test_a_checkpoint_that_was_loaded_first_waits_for_its_weight(self) -> None:
        twin = nn.Parameter(start())
        saved_from = optimizer_of(twin, "eager", state_dtype="int8")
        walk(saved_from, twin, 3)
        with torch.device("meta"):
            model = nn.ParameterList([nn.Parameter(torch.empty(SHAPE))])
        optimizer = optimizer_of(model[0], "eager", state_dtype="int8")
        optimizer.load_state_dict(saved_from.state_dict())
        model.to_empty(device="cpu")
        with torch.no_grad():
            model[0].copy_(twin)
        walk(optimizer, model[0], 3)
        walk(saved_from, twin, 3)
        assert torch.equal(model[0], twin)

    def test_a_weight_that_loses_its_numbers_keeps_its_state(self) -> None:
        model = nn.Linear(3, 2, bias=False)
        optimizer = unyoke.AdamW(model.named_parameters())
        model(torch.ones(1, 3)).sum().backward()
        optimizer.step()
        model.to("meta")
        model.weight.grad = torch.ones_like(model.weight)
        with pytest.raises(ValueError, match=r"'weight'.*on cpu.*on the meta device.*pop"):
            optimizer.step()
        assert optimizer.state[model.weight]["exp_avg"].device.type == "cpu"


class TestAnotherShape:
    @pytest.mark.parametrize("backend", ["auto", "eager", "cpu"])
    def test_is_refused_before_anything_changes(self, backend: str) -> None:
        first, weight = nn.Parameter(torch.ones(5)), nn.Parameter(torch.ones(4, 6))
        optimizer = unyoke.AdamW([("a", first), ("b", weight)], backend=backend)
        for _ in range(4):
            for p in (first, weight):
                p.grad = torch.ones_like(p)
            optimizer.step()
        kept, before = weight.data, first.detach().clone()
        weight.grad = None
        weight.data = torch.ones(8, 6)
        weight.grad = torch.ones(8, 6)
        with pytest.raises(ValueError, match=r"'b' .*exp_avg.*\(4, 6\).*\(8, 6\).*state\.pop"):
            optimizer.step()
        assert torch.equal(first, before)
        assert optimizer.param_groups[0]["updates"] == optimizer.state[first]["step"] == 4
        optimizer.state.pop(weight)
        optimizer.step()
        assert (optimizer.state[first]["step"], optimizer.state[weight]["step"]) == (5, 1)
        weight.grad = None
        weight.data = kept


class TestExchangedParameters:
    """As Accelerate does it for FSDP2: other objects in the groups' lists."""

    def training(self, updates: int) -> tuple[Any, unyoke.Optimizer]:
        model = nn.Linear(3, 2)
        optimizer = unyoke.AdamW(model.parameters())
        for _ in range(updates):
            optimizer.zero_grad()
            model(torch.ones(1, 3)).sum().backward()
            optimizer.step()
        return model, optimizer

    @pytest.mark.parametrize("updates", [0, 1, 5])
    def test_old_state_goes_and_new_state_comes(self, updates: int) -> None:
        model, optimizer = self.training(updates)
        old = [weakref.ref(x) for state in optimizer.state.values() for x in state.values()]
        optimizer.state["a wrapper's"] = {"kept": 1}
        new = copy.deepcopy(model)
        optimizer.param_groups[0]["params"] = list(new.parameters())
        del model
        for _ in range(4):
            optimizer.zero_grad()
            new(torch.ones(1, 3)).sum().backward()
            optimizer.step()
        gc.collect()
        assert [ref for ref in old if ref() is not None and ref().dim()] == []
        assert set(optimizer.state) == {*new.parameters(), "a wrapper's"}
        assert len(optimizer.state_dict()["state"]) == 3
        assert optimizer.state[new.weight]["step"] == 4

    def test_in_place(self) -> None:
        model, optimizer = self.training(4)
        new = copy.deepcopy(model)
        optimizer.param_groups[0]["params"][:] = new.parameters()
        assert optimizer.state_dict()["state"] == {}
        new(torch.ones(1, 3)).sum().backward()
        optimizer.step()
        assert set(optimizer.state) == set(new.parameters())


class TestAnchors:
    @pytest.mark.parametrize("decay", ANCHORED)
    @pytest.mark.parametrize("how", ["late", "init_state", "rehearsal"])
    def test_are_the_weights_just_before_the_first_update(self, decay: str, how: str) -> None:
        settings = {"direction": "adam", "decay": decay}
        weight, twin = nn.Parameter(start()), nn.Parameter(start(7))
        optimizer = optimizer_of(weight, "auto", **settings)
        if how == "init_state":
            optimizer.init_state()
        elif how == "rehearsal":
            rehearse(optimizer)
        with torch.no_grad():
            weight.copy_(twin)
        walk(optimizer, weight, 4)
        walk(optimizer_of(twin, "auto", **settings), twin, 4)
        assert torch.equal(weight, twin)

    def test_that_somebody_has_written_stay(self) -> None:
        weight = nn.Parameter(start())
        optimizer = optimizer_of(weight, "auto", decay="toward_initial")
        optimizer.init_state()
        optimizer.state[weight]["initial_weight"].fill_(3.0)
        walk(optimizer, weight, 2)
        assert (optimizer.state[weight]["initial_weight"] == 3.0).all()


def rehearse(optimizer: torch.optim.Optimizer) -> None:
    from torch.distributed.checkpoint import state_dict

    state_dict._init_optim_state(optimizer)


class TestRehearsal:
    """torch.distributed.checkpoint makes a step at lr 0 with zero gradients, to see the state."""

    @pytest.mark.parametrize("settings", STORAGE, ids=str)
    def test_makes_state_and_counts_nothing(self, settings: dict[str, Any]) -> None:
        weight = nn.Parameter(start())
        optimizer = optimizer_of(weight, "auto", **settings)
        rehearse(optimizer)
        assert torch.equal(weight, start())
        assert optimizer.state[weight]["step"] == optimizer.param_groups[0]["updates"] == 0
        assert "exp_avg" in optimizer.state[weight]
        twin = nn.Parameter(start())
        walk(optimizer, weight, 4)
        walk(optimizer_of(twin, "auto", **settings), twin, 4)
        assert torch.equal(weight, twin)

    @pytest.mark.parametrize(
        "schedule",
        SCHEDULES,
    )
    def test_under_a_schedule(self, schedule: Any) -> None:
        p = parameter()
        optimizer = unyoke.AdamW([p], lr=0.1, schedule=schedule, weight_decay=lambda t: 1e-3)
        before = optimizer.param_groups[0]["lr"]
        rehearse(optimizer)
        assert optimizer.param_groups[0]["updates"] == 0
        assert optimizer.param_groups[0]["lr"] == before
        assert optimizer.state[p]["step"] == 0

    def test_a_first_update_at_lr_0_with_gradients_counts(self) -> None:
        p = parameter()
        optimizer = unyoke.AdamW([p], lr=0.1)
        optimizer.param_groups[0]["lr"] = 0.0
        p.grad = torch.ones_like(p)
        optimizer.step()
        assert optimizer.param_groups[0]["updates"] == optimizer.state[p]["step"] == 1


class TestInitState:
    @pytest.mark.parametrize("cls", unyoke.optimizers.ALL.values())
    def test_makes_what_the_first_update_would(self, cls: Any) -> None:
        p, q, frozen = parameter(), parameter(), parameter()
        frozen.requires_grad_(False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            early, late = cls([p, frozen]), cls([q])
        early.init_state()
        assert set(early.state) == {p}
        q.grad = torch.ones_like(q)
        late.step()
        assert {n: (x.shape, x.dtype) for n, x in early.state[p].items()} == {
            n: (x.shape, x.dtype) for n, x in late.state[q].items()
        }
        assert early.state[p]["step"] == 0

    def test_leaves_what_there_is(self) -> None:
        weight = nn.Parameter(start())
        optimizer = optimizer_of(weight, "auto")
        walk(optimizer, weight, 3)
        before = copy.deepcopy(optimizer.state_dict())
        optimizer.init_state()
        assert str(before) == str(optimizer.state_dict())
