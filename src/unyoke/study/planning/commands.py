"""The command line of a landscape, and the one that extends it past an edge."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from unyoke.study.landscape import calls
from unyoke.study.landscape.axes import describe_axis, is_power_of_two
from unyoke.study.landscape.landscape import Axes, Landscape
from unyoke.study.landscape.optimizers import takes_matrices_only
from unyoke.study.planning import defaults
from unyoke.study.planning.defaults import Preset
from unyoke.study.statistics import Edge

STEPS_BEYOND = 3
"""How many values an extended axis gains at an end."""


FARTHEST = 16.0
"""How many times past its end a command that extends a map takes an axis, or one step."""


def map_command(landscape: Landscape, folder: Path) -> str:
    """The exact command that runs `landscape` into `folder`; what is default is left out."""
    words = ["unyoke", "map", "--out", str(folder)]
    if landscape.task.name != defaults.TASK:
        words += ["--task", named_task(landscape)]
    if landscape.task.data is not None:
        words += ["--data", landscape.task.data]
    preset = defaults.full(landscape.task.name)
    if tuple(landscape.axes) != defaults.OPTIMIZERS:
        words += ["--optimizers", _listed(landscape, landscape.axes)]
    if landscape.epochs:
        words += ["--epochs", ",".join(map(str, landscape.epochs))]
    elif landscape.updates != (preset.updates,):
        words += ["--updates", ",".join(map(str, landscape.updates))]
    sizes = [str(size) for size in landscape.batch_sizes if size is not None]
    if sizes:
        words += ["--batch-size", ",".join(sizes)]
    if landscape.schedules != (defaults.SCHEDULE,):
        words += ["--schedule", _listed(landscape, landscape.schedules)]
    if landscape.seeds != tuple(range(preset.seeds)):
        words += ["--seeds", _seeds(landscape.seeds)]
    if landscape.clip is not None:
        words += ["--clip", repr(landscape.clip)]
    if landscape.groups is not None:
        words += ["--groups", landscape.groups]
    if any(
        axes.matrices is None and takes_matrices_only(name, landscape.task.own)
        for name, axes in landscape.axes.items()
    ):
        words += ["--matrices", "all"]
    if landscape.task.device is not None:
        words += ["--device", landscape.task.device]
    if landscape.evaluations is not None:
        words += ["--evaluations", str(landscape.evaluations)]
    words += _axis_words("--lr", landscape, preset, lambda axes: describe_axis(axes.lr))
    words += _axis_words("--weight-decay", landscape, preset, _described_decays)
    return shlex.join(words)


def extend_command(old: Landscape, larger: Landscape, folder: Path) -> str:
    """The command that adds to the ledger in `folder` the values of axes that `larger` has more."""
    words = ["unyoke", "map", "--out", str(folder), "--extend"]
    for flag, axis in (("--lr", "lr"), ("--weight-decay", "weight_decay")):
        texts = {}
        for name, axes in larger.axes.items():
            more = sorted(set(getattr(axes, axis)) - set(getattr(old.axes[name], axis)))
            if more:
                unit = axes.decay_unit if axis == "weight_decay" else None
                texts[name] = f"{f'{unit}:' if unit else ''}{describe_axis(more)}"
        words += _flags(flag, texts, everywhere=len(texts) == len(larger.axes))
    return shlex.join(words)


def named_task(landscape: Landscape) -> str:
    """The task as a command names it: a user's own with its file's folder."""
    file = landscape.task.file
    function = landscape.task.name.rpartition(":")[2]
    return f"{file}:{function}" if file else landscape.task.name


def _described_decays(axes: Axes) -> str:
    text = describe_axis(axes.weight_decay)
    return text if axes.decay_unit is None else f"{axes.decay_unit}:{text}"


def _seeds(seeds: tuple[int, ...]) -> str:
    if seeds == tuple(range(len(seeds))):
        return str(len(seeds))
    return ",".join(map(str, seeds)) + ("," if len(seeds) == 1 else "")


def _listed(landscape: Landscape, names: Iterable[str]) -> str:
    return ",".join(with_folder(landscape, name) for name in names)


def with_folder(landscape: Landscape, name: str) -> str:
    """An optimizer or a schedule as a command names it: a user's own with its file's folder."""
    places = {own.name: f"{Path(own.file).parent}/{own.name}" for own in landscape.task.own}
    return calls.parse(name).written(places)


def _axis_words(
    flag: str, landscape: Landscape, preset: Preset, text: Callable[[Axes], str]
) -> list[str]:
    """The axis of every optimizer that has not its usual one; once, if all have the same."""
    axes = {optimizer: text(both) for optimizer, both in landscape.axes.items()}
    unusual = {
        optimizer: axis
        for optimizer, axis in axes.items()
        if (usual := preset.usual(optimizer)) is None or axis != text(usual)
    }
    return _flags(flag, unusual, everywhere=len(set(axes.values())) == 1)


def _flags(flag: str, texts: Mapping[str, str], *, everywhere: bool) -> list[str]:
    """An axis for each optimizer that has one; once, where it is the same `everywhere`."""
    if everywhere and len(texts) > 1 and len(set(texts.values())) == 1:
        return [flag, next(iter(texts.values()))]
    pairs = (f"{optimizer}={text}" for optimizer, text in texts.items())
    return [word for pair in pairs for word in (flag, pair)]


def beyond(
    landscape: Landscape, edges: Mapping[str, Sequence[Edge]], *, farthest: float = math.inf
) -> Landscape:
    """`landscape` with the axes of each optimizer extended past the edges named for it.

    Args:
        farthest: so many times past its end an axis goes at most, but always by one step.
    """

    def longer(optimizer: str, axis: str) -> tuple[float, ...]:
        ends: set[str] = {edge.end for edge in edges.get(optimizer, ()) if edge.axis == axis}
        return _longer(getattr(landscape.axes[optimizer], axis), ends, farthest)

    axes = {
        optimizer: replace(
            old, lr=longer(optimizer, "lr"), weight_decay=longer(optimizer, "weight_decay")
        )
        for optimizer, old in landscape.axes.items()
    }
    return replace(landscape, axes=axes)


def _longer(values: tuple[float, ...], ends: set[str], farthest: float) -> tuple[float, ...]:
    positive = [value for value in values if value > 0]
    if not positive or not ends:
        return values
    low_factor = positive[1] / positive[0] if len(positive) > 1 else 2.0
    high_factor = positive[-1] / positive[-2] if len(positive) > 1 else 2.0
    more: list[float] = []
    if ends & {"low", "zero"}:
        more += [_round(positive[0] / low_factor**step) for step in _steps(low_factor, farthest)]
    if "high" in ends:
        more += [_round(positive[-1] * high_factor**step) for step in _steps(high_factor, farthest)]
    return tuple(sorted({*values, *more}))


def _steps(factor: float, farthest: float) -> range:
    affordable = math.log(farthest) / math.log(factor) + 1e-9
    return range(1, 1 + max(1, math.floor(min(affordable, STEPS_BEYOND))))


def _round(value: float) -> float:
    """Three digits, but for powers of two."""
    return value if is_power_of_two(value) else float(f"{value:.3g}")
