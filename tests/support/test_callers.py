"""Warnings point at the line of the user's own program, whatever lies in between."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import nn

import unyoke


def large_in_the_constructor() -> None:
    unyoke.AdamW([nn.Parameter(torch.ones(2))], weight_decay=0.1)


def large_in_a_group() -> None:
    weight = nn.Parameter(torch.ones(2))
    optimizer = unyoke.AdamW([weight], weight_decay=0.0)
    optimizer.param_groups[0]["weight_decay"] = 0.1
    weight.grad = torch.ones(2)
    optimizer.step()


def large_beside_another_optimizer() -> None:
    unyoke.decouple(torch.optim.Rprop)([nn.Parameter(torch.ones(2))], weight_decay=0.1)


def layers_that_are_not_found() -> None:
    unyoke.groups.split(nn.Linear(2, 2), lr=0.1, layer_decay=0.9)


def an_old_module() -> None:
    sys.modules.pop("unyoke.convert", None)
    importlib.import_module("unyoke.convert")


def an_old_name_of_a_direction() -> None:
    unyoke.directions.get(next(iter(unyoke.directions.RENAMED)))


@pytest.mark.parametrize(
    "act",
    [
        large_in_the_constructor,
        large_in_a_group,
        large_beside_another_optimizer,
        layers_that_are_not_found,
        an_old_module,
        an_old_name_of_a_direction,
    ],
    ids=lambda act: act.__name__,
)
def test_a_warning_points_at_the_user_s_line(act: Callable[[], None]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        act()
    assert [each.filename for each in caught] == [__file__]
    first = act.__code__.co_firstlineno
    assert first < caught[0].lineno <= first + 6
