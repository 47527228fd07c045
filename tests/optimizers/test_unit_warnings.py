"""Numbers in other units warn once, wherever they are first seen."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

import unyoke

pytestmark = pytest.mark.usefixtures("definition")

MAKERS: list[Callable[..., Any]] = [
    unyoke.AdamW,
    unyoke.SGDW,
    unyoke.decouple(torch.optim.SGD),
]


def training(make: Callable[..., Any], **settings: Any) -> Any:
    weight = torch.nn.Parameter(torch.ones(5))
    weight.grad = torch.zeros_like(weight)
    return make([weight], lr=1e-3, **settings)


def messages(call: Callable[[], object]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert all(each.filename == __file__ for each in caught)
    return [str(each.message) for each in caught]


def steps(optimizer: Any, *weight_decays: float) -> None:
    for weight_decay in weight_decays:
        optimizer.param_groups[0]["weight_decay"] = weight_decay
        optimizer.step()


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("before", [0, 1, 6])
def test_a_decay_written_into_a_group_warns_once(make: Any, before: int) -> None:
    """As DINO's loop writes it; at the first update, the second, and when steps are replayed."""
    optimizer = training(make, weight_decay=1e-5)
    assert not messages(lambda: steps(optimizer, *[1e-5] * before))
    (text,) = messages(lambda: steps(optimizer, 0.04, 0.04, 0.4))
    assert "weight_decay=0.04 is per update" in text
    assert "weight_decay=4e-05" in text


def test_a_loaded_one_warns() -> None:
    with pytest.warns(UserWarning, match="per update"):
        saved = training(unyoke.AdamW, weight_decay=0.05).state_dict()
    optimizer = training(unyoke.AdamW)
    (text,) = messages(lambda: optimizer.load_state_dict(saved))
    assert "weight_decay=0.05 is per update" in text
    assert not messages(optimizer.step)


@pytest.mark.parametrize("decay", ["lr_coupled", "l2"])
def test_torch_s_units_do_not(decay: str) -> None:
    optimizer = training(unyoke.AdamW, decay=decay, weight_decay=0.01)
    assert not messages(lambda: steps(optimizer, 0.04, 0.4))


def test_a_function_of_t_does_not() -> None:
    optimizer = training(unyoke.AdamW, weight_decay=lambda t: 0.02)
    assert not messages(lambda: [optimizer.step() for _ in range(4)])


class TestEtaAboveOne:
    @pytest.mark.parametrize("make", MAKERS)
    def test_warns_once_with_both_numbers(self, make: Any) -> None:
        """As OneCycleLR does, which takes no notice of the constructor's lr."""
        optimizer = training(make, weight_decay=1e-5)
        scheduler = lr_scheduler.OneCycleLR(
            optimizer, max_lr=0.1, total_steps=10, cycle_momentum=False
        )

        def run() -> None:
            for _ in range(9):
                optimizer.step()
                scheduler.step()

        (text,) = messages(run)
        assert "lr=0.004 is 4 times the constructor's lr=0.001" in text
        assert "takes 4e-05 of every weight" in text
        assert "group['base_lr']" in text

    def test_the_remedy_helps(self) -> None:
        optimizer = training(unyoke.AdamW)
        optimizer.param_groups[0].update(lr=0.1, base_lr=0.1)
        assert not messages(optimizer.step)

    @pytest.mark.parametrize(
        "settings", [{"weight_decay": 0.0}, {"decay": "none"}, {"decay": "lr_coupled"}], ids=str
    )
    def test_where_nothing_follows_from_it_nothing_is_said(self, settings: Any) -> None:
        optimizer = training(unyoke.AdamW, **settings)
        optimizer.param_groups[0]["lr"] = 0.1
        assert not messages(optimizer.step)

    def test_the_last_digits_are_not_above(self) -> None:
        optimizer = training(unyoke.AdamW)
        optimizer.param_groups[0]["lr"] = 1e-3 * (1 + 1e-9)
        assert not messages(optimizer.step)

    def test_a_converted_run_may_be(self) -> None:
        weight = torch.nn.Parameter(torch.ones(5))
        theirs = torch.optim.AdamW([weight], lr=1e-3)
        lr_scheduler.OneCycleLR(theirs, max_lr=0.1, total_steps=10)
        ours = unyoke.from_torch(theirs)
        ours.param_groups[0]["lr"] = 0.1
        weight.grad = torch.ones_like(weight)
        assert not messages(ours.step)
