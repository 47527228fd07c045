"""The definition: a rule's function on torch tensors, on any device and in any dtype."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from unyoke.backends import sparse, staged
from unyoke.backends.base import Backend, Work
from unyoke.backends.eager import flat
from unyoke.backends.eager.in_place import apart, lent
from unyoke.backends.layout import is_dense
from unyoke.equation import Rule
from unyoke.storage import formats
from unyoke.storage.fit import lacks_memory
from unyoke.storage.random_words import Noise
from unyoke.storage.rounding import rounding_of


class Eager(Backend):
    """Runs the formula as it stands, on whole tensors."""

    name = "eager"

    def why_not(self, work: Work) -> str | None:
        prepared: Prepared | None = work.cache.get(self.name)
        if prepared is not None and prepared.holds(work):
            return None
        for index in range(len(work.weights)):
            if (reason := _objection(work, index)) is not None:
                return reason
        work.cache[self.name] = Prepared(work)
        return None

    def step(self, work: Work) -> None:
        prepared: Prepared | None = work.cache.get(self.name)
        (prepared or Prepared(work)).run(work)


class Prepared:
    """How a work's tensors are run through, as long as they are what they were."""

    def __init__(self, work: Work) -> None:
        self._names = _names(work)
        self._facts = _facts(work, self._names)
        self._together, self._alone = _divide(work)

    def holds(self, work: Work) -> bool:
        """Whether everything is what it was, but for its place and the numbers in it."""
        return self._facts is not None and _facts(work, self._names) == self._facts

    def run(self, work: Work) -> None:
        with torch.set_grad_enabled(work.differentiable and torch.is_grad_enabled()):
            for update in self._together:
                update(work)
            for index in self._alone:
                if work.grads[index].layout is torch.strided:
                    _update(work, index)
                else:
                    sparse.update(work, index, _update)


def _divide(work: Work) -> tuple[Sequence[flat.Update], Sequence[int]]:
    """What is updated together, and the places of the parameters that go by themselves."""
    if work.rule.stage is None:
        return flat.divide(work)
    alone = [k for k in range(len(work.weights)) if staged.objection(work, k) is not None]
    stacked = sorted({*range(len(work.weights))} - {*alone})
    return [partial(_update_stacks, staged.Stacks(work, stacked, Eager()))], alone


def _update_stacks(stacks: staged.Stacks, work: Work) -> None:
    if (reason := stacks.why_not(work)) is not None:
        raise RuntimeError(reason)
    stacks.run(work)


def _names(work: Work) -> Sequence[str]:
    """The state that is looked at: the rule's, and what its formats have added."""
    extra = formats.extra_names(work.rule)
    return (*work.rule.state, *(name for name in extra if any(name in s for s in work.states)))


def _facts(work: Work, names: Sequence[str]) -> Any:
    """What decides how the work is done, the size of its memory included; None if it changes."""
    numbers = [
        value.shape if isinstance(value, torch.Tensor) else None
        for each in work.coefficients
        for value in each.values()
    ]
    kept = [state[name] for state in work.states for name in names if name in state]
    which = None if work.which is None else [*work.which]
    written = [t for t in (*work.weights, *kept) if type(t) in flat.PLAIN]
    try:
        collections.deque(map(torch.Tensor.data_ptr, written), 0)  # raises if torch cannot write
        tensors = [
            (type(t), t.untyped_storage().nbytes(), t.shape, t.stride(), t.dtype, t.device)
            for t in (*work.weights, *work.grads, *kept)
        ]
    except RuntimeError:
        return None  # sparse gradients: found out each time
    return which, numbers, tensors


def _objection(work: Work, index: int) -> str | None:
    """Why a parameter cannot be updated."""
    reason = memory_objection(work, index) or _state_objection(work, index)
    if reason is None and work.grads[index].layout is not torch.strided:
        return sparse.why_not(work, index)
    return reason


def memory_objection(work: Work, index: int) -> str | None:
    """Which of a parameter's tensors has lost its memory; None if none has."""
    weight, state = work.weights[index], work.states[index]
    tensors = {"weight": weight, "gradient": work.grads[index]}
    names = (*work.rule.state, *formats.extra_names(work.rule))
    tensors |= {name: state[name] for name in names if name in state}
    for kind, tensor in tensors.items():
        is_plain = type(tensor) in flat.PLAIN and tensor.layout is torch.strided
        if is_plain and (reason := lacks_memory(tensor)) is not None:
            return _of_parameter(work, index, kind, reason)
    return None


def _state_objection(work: Work, index: int) -> str | None:
    """What is wrong with state that has been given other data (``state[name].data = …``).

    The tensors are those that were looked at when the plan was made, and what is in them need not
    be: torch would find out in the middle of the update.
    """
    weight, state = work.weights[index], work.states[index]
    for name in work.rule.state:
        value, kind = state[name], formats.format_of(work.rule, state, name)
        found = None
        if work.rule.scope == "element" and value.shape != weight.shape:
            found = f"has shape {tuple(value.shape)}"
        elif value.device != weight.device:
            found = f"is on {value.device}, and the weight is on {weight.device}"
        elif kind is formats.PLAIN and not (value.is_floating_point() or value.is_complex()):
            found = f"is {value.dtype}"
        elif kind is not formats.PLAIN and not is_dense(value):
            found = f"is in codes and has gaps: strides {value.stride()}"
        elif kind.block:
            try:
                formats.check_scales(state, name, kind)
            except ValueError as error:
                found = f"does not fit: {error}"
        if found is not None:
            return _of_parameter(work, index, name, found)
    kept = state.get(formats.COMPENSATION)
    if work.rounding == "kahan" and kept is not None and kept.shape != weight.shape:
        return _of_parameter(work, index, formats.COMPENSATION, f"has shape {tuple(kept.shape)}")
    return None


def _of_parameter(work: Work, index: int, name: str, found: str) -> str:
    return f"the {name} of {work.label(index)} {found}"


def _update(work: Work, index: int) -> None:
    """θ − (step + ηλθ), formed in at least float32 and rounded once."""
    rule, coefficients, state = work.rule, work.coefficients_of(index), work.states[index]
    kinds = [formats.format_of(rule, state, name) for name in rule.state]
    target = as_real(work.weights[index])
    dtype = torch.promote_types(target.dtype, torch.float32)
    value = target.to(dtype)
    if work.differentiable:
        value = value.clone()  # autograd keeps it, and the weight is about to change in place
    grad = lent(target, as_real(work.grads[index]).to(dtype))
    tensors = [value, -grad if work.maximize else grad]
    for name, kind in zip(rule.state, kinds, strict=True):
        tensors.append(as_real(formats.read(state, name, kind)).to(dtype))
    delta, *new = _evaluate(rule, tensors, [coefficients[name] for name in rule.coefficient_names])
    new = apart(new, [value, *tensors[2:]])
    noise = Noise(work.seed, work.update_of(index), work.numbers[index], work.place_of(index))
    rounding = rounding_of(work.rounding, target.dtype)
    formats.subtract(
        target, value, delta, rounding, state, lambda: noise.chance(len(kinds), target)
    )
    for position, (name, kind, tensor) in enumerate(zip(rule.state, kinds, new, strict=True)):
        if work.differentiable:
            state[name] = torch.view_as_complex(tensor) if state[name].is_complex() else tensor
        elif kind.random:
            random = noise.bits(position, kind.random, state[name])
            formats.write(state, name, tensor, kind, random)
        else:
            as_real(state[name]).copy_(tensor)


def _evaluate(rule: Rule, tensors: list[torch.Tensor], coefficients: list[Any]) -> Any:
    """The rule's function; under tensor scope on each of K stacked models by itself."""
    if rule.scope == "element" or not any(map(_is_stack, coefficients)):
        return rule.function(*tensors, *(_stretch(each, tensors[0]) for each in coefficients))
    dtype = tensors[0].dtype  # float64 would spread
    updates = [
        rule.function(
            *(tensor[model] for tensor in tensors),
            *(each[model].to(dtype) if _is_stack(each) else each for each in coefficients),
        )
        for model in range(len(tensors[0]))
    ]
    return map(torch.stack, zip(*updates, strict=True))


def _is_stack(coefficient: Any) -> bool:
    """Whether a coefficient is [K], one number for each of K stacked models."""
    return isinstance(coefficient, torch.Tensor) and coefficient.dim() == 1


def as_real(tensor: torch.Tensor) -> torch.Tensor:
    """A complex tensor as pairs of reals: the rules are about real numbers."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def _stretch(coefficient: Any, weight: torch.Tensor) -> Any:
    """Coefficients of K stacked models, [K], are laid along the first dimension of the stack."""
    if _is_stack(coefficient):
        dtype = torch.promote_types(weight.dtype, torch.float32)  # float64 would spread
        return coefficient.reshape(-1, *(1,) * (weight.dim() - 1)).to(weight.device, dtype)
    return coefficient
