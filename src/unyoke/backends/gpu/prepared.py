"""A work's batches, as long as they are true, and the numbers of the coming update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unyoke.backends.base import Work
from unyoke.backends.gpu import batches
from unyoke.backends.gpu.machine import Machine


class Prepared:
    """Makes a work's updates, and the same ones again with other numbers.

    Args:
        work: that has no objection.
        machine: what runs it.
    """

    kernels = None  # they are launched from Python
    asks_python = True  # only Python knows of graphs that are being recorded

    def __init__(self, work: Work, machine: Machine) -> None:
        self._machine = machine
        self._batches = list(batches.batches(work, machine))
        self._models = work.models
        self._by_value = batches.has_one_set(work)
        self._scaled = work.found_inf is not None

    @property
    def questions(self) -> list[tuple[int, int]] | None:
        """For compiled code to ask whether the tensors are the same; None where Python has to."""
        questions = [batch.places.question for batch in self._batches]
        return None if None in questions else [each for each in questions if each is not None]

    def holds(self, work: Work) -> bool:
        """Look where everything is; False if anything has changed but places and numbers."""
        return (
            self._is_of_kind(work)
            and (work.found_inf is not None) == self._scaled
            and all(batch.places.holds() for batch in self._batches)
        )

    def readable(self) -> bool:
        """Whether what compiled code does not ask is as it was; to be asked before it."""
        return not self._machine.capturing() and all(
            batch.places.readable() for batch in self._batches
        )

    def take(self, work: Work) -> bool:
        """Whether an update with the work's numbers is like the last one.

        GradScaler's verdict is a number of one update, and not looked at in the short way.
        """
        return not self._scaled and self._is_of_kind(work)

    def row(self, coefficients: Mapping[str, Any], seed: int, t: int) -> tuple[float, ...]:
        """No kernel reads numbers that were formed ahead: ``kernels`` says so."""
        raise NotImplementedError

    def run(self, work: Work) -> None:
        """Make the update."""
        for batch in self._batches:
            batch.run(work)

    def _is_of_kind(self, work: Work) -> bool:
        return work.models == self._models and batches.has_one_set(work) == self._by_value


__all__ = ["Prepared"]
