"""A map that takes more cells: what a command gives joins what the ledger has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from unyoke.study.errors import StudyError
from unyoke.study.landscape.landscape import Axes, Landscape
from unyoke.study.landscape.optimizers import canonical
from unyoke.study.planning import request
from unyoke.study.planning.commands import named_task, with_folder
from unyoke.study.planning.defaults import Preset
from unyoke.study.planning.words import AxisWord


def extended(old: Landscape, preset: Preset, given: Mapping[str, Any]) -> Landscape:
    """The landscape of a ledger with the values that a command adds.

    Args:
        old: the ledger's.
        preset: has the axes of optimizers that are new and are given none.
        given: options of the command as `request.landscape` takes them; what is not given stays
            as it is.

    Raises:
        StudyError: an option cannot be used, or is in another unit than the ledger's.
    """
    options = {**_as_before(old), **given}
    there = [with_folder(old, name) for name in old.axes]
    options["optimizers"] = (*there, *given.get("optimizers", ()))
    for axis in ("lr", "weight_decay"):
        options[axis] = (*_words(old, axis), *given.get(axis, ()))
    if old.epochs or "epochs" in given:
        options["epochs"] = _joined(old.epochs, given.get("epochs", ()))
        options.pop("updates", None)
        if "updates" in given:
            options["updates"] = given["updates"]  # refused: both are budgets
    more = request.landscape(preset=preset, **options)
    return replace(
        more,
        axes={name: _both(name, old.axes.get(name), axes) for name, axes in more.axes.items()},
        schedules=tuple(dict.fromkeys((*old.schedules, *more.schedules))),
        updates=_joined(old.updates, more.updates),
        seeds=_joined(old.seeds, more.seeds),
        batch_sizes=tuple(
            sorted({*old.batch_sizes, *more.batch_sizes}, key=lambda size: size or 0)
        ),
    )


def _as_before(old: Landscape) -> dict[str, Any]:
    """The options that stand for what a ledger has."""
    sizes = [size for size in old.batch_sizes if size is not None]
    options = {
        "task": named_task(old),
        "data": old.task.data,
        "schedule": [with_folder(old, text) for text in old.schedules],
        "updates": old.updates,
        "batch_size": sizes or None,
        "seeds": old.seeds,
        "evaluations": old.evaluations,
        "clip": old.clip,
        "groups": old.groups,
        "device": old.task.device,
    }
    return {name: value for name, value in options.items() if value is not None}


def _words(old: Landscape, axis: str) -> Iterable[AxisWord]:
    for name, axes in old.axes.items():
        unit = axes.decay_unit if axis == "weight_decay" else None
        yield AxisWord(name, getattr(axes, axis), unit)


def _both(name: str, old: Axes | None, more: Axes) -> Axes:
    if old is None:
        return more
    if old.decay_unit != more.decay_unit:
        units = [unit or "λ" for unit in (old.decay_unit, more.decay_unit)]
        raise StudyError(
            f"the weight decays of {canonical(name)} are {units[0]} in this ledger, and those to "
            f"add are {units[1]}; give them in the same unit, or choose another folder with --out"
        )
    return Axes(
        _joined(old.lr, more.lr), _joined(old.weight_decay, more.weight_decay), old.decay_unit
    )


def _own_first(batch_size: int | None) -> int:
    return batch_size or 0


def _joined(old: Sequence[Any], more: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(sorted({*old, *more}))
