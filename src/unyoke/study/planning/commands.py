"""The command line of a landscape, and the one that extends it past an edge."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from unyoke.study.landscape import calls
from unyoke.study.landscape.axes import describe_axis, is_power_of_two
from unyoke.study.landscape.landscape import Axes, Landscape
from unyoke.study.planning import defaults
from unyoke.study.planning.defaults import Preset
from unyoke.study.statistics import Edge

STEPS_BEYOND = 3
"""How many values an extended axis gains at an end."""


def map_command(landscape: Landscape, folder: Path, *, extend: bool = False) -> str:
    """The exact command that runs `landscape` into `folder`; what is default is left out."""
    words = ["unyoke", "map", "--out", str(folder)]
    if extend:
        words.append("--extend")
    if landscape.task.name != defaults.TASK:
        file = landscape.task.file
        function = landscape.task.name.rpartition(":")[2]
        words += ["--task", f"{file}:{function}" if file else landscape.task.name]
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
    if landscape.task.device is not None:
        words += ["--device", landscape.task.device]
    if landscape.evaluations is not None:
        words += ["--evaluations", str(landscape.evaluations)]
    words += _axis_words("--lr", landscape, preset, lambda axes: describe_axis(axes.lr))
    words += _axis_words("--weight-decay", landscape, preset, _described_decays)
    return shlex.join(words)


def _described_decays(axes: Axes) -> str:
    text = describe_axis(axes.weight_decay)
    return text if axes.decay_unit is None else f"{axes.decay_unit}:{text}"


def _seeds(seeds: tuple[int, ...]) -> str:
    if seeds == tuple(range(len(seeds))):
        return str(len(seeds))
    return ",".join(map(str, seeds)) + ("," if len(seeds) == 1 else "")


def _listed(landscape: Landscape, names: Iterable[str]) -> str:
    return ",".join(_with_folder(landscape, name) for name in names)


def _with_folder(landscape: Landscape, name: str) -> str:
    """An optimizer or a schedule as a command names it: a user's own with its file's folder."""
    for own in landscape.task.own:
        if calls.parse(name).own == own.name:
            return f"{Path(own.file).parent}/{name}"
    return name


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
    if len(unusual) > 1 and len(set(axes.values())) == 1:
        return [flag, next(iter(axes.values()))]
    pairs = (f"{optimizer}={axis}" for optimizer, axis in unusual.items())
    return [word for pair in pairs for word in (flag, pair)]


def beyond(landscape: Landscape, edges: Mapping[str, Sequence[Edge]]) -> Landscape:
    """`landscape` with the axes of each optimizer extended past the edges named for it."""
    axes = {
        optimizer: Axes(
            _longer(old.lr, {edge.end for edge in edges.get(optimizer, ()) if edge.axis == "lr"}),
            _longer(
                old.weight_decay,
                {edge.end for edge in edges.get(optimizer, ()) if edge.axis == "weight_decay"},
            ),
            old.decay_unit,
        )
        for optimizer, old in landscape.axes.items()
    }
    return replace(landscape, axes=axes)


def _longer(values: tuple[float, ...], ends: set[str]) -> tuple[float, ...]:
    positive = [value for value in values if value > 0]
    if not positive or not ends:
        return values
    low_factor = positive[1] / positive[0] if len(positive) > 1 else 2.0
    high_factor = positive[-1] / positive[-2] if len(positive) > 1 else 2.0
    more: list[float] = []
    if ends & {"low", "zero"}:
        more += [_round(positive[0] / low_factor**step) for step in range(1, STEPS_BEYOND + 1)]
    if "high" in ends:
        more += [_round(positive[-1] * high_factor**step) for step in range(1, STEPS_BEYOND + 1)]
    return tuple(sorted({*values, *more}))


def _round(value: float) -> float:
    """Three digits, but for powers of two."""
    return value if is_power_of_two(value) else float(f"{value:.3g}")
