"""The ledger's file: its tables, how it comes to be, which files are ledgers, who may write.

Version 2 added to version 1 who holds a claim and until when. Version 3 calls the looks of a
landscape evaluations, and keeps the digest of each file of code. Version 4 keeps which test samples
were wrong, a bit for each; cells that an older version recorded have none. A ledger of an older
version is brought up to date when it is opened to be written. (Cells of version 1 had their task's
own batch size. That is still written by saying nothing, so their keys are the same.)
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from filelock import FileLock, Timeout

from unyoke.study.errors import StudyError
from unyoke.study.landscape.landscape import Landscape
from unyoke.study.ledger.decoding import ADVICE, Damage, check_tables
from unyoke.study.output_files import check_no_link

APPLICATION_ID = 0x756E796B  # "unyk", so that another program's database is recognised
SCHEMA_VERSION = 4
FILE_NAME = "ledger.sqlite"
LOCK_NAME = f".{FILE_NAME}.lock"
"""Of the file whose lock a driver holds. It stays: removing it could take another's lock away."""

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
    owner         TEXT,
    lease_until   REAL,
    mistakes      BLOB,
    CHECK ((state = 'done') = (outcome IS NOT NULL))
);
CREATE INDEX cells_by_state ON cells (state, position);
"""


def create(path: Path, landscape: Landscape) -> None:
    """Make the ledger of a landscape: beside its place first, so that one that exists is whole.

    Raises:
        StudyError: the file cannot be written.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.draft")
    try:
        with closing(sqlite3.connect(draft)) as connection:
            connection.executescript(_SCHEMA)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            with connection:
                connection.execute("INSERT INTO study VALUES ('created_at', ?)", (time.time(),))
                insert(connection, landscape)
        draft.replace(path)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise StudyError(
            f"{path} cannot be created: {error}; choose another folder with --out"
        ) from error


def insert(connection: sqlite3.Connection, landscape: Landscape) -> None:
    """Freeze a landscape, and open those of its cells that are not there yet."""
    connection.execute(
        "INSERT OR REPLACE INTO study VALUES ('landscape', ?)", (landscape.to_json(),)
    )
    connection.executemany(
        "INSERT OR IGNORE INTO cells (key, configuration) VALUES (?, ?)",
        ((cell.key, cell.to_json()) for cell in landscape.cells()),
    )


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """A connection to a ledger that was checked to be one and to be whole.

    Raises:
        StudyError: it is not, or another unyoke made it that is newer.
    """
    mode = "ro" if read_only else "rw"
    connection = None
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True)
        _check(connection, path)
        check_tables(connection)
    except (sqlite3.Error, StudyError, Damage) as error:
        if connection is not None:
            connection.close()
        if isinstance(error, StudyError):
            raise
        raise StudyError(f"{path} cannot be read as a ledger ({error}); {ADVICE}") from error
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    pragma: Mapping[str, Any] = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("application_id", "user_version", "quick_check")
    }
    if pragma["application_id"] != APPLICATION_ID or pragma["quick_check"] != "ok":
        raise StudyError(f"{path} is damaged or is not a ledger of unyoke; {ADVICE}")
    if not 1 <= pragma["user_version"] <= SCHEMA_VERSION:
        raise StudyError(
            f"{path} has ledger version {pragma['user_version']}, and this unyoke reads versions "
            f"1 to {SCHEMA_VERSION}; use the unyoke that made it, or {ADVICE}"
        )


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a ledger of an older version up to date, in one transaction."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        if version == 1:
            connection.execute("ALTER TABLE cells ADD COLUMN owner TEXT")
            connection.execute("ALTER TABLE cells ADD COLUMN lease_until REAL")
        connection.execute("ALTER TABLE cells ADD COLUMN mistakes BLOB")
        query = "SELECT value FROM study WHERE name = 'landscape'"
        landscape = Landscape.from_json(connection.execute(query).fetchone()[0])
        query = "UPDATE study SET value = ? WHERE name = 'landscape'"
        connection.execute(query, (landscape.to_json(),))
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Says in one line why the ledger could not be written.

    Raises:
        StudyError: the disk is full, or the file cannot be written any more.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StudyError(
            f"{path} cannot be written: {error}; every recorded cell is kept: make room, and run "
            "the same command again"
        ) from error


def lock_folder(folder: Path) -> FileLock:
    """The lock that holds the folder for this process; the system lets go when it dies.

    Raises:
        StudyError: the folder cannot be written, another process of this machine holds it, or its
            ledger is a link, whose target another folder may hold.
    """
    # Whichever thread closes a ledger lets go of it.
    lock = FileLock(folder / LOCK_NAME, timeout=0, thread_local=False)
    for name in (FILE_NAME, LOCK_NAME):
        check_no_link(folder / name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
        lock.acquire()
    except Timeout as error:
        raise StudyError(
            f"another process is filling {folder}; wait for it, or choose another folder with --out"
        ) from error
    except OSError as error:
        raise StudyError(
            f"the folder {folder} cannot be written: {error.strerror}; choose another with --out"
        ) from error
    return lock
