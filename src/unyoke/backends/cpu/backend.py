"""Which work the backend takes, and the step."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING

import torch

from unyoke.backends import staged
from unyoke.backends._native import code_folder
from unyoke.backends._native.asked import checks_of
from unyoke.backends._native.availability import missing, tried, unable
from unyoke.backends.base import Backend, Work
from unyoke.equation import with_norms
from unyoke.storage.fit import lacks_memory

if TYPE_CHECKING:
    from unyoke.backends.cpu.normed import Normed
    from unyoke.backends.cpu.table import Known, Table


class Cpu(Backend):
    """Runs the compiled formula over all tensors of a group in one call."""

    name = "cpu"
    resumes = True

    def why_not(self, work: Work) -> str | None:
        if work.rule.stage is not None:
            return self._why_not_in_stacks(work)
        prepared: Prepared | Normed | None = work.cache.get("cpu")
        if prepared is not None and prepared.holds(work):
            return None
        return self.missing() or _objection(work) or unable() or _prepare(work)

    def _why_not_in_stacks(self, work: Work) -> str | None:
        stacks: staged.Stacks | None = work.cache.get("cpu")
        if stacks is not None and stacks.why_not(work) is None:
            return None
        every = range(len(work.weights))
        if (reason := self.missing() or unable()) is not None:
            return reason
        reasons = (staged.objection(work, index) for index in every)
        if (reason := next(filter(None, reasons), None)) is not None:
            return reason
        work.cache["cpu"] = stacks = staged.Stacks(work, every, self)
        if (reason := stacks.why_not(work)) is not None:
            del work.cache["cpu"]
        return reason

    def missing(self) -> str | None:
        return missing()

    def tried(self) -> str | None:
        return tried()

    def remark(self) -> str | None:
        reason = code_folder.objection()
        return None if reason is None else f"it compiles anew in each process: {reason}"

    def cannot_compile(self, work: Work) -> str | None:
        """What stops this machine from compiling work that this backend is for; None if nothing."""
        on_cpu = work.weights[0].device.type == "cpu" and _objection(work) is None
        return self.missing() or unable() if on_cpu else None

    def step(self, work: Work) -> None:
        if work.rule.stage is not None:
            work.cache["cpu"].run()
        else:
            work.cache["cpu"].run(work)

    def captured(self, work: Work) -> Prepared | Normed | None:
        if work.rule.stage is not None:
            return None
        prepared: Prepared | Normed | None = work.cache.get("cpu")
        return prepared


def _objection(work: Work) -> str | None:
    by_norms = work.rule.norms is not None and work.rule.decay.scope == "element"
    if work.rule.scope != "element" and not by_norms:
        return f"{work.rule.name} works on whole tensors, not on elements"
    if by_norms and work.models is not None:
        return f"{work.rule.name} goes through stacked models one by one"
    if work.differentiable:
        return "autograd cannot record compiled code"
    if work.found_inf is not None:
        return "a GradScaler's verdict on a device"
    return None


def _prepare(work: Work) -> str | None:
    """Find the tensors and compile what they need; the reason if that cannot be."""
    from unyoke.backends.cpu.table import Known

    known: Known | None = work.kept.get("cpu")
    if known is not None and known.models == work.models and _prepare_by(known, work) is None:
        return None
    reason = None
    for one_by_one in (False, True) if len(work.weights) > 1 else (True,):
        work.kept["cpu"] = known = Known(work.models, one_by_one)
        reason = _prepare_by(known, work)
        if reason is None:
            break
    return reason


def _prepare_by(known: Known, work: Work) -> str | None:
    """The same, with what is known of some tensors; it is forgotten if it is not so any more."""
    found = known.tables(_on_elements(work))
    prepared = found if isinstance(found, str) else _prepared(work, found)
    if isinstance(prepared, str):
        reason: str | None = prepared
    else:
        reason = None if prepared.holds(work) else _without_memory(work)
        work.cache["cpu"] = prepared
    if reason is not None:
        work.kept.pop("cpu", None)
        work.cache.pop("cpu", None)
    return reason


def _on_elements(work: Work) -> Work:
    """The work of the rule on elements: the same, unless the rule has norms."""
    if work.rule.norms is None:
        return work
    return replace(work, rule=with_norms(work.rule.direction, work.rule.decay)[0])


def _prepared(work: Work, tables: Sequence[Table]) -> Prepared | Normed | str:
    if work.rule.norms is None:
        return Prepared(work, tables)
    from unyoke.backends.cpu.normed import normed

    return normed(work, tables)


def _without_memory(work: Work) -> str:
    """What compiled code has found where Python has found nothing."""
    every = zip(work.weights, work.grads, work.states, strict=True)
    for index, (weight, grad, state) in enumerate(every):
        for name, tensor in {"weight": weight, "gradient": grad, **state}.items():
            if isinstance(tensor, torch.Tensor) and (reason := lacks_memory(tensor)):
                return f"the {name} of {work.label(index)} {reason}"
    return "torch's memory holds these tensors differently from what Python says"


class Prepared:
    """The tables of a group, and the numbers of the coming update."""

    def __init__(self, work: Work, tables: Sequence[Table]) -> None:
        self._tables = tables
        self._models = work.models
        self._pick = itemgetter(*work.rule.coefficient_names)
        self._row = struct.Struct(f"{len(work.rule.coefficient_names) + 2}d")
        self._rows, self._places = array("d"), range(0)
        self._which: Sequence[int] | None = None
        self._shared = [table for table in tables if table.alone is None]

    @property
    def kernels(self) -> list[tuple[int, int, int, int]]:
        """Those that one thread runs; the others let Python's other threads go on meanwhile."""
        return [alone for table in self._tables if (alone := table.alone) is not None]

    @property
    def row(self) -> int | None:
        """Where the coefficients lie, if there is one set of them and one thread does the work."""
        is_one = self._models is None and len(self._places) == 1 and not self._shared
        return self._rows.buffer_info()[0] if is_one else None

    @property
    def checks(self) -> list[tuple[int, int]] | None:
        """For compiled code to ask whether the tables hold; None where Python has to."""
        return checks_of(table.pointers for table in self._tables)

    def holds(self, work: Work) -> bool:
        """Take over this update's numbers; False if anything else has changed as well."""
        if work.found_inf is not None or not self.take(work):
            return False
        for table in self._tables:
            table.begin()
        return all(table.pointers.holds() for table in self._tables)

    def take(self, work: Work) -> bool:
        """Take over this update's numbers; False if they are of another kind."""
        rows = self._rows
        try:
            self._write(work)
        except (TypeError, ValueError, RuntimeError, struct.error):
            return False  # a number has become a row of numbers
        if self._rows is not rows or work.which is not self._which:
            for table in self._tables:
                table.tell(self._rows.buffer_info()[0], work.which)
            self._which = work.which
        for table in self._shared:
            table.begin()
        return True

    def run(self, work: Work) -> None:
        """Update what is not updated since the tables began."""
        for table in self._tables:
            table.run()
        torch.autograd.graph.increment_version(work.weights)

    def finish(self, work: Work) -> None:
        """Update what threads share."""
        for table in self._shared:
            table.run()

    def _write(self, work: Work) -> None:
        """For each set of coefficients a row, of stacked models a row for each in each.

        Seed and t stand at a row's end, for random bits.
        """
        if self._models is not None:
            self._rows = array("d", _rows_of_stacks(work, self._models))
            return
        if len(work.updates) != len(self._places):
            size = self._row.size
            self._places = range(0, size * len(work.updates), size)
            self._rows = array("d", bytes(size * len(work.updates)))
        if len(work.updates) == 1:  # as nearly always
            numbers = self._pick(work.coefficients[0])
            self._row.pack_into(self._rows, 0, *numbers, work.seed, work.updates[0])
            return
        for place, each, t in zip(self._places, work.coefficients, work.updates, strict=True):
            self._row.pack_into(self._rows, place, *self._pick(each), work.seed, t)


def _rows_of_stacks(work: Work, models: int) -> list[float]:
    if work.models != models:
        raise ValueError
    rows: list[float] = []
    for each, t in zip(work.coefficients, work.updates, strict=True):
        columns = [
            torch.as_tensor(each[name], dtype=torch.float64) for name in work.rule.coefficient_names
        ]
        columns += [torch.tensor(float(work.seed)), torch.tensor(float(t))]
        rows += torch.stack([column.expand(models) for column in columns], dim=1).flatten().tolist()
    return rows
