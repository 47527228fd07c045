"""Integers of more than 64 bits, which torch's operations do not take: a number like any other."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import unyoke

LONG = 1 << 70


def optimizer(backend: str, **hyperparameters: Any) -> unyoke.Optimizer:
    weight = torch.nn.Parameter(torch.ones(5))
    weight.grad = torch.full((5,), 0.5)
    return unyoke.AdamW([weight], decay="l2", backend=backend, **hyperparameters)


@pytest.mark.filterwarnings("ignore:weight_decay=.* is per update")
@pytest.mark.parametrize("name", ["lr", "weight_decay", "eps"])
@pytest.mark.parametrize("backend", ["eager", "cpu"])
def test_one_makes_the_update_of_its_float(backend: str, name: str) -> None:
    one, other = optimizer(backend, **{name: LONG}), optimizer(backend, **{name: float(LONG)})
    one.step()
    other.step()
    (mine,), (theirs,) = one.param_groups[0]["params"], other.param_groups[0]["params"]
    assert torch.equal(mine, theirs)


@pytest.mark.parametrize("name", ["lr", "weight_decay", "eps"])
def test_one_beyond_every_float_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="Invalid"):
        optimizer("eager", **{name: 10**400})


def test_one_in_a_checkpoint_is_a_number() -> None:
    one, saved = optimizer("eager"), optimizer("eager").state_dict()
    saved["param_groups"][0]["weight_decay"] = LONG
    one.load_state_dict(saved)
    one.step()
    assert one.param_groups[0]["weight_decay"] == float(LONG)


@pytest.mark.parametrize("name", ["lr", "weight_decay"])
@pytest.mark.parametrize("backend", ["eager", "cpu"])
def test_one_that_is_written_into_a_group_is_refused_before_anything_changes(
    backend: str, name: str
) -> None:
    one = optimizer(backend)
    (weight,) = one.param_groups[0]["params"]
    one.param_groups[0][name] = LONG
    with pytest.raises(ValueError, match="more than 64 bits"):
        one.step()
    assert torch.equal(weight, torch.ones(5))


def test_an_entry_of_one_s_own_stays_the_integer_that_it_is() -> None:
    weight = torch.nn.Parameter(torch.ones(5))
    one = unyoke.AdamW([{"params": [weight], "tag": LONG + 1}])
    assert one.param_groups[0]["tag"] == LONG + 1
    saved = one.state_dict()
    one.param_groups[0]["tag"] = 0
    one.load_state_dict(saved)
    assert one.param_groups[0]["tag"] == LONG + 1
