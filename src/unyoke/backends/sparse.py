"""Sparse gradients: the rule runs on the rows that have a gradient, and the others stay.

That is the same as the dense update only where a zero gradient changes nothing: for directions
that say so (``skips_zeros``), without decay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

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
    strength = work.coefficients_of(index)["strength"]
    if rule.decay.kind != "none" and torch.as_tensor(strength).any():
        return (
            f"sparse gradients do not go with decay {rule.decay.name!r}: it would move every row "
            "at every update. Use weight_decay=0 for this group, or dense gradients"
        )
    if work.is_stacked(index) or work.differentiable:
        return "sparse gradients do not go with stacked models or differentiable=True"
    state = work.states[index]
    if work.rounding != "nearest" or any(state[n].dtype.itemsize < 4 for n in rule.state):
        return "sparse gradients go with state in float32 and rounding to nearest only"
    return None


def update(work: Work, index: int, dense: Callable[[Work, int], None]) -> None:
    """Update the rows that have a gradient, copied into a work of their own, and put them back.

    Args:
        work: what is to be done.
        index: of the parameter.
        dense: makes the update of one parameter of a work.
    """
    grad = work.grads[index].coalesce()  # each row once, its gradients added up
    place = tuple(grad.indices())
    weight, state = work.weights[index], work.states[index]
    rows = {name: state[name][place] for name in work.rule.state}
    small = replace(
        work,
        weights=[weight[place]],
        states=[rows],
        given_grads=[grad.values()],
        coefficients=[work.coefficients_of(index)],
        which=None,
        updates=[work.update_of(index)],
        numbers=[work.numbers[index]],
    )
    dense(small, 0)
    weight[place] = small.weights[0]
    for name, values in rows.items():
        state[name][place] = values
