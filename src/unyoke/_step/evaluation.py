"""Weights to evaluate: put in the place of those that are trained, and taken out again.

While they are in place, the weights that are trained lie in the state, bit for bit, so that a
checkpoint made meanwhile holds them too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from unyoke._step.hyperparameters import Group
from unyoke._step.owner import Owner
from unyoke.equation import Average, Hyperparameters, Rule

EVALUATING = "evaluating"
"""The entry of a group with an average: whether its weights are those to evaluate now."""

TRAINED = "trained_weight"
"""The state in which the trained weights lie meanwhile."""


def entry(rule: Rule) -> Group:
    """What a new group holds beside its hyperparameters.

    It is there from the beginning, because distributed checkpoints restore what there is.
    """
    return {} if rule.direction.average is None else {EVALUATING: False}


def begin(optimizer: Owner) -> None:
    """Put the weights to evaluate in place; where they are, nothing changes.

    Raises:
        ValueError: a number in a group is not right.
    """
    for group, average, updated in _averaged(optimizer, evaluating=False):
        group[EVALUATING] = True  # before anything moves: an interrupted one is refused a step
        for weight, state in updated:
            if TRAINED not in state:
                trained = weight.detach().clone()
                to_evaluate = evaluated(average, trained, state, group)
                state[TRAINED] = trained
                weight.detach().copy_(to_evaluate)


def end(optimizer: Owner) -> None:
    """Put the trained weights back.

    Where the weights have been replaced meanwhile, those that are there count as the weights to
    evaluate, and what is trained is formed of them.

    Raises:
        ValueError: a number in a group is not right.
    """
    for group, average, updated in _averaged(optimizer, evaluating=True):
        for weight, state in updated:
            trained = state.get(TRAINED)
            if trained is not None:
                trained = trained.to(weight.device, weight.dtype)
                there = evaluated(average, trained, state, group).to(weight.dtype)
                if not torch.equal(there, weight.detach()):
                    trained = None
            if trained is None:
                trained = average.trained(*_wide(average, weight.detach(), state), group)
            weight.detach().copy_(trained)
            state.pop(TRAINED, None)
        group[EVALUATING] = False


def evaluated(
    average: Average, weight: torch.Tensor, state: Mapping[str, Any], group: Hyperparameters
) -> torch.Tensor:
    """The weights to evaluate, of those that are trained; in float32 or wider."""
    return average.evaluated(*_wide(average, weight, state), group)


def check_step(groups: Sequence[Group]) -> None:
    """Refuse a step from the weights to evaluate.

    Raises:
        RuntimeError: they are in place.
    """
    for index, group in enumerate(groups):
        if group.get(EVALUATING):
            raise RuntimeError(
                f"the weights of parameter group {index} are those to evaluate, at which no step "
                "is made: call optimizer.train() after an evaluation and before the forward pass "
                "of the next update, as you call model.train()"
            )


def _averaged(
    optimizer: Owner, evaluating: bool
) -> Iterator[tuple[Group, Average, list[tuple[torch.Tensor, dict[str, Any]]]]]:
    """Each group with an average that is so, with its updated parameters and their states."""
    optimizer.groups.check_numbers(optimizer.param_groups)
    for group in optimizer.param_groups:
        average = optimizer.groups.rule(group).direction.average
        if average is not None and bool(group.get(EVALUATING)) is evaluating:
            pairs = [(weight, optimizer.state.get(weight, {})) for weight in group["params"]]
            yield group, average, [(w, own) for w, own in pairs if own.keys() >= {*average.state}]


def _wide(average: Average, weight: torch.Tensor, state: Mapping[str, Any]) -> list[torch.Tensor]:
    """Weight and average's state, in float32 or wider."""
    dtype = torch.promote_types(weight.dtype, torch.float32)
    return [weight.to(dtype), *(state[n].to(weight.device, dtype) for n in average.state)]
