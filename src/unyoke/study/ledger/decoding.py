"""What stands in a ledger's rows as the study's objects; a row that cannot be one is named.

A file can be whole for SQLite and hold what no unyoke wrote: by another program, by hand, or by a
disk that changed a byte. Such a row would end in a traceback, or in a figure that is wrong.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from unyoke.study.errors import StudyError
from unyoke.study.landscape.landscape import Cell, Landscape
from unyoke.study.landscape.outcome import CurvePoint, Outcome, curve_from_json

ADVICE = "move it away, or choose another folder with --out"

COLUMNS = {
    "study": {"name", "value"},
    "cells": {"position", "key", "configuration", "state", "outcome", "curve", "versions"},
}
"""What every version of a ledger has, by table."""


Columns: TypeAlias = tuple[Any, ...]
T = TypeVar("T")


class Damage(Exception):
    """What is wrong with a row, in words."""


FAULTS = (Damage, ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What reading a damaged row can raise."""


@contextmanager
def reading(path: Path, table: str, row: object) -> Iterator[None]:
    """Says in one line which row cannot be read.

    Raises:
        StudyError: what is read is not what unyoke writes.
    """
    try:
        yield
    except FAULTS as error:
        what = str(error) if isinstance(error, Damage) else f"{type(error).__name__}: {error}"
        raise damaged(path, table, row, " ".join(what.split())) from error


def decoded(path: Path, rows: Sequence[Columns], decode: Callable[[Columns], T]) -> list[T]:
    """What each row of the table `cells` is; rows begin with the cell's key.

    Raises:
        StudyError: one of them is damaged; it is sought only then, which makes reading faster.
    """
    try:
        return [decode(row) for row in rows]
    except FAULTS:
        for row in rows:
            with reading(path, "cells", row[0]):
                decode(row)
        raise


def damaged(path: Path, table: str, row: object, what: str) -> StudyError:
    """The one line about a row that is damaged."""
    return StudyError(f"{path} is damaged: table {table}, row {row}: {what}; {ADVICE}")


@contextmanager
def querying(path: Path) -> Iterator[None]:
    """Says in one line what SQLite finds in a file whose contents are damaged.

    Raises:
        StudyError: SQLite cannot answer.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise StudyError(f"{path} cannot be read as a ledger ({error}); {ADVICE}") from error


def check_tables(connection: sqlite3.Connection) -> None:
    """Raise Damage if a table or a column is missing."""
    for table, columns in COLUMNS.items():
        there = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        missing = columns - there
        if missing:
            raise Damage(f"the table {table} has no {', '.join(sorted(missing))}")


def landscape_of(text: object) -> Landscape:
    """The landscape of the table `study`."""
    landscape = Landscape.from_json(_text(text))
    axes = [each for axes in landscape.axes.values() for each in (axes.lr, axes.weight_decay)]
    counts = (*landscape.updates, *landscape.seeds, *landscape.epochs)
    if not (landscape.axes and all(axes) and landscape.seeds and landscape.schedules):
        raise Damage("it has no cells")
    if not all(_is_number(value) for values in axes for value in values):
        raise Damage("an axis has a value that is no number")
    if not all(isinstance(value, int) for value in counts):
        raise Damage("a seed or a budget is no whole number")
    return landscape


def cell_of(key: object, text: object, grid: Grid) -> Cell:
    """A cell, whose key is the digest of its text and which the landscape has."""
    if hashlib.sha256(_text(text).encode()).hexdigest()[:32] != key:
        raise Damage("its configuration is not that of its key")
    cell = Cell(**json.loads(_text(text)))
    if not grid.has(cell):
        raise Damage(f"the landscape has no such cell: {cell}")
    return cell


class Grid:
    """Tells whether a landscape has a cell, without listing all of them."""

    def __init__(self, landscape: Landscape) -> None:
        self._axes = {
            name: (set(axes.lr), set(axes.weight_decay), (axes.decay_unit, axes.matrices))
            for name, axes in landscape.axes.items()
        }
        self._others = (
            set(landscape.schedules),
            set(landscape.seeds),
            set(landscape.budgets()),
        )

    def has(self, cell: Cell) -> bool:
        """Whether it is one of the landscape's cells, whatever its task."""
        schedules, seeds, budgets = self._others
        lr, weight_decay, kind = self._axes.get(cell.optimizer, (set(), set(), (None, None)))
        return (
            cell.lr in lr
            and (cell.decay_unit, cell.matrices) == kind
            and cell.weight_decay in weight_decay
            and cell.schedule in schedules
            and cell.seed in seeds
            and cell.budget in budgets
        )


_FIGURES = (
    *("train_loss", "train_error", "validation_error", "test_error", "test_standard_error"),
    "seconds",
)


def outcome_of(text: object) -> Outcome:
    """An outcome without its curve; its figures are finite numbers, or none."""
    figures = json.loads(_text(text))
    outcome = Outcome(**figures, curve=())
    for name in _FIGURES:
        value = figures.get(name)
        if value is not None and not _is_number(value):
            raise Damage(f"its {name} is {value!r}")
    for name in ("updates", "test_samples"):
        if not isinstance(figures[name], int):
            raise Damage(f"its {name} is {figures[name]!r}")
    if outcome.status == "failed" and not isinstance(outcome.failure, str):
        raise Damage(f"its failure is {outcome.failure!r}")
    for name in ("status", "error_unit"):
        if not isinstance(figures[name], str):
            raise Damage(f"its {name} is {figures[name]!r}")
    if outcome.status == "finished" and any(figures[name] is None for name in _FIGURES):
        raise Damage("it has finished without an error")
    return outcome


def curve_of(text: object) -> tuple[CurvePoint, ...]:
    """A learning curve, whose points are finite numbers."""
    curve = curve_from_json(_text(text))
    for point in curve:
        if not all(map(_is_number, point)):
            raise Damage(f"its curve has the point {tuple(point)}")
    return curve


def mistakes_of(value: object, outcome: Outcome) -> bytes | None:
    """Which test samples were wrong, in bits, as many as there are and in the outcome's error."""
    if value is None:
        return None
    samples, error = outcome.test_samples, outcome.test_error
    if not isinstance(value, bytes) or len(value) != (samples + 7) // 8 or error is None:
        raise Damage(f"its mistakes are no bits of {samples} test samples with an error")
    wrong = int.from_bytes(value, "big").bit_count()
    if int.from_bytes(value, "big") % 2 ** (-samples % 8) or abs(wrong / samples - error) > 1e-9:
        raise Damage(f"its mistakes are {wrong} of {samples} test samples, its error {error:g}")
    return value


@lru_cache
def versions_of(text: object) -> str:
    """The versions of a cell, as they stand there."""
    if not isinstance(json.loads(_text(text)), dict):
        raise Damage(f"its versions are {text!r}")
    return _text(text)


def time_of(value: object) -> float:
    """A moment, in seconds."""
    if not _is_number(value):
        raise Damage(f"there is {value!r} where a moment should be")
    return float(value)  # type: ignore[arg-type] # as was just checked


def owner_of(value: object) -> Sequence[str]:
    """Machine, process and a name of its own of whoever holds a claim."""
    parts = _text(value).rsplit(":", 2)
    if len(parts) != 3:
        raise Damage(f"it is claimed by {value!r}, which names no machine and process")
    return parts


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Damage(f"there is {value!r} where a text should be")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
