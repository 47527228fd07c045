"""From the words of a command line to a landscape; every mistake in them is one clear line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from unyoke.study.errors import StudyError
from unyoke.study.landscape.axes import parse_axis
from unyoke.study.landscape.landscape import Axes, Landscape, updates_of
from unyoke.study.landscape.optimizers import canonical, decay
from unyoke.study.planning import defaults
from unyoke.study.planning.defaults import Preset
from unyoke.study.tasks import registry
from unyoke.study.training.training import SCHEDULES


def landscape(
    *,
    preset: Preset | None = None,
    task: str = defaults.TASK,
    data: str | None = None,
    optimizers: str | None = None,
    lr: Sequence[str] = (),
    weight_decay: Sequence[str] = (),
    schedule: str = defaults.SCHEDULE,
    updates: str | None = None,
    epochs: str | None = None,
    batch_size: str | None = None,
    seeds: str | None = None,
    looks: str | None = None,
) -> Landscape:
    """The landscape that these words ask for; what is not given is the preset's.

    Args:
        preset: the size to start from; by default the task's full one.
        task: a built-in task's name, or file.py:function.
        data: the folder with the files that the task reads.
        optimizers: names that `unyoke.study.landscape.optimizers` knows, separated by commas.
        schedule: names, separated by commas.
        lr, weight_decay: axes as `parse_axis` reads them, for all optimizers, or for one as
            OPTIMIZER=AXIS; a later one replaces an earlier one.
        updates: numbers of updates per training, separated by commas.
        epochs: the same in passes over the training samples; builds the task to count them.
        batch_size: samples per update, separated by commas; by default the task's own.
        seeds: how many seeds; they are 0, 1, 2, …
        looks: points of each learning curve, at most.

    Raises:
        StudyError: any of the words cannot be used.
    """
    preset = preset or defaults.full(task)
    names = _optimizers(optimizers) if optimizers is not None else defaults.OPTIMIZERS
    rates = _by_optimizer(lr, names, "learning rate", "--lr")
    decays = _by_optimizer(weight_decay, names, "weight decay", "--weight-decay")
    axes = {}
    for name in names:
        if name in rates and name in decays:
            axes[name] = Axes(rates[name], decays[name])
        else:
            usual = preset.axes(name)
            axes[name] = Axes(rates.get(name, usual.lr), decays.get(name, usual.weight_decay))
        if decay(name) == "none" and any(axes[name].weight_decay):
            raise StudyError(f"{name} has no weight decay; give it --weight-decay {name}=0")
    if updates is not None and epochs is not None:
        raise StudyError(
            f"--updates {updates} and --epochs {epochs} are both budgets; give one of the two"
        )
    asked = Landscape(
        task=registry.refer(task, data),
        axes=axes,
        schedules=_schedules(schedule),
        updates=_counts(updates, "updates") or (preset.updates,),
        seeds=tuple(range(_count(seeds, "seeds") if seeds is not None else preset.seeds)),
        batch_sizes=_counts(batch_size, "batch size") or (None,),
        epochs=_counts(epochs, "epochs"),
        looks=None if looks is None else _count(looks, "looks"),
    )
    return _in_updates(asked) if asked.epochs else asked


def _in_updates(asked: Landscape) -> Landscape:
    """The landscape with its epochs counted in updates.

    One batch size needs no more than that; several make another number of updates each.
    """
    samples, own = registry.training_size(asked.task)
    sizes = tuple(own if size is None else size for size in asked.batch_sizes)
    if max(sizes) > samples:
        raise StudyError(
            f"a batch of {max(sizes)} samples is more than the {samples} for training of the task "
            f"{asked.task.name}; give a smaller --batch-size"
        )
    updates = {updates_of(epochs, samples, size) for epochs in asked.epochs for size in sizes}
    if len(sizes) == 1:
        return replace(asked, updates=tuple(sorted(updates)), epochs=())
    return replace(asked, updates=tuple(sorted(updates)), samples=samples)


def shard(text: str) -> tuple[int, int]:
    """Which part of how many: "2/3" is the second of three.

    Raises:
        StudyError: it is not I/N with 1 ≤ I ≤ N.
    """
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise StudyError(f"--shard {text!r}: give I/N, such as 1/4 for the first of four parts")
    return int(index), int(count)


def budget_of_refining(text: str) -> int | None:
    """The most trainings of a refined map: a number, or "whole" for as many as it asks for.

    Raises:
        StudyError: it is neither.
    """
    return None if text == "whole" else _count(text, "the budget of --refine")


def _optimizers(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(canonical, _names(text, "optimizer"))))


def _schedules(text: str) -> tuple[str, ...]:
    names = _names(text, "schedule")
    for name in names:
        if name not in SCHEDULES:
            raise StudyError(f"unknown schedule {name!r}; known: {', '.join(SCHEDULES)}")
    return names


def _names(text: str, kind: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not names:
        raise StudyError(f"the list of {kind}s {text!r} is empty")
    return names


def _by_optimizer(
    texts: Sequence[str], optimizers: Sequence[str], name: str, flag: str
) -> dict[str, tuple[float, ...]]:
    axes: dict[str, tuple[float, ...]] = {}
    for text in texts:
        optimizer, separator, axis = text.rpartition("=")
        values = parse_axis(axis, name)
        optimizer = canonical(optimizer) if separator else ""
        if separator and optimizer not in optimizers:
            raise StudyError(
                f"{flag} {text!r} is for the optimizer {optimizer!r}, which this map does not "
                f"have; it has {', '.join(optimizers)}"
            )
        for each in [optimizer] if separator else optimizers:
            axes[each] = values
    return axes


def _counts(text: str | None, name: str) -> tuple[int, ...]:
    if text is None:
        return ()
    return tuple(sorted({_count(part, name) for part in text.split(",")}))


def _count(text: str, name: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise StudyError(f"{name} {text.strip()!r} is not a whole number above 0")
    return value
