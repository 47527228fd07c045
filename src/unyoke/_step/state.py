"""The state of a parameter: made when it is missing, and kept fitting its weight."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, SupportsFloat

import torch

from unyoke._step import counters
from unyoke._step.groups import Owner
from unyoke._step.hyperparameters import Group
from unyoke.equation import Rule, stack_size
from unyoke.storage import fit, formats, shards


def before_update(
    optimizer: Owner, rule: Rule, weight: torch.Tensor, group: Group
) -> dict[str, Any]:
    """The parameter's state for a coming update, its anchor the weight before its first update.

    Raises:
        ValueError: the state does not fit the weight.
    """
    drop_early_anchor(optimizer, weight)
    return _made(optimizer, rule, weight, group)


def drop_early_anchor(optimizer: Owner, weight: torch.Tensor) -> None:
    """Before an update: drop an anchor that is older, unless somebody has written into it."""
    early = optimizer.groups.early_anchors.pop(weight, None)
    if early is not None:
        state = optimizer.state[weight]
        if all(state.get(name) is each and each._version == v for name, each, v in early):
            for name, _, _ in early:
                del state[name]


def note_early_anchor(optimizer: Owner, names: Iterable[str], weight: torch.Tensor) -> None:
    """The anchor that was just made is to be made again before the first update."""
    anchors = [(name, optimizer.state[weight][name]) for name in names]
    optimizer.groups.early_anchors[weight] = [(n, each, each._version) for n, each in anchors]


def after_update(optimizer: Owner, weights: Iterable[torch.Tensor]) -> None:
    """From now on these weights' anchors are what they are."""
    if optimizer.groups.early_anchors:
        for weight in weights:
            optimizer.groups.early_anchors.pop(weight, None)


def make_all(optimizer: Owner) -> None:
    """Make the state of every parameter that takes gradients; what there is stays.

    Raises:
        ValueError: state does not fit its weight.
    """
    for group in optimizer.param_groups:
        rule = optimizer.groups.rule(group)
        for weight in group["params"]:
            if weight.requires_grad:
                _made(optimizer, rule, weight, group)


def _made(optimizer: Owner, rule: Rule, weight: torch.Tensor, group: Group) -> dict[str, Any]:
    """The parameter's state; an anchor that is made here is made again before the first update.

    Until then the program may load the weights. What somebody has written into one stays.
    """
    state: dict[str, Any] = optimizer.state[weight]
    is_new = bool(rule.anchors) and not any(name in state for name in rule.anchors)
    ensure(optimizer.state, rule, weight, group)
    if is_new:
        note_early_anchor(optimizer, rule.anchors, weight)
    return state


def ensure(
    states: MutableMapping[torch.Tensor, Any], rule: Rule, weight: torch.Tensor, group: Group
) -> dict[str, Any]:
    """The parameter's state; what is missing (all of it, at first) is made.

    State follows a weight that was cast or moved since.

    Args:
        states: of all parameters of an optimizer.
        rule: direction and decay.
        weight: the parameter.
        group: its parameter group.

    Raises:
        ValueError: the state does not fit the weight.
    """
    state: dict[str, Any] = states[weight]
    if (reason := formats.objection(weight, group)) is not None:
        # wrapped by FSDP1 or cast to another dtype since the group was added
        raise ValueError(f"parameter {fit.parameter_name(weight, group)}: {reason}")
    for name in ("step", *rule.scalars):
        if name not in state:
            models = stack_size(group) if name in rule.sums else None
            count = counters.initial(name, rule.sums, models)
            if models is not None and isinstance(group["lr"], torch.Tensor):
                count = count.to(group["lr"].device)
            state[name] = count.to(weight.device) if group["capturable"] else count
    recorded = group["differentiable"] and torch.is_grad_enabled()  # an anchor is a weight
    with torch.set_grad_enabled(recorded):
        try:
            for name in ("step", *rule.scalars):
                if type(state[name]) is not float:
                    _check_count(name, state[name], rule, group)
            _check_numbers(rule, weight, state)
            missing = [name for name in rule.state if name not in state]
            if missing:
                fit.check_memory("the weight", shards.local(weight))
                initial = rule.initial(weight.clone() if recorded else weight.detach(), group)
                state |= formats.allocate(rule, {name: initial[name] for name in missing}, group)
            if group["rounding"] == "kahan" and formats.COMPENSATION not in state:
                state[formats.COMPENSATION] = torch.zeros_like(weight.detach())
            state |= fit.followed(rule, weight, state, group)
            for name in ("step", *rule.scalars):  # of shape [1] they would be those of a stack
                value, is_own = state[name], name not in rule.sums or stack_size(group) is None
                if is_own and isinstance(value, torch.Tensor) and value.dim():
                    state[name] = value.reshape(())
        except ValueError as error:
            name = fit.parameter_name(weight, group)
            raise ValueError(
                f"the state of parameter {name} does not fit: {error}. Give the weight back what "
                "its state was made for, or begin anew with its state: "
                "optimizer.state.pop(parameter)"
            ) from None
    return state


def _check_count(name: str, value: Any, rule: Rule, group: Group) -> None:
    """Somebody may have put something else in the place of a parameter's number.

    Raises:
        ValueError: it is no number.
    """
    if not isinstance(value, torch.Tensor):
        if not isinstance(value, SupportsFloat):
            raise ValueError(f"{name} is {value!r}, and a number is needed")
        return
    if value.layout is not torch.strided or (value.is_meta and not group["capturable"]):
        raise ValueError(f"{name} is on {value.device} in {value.layout}, and a number is needed")
    fit.check_memory(name, value)
    if value.dim():
        fit.check_count_shape(name, value, stack_size(group) if name in rule.sums else None)


def _check_numbers(rule: Rule, weight: torch.Tensor, state: dict[str, Any]) -> None:
    """State of a weight that was on the meta device has no numbers, and is made when it has.

    Raises:
        ValueError: the weight went to the meta device, where its state's numbers would be lost; or
            it comes from there and has been updated.
    """
    kept = [name for name in (*rule.state, *formats.extra_names(rule)) if name in state]
    if not kept:
        return
    tensors = {name: state[name] for name in kept if isinstance(state[name], torch.Tensor)}
    on_meta = [name for name, value in tensors.items() if value.is_meta]
    if weight.is_meta and len(on_meta) < len(tensors):
        name, value = next(item for item in tensors.items() if not item[1].is_meta)
        raise ValueError(
            f"{name} is on {value.device}, and the weight is on the meta device, where there are "
            "no numbers"
        )
    if on_meta and not weight.is_meta and float(state["step"]) == 0:
        for name in on_meta:
            del state[name]


def drop_departed(optimizer: Owner) -> bool:
    """Drop the state of parameters that are in no group any more; whether there was some.

    Entries under anything but a tensor are somebody else's, and stay.
    """
    present = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
    departed = [
        key for key in optimizer.state if isinstance(key, torch.Tensor) and id(key) not in present
    ]
    for key in departed:
        del optimizer.state[key]
        optimizer.groups.early_anchors.pop(key, None)
    return bool(departed)
