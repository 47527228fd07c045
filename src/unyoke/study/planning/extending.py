"""A map that takes more cells: what a command gives joins what the ledger has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from unyoke.study.errors import StudyError
from unyoke.study.landscape import calls
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
    options["optimizers"] = _names(old, old.axes, given.get("optimizers", ()))
    options["schedule"] = _names(old, old.schedules, given.get("schedule", ()))
    if sizes := _joined(_sizes(old), given.get("batch_size", ())):
        options["batch_size"] = sizes
    for axis in ("lr", "weight_decay"):
        options[axis] = (*_words(old, axis), *given.get(axis, ()))
    unit, other = ("epochs", "updates") if old.epochs else ("updates", "epochs")
    is_one_size = len(options.get("batch_size", ())) < 2  # in which epochs are updates
    if other in given and not (other == "epochs" and is_one_size):
        raise StudyError(
            f"this ledger's budgets are in {unit}, and those to add in {other}; give them with "
            f"--{unit}, or choose another folder with --out"
        )
    if old.epochs or "epochs" in given:
        options["epochs"] = _joined(old.epochs, given.get("epochs", ()))
        options.pop("updates")
    more = request.landscape(preset=preset, **options)
    more = replace(more, axes=_matrices(old, more, given.get("matrices")))
    return replace(
        more,
        axes={name: _both(name, old.axes.get(name), axes) for name, axes in more.axes.items()},
        schedules=tuple(dict.fromkeys((*old.schedules, *more.schedules))),
        updates=_joined(old.updates, more.updates),
        seeds=_joined(old.seeds, more.seeds),
        batch_sizes=_joined_sizes(old.batch_sizes, more.batch_sizes),
    )


def _as_before(old: Landscape) -> dict[str, Any]:
    """The options that stand for what a ledger has."""
    options = {
        "task": named_task(old),
        "data": old.task.data,
        "updates": old.updates,
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
    return replace(
        more,
        lr=_joined(old.lr, more.lr),
        weight_decay=_joined(old.weight_decay, more.weight_decay),
    )


def _matrices(old: Landscape, more: Landscape, given: str | None) -> dict[str, Axes]:
    """The axes of the larger map, whose matrices go as those that the ledger has.

    Raises:
        StudyError: the other choice is given.
    """
    hidden = {name for name, axes in more.axes.items() if axes.matrices == "hidden"}
    there = {
        old.axes[name].matrices or "all"
        for name in old.axes
        if name in hidden or old.axes[name].matrices is not None
    }
    if given is not None and there - {given}:
        raise StudyError(
            f"this ledger has --matrices {' and '.join(there)}, and --matrices {given} would be "
            "mixed with it; leave it out, or choose another folder with --out"
        )
    if "all" not in there:
        return dict(more.axes)
    return {name: replace(axes, matrices=None) for name, axes in more.axes.items()}


def _sizes(old: Landscape) -> list[int]:
    return [size for size in old.batch_sizes if size is not None]


def _names(old: Landscape, there: Iterable[str], given: Sequence[str]) -> tuple[str, ...]:
    """A ledger's optimizers or schedules and the new ones, each once.

    One that is given again is taken as it is given: a user's own file may have moved.
    """
    again = {str(calls.parse(name)) for name in given}
    return (*(with_folder(old, name) for name in there if name not in again), *given)


def _joined_sizes(old: Sequence[int | None], more: Sequence[int | None]) -> tuple[int | None, ...]:
    """Batch sizes in order; None, which is the task's own, first."""
    return tuple(sorted({*old, *more}, key=lambda size: size or 0))


def _joined(old: Sequence[Any], more: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(sorted({*old, *more}))
