"""From the options of a command to a landscape; every mistake in it is one clear line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain

from unyoke.optimizers import Composition
from unyoke.study.errors import StudyError
from unyoke.study.landscape import calls, schedules
from unyoke.study.landscape.landscape import Axes, Landscape, TaskReference, updates_of
from unyoke.study.landscape.optimizers import (
    canonical,
    composition,
    decay,
    takes_matrices_only,
)
from unyoke.study.landscape.own_parts import described
from unyoke.study.landscape.task_reference import OwnCode
from unyoke.study.planning import defaults, words
from unyoke.study.planning.defaults import Preset
from unyoke.study.planning.words import AxisWord
from unyoke.study.tasks import registry


def landscape(
    *,
    preset: Preset | None = None,
    task: str = defaults.TASK,
    data: str | None = None,
    optimizers: str | Sequence[str] = (),
    lr: str | Sequence[AxisWord] = (),
    weight_decay: str | Sequence[AxisWord] = (),
    schedule: str | Sequence[str] = (defaults.SCHEDULE,),
    updates: int | Sequence[int] = (),
    epochs: int | Sequence[int] = (),
    batch_size: int | Sequence[int] = (),
    seeds: int | Sequence[int] | None = None,
    evaluations: int | None = None,
    clip: float | None = None,
    groups: str | None = None,
    matrices: str | None = None,
    device: str | None = None,
) -> Landscape:
    """The landscape of a command's options; what is not given is the preset's.

    One number stands for a list of one; a string is read as the command line reads it.

    Args:
        preset: the size to start from; by default the task's full one.
        task: a built-in task's name, or file.py:function.
        data: the folder with the files that the task reads.
        optimizers: as `unyoke.study.landscape.optimizers` reads them.
        lr, weight_decay: axes, for all optimizers or for one; a later one replaces an earlier one.
        schedule: as `unyoke.study.landscape.schedules` reads them.
        updates: numbers of updates per training, ascending.
        epochs: the same in passes over the training samples; builds the task to count them.
        batch_size: samples per update, ascending; by default the task's own.
        seeds: which, or how many; these are 0, 1, 2, …
        evaluations: of each model during its training, at most.
        clip: the largest norm of a gradient.
        groups: "split" where biases, norms and embeddings do not decay; "all" by default.
        matrices: what a direction for matrices alone gets: "hidden", those of hidden layers, with
            Adam for the rest, which is the default; or "all".
        device: where to train, as torch names it; None is the CPU.

    Raises:
        StudyError: any of them cannot be used.
    """
    preset = preset or defaults.full(task)
    optimizers, schedule = _texts(optimizers), _texts(schedule)
    lr, weight_decay = _axes(lr, "learning rate"), _axes(weight_decay, "weight decay")
    updates, epochs, batch_size = map(_numbers, (updates, epochs, batch_size))
    names = _optimizers(optimizers) or defaults.OPTIMIZERS
    rates = _by_optimizer(lr, names, "--lr")
    decays = _by_optimizer(weight_decay, names, "--weight-decay")
    reference = _with_own(
        replace(registry.refer(task, data), device=device), (*optimizers, *schedule)
    )
    reference, made = _known(reference, names)
    axes = {}
    for name in names:
        if name in rates and name in decays:
            axes[name] = Axes(rates[name].values, decays[name].values, decays[name].unit)
        else:
            usual = preset.axes(name, made[name])
            lrs = rates[name].values if name in rates else usual.lr
            chosen = decays.get(name, AxisWord(None, usual.weight_decay))
            axes[name] = Axes(lrs, chosen.values, chosen.unit)
        if decay(name, reference.own) == "none" and any(axes[name].weight_decay):
            raise StudyError(f"{name} has no weight decay; give it --weight-decay {name}=0")
    axes = _with_matrices(axes, reference.own, matrices)
    if updates and epochs:
        raise StudyError(
            f"--updates {_listed(updates)} and --epochs {_listed(epochs)} are both budgets; "
            "give one of the two"
        )
    planned = Landscape(
        task=reference,
        axes=axes,
        schedules=_schedules(schedule),
        updates=tuple(updates) or (preset.updates,),
        seeds=_seeds(preset.seeds if seeds is None else seeds),
        batch_sizes=tuple(batch_size) or (None,),
        epochs=tuple(epochs),
        evaluations=evaluations,
        clip=clip,
        groups=None if groups == "all" else groups,
    )
    planned = _in_updates(planned) if planned.epochs else planned
    _try_schedules(planned)
    return planned


def _texts(given: str | Sequence[str]) -> Sequence[str]:
    return calls.parts(given) if isinstance(given, str) else given


def _numbers(given: int | Sequence[int]) -> Sequence[int]:
    return (given,) if isinstance(given, int) else given


def _axes(given: str | Sequence[AxisWord], name: str) -> Sequence[AxisWord]:
    return (words.axis(given, name),) if isinstance(given, str) else given


def _in_updates(planned: Landscape) -> Landscape:
    """The landscape with its epochs counted in updates.

    One batch size needs no more than that; several make another number of updates each.
    """
    samples, own = registry.training_size(replace(planned.task, device=None))
    sizes = tuple(own if size is None else size for size in planned.batch_sizes)
    if max(sizes) > samples:
        raise StudyError(
            f"a batch of {max(sizes)} samples is more than the {samples} for training of the task "
            f"{planned.task.name}; give a smaller --batch-size"
        )
    updates = {updates_of(epochs, samples, size) for epochs in planned.epochs for size in sizes}
    if len(sizes) == 1:
        return replace(planned, updates=tuple(sorted(updates)), epochs=())
    return replace(planned, updates=tuple(sorted(updates)), samples=samples)


def _seeds(given: int | Sequence[int]) -> tuple[int, ...]:
    return tuple(range(given)) if isinstance(given, int) else tuple(given)


def _listed(values: Sequence[int]) -> str:
    return ",".join(map(str, values))


def _optimizers(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(canonical, names)))


def _schedules(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(schedules.canonical, texts)))


def _with_own(task: TaskReference, texts: Sequence[str]) -> TaskReference:
    """The task with the files of those optimizers, rules and schedules that are the user's own."""
    own: dict[str, OwnCode] = {}
    for found in chain.from_iterable(map(registry.refer_own, map(calls.parse, texts))):
        known = own.setdefault(found.name, found)
        if known.file != found.file:
            raise StudyError(f"{known.file} and {found.file} have one name; rename one of them")
    return replace(task, own=tuple(own.values()))


def _with_matrices(
    axes: Mapping[str, Axes], own: tuple[OwnCode, ...], matrices: str | None
) -> dict[str, Axes]:
    """The axes with what directions for matrices alone are to get."""
    theirs = {name for name in axes if takes_matrices_only(name, own)}
    if matrices is not None and not theirs:
        raise StudyError(
            f"--matrices {matrices} is for optimizers of matrices alone, such as MuonW, and this "
            f"map has {', '.join(axes)}; leave it out"
        )
    hidden = theirs if matrices != "all" else set()
    return {
        name: replace(each, matrices="hidden") if name in hidden else each
        for name, each in axes.items()
    }


def _known(
    task: TaskReference, names: Sequence[str]
) -> tuple[TaskReference, dict[str, Composition | None]]:
    """The task with what its user's files say of their optimizers; of each what it is made of.

    Runs these files.
    """
    asked = [calls.parse(name) for name in names]
    parts = {part for call in asked for part in call.own_parts}
    found = registry.load_own(code for code in task.own if code.name in parts)
    made = {name: composition(name, found) for name in names}
    own = (
        described(code, found[code.name], [call for call in asked if call.own == code.name])
        if code.name in found
        else code
        for code in task.own
    )
    return replace(task, own=tuple(own)), made


def _try_schedules(planned: Landscape) -> None:
    for text in planned.schedules:
        if calls.parse(text).own is None:
            for budget in planned.budgets():
                schedules.make(text, budget.updates, {})


def _by_optimizer(
    given: Sequence[AxisWord], optimizers: Sequence[str], flag: str
) -> dict[str, AxisWord]:
    axes: dict[str, AxisWord] = {}
    for word in given:
        if word.optimizer is None:
            axes |= dict.fromkeys(optimizers, word)
            continue
        name = canonical(word.optimizer)
        if name not in optimizers:
            raise StudyError(
                f"{flag} {word.optimizer}=… is for the optimizer {name!r}, which this map does not "
                f"have; it has {', '.join(optimizers)}"
            )
        axes[name] = word
    return axes
