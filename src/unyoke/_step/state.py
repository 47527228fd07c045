"""The state of a parameter: made when it is missing, and kept fitting its weight."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, SupportsFloat

import torch

from unyoke._step import counters
from unyoke._step.hyperparameters import Group
from unyoke._step.owner import Owner
from unyoke.equation import Rule, stack_size
from unyoke.storage import fit, formats, shards


def before_updates(
    optimizer: Owner, rule: Rule, weights: Iterable[torch.Tensor], group: Group
) -> list[dict[str, Any]]:
    """The parameters' states for a coming update, anchors the weights before their first update.

    Raises:
        ValueError: the state of one does not fit its weight.
    """
    return _made(optimizer, rule, _without_early_anchors(optimizer, weights), group)


def _without_early_anchors(
    optimizer: Owner, weights: Iterable[torch.Tensor]
) -> Iterator[torch.Tensor]:
    for weight in weights:
        drop_early_anchor(optimizer, weight)
        yield weight


def drop_early_anchor(optimizer: Owner, weight: torch.Tensor) -> None:
    """Before an update: drop an anchor that is older, unless somebody has written into it."""
    if not optimizer.groups.early_anchors:
        return
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
        ValueError: state does not fit its weight; or a number in a group is not right.
    """
    optimizer.groups.check_numbers(optimizer.param_groups)
    for group in optimizer.param_groups:
        rule = optimizer.groups.rule(group)
        _made(optimizer, rule, [w for w in group["params"] if w.requires_grad], group)


def _made(
    optimizer: Owner, rule: Rule, weights: Iterable[torch.Tensor], group: Group
) -> list[dict[str, Any]]:
    """The parameters' states; an anchor that is made here is made again before the first update.

    Until then the program may load the weights. What somebody has written into one stays.
    """
    states, made = optimizer.state, []
    anchors, fitting = rule.anchors, Fitting(rule, group)
    with torch.set_grad_enabled(fitting.recorded):
        for weight in weights:
            state: dict[str, Any] = states[weight]
            is_new = bool(anchors) and not any(name in state for name in anchors)
            fitting.fit(weight, state)
            if is_new:
                note_early_anchor(optimizer, anchors, weight)
            made.append(state)
    return made


class Fitting:
    """Makes what is missing in the states of a group's parameters, and what is there fit.

    There may be very many parameters, so what they have in common is looked up once.

    Attributes:
        recorded: whether autograd is to follow; an anchor is a weight.
    """

    def __init__(self, rule: Rule, group: Group) -> None:
        self._rule, self._group = rule, group
        self._numbers = ("step", *rule.scalars)
        self._tensors, self._extra = rule.state, formats.extra_names(rule)
        self._sums = frozenset(rule.sums)
        self._models = stack_size(group) if self._sums else None
        self._compensated = group["rounding"] == "kahan"
        self.recorded = group["differentiable"] and torch.is_grad_enabled()
        # to ask for a weight's memory leaves an object that lives as long as the weight
        self._is_read = self.recorded or rule.reads_weight

    def fit(self, weight: torch.Tensor, state: dict[str, Any]) -> None:
        """Make one parameter's state whole.

        Raises:
            ValueError: it does not fit the weight.
        """
        group = self._group
        if (reason := formats.objection(weight, group)) is not None:
            # wrapped by FSDP1 or cast to another dtype since the group was added
            raise ValueError(f"parameter {fit.parameter_name(weight, group)}: {reason}")
        is_empty = not state
        for name in self._numbers:
            if name not in state:
                state[name] = self._first(name, weight)
        try:
            if not is_empty:
                self._check(weight, state)
            self._make_missing(weight, state)
            state |= fit.followed(self._rule, weight, state, group)
            if not is_empty:
                self._flatten(state)
        except ValueError as error:
            name = fit.parameter_name(weight, group)
            raise ValueError(
                f"the state of parameter {name} does not fit: {error}. Give the weight back what "
                "its state was made for, or begin anew with its state: "
                "optimizer.state.pop(parameter)"
            ) from None

    def _first(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """A parameter's number before its first update."""
        group, models = self._group, self._models if name in self._sums else None
        count = counters.initial(name, self._sums, models)
        if models is not None and isinstance(group["lr"], torch.Tensor):
            count = count.to(group["lr"].device)
        return count.to(weight.device) if group["capturable"] else count

    def _check(self, weight: torch.Tensor, state: dict[str, Any]) -> None:
        for name in self._numbers:
            if type(state[name]) is not float:
                models = self._models if name in self._sums else None
                _check_count(name, state[name], self._group, models)
        kept = [name for name in (*self._tensors, *self._extra) if name in state]
        if kept:
            _check_numbers(kept, weight, state)

    def _make_missing(self, weight: torch.Tensor, state: dict[str, Any]) -> None:
        group = self._group
        missing = [name for name in self._tensors if name not in state]
        if missing:
            if self._is_read:
                fit.check_memory("the weight", shards.local(weight))
            own = weight.clone() if self.recorded else weight.detach()
            initial = self._rule.initial(own, group)
            state |= formats.allocate(self._rule, {name: initial[name] for name in missing}, group)
        if self._compensated and formats.COMPENSATION not in state:
            state[formats.COMPENSATION] = torch.zeros_like(weight.detach())

    def _flatten(self, state: dict[str, Any]) -> None:
        """Numbers of shape [1] would be those of a stack."""
        for name in self._numbers:
            value, is_own = state[name], self._models is None or name not in self._sums
            if is_own and isinstance(value, torch.Tensor) and value.dim():
                state[name] = value.reshape(())


def _check_count(name: str, value: Any, group: Group, models: int | None) -> None:
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
        fit.check_count_shape(name, value, models)


def _check_numbers(kept: Sequence[str], weight: torch.Tensor, state: dict[str, Any]) -> None:
    """State of a weight that was on the meta device has no numbers, and is made when it has.

    Raises:
        ValueError: the weight went to the meta device, where its state's numbers would be lost; or
            it comes from there and has been updated.
    """
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
