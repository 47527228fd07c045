"""What the ``gpu`` backend cannot do, and one launch for each kernel of what it can.

These are kept as long as they are true, with the numbers of the coming update.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from unyoke.backends import layout
from unyoke.backends.base import Captured, Work
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
    states = (state[name] for state in work.states for name in work.rule.state)
    devices = {tensor.device for tensor in (*work.weights, *work.grads, *states)}
    if len(devices) > 1:
        return f"mixed devices in one group: {', '.join(sorted(map(str, devices)))}"
    objection = runtime.why_not_on(*devices)
    models = work.models
    objections = (
        layout.objection(work, index, Recipe.of(work, index), TYPES, models)
        for index in range(len(work.weights))
    )
    return objection or next((found for found in objections if found is not None), None)


def row(work: Work) -> tuple[float, ...] | None:
    """The numbers that a launch takes along: coefficients, and what starts the random numbers.

    None if they go through a table.

    They can if there is one set of coefficients for all, and it is the host that has it.
    """
    if len(work.coefficients) != 1 or work.models is not None:
        return None
    coefficients, t = work.coefficients[0], work.updates[0]
    if any(isinstance(value, torch.Tensor) for value in (*coefficients.values(), t)):
        return None
    values = [float(coefficients[name]) for name in work.rule.coefficient_names]
    return (*values, random_words.update_key(work.seed, t))


def launches(work: Work, runtime: Runtime) -> Iterator[Launch]:
    """The work in parts of one recipe each."""
    members: dict[Recipe, list[int]] = {}
    by_value = row(work) is not None
    scaled = work.found_inf is not None
    for index, weight in enumerate(work.weights):
        narrow = real(weight.dtype) != torch.float64  # a launch takes numbers in float32
        recipe = Recipe.of(work, index, scaled=scaled, by_value=by_value and narrow)
        members.setdefault(recipe, []).append(index)
    models = work.models or 1
    for recipe, indices in members.items():
        yield Launch(recipe, runtime, indices, work, models)


class Prepared(Captured):
    """Makes a work's updates, and the same ones again with other numbers.

    Args:
        work: that has no objection.
        runtime: what runs it.
        before: what it replaces; it lives on if a CUDA graph reads its tables.
    """

    def __init__(self, work: Work, runtime: Runtime, before: Prepared | None = None) -> None:
        self._runtime = runtime
        self._is_recorded = False
        self._kept: list[Prepared] = []
        if before is not None:
            self._kept = [*before._kept, *[before] * before._is_recorded]
        self._launches = list(launches(work, runtime))
        self.pointers = [launch.pointers for launch in self._launches]
        self._models = work.models
        self._row = row(work)
        self._by_value = self._row is not None
        self._scaled = work.found_inf is not None

    def holds(self, work: Work) -> bool:
        """Look where everything is; False if anything has changed but places and numbers."""
        is_scaled = work.found_inf is not None
        return self._is_of_kind(work) and is_scaled == self._scaled and self.are_there()

    def take(self, work: Work) -> bool:
        """Whether an update with the work's numbers is like the last one.

        GradScaler's verdict is a number of one update, and not looked at in a replay; nor is
        whether a graph is being recorded.
        """
        return not self._scaled and not self._runtime.capturing() and self._is_of_kind(work)

    def run(self, work: Work) -> None:
        """Make the update, and let autograd know of it."""
        self._is_recorded |= self._runtime.capturing()
        self.finish(work)
        torch.autograd.graph.increment_version(work.weights)

    def finish(self, work: Work) -> None:
        """Make the update."""
        for launch in self._launches:
            launch.run(work, self._row or ())

    def _is_of_kind(self, work: Work) -> bool:
        """Whether coefficients come as before; takes them over."""
        self._row = row(work)
        if (self._row is not None) != self._by_value:
            return False
        return self._by_value or work.models == self._models  # by value there are no models
