"""What the decorators refuse: a part that cannot work says so when it is made."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

import unyoke
from unyoke.equation import decay, direction


def step(grad: Any, lr: Any) -> Any:
    return lr * grad


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "takes ['lr'], which nothing forms"),
        ({"coefficients": lambda eta: {"eta": eta}}, "takes ['lr'], which nothing forms"),
        (
            {"coefficients": lambda lr: {"lr": lr}, "defaults": {"a": torch.ones(2)}},
            "in a tuple",
        ),
    ],
)
def test_a_direction_that_cannot_work_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        direction(**options)(step)


@pytest.mark.parametrize("part", [direction, decay])
def test_only_a_function_becomes_a_part(part: Any) -> None:
    with pytest.raises(TypeError, match="is for a function, not 'adam'"):
        part("adam")


@pytest.mark.parametrize("default", [np.float32(0.25), [0.25, 0.5], np.array(0.25), (0.25, 0.5)])
@pytest.mark.parametrize("wrong", [-1.0, float("nan"), None])
def test_every_kind_of_number_as_default_is_checked(default: Any, wrong: Any) -> None:
    own = direction(coefficients=lambda lr, eps: {"lr": lr}, defaults={"eps": default})(step)
    weight = torch.nn.Parameter(torch.ones(2))
    several = isinstance(default, (list, tuple))
    with pytest.raises(ValueError, match="Invalid eps"):
        unyoke.Optimizer([weight], direction=own, eps=(0.5, wrong) if several else wrong)
    optimizer = unyoke.Optimizer([weight], direction=own)
    assert optimizer.param_groups[0]["eps"] == ((0.25, 0.5) if several else 0.25)
    assert type(optimizer.param_groups[0]["eps"]) in (float, tuple)
