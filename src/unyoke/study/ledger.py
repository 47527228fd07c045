"""The ledger: one SQLite file in which every cell is claimed, run and recorded exactly once.

The process that drives a landscape is the only writer; workers hand their outcomes to it. A cell
is `open`, then `claimed`, then `done`. A driver holds a lock on the ledger's folder for as long as
it lives, so when one opens the ledger, every claim it finds was left by a driver that died, and
those cells are open again. Nothing that is done is ever run or written again.

The landscape's configuration is frozen inside. The file is written beside its place first and
moved there, so a ledger that exists is whole.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from unyoke.study.errors import StudyError
from unyoke.study.landscape import Cell, Landscape
from unyoke.study.outcome import CurvePoint, Outcome

APPLICATION_ID = 0x756E796B  # "unyk", so that another program's database is recognised
SCHEMA_VERSION = 1
FILE_NAME = "ledger.sqlite"

_SCHEMA = """
CREATE TABLE study (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
CREATE TABLE cells (
    position      INTEGER PRIMARY KEY,
    key           TEXT NOT NULL UNIQUE,
    configuration TEXT NOT NULL,
    state         TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'claimed', 'done')),
    claimed_at    REAL,
    recorded_at   REAL,
    versions      TEXT,
    outcome       TEXT,
    curve         TEXT,
    CHECK ((state = 'done') = (outcome IS NOT NULL))
);
CREATE INDEX cells_by_state ON cells (state, position);
"""


@dataclass(frozen=True)
class Record:
    """One finished cell as the ledger keeps it; its curve is read apart."""

    cell: Cell
    outcome: Outcome
    versions: str
    recorded_at: float


@dataclass(frozen=True)
class Count:
    """How many cells there are, and how far they have come."""

    total: int
    done: int
    diverged: int


class Ledger:
    """An open ledger. Use `Ledger.open_to_write` or `Ledger.open_to_read`, as a context."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: int | None) -> None:
        self.path = path
        self._connection = connection
        self._lock = lock

    @classmethod
    def open_to_write(cls, folder: Path, landscape: Landscape, *, extend: bool = False) -> Self:
        """The ledger of `landscape` in `folder`, made if there is none, locked for this process.

        With `extend`, a ledger whose grid is a part of the landscape's takes the new cells too.

        Raises:
            StudyError: the folder cannot be written, another process drives it, or its ledger is
                damaged or belongs to another landscape. Nothing is changed then.
        """
        lock = _lock_folder(folder)
        try:
            path = folder / FILE_NAME
            if not path.exists():
                _create(path, landscape)
            ledger = cls(path, _connect(path, read_only=False), lock)
            try:
                ledger._accept(landscape, extend=extend)
            except BaseException:
                ledger._connection.close()
                raise
        except BaseException:
            os.close(lock)
            raise
        return ledger

    @classmethod
    def open_to_read(cls, folder: Path) -> Self:
        """The ledger in `folder`, to be read only; a run may go on meanwhile.

        Raises:
            StudyError: there is none, or it is damaged.
        """
        path = folder / FILE_NAME
        if not path.exists():
            raise StudyError(f"{path} does not exist; run: unyoke map --out {folder}")
        return cls(path, _connect(path, read_only=True), None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file and of the folder's lock."""
        if self._lock is not None:
            # One file again, without companions. While a report reads, it stays as it is.
            with suppress(sqlite3.OperationalError):
                self._connection.execute("PRAGMA journal_mode = DELETE")
        self._connection.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def landscape(self) -> Landscape:
        """The configuration frozen in this ledger."""
        query = "SELECT value FROM study WHERE name = 'landscape'"
        return Landscape.from_json(self._connection.execute(query).fetchone()[0])

    def count(self) -> Count:
        """How far the landscape has come."""
        total, done, diverged = self._connection.execute(
            "SELECT count(*), coalesce(sum(state = 'done'), 0),"
            " coalesce(sum(json_extract(outcome, '$.status') = 'diverged'), 0) FROM cells"
        ).fetchone()
        return Count(total, done, diverged)

    def open_cells(self) -> list[Cell]:
        """Every open cell, in the landscape's order."""
        query = "SELECT configuration FROM cells WHERE state = 'open' ORDER BY position"
        return [Cell.from_json(row[0]) for row in self._connection.execute(query)]

    def claim_cells(self, cells: Sequence[Cell]) -> None:
        """Claim these open cells for this process, all or none."""
        with self._connection:
            claimed = self._connection.executemany(
                "UPDATE cells SET state = 'claimed', claimed_at = ?"
                " WHERE key = ? AND state = 'open'",
                [(time.time(), cell.key) for cell in cells],
            ).rowcount
            if claimed != len(cells):
                raise RuntimeError(f"of {len(cells)} cells only {claimed} were open")

    def claim(self) -> Cell | None:
        """The next open cell, now claimed by this process; None when none is open."""
        with self._connection:
            row = self._connection.execute(
                "UPDATE cells SET state = 'claimed', claimed_at = ? WHERE position ="
                " (SELECT min(position) FROM cells WHERE state = 'open') RETURNING configuration",
                (time.time(),),
            ).fetchone()
        return None if row is None else Cell.from_json(row[0])

    def record(self, cell: Cell, outcome: Outcome, versions: str) -> None:
        """Keep the outcome of a claimed cell; an error if it was not claimed or is done already."""
        figures, curve = outcome.to_json()
        with self._connection:
            changed = self._connection.execute(
                "UPDATE cells SET state = 'done', outcome = ?, curve = ?, versions = ?,"
                " recorded_at = ? WHERE key = ? AND state = 'claimed'",
                (figures, curve, versions, time.time(), cell.key),
            ).rowcount
        if changed != 1:
            raise RuntimeError(f"cell {cell.key} was not claimed, so it cannot be recorded: {cell}")

    def records(self) -> Iterator[Record]:
        """Every finished cell, in the landscape's order."""
        query = (
            "SELECT configuration, outcome, versions, recorded_at FROM cells"
            " WHERE state = 'done' ORDER BY position"
        )
        for configuration, outcome, versions, recorded_at in self._connection.execute(query):
            yield Record(
                Cell.from_json(configuration), Outcome.from_json(outcome), versions, recorded_at
            )

    def curve(self, cell: Cell) -> tuple[CurvePoint, ...]:
        """The learning curve of one finished cell."""
        query = "SELECT outcome, curve FROM cells WHERE key = ? AND state = 'done'"
        row = self._connection.execute(query, (cell.key,)).fetchone()
        if row is None:
            raise KeyError(f"the ledger has no finished cell {cell}")
        return Outcome.from_json(*row).curve

    def _accept(self, landscape: Landscape, *, extend: bool) -> None:
        frozen = self.landscape
        difference = frozen.difference(landscape)
        if difference is not None and not (extend and frozen.is_part_of(landscape)):
            hint = (
                "; --extend only adds to a grid: its command must name all that is there"
                if extend
                else ""
            )
            raise StudyError(
                f"{self.path} belongs to another landscape ({difference}){hint}; "
                "choose another folder with --out, or repeat the command that made it"
            )
        self._connection.execute("PRAGMA journal_mode = WAL")
        # A killed process loses nothing; only a power cut may take the last few records.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        with self._connection:
            self._connection.execute("UPDATE cells SET state = 'open' WHERE state = 'claimed'")
            if difference is not None:
                _insert(self._connection, landscape)


def _create(path: Path, landscape: Landscape) -> None:
    draft = path.with_name(f"{path.name}.draft")
    try:
        draft.unlink(missing_ok=True)
        with closing(sqlite3.connect(draft)) as connection:
            connection.executescript(_SCHEMA)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            with connection:
                connection.execute("INSERT INTO study VALUES ('created_at', ?)", (time.time(),))
                _insert(connection, landscape)
        draft.replace(path)
    except (OSError, sqlite3.Error) as error:
        raise StudyError(
            f"{path} cannot be created: {error}; choose another folder with --out"
        ) from error


def _insert(connection: sqlite3.Connection, landscape: Landscape) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO study VALUES ('landscape', ?)", (landscape.to_json(),)
    )
    connection.executemany(
        "INSERT OR IGNORE INTO cells (key, configuration) VALUES (?, ?)",
        ((cell.key, cell.to_json()) for cell in landscape.cells()),
    )


def _lock_folder(folder: Path) -> int:
    """A descriptor that holds the folder for this process; the system lets go when it dies."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
        lock = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise StudyError(
            f"the folder {folder} cannot be written: {error.strerror}; choose another with --out"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StudyError(
            f"another process is filling {folder}; wait for it, or choose another folder with --out"
        ) from error
    return lock


def _connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """A connection to a ledger that was checked to be one and to be whole."""
    advice = "move it away, or choose another folder with --out"
    mode = "ro" if read_only else "rw"
    connection = None
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True)
        _check(connection, path, advice)
    except (sqlite3.Error, StudyError) as error:
        if connection is not None:
            connection.close()
        if isinstance(error, StudyError):
            raise
        raise StudyError(f"{path} cannot be read as a ledger ({error}); {advice}") from error
    return connection


def _check(connection: sqlite3.Connection, path: Path, advice: str) -> None:
    pragma: Mapping[str, Any] = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("application_id", "user_version", "quick_check")
    }
    if pragma["application_id"] != APPLICATION_ID or pragma["quick_check"] != "ok":
        raise StudyError(f"{path} is damaged or is not a ledger of unyoke; {advice}")
    if pragma["user_version"] != SCHEMA_VERSION:
        raise StudyError(
            f"{path} has ledger version {pragma['user_version']}, and this unyoke reads version "
            f"{SCHEMA_VERSION}; use the unyoke that made it, or {advice}"
        )
