"""The state of a parameter: made when it is missing, and kept fitting its weight."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import torch

from unyoke._step import counters
from unyoke._step.hyperparameters import Group
from unyoke.equation import Rule
from unyoke.storage import fit, formats


def ensure(
    states: MutableMapping[torch.Tensor, Any], rule: Rule, weight: torch.Tensor, group: Group
) -> dict[str, Any]:
    """The parameter's state; what is missing (all of it, at first) is made.

    State follows a weight that was cast since.

    Args:
        states: of all parameters of an optimizer.
        rule: direction and decay.
        weight: the parameter.
        group: its parameter group.

    Raises:
        ValueError: the state does not fit the weight.
    """
    state: dict[str, Any] = states[weight]
    for name in ("step", *rule.scalars):
        if name not in state:
            count = counters.initial(name)
            state[name] = count.to(weight.device) if group["capturable"] else count
    recorded = group["differentiable"] and torch.is_grad_enabled()  # an anchor is a weight
    with torch.set_grad_enabled(recorded):
        if any(name not in state for name in rule.state):
            initial = rule.initial(weight.clone() if recorded else weight.detach(), group)
            lacking = {name: initial[name] for name in rule.state if name not in state}
            state |= formats.allocate(rule, lacking, group)
        if group["rounding"] == "kahan" and formats.COMPENSATION not in state:
            state[formats.COMPENSATION] = torch.zeros_like(weight.detach())
        try:
            state |= fit.followed(rule, weight, state, group)
        except ValueError as error:
            name = fit.parameter_name(weight, group)
            raise ValueError(f"the state of parameter {name} does not fit: {error}") from None
    return state
