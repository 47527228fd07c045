"""A work's launches, as long as they are true, and the numbers of the coming update."""

from __future__ import annotations

import torch

from unyoke.backends._native.asked import checks_of
from unyoke.backends.base import Work
from unyoke.backends.gpu import launches
from unyoke.backends.gpu.runtime import Runtime


class Prepared:
    """Makes a work's updates, and the same ones again with other numbers.

    Args:
        work: that has no objection.
        runtime: what runs it.
        before: what it replaces; it lives on if a CUDA graph reads its tables.
    """

    kernels = ()
    row: int | None = None

    def __init__(self, work: Work, runtime: Runtime, before: Prepared | None = None) -> None:
        self._runtime = runtime
        self._is_recorded = False
        self._kept: list[Prepared] = []
        if before is not None:
            self._kept = [*before._kept, *[before] * before._is_recorded]
        self._launches = list(launches.launches(work, runtime))
        self._models = work.models
        self._row = launches.row(work)
        self._by_value = self._row is not None
        self._scaled = work.found_inf is not None

    @property
    def checks(self) -> list[tuple[int, int]] | None:
        """For compiled code to ask whether the tensors are the same; None where Python has to."""
        return checks_of(launch.pointers for launch in self._launches)

    def holds(self, work: Work) -> bool:
        """Look where everything is; False if anything has changed but places and numbers."""
        return (
            self._is_of_kind(work)
            and (work.found_inf is not None) == self._scaled
            and all(launch.pointers.holds() for launch in self._launches)
        )

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
        self._row = launches.row(work)
        if self._row is None:
            return not self._by_value and work.models == self._models
        return self._by_value
