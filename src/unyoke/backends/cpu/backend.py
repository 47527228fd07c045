"""The questions and the deed of the backend."""

from __future__ import annotations

import functools
import importlib.util
from array import array
from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import torch

from unyoke.backends.base import Backend, Work

if TYPE_CHECKING:
    from unyoke.backends.cpu.table import Table


class Cpu(Backend):
    """Runs the compiled formula over all tensors of a group in one call."""

    name = "cpu"

    def why_not(self, work: Work) -> str | None:
        prepared: Prepared | None = work.cache.get("cpu")
        if prepared is not None and prepared.holds(work):
            return None
        return self.missing() or _objection(work) or _unable() or _prepare(work)

    def missing(self) -> str | None:
        return _missing()

    def step(self, work: Work) -> None:
        work.cache["cpu"].run()
        torch.autograd.graph.increment_version(work.weights)


@functools.cache
def _missing() -> str | None:
    for package in ("numba", "llvmlite"):
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed, which compiles the update"
    from unyoke.backends.cpu import table

    try:
        table.questions()
    except (AttributeError, OSError) as error:
        return f"this torch does not say where its tensors are: {error}"
    return None


@functools.cache
def _unable() -> str | None:
    """Why nothing can be compiled here, found out by compiling what every kernel needs."""
    from unyoke.backends.cpu import table

    try:
        table.locate()
    except Exception as error:  # a Numba that does not support this Python raises what it likes
        return f"Numba cannot compile here: {error}"
    return None


def _objection(work: Work) -> str | None:
    if work.rule.scope != "element":
        return f"{work.rule.name} works on whole tensors, not on elements"
    if work.differentiable:
        return "autograd cannot record compiled code"
    if work.found_inf is not None:
        return "a GradScaler's verdict on a device"
    return None


def _prepare(work: Work) -> str | None:
    """Find the tensors and compile what they need; the reason if that cannot be."""
    from unyoke.backends.cpu.kernels import kernel
    from unyoke.backends.cpu.table import tables

    found = tables(work, work.models)
    if isinstance(found, str):
        return found
    parts = []
    for table in found:
        run = kernel(table.recipe)
        if isinstance(run, str):
            return run
        parts.append((table, run))
    prepared = Prepared(work, parts)
    if not prepared.holds(work):
        return "torch's C interface reads these tensors differently from Python"
    work.cache["cpu"] = prepared
    return None


class Prepared:
    """The tables of a group, each with its kernel, and the numbers of the coming update."""

    def __init__(self, work: Work, parts: Sequence[tuple[Table, Any]]) -> None:
        self._parts = parts
        self._sole = parts[0][0] if len(parts) == 1 else None
        self._switches = _switches(work)
        self._models = work.models
        self._pick = itemgetter(*work.rule.coefficient_names)
        self._coefficients = array("d")
        self._which: Sequence[int] | None = None

    def holds(self, work: Work) -> bool:
        """Take over this update's numbers; False if anything else has changed as well."""
        if _switches(work) != self._switches:
            return False
        try:
            self._coefficients = array("d", self._rows(work))
        except (TypeError, ValueError, RuntimeError):
            return False  # a number has become a row of numbers
        self._which = work.which
        if self._sole is not None:
            return self._sole.holds()
        return all(table.holds() for table, _ in self._parts)

    def run(self) -> None:
        address, which = self._coefficients.buffer_info()[0], self._which
        for table, kernel in self._parts:
            table.run(kernel, address, which)

    def _rows(self, work: Work) -> Any:
        """For each set of coefficients a row of them, of stacked models a row for each in each.

        The seed and the number of the update follow, for random bits.
        """
        if self._models is not None:
            return _rows_of_stacks(work, self._models)
        rows: list[Any] = []
        for each, t in zip(work.coefficients, work.updates, strict=True):
            rows += (*self._pick(each), work.seed, t)
        return rows


def _switches(work: Work) -> tuple[Any, ...]:
    return work.maximize, work.differentiable, work.rounding, work.found_inf is None


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
