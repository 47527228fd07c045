"""Rules whose step depends on norms of the whole tensor: a pass that forms them, then the update.

The number that is made of a tensor's norms is a coefficient of the update, and each tensor has its
own. So the second pass is that of any rule on elements, in every format of storage.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unyoke.backends.base import Work
from unyoke.backends.cpu import kernels
from unyoke.backends.cpu.prepared import Prepared
from unyoke.equation import Rule, with_norms

if TYPE_CHECKING:
    from unyoke.backends.cpu.table import Known, Table


def normed(known: Known, work: Work) -> Normed | str:
    """What updates a group by a rule with norms, or why it cannot be updated so.

    Args:
        known: of its parameters.
        work: what is to be done, of a rule with norms.
    """
    assert work.rule.norms is not None
    rule, terms = with_norms(work.rule.direction, work.rule.decay)
    tables = known.tables(replace(work, rule=rule))
    if isinstance(tables, str):
        return tables
    found = [kernels.norms(table.recipe, terms, work.rule.norms.count) for table in tables]
    reasons = (each for each in found if isinstance(each, str))
    return next(reasons, None) or Normed(work, rule, tables, found)


class Normed(Prepared):
    """The tables of a group, and the numbers of the coming update.

    A row of numbers for each tensor. No kernel is left to compiled code: norms come first.

    Args:
        work: what is to be done, of a rule with norms.
        rule: that on elements.
        tables: of the rule on elements.
        compiled: for each table, the kernel that forms its norms.
    """

    def __init__(
        self, work: Work, rule: Rule, tables: Sequence[Table], compiled: Sequence[Any]
    ) -> None:
        assert work.rule.norms is not None
        self._norms = norms = work.rule.norms
        names = [name for name in rule.coefficient_names if name != norms.name]
        self._tables, self._pick = tables, itemgetter(*names)
        self.pointers = [table.pointers for table in tables]
        count, width = len(work.weights), len(rule.coefficient_names) + 2
        self._rows = array("d", bytes(8 * count * width))
        self._grid = np.frombuffer(self._rows).reshape(count, width)
        own = rule.coefficient_names.index(norms.name)
        self._own, self._others = own, [k for k in range(width) if k != own]
        self._sizes = torch.tensor([each.numel() for each in work.weights], dtype=torch.float64)
        for table in tables:
            table.tell(self._rows.buffer_info()[0], range(count))
        self._form = [
            table.norms_by(kernel, norms.count)
            for table, kernel in zip(tables, compiled, strict=True)
        ]
        self._are_formed = False

    def take(self, work: Work) -> bool:
        try:
            sets = [
                (*map(float, self._pick(each)), float(work.seed), float(t))
                for each, t in zip(work.coefficients, work.updates, strict=True)
            ]
        except (TypeError, ValueError, RuntimeError):
            return False  # a number has become a row of numbers
        which = 0 if work.which is None else np.array(work.which)
        self._grid[:, self._others] = np.array(sets)[which]
        self._are_formed = False
        for table in self._tables:
            table.shares.begin()
        return True

    def run(self, work: Work) -> None:
        """Update what is not updated since the numbers were taken over."""
        self.finish(work)
        torch.autograd.graph.increment_version(work.weights)

    def finish(self, work: Work) -> None:
        if not self._are_formed:
            for table, form in zip(self._tables, self._form, strict=True):
                self._grid[table.which, self._own] = self._ratios(work, table.which, form())
            self._are_formed = True
        for table in self._tables:
            table.shares.run()

    def _ratios(self, work: Work, which: Any, norms: Any) -> Any:
        """The number that is made of each parameter's norms."""
        columns = list(torch.from_numpy(norms).unbind(1))
        if self._norms.takes_elements:
            columns.append(self._sizes[which])
        names = self._norms.ratio_coefficients
        sets = [[float(each[name]) for name in names] for each in work.coefficients]
        own: Any = sets[0]
        if work.which is not None:
            own = torch.tensor(sets, dtype=torch.float64)[np.array(work.which)[which]].unbind(1)
        return torch.as_tensor(self._norms.ratio(*columns, *own)).numpy()
