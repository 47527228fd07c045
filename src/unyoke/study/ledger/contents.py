"""What a ledger holds: its landscape, its cells and who has claimed them. Nothing is written."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from unyoke.study.errors import StudyError
from unyoke.study.landscape.landscape import Cell, Landscape, TaskReference
from unyoke.study.landscape.outcome import CurvePoint
from unyoke.study.ledger.accepted import other_code, read_accepted
from unyoke.study.ledger.decoding import (
    FAULTS,
    Columns,
    Grid,
    cell_of,
    curve_of,
    decoded,
    landscape_of,
    mistakes_of,
    outcome_of,
    owner_of,
    querying,
    reading,
    time_of,
    versions_of,
)
from unyoke.study.ledger.records import Claims, Count, Finished, Record

_EVERY = -1
"""SQLite's word for no limit."""
_AT_ONCE = 1000
"""Rows that are fetched together."""

T = TypeVar("T")


class Contents:
    """The contents of an open ledger.

    Attributes:
        path: of its file.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Take over a connection; it is closed if the contents are not those of a ledger."""
        self.path = path
        self._connection = connection
        try:
            self._accepted = read_accepted(connection, path)
            self._check_names()
        except BaseException:
            connection.close()
            raise

    @property
    def landscape(self) -> Landscape:
        """The configuration frozen in this ledger."""
        query = "SELECT value FROM study WHERE name = 'landscape'"
        row = self._connection.execute(query).fetchone()
        with reading(self.path, "study", "landscape"):
            return landscape_of(row and row[0])

    def other_code(self, task: TaskReference) -> str | None:
        """Which code of `task` is not what fills this ledger, in words, or None."""
        return other_code(self.landscape.task, self._accepted, task)

    def own(self, landscape: Landscape) -> Landscape:
        """The landscape with its cells named as here, also where this code was accepted later."""
        task = landscape.task.with_code_of(self.landscape.task)
        return replace(landscape, task=task)

    def count(self) -> Count:
        """How far the landscape has come."""
        query = (
            "SELECT count(*), coalesce(sum(state = 'done'), 0),"
            " coalesce(sum(status = 'diverged'), 0), coalesce(sum(status = 'failed'), 0)"
            " FROM (SELECT state, CASE WHEN json_valid(outcome)"
            " THEN json_extract(outcome, '$.status') END AS status FROM cells)"
        )
        with querying(self.path):
            return Count(*self._connection.execute(query).fetchone())

    def open_cells(self) -> list[Cell]:
        """Every open cell, in the landscape's order."""
        return list(self._open())

    def _open(self, most: int = _EVERY) -> Iterator[Cell]:
        grid = Grid(self.landscape)
        return self._rows("open", "", lambda row: cell_of(row[0], row[1], grid), most)

    def finished(self) -> list[Finished]:
        """Every finished cell, as `adopt` takes it.

        Raises:
            StudyError: a row is damaged.
        """
        grid = Grid(self.landscape)

        def one(row: Columns) -> Finished:
            key, cell, outcome, curve, versions, time_, mistakes = row
            cell_of(key, cell, grid)
            bits = mistakes_of(mistakes, outcome_of(outcome))
            curve_of(curve)
            return Finished(key, outcome, curve, versions_of(versions), time_of(time_), bits)

        columns = f"outcome, curve, versions, recorded_at, {self._mistakes}"
        return list(self._rows("done", columns, one))

    def records(self) -> Iterator[Record]:
        """Every finished cell, in the landscape's order.

        Raises:
            StudyError: a row is damaged.
        """
        grid = Grid(self.landscape)

        def one(row: Columns) -> Record:
            key, cell, outcome, versions, time_ = row
            return Record(
                cell_of(key, cell, grid), outcome_of(outcome), versions_of(versions), time_of(time_)
            )

        return self._rows("done", "outcome, versions, recorded_at", one)

    def _rows(
        self, state: str, columns: str, decode: Callable[[Columns], T], most: int = _EVERY
    ) -> Iterator[T]:
        """Every cell in this state in the landscape's order, decoded.

        Args:
            columns: beside key and configuration, which come first.
            decode: what a row is.
            most: how many there are at most.

        Raises:
            StudyError: a row is damaged.
        """
        columns = f"key, configuration{columns and ', '}{columns}"
        query = f"SELECT {columns} FROM cells WHERE state = ? ORDER BY position LIMIT ?"
        with querying(self.path):
            rows = self._connection.execute(query, (state, most))
            while some := rows.fetchmany(_AT_ONCE):
                yield from decoded(self.path, some, decode)

    def curve(self, cell: Cell) -> tuple[CurvePoint, ...]:
        """The learning curve of one finished cell.

        Raises:
            StudyError: it is damaged.
        """
        query = "SELECT curve FROM cells WHERE key = ? AND state = 'done'"
        row = self._connection.execute(query, (cell.key,)).fetchone()
        if row is None:
            raise KeyError(f"the ledger has no finished cell {cell}")
        with reading(self.path, "cells", cell.key):
            return curve_of(row[0])

    def sample_errors(self, cell: Cell) -> NDArray[np.float64] | None:
        """The error of each test sample of one finished cell, in the test set's order.

        None where none are kept: of a task whose errors are others than 0 and 1, of a training
        that diverged or failed, and of cells that an older unyoke recorded.

        Raises:
            StudyError: they are damaged.
        """
        query = f"SELECT outcome, {self._mistakes} FROM cells WHERE key = ? AND state = 'done'"
        row = self._connection.execute(query, (cell.key,)).fetchone()
        if row is None:
            raise KeyError(f"the ledger has no finished cell {cell}")
        with reading(self.path, "cells", cell.key):
            outcome = outcome_of(row[0])
            bits = mistakes_of(row[1], outcome)
        if bits is None:
            return None
        wrong = np.unpackbits(np.frombuffer(bits, np.uint8), count=outcome.test_samples)
        return wrong.astype(np.float64)

    @property
    def _mistakes(self) -> str:
        """The column of that name, which ledgers have from version 4 on."""
        return "mistakes" if self._has("mistakes") else "NULL"

    def _has(self, column: str) -> bool:
        """Whether the table of cells has this column."""
        return any(row[1] == column for row in self._connection.execute("PRAGMA table_info(cells)"))

    def claimed(self) -> list[Claims]:
        """Who has claimed cells; nobody in a ledger of version 1, which does not say."""
        if not self._has("owner"):
            return []
        query = (
            "SELECT owner, count(*), max(lease_until) FROM cells WHERE state = 'claimed'"
            " GROUP BY owner"
        )
        found = []
        for owner, cells, until in self._connection.execute(query).fetchall():
            with reading(self.path, "cells", f"claimed by {owner}"):
                machine, process, _ = owner_of(owner)
                found.append(Claims(machine, process, cells, time_of(until)))
        return found

    def _check_names(self) -> None:
        """Raise StudyError if cells have other keys than this unyoke gives them."""
        row = self._connection.execute("SELECT key, configuration FROM cells LIMIT 1").fetchone()
        if row is None:
            return
        try:
            known = Cell.from_json(row[1]).key == row[0]
        except FAULTS:
            known = False
        if not known:
            raise StudyError(
                f"{self.path} names its trainings otherwise than this unyoke does; use the unyoke "
                "that made it, or choose another folder with --out"
            )
