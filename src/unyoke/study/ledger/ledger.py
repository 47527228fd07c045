"""The ledger: one SQLite file in which every cell is claimed, run and recorded exactly once.

The process that drives a landscape is the only writer; workers hand their outcomes to it. A cell
is `open`, then `claimed`, then `done`. Nothing that is done is ever run or written again.

A claim names its driver and has a lease, which the driver renews while it lives. When a driver
opens the ledger it holds a lock on the folder, which the system takes from a process that dies: so
every claim of this machine that it finds was left by one that died, and those cells are open again,
whatever the clock says. A claim of another machine, where locks may not reach (a network drive),
stands until its lease ends. Clocks that are wrong can so make a driver wait or a cell be trained
twice; it is recorded once all the same.

The landscape's configuration is frozen inside. The file is written beside its place first and
moved there, so a ledger that exists is whole.
"""

from __future__ import annotations

import os
import platform
import secrets
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock

from unyoke.study.errors import StudyError
from unyoke.study.landscape.landscape import Cell, Landscape
from unyoke.study.landscape.outcome import Outcome
from unyoke.study.ledger.accepted import Accepted, refusal
from unyoke.study.ledger.contents import Contents
from unyoke.study.ledger.file import (
    FILE_NAME,
    connect,
    create,
    insert,
    lock_folder,
    migrate,
    writing,
)
from unyoke.study.ledger.records import Claims, Count, Finished, Record

__all__ = ["FILE_NAME", "LEASE", "Claims", "Count", "Finished", "Ledger", "NotClaimed", "Record"]

LEASE = 600.0
"""Seconds for which a claim stands; its driver renews it long before."""


class NotClaimed(StudyError):
    """A cell that is to be recorded is not this driver's."""


class Ledger(Contents):
    """An open ledger. Use `Ledger.open_to_write` or `Ledger.open_to_read`, as a context."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: FileLock | None) -> None:
        super().__init__(path, connection)
        self._lock = lock
        self._owner = f"{platform.node()}:{os.getpid()}:{secrets.token_hex(4)}"

    @classmethod
    def open_to_write(
        cls,
        folder: Path,
        landscape: Landscape,
        *,
        extend: bool = False,
        accept_code: bool = False,
    ) -> Self:
        """The ledger of `landscape` in `folder`, made if there is none, locked for this process.

        Args:
            extend: a ledger whose grid is a part of the landscape's takes the new cells too.
            accept_code: one that was filled by other code goes on with this code, which it keeps,
                and so do all cells that are recorded from now on.

        Raises:
            StudyError: the folder cannot be written, another driver holds it, or its ledger is
                damaged or belongs to another landscape. Nothing is changed then.
        """
        lock = lock_folder(folder)
        try:
            path = folder / FILE_NAME
            if not path.exists():
                create(path, landscape)
            ledger = cls(path, connect(path, read_only=False), lock)
            ledger._begin(landscape, extend=extend, accept_code=accept_code)
        except BaseException:
            lock.release()
            raise
        return ledger

    @classmethod
    def open_to_release(cls, folder: Path) -> Self:
        """The ledger in `folder`, whatever it is of, locked for this process, for `release`.

        Raises:
            StudyError: there is none, it is damaged, or a driver on this machine is filling it.
        """
        path = folder / FILE_NAME
        if not path.exists():
            raise StudyError(f"{path} does not exist; run: unyoke map --out {folder}")
        lock = lock_folder(folder)
        try:
            return cls(path, connect(path, read_only=False), lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open_to_read(cls, folder: Path) -> Self:
        """The ledger in `folder`, to be read only; a run may go on meanwhile.

        Raises:
            StudyError: there is none, or it is damaged.
        """
        path = folder / FILE_NAME
        if not path.exists():
            raise StudyError(f"{path} does not exist; run: unyoke map --out {folder}")
        return cls(path, connect(path, read_only=True), None)

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
        """Let go of this driver's claims, of the file, and of the folder's lock."""
        if self._lock is not None:
            query = "UPDATE cells SET state = 'open' WHERE state = 'claimed' AND owner = ?"
            with suppress(sqlite3.OperationalError), self._connection:  # a full disk: leases end
                self._connection.execute(query, (self._owner,))
            # One file again, without companions. While a report reads, it stays as it is.
            with suppress(sqlite3.OperationalError):
                self._connection.execute("PRAGMA journal_mode = DELETE")
        self._connection.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def claim(self) -> Cell | None:
        """The next open cell, now claimed by this driver; None when none is open."""
        cell = next(self._open(most=1), None)
        if cell is None:
            return None
        self.claim_cells([cell])
        return cell

    def claim_cells(self, cells: Sequence[Cell]) -> None:
        """Claim these open cells for this driver, all of them or none.

        Raises:
            RuntimeError: some of them are not open.
            StudyError: the disk is full.
        """
        now = time.time()
        query = (
            "UPDATE cells SET state = 'claimed', claimed_at = ?, owner = ?, lease_until = ?"
            " WHERE key = ? AND state = 'open'"
        )
        rows = [(now, self._owner, now + LEASE, cell.key) for cell in cells]
        with writing(self.path), self._connection:
            claimed = self._connection.executemany(query, rows).rowcount
            if claimed != len(cells):
                raise RuntimeError(f"of {len(cells)} cells only {claimed} were open")

    def renew(self) -> None:
        """Prolong the leases of this driver's claims."""
        query = "UPDATE cells SET lease_until = ? WHERE state = 'claimed' AND owner = ?"
        with writing(self.path), self._connection:
            self._connection.execute(query, (time.time() + LEASE, self._owner))

    def record(self, cell: Cell, outcome: Outcome, versions: str) -> None:
        """Keep the outcome of a claimed cell; an error if it was not claimed or is done already."""
        self.record_all([(cell, outcome, versions)])

    def record_all(self, results: Iterable[tuple[Cell, Outcome, str]]) -> None:
        """Keep the outcomes of claimed cells, all of them or none.

        Raises:
            NotClaimed: a cell is not claimed by this driver, or is done.
            StudyError: the disk is full.
        """
        now = time.time()
        query = (
            "UPDATE cells SET state = 'done', outcome = ?, curve = ?, mistakes = ?, versions = ?,"
            " recorded_at = ?, lease_until = NULL WHERE key = ? AND state = 'claimed' AND owner = ?"
        )
        with writing(self.path), self._connection:
            for cell, outcome, versions in results:
                named = versions if self._accepted is None else self._accepted.named(versions)
                texts = outcome.to_json()
                row = (*texts, outcome.mistakes, named, now, cell.key, self._owner)
                if self._connection.execute(query, row).rowcount != 1:
                    raise NotClaimed(
                        f"{self.path}: {cell} is not claimed by this driver any more: it was "
                        "released, or another driver has taken it; every recorded cell is kept; "
                        "see who fills it with: unyoke ledger show, and run the same command again"
                    )

    def adopt(self, finished: Iterable[Finished]) -> None:
        """Take over cells that another ledger has finished; they must be open here.

        Raises:
            RuntimeError: one is not open, or is not this landscape's.
            StudyError: the disk is full.
        """
        query = (
            "UPDATE cells SET state = 'done', outcome = ?, curve = ?, mistakes = ?, versions = ?,"
            " recorded_at = ? WHERE key = ? AND state = 'open'"
        )
        with writing(self.path), self._connection:
            for one in finished:
                texts = (one.outcome, one.curve)
                row = (*texts, one.mistakes, one.versions, one.recorded_at, one.key)
                if self._connection.execute(query, row).rowcount != 1:
                    raise RuntimeError(f"cell {one.key} is not open in {self.path}")

    def release(self) -> list[Claims]:
        """Open all claimed cells again, whoever holds them; whose they were.

        A driver that still lives loses what it has not recorded, and is told when it records.
        """
        claims = self.claimed()
        with writing(self.path), self._connection:
            self._connection.execute("UPDATE cells SET state = 'open' WHERE state = 'claimed'")
        return claims

    def _begin(self, landscape: Landscape, *, extend: bool, accept_code: bool) -> None:
        """Go on with this ledger, or close it as it is if it is not to be filled so."""
        try:
            self._accept(landscape, extend=extend, accept_code=accept_code)
        except BaseException:
            self._connection.close()
            raise

    def _accept(self, landscape: Landscape, *, extend: bool, accept_code: bool) -> None:
        frozen = self.landscape
        change = self.other_code(landscape.task)
        if change is not None:
            if not accept_code:
                raise refusal(self.path, change)
            before = () if self._accepted is None else self._accepted.changes
            self._accepted = Accepted(landscape.task, (*before, change))
        landscape = self.own(landscape)
        difference = frozen.difference(landscape)
        if difference is not None and not (extend and frozen.is_part_of(landscape)):
            hint = (
                "; --extend adds values to the axes, optimizers, schedules, budgets and seeds that "
                "are there, and changes nothing else"
                if extend
                else _hint(frozen, landscape)
            )
            raise StudyError(
                f"{self.path} belongs to another landscape ({difference}){hint}; "
                "choose another folder with --out, or go on with the command and the code "
                "that made it"
            )
        self._check_leases()
        self._connection.execute("PRAGMA busy_timeout = 10000")
        self._connection.execute("PRAGMA journal_mode = WAL")
        # A killed process loses nothing; only a power cut may take the last few records.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        with writing(self.path):
            migrate(self._connection)
            with self._connection:
                self._connection.execute("UPDATE cells SET state = 'open' WHERE state = 'claimed'")
                if difference is not None:
                    insert(self._connection, landscape)
                if change is not None and self._accepted is not None:
                    self._accepted.write(self._connection)

    def _check_leases(self) -> None:
        """Raise StudyError if a driver on another machine may be alive."""
        for claims in self.claimed():
            machine, left = claims.machine, claims.lease_until - time.time()
            if machine != platform.node() and left > 0:
                raise StudyError(
                    f"{self.path} is being filled by another machine, {machine}, whose lease ends "
                    f"in {min(left, LEASE):.0f} s; a ledger has one driver: give each machine its "
                    "own folder with --shard, and put them together with unyoke ledger merge; if "
                    f"that machine is dead, run: unyoke ledger release {self.path.parent}"
                )


def _hint(frozen: Landscape, landscape: Landscape) -> str:
    """How both landscapes come into one map, where `--extend` can do that."""
    shared = frozen.axes.keys() & landscape.axes.keys()
    ways = [
        (each.evaluations, each.clip, each.groups, {n: each.axes[n].matrices for n in shared})
        for each in (frozen, landscape)
    ]
    if frozen.task.name != landscape.task.name or ways[0] != ways[1]:
        return ""
    hint = "; to keep both in one map add --extend"
    if frozen.epochs or landscape.epochs or set(frozen.updates) == set(landscape.updates):
        return hint
    budgets = ",".join(map(str, sorted({*frozen.updates, *landscape.updates})))
    return f"{hint}; a new map takes several budgets at once, as --updates {budgets}"
