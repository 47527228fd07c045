"""Rules with a stage for whole matrices: a pass over elements, the stage, and another pass.

The matrices of one shape are stacked, a bounded number at a time. One pass over elements renews the
state and leaves in the stack what the stage is to get; the stage turns all of the stack at once;
the other pass subtracts the step and the decay from the weights. Both passes are rules on elements
like any others (:func:`unyoke.equation.passes`), and the backend that takes the work makes them.

Of a matrix that is sharded each process makes the passes over its own shard. For the stage the
matrices of a stack are gathered one by one, so that no process ever holds more than a stack of
whole ones, and each process turns them all: the numbers are those of one process, to the bit.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from unyoke.backends.base import Backend, Work
from unyoke.equation import passes
from unyoke.primitives import int32
from unyoke.storage import shards
from unyoke.storage.fit import lacks_memory
from unyoke.storage.random_words import mixed
from unyoke.storage.rounding import ASSIGNED

MOST, MOST_ELSEWHERE = 1 << 22, 1 << 25
"""Elements of a stack on a CPU and elsewhere, but for as many matrices as there are threads: a
product of a stack gives each thread one. Larger stacks leave the cache, and were slower by a tenth
with GPT-2's matrices."""

PLAIN = (torch.Tensor, torch.nn.Parameter)


class Alike(NamedTuple):
    """What matrices must have in common to be in one stack."""

    shape: torch.Size
    which: int
    device: torch.device
    dtype: torch.dtype
    placements: Any  # None: not sharded


def objection(work: Work, index: int) -> str | None:
    """Why a parameter's matrix cannot be put into a stack; None if it can."""
    weight, grad = work.weights[index], work.grads[index]
    if work.differentiable:
        return "autograd records the update"
    if work.is_stacked(index):
        return f"{work.rule.name} goes through stacked models one by one"
    if type(weight) not in PLAIN or type(grad) not in PLAIN or weight.dim() != 2:
        return f"a {type(weight).__name__} of shape {tuple(weight.shape)} is no plain matrix"
    if grad.layout is not torch.strided or grad.shape != weight.shape:
        return f"a gradient is {grad.layout} of shape {tuple(grad.shape)}"
    return None


def _divide(work: Work, indices: Sequence[int], backend: Backend) -> list[Stack]:
    kinds: dict[Alike, list[int]] = {}
    for index in indices:
        weight, whole = work.weights[index], work.wholes[index] if work.wholes else None
        which = 0 if work.which is None else work.which[index]
        placements = None if whole is None else (whole.device_mesh, whole.placements)
        shape = weight.shape if whole is None else whole.shape
        kind = Alike(shape, which, weight.device, weight.dtype, placements)
        kinds.setdefault(kind, []).append(index)
    portions = [
        (kind, portion) for kind, alike in kinds.items() for portion in _portions(alike, kind)
    ]
    portions.sort(key=lambda each: -len(each[1]) * each[0].shape.numel())  # see Workspace
    workspace = Workspace()
    return [Stack(work, kind.which, own, backend, workspace) for kind, own in portions]


def _portions(indices: Sequence[int], kind: Alike) -> Iterator[Sequence[int]]:
    """As few portions as may be, of nearly one size each."""
    elements = max(1, kind.shape.numel())
    if kind.device.type == "cpu":
        threads = torch.get_num_threads()
        most = threads * max(1, MOST // elements // threads)
    else:
        most = max(1, MOST_ELSEWHERE // elements)
    count = -(-len(indices) // most)
    bounds = [len(indices) * k // count for k in range(count + 1)]
    for first, last in itertools.pairwise(bounds):
        yield indices[first:last]


class Workspace:
    """Memory that the stacks of a work take in turn: to get it anew takes as long as a pass."""

    def __init__(self) -> None:
        self._kept: dict[tuple[torch.device, torch.dtype], torch.Tensor] = {}

    def stack(self, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        """Memory of this shape; what is in it belongs to nobody. Ask for the largest first."""
        size = math.prod(shape)
        kept = self._kept.get((device, dtype))
        if kept is None or kept.numel() < size:
            kept = self._kept[device, dtype] = torch.empty(size, dtype=dtype, device=device)
        return kept[:size].view(*shape)


class Stack:
    """Matrices of one shape that go through their update together.

    Args:
        work: the whole work.
        which: the index of their coefficients.
        indices: which of its parameters these are.
        backend: makes the passes over elements.
        workspace: shared with the other stacks of the work.
    """

    def __init__(
        self, work: Work, which: int, indices: Sequence[int], backend: Backend, workspace: Workspace
    ) -> None:
        self._which, self._backend = which, backend
        assert work.rule.stage is not None, f"{work.rule.name} has no stage"
        self._stage = stage = work.rule.stage
        self._weights = weights = [work.weights[k] for k in indices]
        self._states = [work.states[k] for k in indices]
        before, after = passes(work.rule.direction, work.rule.decay)
        self._takes_weight = "weight" in before.decay.arguments
        wide = torch.promote_types(weights[0].dtype, torch.float32)
        self._dtype = dtype = stage.dtype_of(wide, work.coefficients[which])
        self._wholes: list[Any] = [work.wholes[k] for k in indices] if work.wholes else [None]
        self._is_sharded = self._wholes[0] is not None
        self._shape = self._wholes[0].shape if self._is_sharded else weights[0].shape
        filled = wide if self._takes_weight else dtype
        shape, device = (len(indices), *weights[0].shape), weights[0].device
        self._filled_stack = workspace.stack(shape, filled, device)
        self._slots = list(self._filled_stack.unbind())
        self._rest = list(workspace.stack(shape, dtype, device).unbind())
        point = torch.zeros((), dtype=dtype, device=device)
        self._givers = [point.expand(each.shape) for each in weights]
        self._lend(self._rest)
        own = work.part(indices, which=None, wholes=())
        self._before = replace(
            own, rule=before, weights=self._slots, givers=weights, rounding=ASSIGNED.name, cache={}
        )
        self._after = replace(
            own, rule=after, givers=self._givers, maximize=False, cache={}, kept={}
        )
        self._turned: tuple[torch.Tensor, ...] | None = None
        self._filled = self._begun = False  # the slots; the pass after the stage

    def why_not(self, work: Work) -> str | None:
        """Begin an update with its numbers; why the backend cannot make it, None if it can."""
        self._renew(work)
        self._filled, self._turned, self._begun = not self._takes_weight, None, False
        reason = self._state_objection()
        return reason or self._backend.why_not(self._before) or self._backend.why_not(self._after)

    def _state_objection(self) -> str | None:
        """Which of the stage's own state lacks memory: no pass over elements looks at it."""
        for index, state in enumerate(self._states):
            for name in self._stage.state:
                if (found := lacks_memory(shards.local(state[name]))) is not None:
                    names = self._before.names
                    return f"the {name} of parameter {names[index] if names else index} {found}"
        return None

    def run(self) -> None:
        """Make the update that has begun; after an interrupt, go on with it."""
        if not self._filled:
            torch._foreach_copy_(self._slots, self._weights)
            self._filled = True
        if self._turned is None:
            self._backend.step(self._before)
            self._turned = self._stage_result()
        if not self._begun:
            for name, value in zip(self._stage.state, self._turned[1:], strict=True):
                new = list(self._parts(value.unbind()))
                torch._foreach_copy_([each[name] for each in self._states], new)
            self._lend(self._parts(self._turned[0].unbind()))
            if (reason := self._backend.why_not(self._after)) is not None:
                raise RuntimeError(f"the second pass over elements cannot be made: {reason}")
            self._begun = True
        self._backend.step(self._after)
        self._lend(self._rest)
        self._turned = ()

    def _stage_result(self) -> tuple[torch.Tensor, ...]:
        own = [self._whole([each[name] for each in self._states]) for name in self._stage.state]
        stack = self._filled_stack.to(self._dtype)
        if self._is_sharded:
            parts, stack = stack, stack.new_empty(len(stack), *self._shape)
            for part, whole, place in zip(parts, self._wholes, stack, strict=True):
                place.copy_(shards.gathered(part, whole))
        return self._stage.turned(stack, own, self._before.coefficients[0])

    def _whole(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """A stack of whole state, of which this process has parts."""
        if self._is_sharded:
            pairs = zip(parts, self._wholes, strict=True)
            parts = [shards.gathered(part, whole) for part, whole in pairs]
        return torch.stack(list(parts))

    def _parts(self, matrices: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """What this process holds of whole matrices."""
        if not self._is_sharded:
            return matrices
        pairs = zip(matrices, self._wholes, strict=True)
        return [shards.cut(matrix, whole).contiguous() for matrix, whole in pairs]

    def _lend(self, matrices: Sequence[torch.Tensor]) -> None:
        """Make these the gradients of the second pass."""
        for giver, matrix in zip(self._givers, matrices, strict=True):
            giver.grad = matrix

    def _renew(self, work: Work) -> None:
        """Take over what changes from step to step."""
        own = work.coefficients[self._which]
        before, after = self._before, self._after
        before.coefficients = [own]
        size = self._stage.size_of(self._shape, own)
        after.coefficients = [{**own, "size": size}]
        before.updates = after.updates = [work.updates[self._which]]
        before.maximize, after.rounding = work.maximize, work.rounding
        before.seed = work.seed
        after.seed = int32(mixed(work.seed, 1))  # other bits than those of the first pass


class Stacks:
    """Some parameters of a work, in stacks, and the update that has begun of them.

    Args:
        work: what is to be done.
        indices: of its parameters; none of them has an :func:`objection`.
        backend: makes the passes over elements.
    """

    def __init__(self, work: Work, indices: Sequence[int], backend: Backend) -> None:
        self._which = work.which
        self._stacks = _divide(work, indices, backend)
        self._next = 0

    def why_not(self, work: Work) -> str | None:
        """Begin an update with its numbers; why it cannot be made, None if it can."""
        self._next = 0
        if work.which != self._which:
            return "other parameters share their numbers of updates"
        return next((why for each in self._stacks if (why := each.why_not(work))), None)

    def holds(self, work: Work) -> bool:
        """Begin an update with its numbers; False if it cannot be made."""
        return self.why_not(work) is None

    def run(self, work: Work) -> None:
        """Make the update of the work that has begun; after an interrupt, go on with it."""
        while self._next < len(self._stacks):
            self._stacks[self._next].run()
            self._next += 1
