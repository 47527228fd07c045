"""A step that cannot be made is refused before anything has changed, and the next one goes on."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

import unyoke

pytestmark = pytest.mark.usefixtures("definition")


def given(*shapes: tuple[int, ...], dtype: torch.dtype = torch.float32) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    weights = [torch.nn.Parameter(torch.randn(s, generator=generator).to(dtype)) for s in shapes]
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    return weights


@pytest.mark.any_backend
@pytest.mark.parametrize("decay", ["toward_initial", "toward_average"])
@pytest.mark.parametrize("left", [0, 40])
def test_no_anchor_is_made_of_memory_that_was_taken_away(decay: str, left: int) -> None:
    (weight,) = given((64, 64))
    optimizer = unyoke.AdamW([weight], decay=decay)
    before = weight.detach().clone()
    weight.untyped_storage().resize_(left)
    with pytest.raises(ValueError, match=rf"parameter 0 .*storage of {left} bytes"):
        optimizer.step()
    weight.untyped_storage().resize_(64 * 64 * 4)
    weight.data.copy_(before)
    optimizer.step()
    (anchor,) = (v for n, v in optimizer.state[weight].items() if n.endswith("_weight"))
    torch.testing.assert_close(anchor, before, rtol=0, atol=1e-2)


@pytest.mark.any_backend
def test_state_is_not_cast_from_memory_that_was_taken_away() -> None:
    (weight,) = given((64, 64), dtype=torch.float64)
    optimizer = unyoke.AdamW([weight])
    optimizer.step()
    optimizer.state[weight]["exp_avg"].untyped_storage().resize_(8)
    weight.data = weight.data.float()
    weight.grad = torch.ones_like(weight)
    with pytest.raises(ValueError, match="storage of 8 bytes"):
        optimizer.step()


@pytest.mark.any_backend
def test_a_gradient_whose_memory_was_taken_away_is_no_rehearsal() -> None:
    """At lr 0 a first step looks whether all gradients are zeros: then it only makes the state."""
    (weight,) = given((64, 64))
    optimizer = unyoke.AdamW([weight])
    optimizer.param_groups[0]["lr"] = 0.0
    weight.grad.untyped_storage().resize_(0)
    with pytest.raises(RuntimeError, match="storage of 0 bytes"):
        optimizer.step()


@pytest.mark.any_backend
@pytest.mark.parametrize("backend", ["auto", "eager"])
def test_one_weight_whose_cast_its_rounding_does_not_take_stops_the_whole_step(backend) -> None:
    weights = given((3, 5), (7,))
    optimizer = unyoke.AdamW(weights, rounding="stochastic", backend=backend)
    optimizer.step()
    before = [weight.detach().clone() for weight in weights]
    weights[1].data = weights[1].data.double()
    weights[1].grad = torch.ones_like(weights[1])
    with pytest.raises(ValueError, match=r"parameter 1 .*float64"):
        optimizer.step()
    assert torch.equal(weights[0], before[0])
    assert optimizer.param_groups[0]["updates"] == 1
    weights[1].data = weights[1].data.float()
    weights[1].grad = torch.ones_like(weights[1])
    optimizer.step()


@pytest.mark.any_backend
@pytest.mark.parametrize("step", [-1.0, 0.5, float("nan"), float("inf")])
@pytest.mark.parametrize("how", ["replaced", "written"])
def test_a_count_of_updates_that_is_none_is_refused(step: float, how: str) -> None:
    weights = given((3,), (4,))
    optimizer = unyoke.AdamW(weights)
    optimizer.step()
    before = weights[0].detach().clone()
    if how == "replaced":
        optimizer.state[weights[1]]["step"] = torch.tensor(step)
    else:
        optimizer.state[weights[1]]["step"].fill_(step)
    with pytest.raises(ValueError, match="an integer ≥ 0"):
        optimizer.step()
    assert torch.equal(weights[0], before)
    optimizer.state[weights[1]]["step"] = torch.tensor(1.0)
    optimizer.step()


@pytest.mark.any_backend
@pytest.mark.parametrize("backend", ["auto", "eager"])
def test_a_count_whose_memory_was_taken_away_is_not_read(backend: str) -> None:
    (weight,) = given((3,))
    optimizer = unyoke.AdamW([weight], backend=backend)
    optimizer.step()
    before = weight.detach().clone()
    count = torch.tensor(1.0)
    optimizer.state[weight]["step"] = count
    count.untyped_storage().resize_(0)
    with pytest.raises(ValueError, match=r"step.* storage of 0 bytes"):
        optimizer.step()
    assert torch.equal(weight, before)


@pytest.mark.any_backend
def test_a_rate_that_is_none_in_the_last_group_leaves_the_state_of_the_first() -> None:
    """Whose weight was cast: its state would follow, and be rounded, in a step that is refused."""
    first, second = given((3,), dtype=torch.float64)[0], given((4,))[0]
    optimizer = unyoke.AdamW([{"params": [first]}, {"params": [second]}])
    optimizer.step()
    first.data = first.data.float()
    first.grad = torch.ones_like(first)
    optimizer.param_groups[1]["lr"] = float("inf")
    with pytest.raises(ValueError, match="parameter group 1"):
        optimizer.step()
    assert optimizer.state[first]["exp_avg"].dtype == torch.float64


@pytest.mark.any_backend
def test_numbers_of_a_parameter_have_no_shape() -> None:
    (weight,) = given((3,))
    optimizer = unyoke.NAdam([weight])
    optimizer.step()
    optimizer.state[weight]["mu_product"] = torch.ones(3)
    before = weight.detach().clone()
    with pytest.raises(ValueError, match=r"mu_product is of shape \(3,\)"):
        optimizer.step()
    assert torch.equal(weight, before)


@pytest.mark.parametrize("value", [torch.zeros(()).to_sparse(), torch.zeros(3), torch.zeros(2, 2)])
@pytest.mark.parametrize("name", ["step", "weight_sum"])
def test_numbers_in_a_checkpoint_have_no_shape(name: str, value: Any) -> None:
    (weight,) = given((3,))
    optimizer = unyoke.ScheduleFreeSGDW([weight])
    optimizer.step()
    saved = copy.deepcopy(optimizer.state_dict())
    saved["state"][0][name] = value
    before = optimizer.state[weight][name]
    with pytest.raises(ValueError, match=name):
        optimizer.load_state_dict(saved)
    assert optimizer.state[weight][name] is before


@pytest.mark.any_backend
@pytest.mark.parametrize("backend", ["auto", "eager"])
def test_matrices_in_one_stack_may_be_at_different_updates(backend: str) -> None:
    """Who has had how many updates is a new list each time that it has been read."""
    weights, alone = given((6, 4), (6, 4)), given((6, 4), (6, 4))
    together = unyoke.MuonW(weights, backend=backend)
    each = [unyoke.MuonW([weight], backend=backend) for weight in alone]
    for absent in (0, None, None, None, 1, None, None, 0, None):
        for index, weight in enumerate(weights):
            weight.grad = None if index == absent else torch.full_like(weight, 0.1 + index)
            alone[index].grad = weight.grad
        together.step()
        for optimizer in each:
            optimizer.step()
        for one, other in zip(weights, alone, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "value",
    [torch.zeros((), device="meta"), torch.zeros(()).to_sparse(), [1.0], "x", None],
    ids=str,
)
def test_what_is_no_number_of_updates_is_refused_by_the_parameter_s_name(value: Any) -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    weight.grad = torch.ones(3)
    optimizer = unyoke.AdamW([("w", weight)])
    for _ in range(3):
        optimizer.step()
    old, before = optimizer.state[weight]["step"], weight.detach().clone()
    optimizer.state[weight]["step"] = value
    for _ in range(2):
        with pytest.raises(ValueError, match=r"parameter 'w' .*step is .*number is needed"):
            optimizer.step()
    assert torch.equal(weight, before)
    optimizer.state[weight]["step"] = old
    optimizer.step()
    assert optimizer.state[weight]["step"] == 4


@pytest.mark.any_backend
@pytest.mark.parametrize("backend", ["auto", "eager"])
@pytest.mark.parametrize("direction", ["lars", "lamb", "muon", "nd_adam"])
def test_state_of_rules_with_norms_that_is_given_other_data_is_refused_first(
    direction: str, backend: str
) -> None:
    """Not when torch finds out, as other parameters are updated already."""
    weights = [torch.nn.Parameter(torch.ones(4, 6)) for _ in range(2)]
    optimizer = unyoke.Optimizer(
        zip(("a", "b"), weights, strict=True), direction=direction, decay="none", backend=backend
    )
    for weight in weights:
        weight.grad = torch.linspace(-1, 1, 24).view(4, 6)
    for _ in range(3):
        optimizer.step()
    name = optimizer.groups.rule(optimizer.param_groups[0]).state[0]
    before = weights[0].detach().clone()
    good = optimizer.state[weights[1]][name].data
    optimizer.state[weights[1]][name].data = torch.zeros(1)
    for _ in range(2):
        with pytest.raises(ValueError, match=f"parameter 'b' does not fit: .*{name} has shape"):
            optimizer.step()
    assert torch.equal(weights[0], before)
    optimizer.state[weights[1]][name].data = good
    optimizer.step()
    assert not torch.equal(weights[0], before)


@pytest.mark.parametrize("backend", ["auto", "eager"])
@pytest.mark.parametrize("how", ["to_sparse", "meta"])
def test_scales_that_are_no_plain_tensor_are_refused(how: str, backend: str) -> None:
    weight = torch.nn.Parameter(torch.ones(70, 64))
    weight.grad = torch.ones(70, 64)
    optimizer = unyoke.AdamW([("w", weight)], state_dtype="int8", backend=backend)
    optimizer.step()
    state = optimizer.state[weight]
    scales = state["exp_avg_scale"]
    state["exp_avg_scale"] = scales.to_sparse() if how == "to_sparse" else scales.to("meta")
    with pytest.raises(ValueError, match=r"parameter 'w' .*exp_avg_scale.*sparse|on meta"):
        optimizer.step()
    assert state["step"] == 1


@pytest.mark.any_backend
@pytest.mark.parametrize("updates", [1, 6])
@pytest.mark.parametrize("backend", ["auto", "cpu", "eager"])
@pytest.mark.parametrize("how", ["a byte less", "nothing left", "other data"])
def test_state_of_a_stage_that_lost_its_memory_is_refused_by_name(
    how: str, backend: str, updates: int
) -> None:
    """No pass over elements looks at the rows' squares of NorMuon."""
    first = torch.nn.Parameter(torch.ones(7))
    weights = [torch.nn.Parameter(torch.randn(70, 64)) for _ in range(2)]
    groups = [
        {"params": [("first", first)], "direction": "adam"},
        {"params": [("a", weights[0]), ("b", weights[1])]},
    ]
    optimizer = unyoke.Optimizer(groups, direction="normuon", backend=backend)
    for _ in range(updates):
        for weight in (first, *weights):
            weight.grad = torch.ones_like(weight)
        optimizer.step()
    before = [weight.detach().clone() for weight in (first, *weights)]
    rows = optimizer.state[weights[1]]["second_momentum_buffer"]
    storage, kept, size = rows.untyped_storage(), rows.clone(), rows.untyped_storage().nbytes()
    if how == "other data":
        rows.data = torch.ones(3, 1)
    else:
        storage.resize_(size - 1 if how == "a byte less" else 0)
    with pytest.raises((ValueError, RuntimeError), match=r"(?=.*'b').*second_momentum_buffer"):
        optimizer.step()
    for weight, old in zip((first, *weights), before, strict=True):
        assert torch.equal(weight, old)
    if how == "other data":
        rows.data = kept
    else:
        storage.resize_(size)
        rows.copy_(kept)
    optimizer.step()
    assert optimizer.state[weights[1]]["step"] == updates + 1
