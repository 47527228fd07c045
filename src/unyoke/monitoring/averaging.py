"""Whether a direction's step is an average of gradients over nothing but second moments.

Then, and only then, is its rotation in equilibrium that of its momentum. It is asked of the formula
itself, so that a new direction needs no entry.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import torch

from unyoke._step.hyperparameters import largest
from unyoke.equation import Direction
from unyoke.optimizer import Optimizer

TRIED = ((1.0, 0.5), (1.0, -0.3), (1.0, 2.0))
"""Averages before an update, of the weight's first row and of its second: of both signs."""
HELD = 1e6
"""Second moments, so large that one gradient does not change them."""
BEGUN = 10
"""Updates before: rectified and initial steps are over."""


def momentum_of(direction: Direction | None, group: Mapping[str, Any]) -> float | None:
    """β1 or SGD's momentum, if the step is an average by it; None for other directions."""
    if direction is None or not is_average(direction):
        return None
    return _momentum(direction, group)


def _momentum(direction: Direction, group: Mapping[str, Any]) -> float:
    """Of the direction's own numbers: a group may hold those of other groups' directions too."""
    if "betas" in direction.defaults:
        return float(group["betas"][0])
    return largest(group["momentum"]) if "momentum" in direction.defaults else 0.0


class _Update(NamedTuple):
    """One update: its step, the average after it (the gradient without one), second moments."""

    step: torch.Tensor
    average: torch.Tensor
    moments: list[torch.Tensor]


@cache
def is_average(direction: Direction) -> bool:
    """Whether the step is the renewed average, times what no average before it changes.

    The second moments, which divide it, have to come to rest too: what only grows, as Adagrad's, or
    enlarges the steps, as Adadelta's, takes longer than the weights.
    """
    try:
        with torch.device("cpu"):  # whatever torch's default is
            return _is_average(direction)
    except Exception:  # somebody's own may take other weights than these, or other numbers
        return False


def _is_average(direction: Direction) -> bool:
    weight = torch.zeros(2, 2, dtype=torch.float64)
    signed = [name for name in direction.moments if name not in direction.nonnegative]
    if len(signed) > 1 or direction.no_decay or direction.average is not None:
        return False
    shapes = [direction.initial(n, weight, direction.defaults).shape for n in direction.state]
    if direction.objection(weight) is not None or any(each != weight.shape for each in shapes):
        return False
    first, *others = (_updated(direction, signed, averages) for averages in TRIED)
    on_large = _updated(direction, signed, TRIED[0], scale=3.0)
    if not torch.allclose(on_large.average, first.average):  # its size follows the weight's
        return False
    if any((each > HELD).any() for each in first.moments):
        return False
    for name in direction.nonnegative:
        if (_updated(direction, signed, TRIED[0], raised=name).step > first.step * 1.01).any():
            return False
    kept = (first.average[1] - others[0].average[1]) / (TRIED[0][1] - TRIED[1][1])
    expected = _momentum(direction, direction.defaults) if signed else 0.0
    return all(math.isclose(each, expected, rel_tol=1e-6) for each in kept.tolist()) and all(
        torch.allclose(each.step / each.average, first.step / first.average, rtol=1e-3, atol=0)
        for each in (*others, on_large)
    )


def _updated(
    direction: Direction,
    signed: list[str],
    averages: tuple[float, float],
    *,
    scale: float = 1.0,
    raised: str = "",
) -> _Update:
    """An update of a weight of that size, from these averages; one second moment may be larger."""
    weight = torch.nn.Parameter(torch.full((2, 2), scale, dtype=torch.float64))
    optimizer = Optimizer([weight], 1e-3, direction=direction, decay="none", backend="eager")
    weight.grad = torch.tensor([[1.0, 0.5], [0.7, 1.2]], dtype=torch.float64)
    for _ in range(BEGUN):
        optimizer.step()
    state = optimizer.state[weight]
    with torch.no_grad():
        weight.fill_(scale)
        for name in direction.state:
            moment = 4.0 * HELD if name == raised else HELD
            values = averages if name in signed else (moment, moment)
            held = torch.tensor(values, dtype=torch.float64)
            state[name].copy_(held[:, None].expand(2, 2))
    optimizer.step()
    average = state[signed[0]] if signed else weight.grad
    moments = [state[name] for name in direction.nonnegative]
    return _Update(scale - weight.detach(), average.clone(), moments)
