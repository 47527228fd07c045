"""The ``compile`` backend: the eager update under torch.compile, for devices with nothing better.

On request only: to compile takes seconds for a few tensors and a minute for a few hundred.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch

from unyoke.backends.base import Backend, Work
from unyoke.backends.eager import as_real, memory_objection


class Compiled(Backend):
    """All tensors of a group in one graph.

    Args:
        compiler: the backend of torch.compile.
    """

    name = "compile"

    def __init__(self, compiler: str = "inductor") -> None:
        self._compiler = compiler

    def why_not(self, work: Work) -> str | None:
        if work.differentiable:
            return "autograd would record a compiled update of weights in place"
        if work.rounding != "nearest":
            return f"rounding={work.rounding!r} is not compiled"
        if work.models is not None:
            return "coefficients of stacked models are not compiled"
        for index, (grad, state) in enumerate(zip(work.grads, work.states, strict=True)):
            if (reason := memory_objection(work, index)) is not None:
                return reason
            if grad.layout is not torch.strided:
                return f"{grad.layout} gradients are not compiled"
            if any(state[name].element_size() < 4 for name in work.rule.state):
                return "state in bfloat16 or 8-bit blocks is not compiled"
        return None

    def step(self, work: Work) -> None:
        prepared: Prepared | None = work.cache.get(self.name)
        if prepared is None or prepared.is_other(work):
            prepared = work.cache[self.name] = Prepared(work, self._compiler)
        prepared.run(work)


class Prepared:
    """A compiled update, and the 0-d tensors through which the changing numbers reach it.

    A Python number would be part of the compiled code, and every new one would compile it again.
    """

    def __init__(self, work: Work, compiler: str) -> None:
        self._which = work.which
        self._maximize = work.maximize
        self._constants = _constants(work)
        self._numbers = [
            {
                name: constants[name]
                if name in constants
                else torch.zeros((), dtype=torch.float64, device=work.weights[0].device)
                for name in work.rule.coefficient_names
            }
            for constants in self._constants
        ]
        # torch counts how often a code object was compiled, and gives up at the eighth time
        own = FunctionType(_update.__code__.replace(), globals(), "update")
        update = functools.partial(own, work.rule.function, work.maximize)
        self._update: Callable[..., None] = torch.compile(update, backend=compiler, dynamic=False)

    def is_other(self, work: Work) -> bool:
        """Whether the work needs other code."""
        return (self._which, self._constants, self._maximize) != (
            work.which,
            _constants(work),
            work.maximize,
        )

    def run(self, work: Work) -> None:
        for numbers, values in zip(self._numbers, work.coefficients, strict=True):
            for name, number in numbers.items():
                if isinstance(number, torch.Tensor):
                    number.fill_(values[name])
        which = work.which or [0] * len(work.weights)
        with torch.no_grad():
            self._update(
                [as_real(weight.detach()) for weight in work.weights],
                [as_real(grad) for grad in work.grads],
                [[as_real(state[name]) for name in work.rule.state] for state in work.states],
                [list(self._numbers[number].values()) for number in which],
            )


def _constants(work: Work) -> list[dict[str, Any]]:
    """What is no number of this update but says how to compute it: Muon's polynomial, its steps."""
    names = work.rule.coefficient_names
    return [
        {name: own[name] for name in names if not isinstance(own[name], float | torch.Tensor)}
        for own in work.coefficients
    ]


def _update(
    function: Callable[..., Any],
    maximize: bool,
    weights: list[torch.Tensor],
    grads: list[torch.Tensor],
    states: list[list[torch.Tensor]],
    coefficients: list[list[Any]],
) -> None:
    """θ − (step + ηλθ) for every tensor, formed in at least float32 and rounded once."""
    for weight, grad, state, numbers in zip(weights, grads, states, coefficients, strict=True):
        dtype = torch.promote_types(weight.dtype, torch.float32)
        value, g = weight.to(dtype), grad.to(dtype)
        delta, *new = function(
            value, -g if maximize else g, *(kept.to(dtype) for kept in state), *numbers
        )
        weight.copy_(value - delta)
        for kept, tensor in zip(state, new, strict=True):
            kept.copy_(tensor)
