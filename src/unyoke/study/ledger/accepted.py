"""Code that a ledger goes on with although other code began it, because its user says so.

The ledger keeps it, so that it is accepted once; every cell that it trains names the change among
its versions, where reports, merged ledgers and exports find it.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from unyoke.study.errors import StudyError
from unyoke.study.landscape.landscape import TaskReference
from unyoke.study.ledger.decoding import reading

OTHER_CODE = "accepted change:"
"""What names, among the versions of a cell, the changes of code since the ledger was begun."""


@dataclass(frozen=True)
class Accepted:
    """Code that was accepted.

    Attributes:
        task: a reference of that code.
        changes: what was accepted, one time after another.
    """

    task: TaskReference
    changes: tuple[str, ...]

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `write` wrote."""
        plain = json.loads(text)
        return cls(TaskReference.of(plain["task"]), tuple(plain["changes"]))

    def write(self, connection: sqlite3.Connection) -> None:
        """Keep it in the ledger, in place of what was accepted before."""
        text = json.dumps(asdict(self))
        connection.execute("INSERT OR REPLACE INTO study VALUES ('accepted_code', ?)", (text,))

    def named(self, versions: str) -> str:
        """The versions of a cell with the changes of code."""
        return json.dumps({**json.loads(versions), OTHER_CODE: "; then ".join(self.changes)})


def read_accepted(connection: sqlite3.Connection, path: Path) -> Accepted | None:
    """The code that was accepted last; None where the ledger is filled by that which began it."""
    query = "SELECT value FROM study WHERE name = 'accepted_code'"
    row = connection.execute(query).fetchone()
    with reading(path, "study", "accepted_code"):
        return None if row is None else Accepted.from_json(row[0])


def other_code(frozen: TaskReference, accepted: Accepted | None, task: TaskReference) -> str | None:
    """Which code of `task` is not what fills a ledger now, in words, or None.

    Args:
        frozen: the task that the ledger was begun with.
    """
    if task.name != frozen.name:  # which is another landscape, whatever its code
        return None
    known = frozen if accepted is None else frozen.with_code_of(accepted.task)
    return known.other_code(task)


def refusal(path: Path, change: str) -> StudyError:
    """Why a ledger does not go on with other code, and what to do."""
    return StudyError(
        f"{path} belongs to another landscape ({change}); go on with the code that made it, or "
        "choose another folder with --out, or add --accept-code if the change makes no difference "
        "to the numbers: the ledger and its report will name it"
    )
