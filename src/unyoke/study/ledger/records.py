"""What a ledger gives: finished cells, claims and counts."""

from __future__ import annotations

from dataclasses import dataclass

from unyoke.study.landscape.landscape import Cell
from unyoke.study.landscape.outcome import Outcome


@dataclass(frozen=True)
class Record:
    """One finished cell as the ledger keeps it; its curve is read apart."""

    cell: Cell
    outcome: Outcome
    versions: str
    recorded_at: float


@dataclass(frozen=True)
class Finished:
    """One finished cell as it stands in the file."""

    key: str
    outcome: str
    curve: str
    versions: str
    recorded_at: float
    mistakes: bytes | None = None


@dataclass(frozen=True)
class Claims:
    """What one driver has claimed and not recorded yet."""

    machine: str
    process: str
    cells: int
    lease_until: float


@dataclass(frozen=True)
class Count:
    """How many cells there are, and how far they have come.

    Attributes:
        done: with an outcome, whatever it is.
        diverged, failed: of these, those that have no errors.
    """

    total: int
    done: int
    diverged: int
    failed: int = 0
