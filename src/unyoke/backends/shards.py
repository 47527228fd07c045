"""Sharded parameters, updated where they lie: on the tensors that this process holds of them.

A rule on elements does not ask which elements are elsewhere. So the local tensors of weight,
gradient and state take the place of DTensors in a plan, and every backend runs over them as over
any others. What a DTensor holds can change between two steps, and its gradient is a new one at
each: :meth:`Shards.bind` looks at all of them and lends each local weight its local gradient until
the update is made.

Where weight, gradient and state are not cut in the same way, or are sums that have not been formed
(``Partial``), torch's operations on DTensors make the update, which the eager backend runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from unyoke.equation import Rule
from unyoke.storage import fit
from unyoke.storage.shards import WHOLE, Place, is_flat, is_sharded, local, place


class Shard(NamedTuple):
    """A DTensor parameter with what its update reads and writes.

    Attributes:
        weight: the parameter.
        local: what this process holds of it.
        spec: how it is cut.
        kept: state tensors, each with its local one.
    """

    weight: Any
    local: torch.Tensor
    spec: Any
    kept: Sequence[tuple[Any, torch.Tensor]]


class Shards:
    """The tensors that a plan's update runs over.

    Args:
        rule: direction and decay.
        group: the parameter group.
        weights: its parameters that have a gradient.
        states: of each of these.

    Attributes:
        weights: the local one of each DTensor; the others as they are.
        states: likewise.
        places: where what is held of each stands in the whole parameter; empty as ``wholes``.
        wholes: the DTensor that each local weight is a part of, or None; empty if there is none.

    Raises:
        RuntimeError: a parameter whose format needs local tensors and cannot have them.
    """

    def __init__(
        self,
        rule: Rule,
        group: dict[str, Any],
        weights: Sequence[torch.Tensor],
        states: Sequence[dict[str, Any]],
    ) -> None:
        self.weights, self.states = list(weights), list(states)
        self._shards: list[Shard] = []
        self._others: list[tuple[Any, dict[str, Any]]] = []
        self.wholes: list[Any] = []
        self.places: list[Place] = []
        self._by_rows = () if rule.stage is None else rule.stage.state
        self._divisible = in_parts(rule) and not group["differentiable"]
        for index, (weight, state) in enumerate(zip(weights, states, strict=True)):
            if (reason := objection(rule, group, weight)) is not None:
                name = fit.parameter_name(weight, group)
                raise RuntimeError(f"parameter {name} of shape {tuple(weight.shape)}: {reason}")
            if not is_sharded(weight):
                continue
            if (reason := self._objection(weight, state)) is None:
                self._take(index, weight, state)
            elif group["rounding"] == "nearest" and group["state_dtype"] == "float32":
                self._others.append((weight, state))
            else:
                raise RuntimeError(
                    f"a DTensor of shape {tuple(weight.shape)} can have narrow state and other "
                    f"roundings only where each process updates its own shard: {reason}. Use "
                    "state_dtype=torch.float32 and rounding='nearest'"
                )

    def _take(self, index: int, weight: Any, state: dict[str, Any]) -> None:
        own = {name: local(v) if is_sharded(v) else v for name, v in state.items()}
        kept = [(v, own[name]) for name, v in state.items() if is_sharded(v)]
        self.weights[index], self.states[index] = local(weight), own
        self.wholes = self.wholes or [None] * len(self.weights)
        self.places = self.places or [WHOLE] * len(self.weights)
        self.wholes[index], self.places[index] = weight, place(weight)
        self._shards.append(Shard(weight, local(weight), weight._spec, kept))

    def _objection(self, weight: Any, state: dict[str, Any]) -> str | None:
        """Why a DTensor's shards cannot be updated each by itself; None if they can."""
        if not self._divisible:
            return "the rule works on whole tensors, or autograd records the update"
        if any(placement.is_partial() for placement in weight.placements):
            return f"the weight is a sum that has not been formed: {weight.placements}"
        kept = {name: value for name, value in state.items() if is_sharded(value)}
        for name, value in {"gradient": weight.grad, **kept}.items():
            is_by_rows = name in self._by_rows and _has_rows_of(value, weight)
            if not is_by_rows and not _alike(value, weight):
                where = getattr(value, "placements", "one whole tensor")
                return f"the {name} is cut as {where}, the weight as {weight.placements}"
        if weight.grad.dtype != weight.dtype:
            return f"the gradient is {weight.grad.dtype}, the weight {weight.dtype}"
        whole = [
            name
            for name, value in state.items()
            if value.shape == weight.shape and value.dim() and name not in kept
        ]
        if whole and weight.shape != local(weight).shape:
            return f"{', '.join(whole)} is one whole tensor"
        return None

    @property
    def is_there(self) -> bool:
        """Whether a parameter is sharded."""
        return bool(self._shards or self._others)

    def bind(self) -> bool:
        """Lend each local weight its local gradient; False if something is not what it was."""
        for weight, part, spec, kept in self._shards:
            grad = weight.grad
            # Identity, not equality: a weight that was moved, cast or cut anew has others here
            if weight._local_tensor is not part or weight._spec is not spec:
                return False
            if not is_sharded(grad) or not (grad._spec is spec or _alike(grad, weight)):
                return False
            if any(whole._local_tensor is not own for whole, own in kept):
                return False
            mine = grad._local_tensor
            if mine.dtype != part.dtype or mine.shape != part.shape:
                return False
            part.grad = mine
        return not any(self._objection(*other) is None for other in self._others)

    def release(self) -> None:
        """Give the gradients back, and let autograd know that the weights have changed."""
        for shard in self._shards:
            shard.local.grad = None
        if self._shards:  # kernels wrote to the local tensors, whose versions nobody looks at
            torch.autograd.graph.increment_version([shard.weight for shard in self._shards])


def _alike(one: Any, weight: Any) -> bool:
    """Whether a tensor is cut as the weight is, and so has the weight's places in each process."""
    return (
        is_sharded(one)
        and one.device_mesh == weight.device_mesh
        and one.placements == weight.placements
        and one._local_tensor.shape == weight._local_tensor.shape
    )


def _has_rows_of(one: Any, weight: Any) -> bool:
    """Whether a tensor is cut along its rows as the weight is, whatever its columns are."""
    by_rows = all(each.is_replicate() or each.is_shard(0) for each in weight.placements)
    return by_rows and (one.device_mesh, one.placements) == (weight.device_mesh, weight.placements)


def in_parts(rule: Rule) -> bool:
    """Whether each process can make the passes over its own shards by itself.

    Between two passes the matrices of a stage are put together, one by one.
    """
    return rule.scope == "element" or (rule.stage is not None and rule.decay.scope == "element")


def objection(rule: Rule, group: Mapping[str, Any], weight: torch.Tensor) -> str | None:
    """Why a parameter that is cut into shards cannot be updated by a rule; None if it can."""
    if rule.scope == "element":
        return None
    if is_flat(weight):
        return (
            f"{rule.name} works on whole tensors, and FSDP1 (FullyShardedDataParallel) leaves each "
            "process a flat piece of them, whose norm is another one: use fully_shard, whose "
            "DTensors know the whole, or DistributedDataParallel"
        )
    if (
        not in_parts(rule)
        and is_sharded(weight)
        and (group["state_dtype"], group["rounding"]) != ("float32", "nearest")
    ):
        return (
            f"{rule.name} works on whole tensors, and narrow state and other roundings of a "
            "DTensor are made in each shard by itself: use state_dtype=torch.float32 and "
            "rounding='nearest'"
        )
    return None
