"""What the ``gpu`` backend cannot do, and the batches of what it can."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from unyoke.backends.base import Work
from unyoke.backends.gpu.batch import Batch
from unyoke.backends.gpu.machine import Machine
from unyoke.backends.gpu.source import TYPES, Recipe
from unyoke.backends.layout import is_dense, same_order, stack_objection
from unyoke.storage import encodings, fit, formats
from unyoke.storage.encodings import BLOCK


def objection_to(work: Work, machine: Machine) -> str | None:
    """What stands against the work, most general first."""
    if work.rule.scope == "tensor":
        return f"{work.rule.name} works on whole tensors, not on elements"
    if work.differentiable:
        return "autograd cannot record a compiled step"
    devices = {tensor.device for tensor in _tensors(work)}
    if len(devices) > 1:
        return f"mixed devices in one group: {', '.join(sorted(map(str, devices)))}"
    objection = machine.why_not_on(*devices)
    objections = (_objection_to_one(work, index) for index in range(len(work.weights)))
    return objection or next((found for found in objections if found is not None), None)


def _tensors(work: Work) -> Iterator[torch.Tensor]:
    yield from work.weights
    yield from work.grads
    for state in work.states:
        yield from (state[name] for name in work.rule.state)


def _objection_to_one(work: Work, index: int) -> str | None:
    """What stands against one parameter."""
    weight, grad, state = work.weights[index], work.grads[index], work.states[index]
    kinds = [formats.format_of(work.rule, state, name) for name in work.rule.state]
    scaled = [name for name, kind in zip(work.rule.state, kinds, strict=True) if kind.block]
    reason = fit.companion_objection(weight, state, scaled, work.rounding)
    if reason is not None:
        return reason
    names = (*work.rule.state, *[formats.COMPENSATION] * (work.rounding == "kahan"))
    named = {"weight": weight, "gradient": grad, **{name: state[name] for name in names}}
    models = work.models or 1
    for name, tensor in named.items():
        if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
            return f"the {name} of parameter {index} is a {type(tensor).__name__}"
        if tensor.layout is not torch.strided:
            return f"the {name} of parameter {index} is {tensor.layout}"
        if _real_dtype(tensor) not in TYPES:
            return f"the {name} of parameter {index} is {tensor.dtype}"
        if tensor.is_neg() or tensor.is_conj():
            return f"the {name} of parameter {index} is lazily negated or conjugated"
        if tensor.shape != weight.shape or not same_order(weight, tensor):
            return (
                f"the {name} of parameter {index} lies in memory as {_layout(tensor)}, and the "
                f"weight as {_layout(weight)}: a kernel needs one layout"
            )
    if not is_dense(weight):
        return f"parameter {index} has gaps in memory: {_layout(weight)}"
    if models > 1 and (reason := stack_objection(weight, models)):
        return reason
    if models > 1 and weight.numel() // models % BLOCK and any(kind.block for kind in kinds):
        return f"models in parameter {index} share 8-bit blocks of {BLOCK} elements"
    return None


def _layout(tensor: torch.Tensor) -> str:
    return f"shape {tuple(tensor.shape)} with strides {tensor.stride()}"


def _real_dtype(tensor: torch.Tensor) -> torch.dtype:
    return tensor.dtype.to_real() if tensor.is_complex() else tensor.dtype


def row(work: Work) -> tuple[float, ...] | None:
    """The numbers that a launch takes along: coefficients, and what starts the random numbers.

    None if they go through a table.

    They can if there is one set of coefficients for all, and it is the host that has it.
    """
    if len(work.coefficients) != 1 or work.models is not None:
        return None
    coefficients, t = work.coefficients[0], work.updates[0]
    for value in (*coefficients.values(), t):
        if isinstance(value, torch.Tensor):
            return None
    values = [float(coefficients[name]) for name in work.rule.coefficient_names]
    return (*values, encodings.mixed(work.seed, t))


def batches(work: Work, machine: Machine) -> Iterator[Batch]:
    """The work in parts of one recipe each."""
    members: dict[Recipe, list[int]] = {}
    by_value = row(work) is not None
    for index in range(len(work.weights)):
        members.setdefault(_recipe(work, index, by_value), []).append(index)
    models = work.models or 1
    for recipe, indices in members.items():
        yield Batch(recipe, machine, indices, work, models)


def _recipe(work: Work, index: int, by_value: bool) -> Recipe:
    rule, state = work.rule, work.states[index]
    weight = _real_dtype(work.weights[index])
    return Recipe(
        rule=rule,
        weight=weight,
        grad=_real_dtype(work.grads[index]),
        states=tuple(_real_dtype(state[name]) for name in rule.state),
        formats=tuple(formats.format_of(rule, state, name) for name in rule.state),
        rounding=work.rounding,
        maximize=work.maximize,
        scaled=work.found_inf is not None,
        by_value=by_value and weight != torch.float64,  # a launch takes numbers in float32
    )
