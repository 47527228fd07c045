"""The words of a command line as values; each function refuses in one line what it cannot read.

Imports neither torch nor the tasks, so that the command line is read before its workers start.
"""

from __future__ import annotations

from dataclasses import dataclass

from unyoke.study.errors import StudyError
from unyoke.study.landscape.axes import parse_axis
from unyoke.study.landscape.calls import parts

UNITS = ("norm", "total")
"""Of weight decays, beside λ."""


@dataclass(frozen=True)
class AxisWord:
    """Values of an axis, for one optimizer or, where none is named, for all of them.

    `unit` is what they are: λ (None), or a unit of `unyoke.study.landscape.decay_units`.
    """

    optimizer: str | None
    values: tuple[float, ...]
    unit: str | None = None


@dataclass(frozen=True)
class ShardWord:
    """Part `index` of `count`, counted from 1."""

    index: int
    count: int


@dataclass(frozen=True)
class RefineWord:
    """The most trainings of a refined map; None is as many as it needs."""

    most: int | None


def axis(text: str, name: str) -> AxisWord:
    """An axis as `parse_axis` reads it, or OPTIMIZER=AXIS; of weight decays, or UNIT:AXIS.

    Args:
        name: the axis' name in errors.

    Raises:
        StudyError: the axis cannot be read.

    >>> axis("AdamW=2^-2:2^0", "learning rate")
    AxisWord(optimizer='AdamW', values=(0.25, 0.5, 1.0), unit=None)
    >>> axis("norm:0.5,1", "weight decay")
    AxisWord(optimizer=None, values=(0.5, 1.0), unit='norm')
    """
    optimizer, separator, values = text.rpartition("=")
    unit, colon, rest = values.partition(":")
    unit = unit.strip()
    named = colon and unit.isalpha()
    if named and (name != "weight decay" or unit not in UNITS):
        raise StudyError(
            f"{name} {text.strip()!r}: {unit!r} is no unit; a weight decay may have norm: (λ_norm) "
            "or total: (the decay of the whole run) in front of its axis"
        )
    found = parse_axis(rest if named else values, name)
    return AxisWord(optimizer.strip() if separator else None, found, unit if named else None)


def names(text: str, kind: str) -> tuple[str, ...]:
    """Names separated by commas outside of brackets, each once.

    Args:
        kind: what they name, in errors.

    Raises:
        StudyError: there is none.
    """
    found = tuple(dict.fromkeys(parts(text)))
    if not found:
        raise StudyError(f"the list of {kind}s {text!r} is empty")
    return found


def count(text: str, name: str) -> int:
    """A whole number above 0.

    Args:
        name: what is counted, in errors.

    Raises:
        StudyError: it is none.
    """
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise StudyError(f"{name} {text.strip()!r} is not a whole number above 0")
    return value


def counts(text: str, name: str) -> tuple[int, ...]:
    """Whole numbers above 0 separated by commas, ascending, each once.

    Raises:
        StudyError: one of them is none.
    """
    return tuple(sorted({count(part, name) for part in text.split(",")}))


def seeds(text: str) -> tuple[int, ...]:
    """Seeds: `10` is 0 to 9; `3,7,11` are these three, and `7,` is seed 7 alone.

    Raises:
        StudyError: a seed is no whole number, or negative.
    """
    if "," not in text:
        return tuple(range(count(text, "number of seeds")))
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(word.isdecimal() for word in words):
        raise StudyError(f"--seeds {text!r}: give how many, such as 10, or a list such as 3,7,11")
    return tuple(sorted({int(word) for word in words}))


def shard(text: str) -> ShardWord:
    """Which part of how many: "2/3" is the second of three.

    Raises:
        StudyError: it is not I/N with 1 ≤ I ≤ N.
    """
    index, _, parts = text.partition("/")
    if not (index.isdecimal() and parts.isdecimal() and 1 <= int(index) <= int(parts)):
        raise StudyError(f"--shard {text!r}: give I/N, such as 1/4 for the first of four parts")
    return ShardWord(int(index), int(parts))


def refine(text: str) -> RefineWord:
    """The budget of a refined map: a number of trainings, or "whole" for as many as it needs.

    Raises:
        StudyError: it is neither.
    """
    return RefineWord(None if text == "whole" else count(text, "the budget of --refine"))
