"""Who does which part of a group's work.

Usually one backend takes all of it. Where the preferred one cannot, each tensor goes to the first
that takes it, so that one parameter of an odd layout does not slow the others down. The division
follows from the tensors as they are at this step and from nothing earlier: a resumed run goes the
same ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from unyoke.backends.base import Backend, Work

Assignment: TypeAlias = tuple[Backend, Work]


RENEWED = (
    *("coefficients", "updates", "maximize", "differentiable", "rounding", "seed"),
    *("grad_scale", "found_inf", "device_coefficients"),
)
"""What a part of a work takes over at each step, beside its own places in ``which``."""


class Offer(NamedTuple):
    """A part of a work that a backend was asked for.

    Attributes:
        backend: who was asked.
        part: some of the whole work's tensors, or all of it.
        indices: which of them; None: all.
    """

    backend: Backend
    part: Work
    indices: Sequence[int] | None

    def objection(self, whole: Work) -> str | None:
        """Why the backend cannot do the part, with the whole's numbers of this step."""
        if self.indices is not None:
            vars(self.part).update({name: getattr(whole, name) for name in RENEWED})
            which = whole.which
            self.part.which = None if which is None else [which[k] for k in self.indices]
        return self.backend.why_not(self.part)


class Dispatch:
    """A group's tensors, divided among backends in their order of preference.

    Attributes:
        assignments: backends, each with its part of the work.

    Raises:
        RuntimeError: no backend can do some of the work; the message has every reason.
    """

    def __init__(self, backends: Sequence[Backend], work: Work) -> None:
        self._backends = backends
        self._taken: list[Offer] = []
        self._refused: list[Offer] = []
        if backends[0].why_not(work) is None or len(backends) == 1 or len(work.weights) == 1:
            self._offer(work)
        else:
            self._split(work)
        self.assignments: list[Assignment] = [(each.backend, each.part) for each in self._taken]
        self._sole = self._taken[0].backend if len(self._taken + self._refused) == 1 else None

    def holds(self, backends: Sequence[Backend], work: Work) -> bool:
        """Whether dividing anew would come out the same."""
        if self._sole is not None:
            return self._backends is backends and self._sole.why_not(work) is None
        return (
            self._backends == backends
            and all(each.objection(work) is None for each in self._taken)
            and not any(each.objection(work) is None for each in self._refused)
        )

    def _offer(self, work: Work, indices: Sequence[int] | None = None) -> Backend:
        """Find the backend that takes some of the parameters, or all of them."""
        part = work if indices is None else work.part(indices)
        reasons = []
        for backend in self._backends:
            offer = Offer(backend, part, indices)
            if (reason := offer.objection(work)) is None:
                self._taken.append(offer)
                return backend
            self._refused.append(offer)
            reasons.append(f"{backend.name}: {reason}")
        raise RuntimeError(f"no backend can run {work.rule.name} here: {'; '.join(reasons)}")

    def _split(self, work: Work) -> None:
        owners: dict[Backend, list[int]] = {}
        for index in range(len(work.weights)):
            owners.setdefault(self._offer(work, [index]), []).append(index)
        self._taken = []
        if len(owners) == 1:
            self._refused = []
            self._offer(work)
            return
        for indices in owners.values():
            self._offer(work, indices)
