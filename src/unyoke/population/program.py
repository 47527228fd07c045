"""Losses and gradients of a stack in one call, and the same as a recorded list of operations.

torch.func works out at every call what a program over stacks does; for small models that takes as
long as the work. So a program that goes on for long is recorded once (by ``make_fx``) and then only
replayed. The operations are the same, and a recording is used only if its results are the same to
the last bit, and if the call leaves nothing behind in the Python objects of model and loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import grad_and_value, vmap
from torch.utils import _pytree as pytree

from unyoke.population.engine import Loss, UnstackableError
from unyoke.population.inputs import Inputs
from unyoke.population.models import Named

PATIENCE = 6
"""Calls with stacks of the same shapes before a recording; models that diverge do so early."""

WORTH = 100
"""Calls that are still to be made for a recording to pay; it saves about as much at each."""

LARGE = 40
"""Models above which it saves more: taking stacks apart costs more than working on them."""

SHADOWED = 2
"""Calls after the recording that are made both ways before it is relied on."""

Result = tuple[Named, Tensor]

_TABLES = ("_parameters", "_buffers", "_modules")
"""A module's own tables of tensors and modules, which are looked at elsewhere."""


class Program:
    """The gradients and losses of ``function`` for every model.

    Args:
        function: (weights, fixed, inputs, targets, key) of one model → its loss.
        per_model: whether each model has its own inputs and targets.
        model, loss: what ``function`` calls, to see what they remember.
    """

    def __init__(
        self, function: Callable[..., Any], per_model: bool, model: nn.Module, loss: Loss
    ) -> None:
        axis = 0 if per_model else None
        self._plain: Callable[..., Result] = vmap(
            grad_and_value(function), in_dims=(0, 0, axis, axis, 0), randomness="different"
        )
        self._objects = (*model.modules(), loss)
        self._shapes: object = None
        self._calls = 0
        self._recorded: Callable[..., Result] | None = None
        self._recordable = True

    def __call__(
        self, weights: Named, fixed: Named, inputs: Inputs, targets: Tensor, keys: Tensor, left: int
    ) -> Result:
        """Gradients by name and losses, [A]; what the models write to ``fixed`` is written there.

        Args:
            left: updates still to be made, this one included.

        Raises:
            UnstackableError: models or loss were recorded and then became another program.
        """
        arguments = (inputs, targets, keys)
        shapes = [(x.shape, x.dtype) for x in pytree.tree_leaves((weights, fixed, *arguments))]
        if shapes != self._shapes:
            self._shapes, self._calls, self._recorded = shapes, 0, None
        self._calls += 1
        since = self._calls - PATIENCE
        if since == 0 and self._recordable and left * max(1.0, len(keys) / LARGE) >= WORTH:
            before = [remembered(each) for each in self._objects]
            self._record(weights, fixed, arguments)
            if before != [remembered(each) for each in self._objects]:
                self._recorded, self._recordable = None, False
        if self._recorded is None:
            return self._plain(weights, fixed, *arguments)
        if since > SHADOWED and since & (since - 1):
            return self._recorded(weights, fixed, *arguments)
        return self._both(weights, fixed, arguments, relied_on=since > SHADOWED)

    def _record(self, weights: Named, fixed: Named, arguments: tuple[Any, ...]) -> None:
        from torch.fx.experimental.proxy_tensor import make_fx

        def plain(*arguments: Any) -> Result:  # make_fx counts the arguments of a bound method
            return self._plain(*arguments)

        try:
            self._recorded = make_fx(plain)(weights, _copied(fixed), *arguments)
        except Exception:  # make_fx is stricter than torch.func; then nothing is gained
            self._recordable = False

    def _both(
        self, weights: Named, fixed: Named, arguments: tuple[Any, ...], relied_on: bool
    ) -> Result:
        """Run the program and its recording, and compare them."""
        assert self._recorded is not None
        shadow = _copied(fixed)
        recorded = self._recorded(weights, shadow, *arguments)
        result = self._plain(weights, fixed, *arguments)
        pairs = zip(
            pytree.tree_leaves((recorded, shadow)), pytree.tree_leaves((result, fixed)), strict=True
        )
        if not all(_identical(one, other) for one, other in pairs):
            self._recorded, self._recordable = None, False
            if relied_on:
                raise UnstackableError(
                    "the model or the loss does something else at this update than it did before, "
                    "by its own Python state or by chance: use engine='one_by_one'"
                )
        return result


def remembered(thing: object) -> dict[str, str]:
    """What a module or a function keeps in attributes, closures and defaults, as text."""
    kept = dict(getattr(thing, "__dict__", {}))
    owner = getattr(thing, "__self__", None)
    kept |= getattr(owner, "__dict__", {})
    for number, cell in enumerate(getattr(thing, "__closure__", None) or ()):
        kept[f"closure {number}"] = cell.cell_contents
    kept["defaults"] = getattr(thing, "__defaults__", None)
    return {
        name: repr(value)
        for name, value in kept.items()
        if not isinstance(value, (Tensor, nn.Module)) and name not in _TABLES
    }


def _copied(named: Named) -> Named:
    return {name: tensor.clone() for name, tensor in named.items()}


def _identical(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one.nan_to_num(), other.nan_to_num()) and torch.equal(
        one.isnan(), other.isnan()
    )
