"""Ledgers put together: shards of one landscape, or landscapes whose grids are to be one."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unyoke.study.errors import StudyError
from unyoke.study.landscape import calls
from unyoke.study.landscape.landscape import Axes, Landscape
from unyoke.study.landscape.task_reference import OwnCode
from unyoke.study.ledger.ledger import Finished, Ledger


@dataclass(frozen=True)
class Merged:
    """What came of a merge.

    Attributes:
        total, done: cells of the new ledger.
        repeated: cells that were done in more than one.
        different: of these, those whose figures were not the same.
    """

    total: int
    done: int
    repeated: int
    different: int


def merge(folders: Sequence[Path], out: Path) -> Merged:
    """Make a ledger in `out` with all that is done in the ledgers of `folders`, which stay.

    Its grid is the smallest that holds all of theirs; what nobody has trained is open. Of a
    cell that several have done, the outcome recorded first is kept: figures of another engine,
    version or machine may differ by rounding.

    Raises:
        StudyError: a ledger is missing or damaged, they are of different tasks, or `out` exists.
    """
    if out.exists():
        raise StudyError(f"{out} exists already; choose another folder with --out")
    landscapes, finished = [], []
    for folder in folders:
        with Ledger.open_to_read(folder) as ledger:
            landscapes.append(ledger.landscape)
            finished += ledger.finished()
    _check_same_landscape(landscapes, folders)
    landscape = covering(landscapes)
    kept, repeated, different = _first_of_each(finished)
    draft = out.with_name(f".{out.name}.{secrets.token_hex(4)}.draft")
    try:
        with Ledger.open_to_write(draft, landscape) as ledger:
            ledger.adopt(kept)
            count = ledger.count()
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Merged(count.total, count.done, repeated, different)


def _check_same_landscape(landscapes: Sequence[Landscape], folders: Sequence[Path]) -> None:
    first = landscapes[0]
    seen: dict[str, tuple[Path, Axes]] = {}  # of each optimizer, the first ledger that has it
    codes: dict[str, tuple[Path, str]] = {}  # the same of what is a user's own
    for other, folder in zip(landscapes, folders, strict=True):
        difference = first.task.difference(other.task)
        for name in ("epochs", "samples", "evaluations", "clip", "groups"):
            mine, theirs = getattr(first, name), getattr(other, name)
            if difference is None and mine != theirs:
                difference = f"other {name}: {mine}, {theirs}"
        if difference is not None:
            raise StudyError(f"{folders[0]} and {folder} cannot be one map ({difference})")
        for code in other.task.own:
            before, digest = codes.setdefault(code.name, (folder, code.digest))
            if code.digest != digest:
                raise StudyError(
                    f"{before} and {folder} cannot be one map (other code of {code.name})"
                )
        for name, axes in other.axes.items():
            before, theirs = seen.setdefault(name, (folder, axes))
            if axes.decay_unit != theirs.decay_unit:
                difference = f"{name}'s weight decay is in other units"
            elif axes.matrices != theirs.matrices:
                difference = f"{name} gets other matrices"
            if difference is not None:
                raise StudyError(f"{before} and {folder} cannot be one map ({difference})")


def covering(landscapes: Sequence[Landscape]) -> Landscape:
    """The smallest landscape that covers all of them; what it is besides its grid, the first is."""
    return replace(
        landscapes[0],
        task=replace(landscapes[0].task, own=_own(landscapes)),
        axes={
            name: _axes([each.axes[name] for each in landscapes if name in each.axes])
            for name in _union([tuple(each.axes) for each in landscapes])
        },
        schedules=_union([each.schedules for each in landscapes]),
        updates=_union([each.updates for each in landscapes]),
        batch_sizes=_union([each.batch_sizes for each in landscapes]),
        seeds=_union([each.seeds for each in landscapes]),
    )


def _own(landscapes: Sequence[Landscape]) -> tuple[OwnCode, ...]:
    """What is a user's own of any of them, schedules last: a cell's digest has them in order."""
    codes: dict[str, OwnCode] = {}
    for code in (code for each in landscapes for code in each.task.own):
        codes.setdefault(code.name, code)
    texts = {text for each in landscapes for text in each.schedules}
    last = {part for text in texts for part in calls.parse(text).own_parts}
    return tuple(sorted(codes.values(), key=lambda code: code.name in last))


def _union(parts: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Every value once, in the order in which they come."""
    return tuple(dict.fromkeys(value for part in parts for value in part))


def _axes(parts: Sequence[Axes]) -> Axes:
    def joined(name: str) -> tuple[float, ...]:
        return tuple(sorted({value for part in parts for value in getattr(part, name)}))

    return Axes(joined("lr"), joined("weight_decay"), parts[0].decay_unit, parts[0].matrices)


def _first_of_each(finished: Sequence[Finished]) -> tuple[list[Finished], int, int]:
    """Each cell's outcome that was recorded first, how many others there are, how many differ."""
    kept: dict[str, Finished] = {}
    repeated, different = 0, 0
    for one in sorted(finished, key=lambda one: one.recorded_at):
        other = kept.setdefault(one.key, one)
        if other is not one:
            repeated += 1
            different += _figures(other) != _figures(one)
    return list(kept.values()), repeated, different


def _figures(one: Finished) -> dict[str, Any]:
    """What must be the same if a cell is trained again."""
    figures = json.loads(one.outcome)
    return {k: v for k, v in figures.items() if k not in ("seconds", "engine", "reason")}
