"""The ``gpu`` backend: which work it can do, and the step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from unyoke.backends.base import Backend, Work
from unyoke.backends.gpu.machine import Machine, Nvidia

if TYPE_CHECKING:
    from unyoke.backends.gpu.batch import Batch


class Gpu(Backend):
    """A rule's formula compiled by Triton into one launch over all tensors.

    Args:
        machine: where kernels run; NVIDIA GPUs unless a test says otherwise.
    """

    name = "gpu"

    def __init__(self, machine: Machine | None = None) -> None:
        self._machine = machine or Nvidia()

    def why_not(self, work: Work) -> str | None:
        missing, device = self.missing(), work.weights[0].device
        if missing is None and device.type != self._machine.device_type:
            missing = f"the tensors are on {device}, and this backend is for {self._machine}"
        return missing if missing is not None else self._ready(work).objection

    def missing(self) -> str | None:
        return self._machine.why_not()

    def step(self, work: Work) -> None:
        for batch in work.cache[self.name].batches:
            batch.step(work)
        torch.autograd.graph.increment_version(work.weights)

    def _ready(self, work: Work) -> _Ready:
        """The work's batches, made anew whenever anything differs from the step before."""
        facts = _facts(work)
        ready: _Ready | None = work.cache.get(self.name)
        if ready is None or ready.facts != facts:
            from unyoke.backends.gpu import batches

            objection = batches.objection_to(work, self._machine)
            found = [] if objection else list(batches.batches(work, self._machine))
            ready = work.cache[self.name] = _Ready(facts, objection, found)
        return ready


@dataclass
class _Ready:
    """What was found about a work, and under which circumstances."""

    facts: Any
    objection: str | None
    batches: Sequence[Batch]


def _facts(work: Work) -> tuple[Any, ...]:
    """Everything that the batches depend on and that may change between steps."""
    weights, grads, states = work.weights, work.grads, work.states
    return (
        [weight.data_ptr() for weight in weights],
        [weight.shape for weight in weights],
        [weight.stride() for weight in weights],
        [grad.stride() for grad in grads],
        [grad.dtype for grad in grads],
        *([state[name].data_ptr() for state in states] for name in work.rule.state),
        (work.rounding, work.maximize, work.differentiable, work.found_inf is None),
        work.models,
    )
