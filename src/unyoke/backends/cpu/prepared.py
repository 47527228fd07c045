"""A group's tables, as long as they are true, and the numbers of the coming update."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import torch

from unyoke.backends.base import Captured, Work

if TYPE_CHECKING:
    from unyoke.backends.cpu.table import Table


class Prepared(Captured):
    """The tables of a group, and the numbers of the coming update.

    Compiled code may run the kernels of tables that one thread does; where threads share a table,
    Python's other threads go on meanwhile.
    """

    def __init__(self, work: Work, tables: Sequence[Table]) -> None:
        self._tables = tables
        self.pointers = [table.pointers for table in tables]
        self.kernels = [alone for table in tables if (alone := table.shares.alone) is not None]
        self._shared = [table for table in tables if table.shares.alone is None]
        self._models = work.models
        self._pick = itemgetter(*work.rule.coefficient_names)
        self._row = struct.Struct(f"{len(work.rule.coefficient_names) + 2}d")
        self._rows = array("d")
        self._which: Sequence[int] | None = None

    def holds(self, work: Work) -> bool:
        """Take over this update's numbers; False if anything else has changed as well."""
        if work.found_inf is not None or not self.take(work):
            return False
        for table in self._tables:
            table.shares.begin()
        return self.are_there()

    def take(self, work: Work) -> bool:
        rows = self._rows
        try:
            self._write(work)
        except (TypeError, ValueError, RuntimeError, struct.error):
            return False  # a number has become a row of numbers
        if self._rows is not rows or work.which is not self._which:
            address = self._rows.buffer_info()[0]
            for table in self._tables:
                table.tell(address, work.which)
            self._which = work.which
            is_one = self._models is None and len(work.updates) == 1 and not self._shared
            self.row = address if is_one else None
        for table in self._shared:
            table.shares.begin()
        return True

    def run(self, work: Work) -> None:
        """Update what is not updated since the tables began."""
        for table in self._tables:
            table.shares.run()
        torch.autograd.graph.increment_version(work.weights)

    def finish(self, work: Work) -> None:
        for table in self._shared:
            table.shares.run()

    def _write(self, work: Work) -> None:
        """For each set of coefficients a row, of stacked models a row for each in each.

        Seed and t stand at a row's end, for random bits.
        """
        if len(work.updates) == 1 and 8 * len(self._rows) == self._row.size:  # as nearly always
            numbers = self._pick(work.coefficients[0])
            self._row.pack_into(self._rows, 0, *numbers, work.seed, work.updates[0])
            return
        rows = array("d")
        for each, t in zip(work.coefficients, work.updates, strict=True):
            numbers = (*self._pick(each), work.seed, t)
            rows.extend(numbers if self._models is None else _stacked(numbers, self._models))
        if len(rows) == len(self._rows):
            self._rows[:] = rows
        else:
            self._rows = rows


def _stacked(numbers: Sequence[Any], models: int) -> list[float]:
    """A row for each model."""
    columns = [torch.as_tensor(number, dtype=torch.float64).expand(models) for number in numbers]
    return torch.stack(columns, dim=1).flatten().tolist()
