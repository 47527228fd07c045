"""Who does which part of a group's work.

Usually one backend takes all of it. Where the preferred one cannot, each tensor goes to the first
that takes it, so that one parameter of an odd layout does not slow the others down. The division
follows from the tensors as they are at this step and from nothing earlier: a resumed run goes the
same ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from unyoke.backends.base import Backend, Work

Assignment: TypeAlias = tuple[Backend, Work]


class Subset:
    """Some of a work's tensors as a work of their own; all of them if ``indices`` is None."""

    def __init__(self, whole: Work, indices: Sequence[int] | None = None) -> None:
        self._indices = indices
        self.work = whole
        if indices is not None:
            self.work = whole.part(indices)
            self.renew(whole)

    def renew(self, whole: Work) -> Work:
        """Take over what changes from step to step."""
        if self._indices is not None:
            own = self.work
            which = whole.which
            own.which = None if which is None else [which[k] for k in self._indices]
            own.coefficients, own.updates = whole.coefficients, whole.updates
            own.maximize, own.differentiable = whole.maximize, whole.differentiable
            own.rounding, own.seed = whole.rounding, whole.seed
            own.grad_scale, own.found_inf = whole.grad_scale, whole.found_inf
            own.device_coefficients = whole.device_coefficients
        return self.work


class Dispatch:
    """A group's tensors, divided among backends in their order of preference.

    Attributes:
        assignments: backends, each with its part of the work.

    Raises:
        RuntimeError: no backend can do some of the work; the message has every reason.
    """

    def __init__(self, backends: Sequence[Backend], work: Work) -> None:
        self._backends = backends
        self._taken: list[tuple[Backend, Subset]] = []
        self._refused: list[tuple[Backend, Subset]] = []
        whole = Subset(work)
        if backends[0].why_not(work) is None or len(backends) == 1 or len(work.weights) == 1:
            self._offer(whole)
        else:
            self._split(work)
        self.assignments: list[Assignment] = [(backend, part.work) for backend, part in self._taken]
        self._sole = self._taken[0][0] if len(self._taken) == 1 and not self._refused else None

    def holds(self, backends: Sequence[Backend], work: Work) -> bool:
        """Whether dividing anew would come out the same."""
        if self._sole is not None:
            return self._backends is backends and self._sole.why_not(work) is None
        return (
            self._backends == backends
            and all(backend.why_not(part.renew(work)) is None for backend, part in self._taken)
            and all(
                backend.why_not(part.renew(work)) is not None for backend, part in self._refused
            )
        )

    def _offer(self, part: Subset) -> Backend:
        """Find the backend that takes a part."""
        objections = {}
        for backend in self._backends:
            objection = backend.why_not(part.work)
            if objection is None:
                self._taken.append((backend, part))
                return backend
            self._refused.append((backend, part))
            objections[backend.name] = objection
        raise RuntimeError(
            f"no backend can run {part.work.rule.name} here: "
            + "; ".join(f"{backend}: {objection}" for backend, objection in objections.items())
        )

    def _split(self, work: Work) -> None:
        owners: dict[Backend, list[int]] = {}
        for index in range(len(work.weights)):
            owners.setdefault(self._offer(Subset(work, [index])), []).append(index)
        self._taken = []
        if len(owners) == 1:
            self._refused = []
            self._offer(Subset(work))
            return
        for indices in owners.values():
            self._offer(Subset(work, indices))
