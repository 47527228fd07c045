"""Sparse gradients: the rule runs on the rows that have a gradient, and the others stay.

That is the same as the dense update only where a zero gradient changes nothing: for directions
that say so (``skips_zeros``), without decay.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from unyoke.backends.base import Work


def why_not(work: Work, index: int) -> str | None:
    """What stands against a sparse gradient here; None if nothing does."""
    rule, layout = work.rule, work.grads[index].layout
    if layout is not torch.sparse_coo or not rule.direction.skips_zeros:
        return (
            f"{layout} gradients are not supported by direction {rule.direction.name!r}: sparse "
            "COO gradients go with 'gradient' (SGD without momentum) and 'adagrad'"
        )
    coefficients = work.coefficients_of(index)
    if rule.decay.kind != "none" and torch.as_tensor(coefficients["strength"]).any():
        return (
            f"sparse gradients do not go with decay {rule.decay.name!r}: it would move every row "
            "at every update. Use weight_decay=0 for this group, or dense gradients"
        )
    stacked = any(isinstance(x, torch.Tensor) and x.dim() for x in coefficients.values())
    if stacked or work.differentiable:
        return "sparse gradients do not go with stacked models or differentiable=True"
    state = work.states[index]
    if work.rounding != "nearest" or any(state[n].dtype.itemsize < 4 for n in rule.state):
        return "sparse gradients go with state in float32 and rounding to nearest only"
    return None


@dataclass(frozen=True)
class Rows:
    """The rows of a weight and of its state that have a gradient, as a work of their own."""

    work: Work
    weight: torch.Tensor
    state: dict[str, Any]
    place: tuple[torch.Tensor, ...]

    def put_back(self) -> None:
        """Write the rows where they came from."""
        self.weight[self.place] = self.work.weights[0]
        for name in self.work.rule.state:
            self.state[name][self.place] = self.work.states[0][name]


def rows(work: Work, index: int) -> Rows:
    """Copies of the rows; each row once, its gradients added up."""
    grad = work.grads[index].coalesce()
    place = tuple(grad.indices())
    weight, state = work.weights[index], work.states[index]
    small = replace(
        work,
        weights=[weight[place]],
        states=[{name: state[name][place] for name in work.rule.state}],
        given_grads=[grad.values()],
        coefficients=[work.coefficients_of(index)],
        which=None,
        updates=[work.update_of(index)],
        numbers=[work.numbers[index]],
    )
    return Rows(small, weight, state, place)
