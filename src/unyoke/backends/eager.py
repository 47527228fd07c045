"""The definition: a rule's function on torch tensors, on any device and in any dtype."""

from __future__ import annotations

from typing import Any

import torch

from unyoke.backends import sparse
from unyoke.backends.base import Backend, Work
from unyoke.equation import Rule
from unyoke.storage import formats


class Eager(Backend):
    """Runs the formula as it stands, one parameter at a time."""

    name = "eager"

    def why_not(self, work: Work) -> str | None:
        for index, grad in enumerate(work.grads):
            objection = None if grad.layout is torch.strided else sparse.why_not(work, index)
            if objection is not None:
                return objection
        return None

    def step(self, work: Work) -> None:
        for index, weight in enumerate(work.weights):
            if work.grads[index].layout is torch.strided:
                _update(work, index, weight, work.states[index])
            else:
                rows = sparse.rows(work, index)
                _update(rows.work, 0, rows.work.weights[0], rows.work.states[0])
                rows.put_back()


def _update(work: Work, index: int, weight: torch.Tensor, state: dict[str, torch.Tensor]) -> None:
    """θ − (step + ηλθ), formed in at least float32 and rounded once."""
    rule, coefficients = work.rule, work.coefficients_of(index)
    kinds = [formats.format_of(rule, state, name) for name in rule.state]
    target = real(weight)
    dtype = torch.promote_types(target.dtype, torch.float32)
    value = target.to(dtype)
    if work.differentiable:
        value = value.clone()  # autograd keeps it, and the weight is about to change in place
    grad = real(work.grads[index]).to(dtype)
    tensors = [value, -grad if work.maximize else grad]
    for name, kind in zip(rule.state, kinds, strict=True):
        tensors.append(real(formats.read(state, name, kind)).to(dtype))
    delta, *new = _evaluate(rule, tensors, [coefficients[name] for name in rule.coefficient_names])
    noise = formats.Noise(work.seed, work.update_of(index), work.numbers[index])
    formats.subtract(
        target, value, delta, work.rounding, state, lambda: noise.of_weight(len(kinds), target)
    )
    for position, (name, kind, tensor) in enumerate(zip(rule.state, kinds, new, strict=True)):
        if work.differentiable:
            state[name] = torch.view_as_complex(tensor) if state[name].is_complex() else tensor
        elif kind.random:
            random = noise.of_state(position, kind, state[name])
            formats.write(state, name, tensor, kind, random)
        else:
            real(state[name]).copy_(tensor)


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


def real(tensor: torch.Tensor) -> torch.Tensor:
    """A complex tensor as pairs of reals: the rules are about real numbers."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def _stretch(coefficient: Any, weight: torch.Tensor) -> Any:
    """Coefficients of K stacked models, [K], are laid along the first dimension of the stack."""
    if _is_stack(coefficient):
        dtype = torch.promote_types(weight.dtype, torch.float32)  # float64 would spread
        return coefficient.reshape(-1, *(1,) * (weight.dim() - 1)).to(weight.device, dtype)
    return coefficient
