"""What the ``gpu`` backend cannot do, and one launch for each kernel of what it can."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from unyoke.backends import layout
from unyoke.backends.base import Work
from unyoke.backends.element import real
from unyoke.backends.gpu.launch import Launch
from unyoke.backends.gpu.runtime import Runtime
from unyoke.backends.gpu.source import TYPES, Recipe
from unyoke.storage import random_words


def objection_to(work: Work, runtime: Runtime) -> str | None:
    """What stands against the work, most general first."""
    if work.rule.scope == "tensor":
        return f"{work.rule.name} works on whole tensors, not on elements"
    if work.differentiable:
        return "autograd cannot record a compiled step"
    devices = {tensor.device for tensor in _tensors(work)}
    if len(devices) > 1:
        return f"mixed devices in one group: {', '.join(sorted(map(str, devices)))}"
    objection = runtime.why_not_on(*devices)
    models = work.models
    objections = (
        layout.objection(work, index, Recipe.of(work, index), TYPES, models)
        for index in range(len(work.weights))
    )
    return objection or next((found for found in objections if found is not None), None)


def _tensors(work: Work) -> Iterator[torch.Tensor]:
    yield from work.weights
    yield from work.grads
    for state in work.states:
        yield from (state[name] for name in work.rule.state)


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
    return (*values, random_words.mixed(work.seed, t))


def launches(work: Work, runtime: Runtime) -> Iterator[Launch]:
    """The work in parts of one recipe each."""
    members: dict[Recipe, list[int]] = {}
    by_value = row(work) is not None
    for index in range(len(work.weights)):
        # a launch takes numbers in float32
        narrow = real(work.weights[index].dtype) != torch.float64
        recipe = Recipe.of(
            work, index, scaled=work.found_inf is not None, by_value=by_value and narrow
        )
        members.setdefault(recipe, []).append(index)
    models = work.models or 1
    for recipe, indices in members.items():
        yield Launch(recipe, runtime, indices, work, models)
