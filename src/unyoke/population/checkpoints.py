"""Saving a population and going on from it; everything is checked before anything is changed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import NoneType
from typing import Any

import torch
from torch import Tensor

from unyoke.population.choice import ENGINES, Choice
from unyoke.population.engine import Blueprint
from unyoke.population.models import Models, Progress
from unyoke.population.settings import Rates

FORMAT = 1


def write(
    blueprint: Blueprint, choice: Choice | None, models: Models, progress: Progress
) -> dict[str, Any]:
    """Plain values and tensors; those of the models are not copied."""
    return {
        "format": FORMAT,
        "settings": _described(blueprint),
        "engine": choice.engine if choice else None,
        "reason": choice.reason if choice else None,
        **copy.deepcopy(vars(progress)),
        **vars(models),
    }


def _described(blueprint: Blueprint) -> dict[str, list[Any]]:
    """How the models are trained, as plain lists; of the settings one entry for each model."""
    settings = blueprint.settings
    return {
        "lr": list(settings.lr),
        "weight_decay": Rates(settings, range(len(settings))).weight_decay.tolist(),
        "seeds": list(settings.seeds),
        "schedule": [repr(schedule) for schedule in settings.schedules],
        "updates": list(settings.budgets),
        "optimizer": [_name(blueprint.optimizer)],
        "optimizer's options": [
            f"{name}={_name(value)}" for name, value in sorted(blueprint.options.items())
        ],
        "clip_norm": [blueprint.clip_norm],
        "loss_limit": [blueprint.loss_limit],
    }


def read(
    blueprint: Blueprint, one: Models, saved: Mapping[str, Any]
) -> tuple[Choice | None, Models, Progress]:
    """What a population that is trained in this way is after loading ``saved``.

    Args:
        blueprint: of the population that will go on.
        one: one of its models, of which the shapes are looked at.
        saved: from :func:`write`.

    Raises:
        ValueError: it was trained otherwise, or is of other models.
    """
    if not isinstance(saved, Mapping) or saved.get("format") != FORMAT:
        raise ValueError(
            f"this is not a population's checkpoint of format {FORMAT}: its format is "
            f"{saved.get('format') if isinstance(saved, Mapping) else type(saved).__name__!r}"
        )
    _check_structure(saved)
    for name, mine in _described(blueprint).items():
        theirs = saved["settings"].get(name, [])
        if not isinstance(theirs, list) or mine != theirs:
            theirs = theirs if isinstance(theirs, list) else [theirs]
            raise ValueError(
                f"the checkpoint's {name} is {_short(theirs)}, this population's {_short(mine)}: "
                "make the population with the same settings"
            )
    models = Models(dict(saved["weights"]), dict(saved["fixed"]), dict(saved["state"]))
    count = len(blueprint.settings)
    _check_models(one, models, count)
    _check_progress(saved, count)
    progress = Progress(
        updates=saved["updates"],
        made=saved["made"].clone(),
        active=list(saved["active"]),
        diverged=dict(saved["diverged"]),
        losses=saved["losses"].clone(),
        limits=saved["limits"].clone(),
    )
    engine = saved["engine"]
    choice = Choice(engine, saved["reason"], random=False) if engine else None
    return choice, models.map(Tensor.clone), progress


_STRUCTURE: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("settings", "weights", "fixed", "state", "diverged"), (Mapping,)),
    **dict.fromkeys(("made", "losses", "limits"), (Tensor,)),
    **dict.fromkeys(("engine", "reason"), (str, NoneType)),
    "updates": (int,),
    "active": (list, tuple),
}


def _check_structure(saved: Mapping[str, Any]) -> None:
    """Refuse what has not the entries that :func:`write` makes, or others in their places."""
    for name, kinds in _STRUCTURE.items():
        if name not in saved:
            raise ValueError(f"the checkpoint of the population lacks {name!r}")
        if not isinstance(saved[name], kinds) or isinstance(saved[name], bool):
            raise ValueError(
                f"{name!r} of the checkpoint is a {type(saved[name]).__name__}, and must be "
                f"{' or '.join(kind.__name__ for kind in kinds)}"
            )
    if saved["engine"] not in (None, *ENGINES):
        raise ValueError(
            f"the checkpoint's engine is {saved['engine']!r}: there are {', '.join(ENGINES)}"
        )
    for named in (saved["weights"], saved["fixed"], *saved["state"].values()):
        if not isinstance(named, Mapping):
            raise ValueError(
                f"'state' of the checkpoint is a {type(named).__name__}, and must be "
                "a mapping of names to tensors"
            )
        for name, value in named.items():
            is_dense = isinstance(value, Tensor) and value.layout is torch.strided
            if not is_dense or value.dim() == 0:
                raise ValueError(
                    f"{name!r} of the checkpoint is a {type(value).__name__}, and must be a dense "
                    "tensor with a row for each model"
                )


def _check_models(one: Models, models: Models, count: int) -> None:
    """Refuse tensors of another shape, number of models or kind than ``one`` has, or on meta."""
    expected, found = one.by_place(), models.by_place()
    if not models.state:
        expected = {place: stack for place, stack in expected.items() if place[0] != "state"}
    for place in sorted({*expected, *found}, key=lambda place: (place[0] != "weights", place)):
        name, like, stack = " ".join(place), expected.get(place), found.get(place)
        mine, theirs = (None if x is None else tuple(x.shape[1:]) for x in (like, stack))
        if like is None or stack is None or mine != theirs:
            raise ValueError(
                f"{name} has shape {theirs} per model in the checkpoint and {mine} in this "
                "population: it is of another model or optimizer"
            )
        if len(stack) != count or stack.is_meta:
            raise ValueError(
                f"{name} of the checkpoint has {len(stack)} rows on {stack.device}, and this "
                f"population has {count} models"
            )
        own, other = ((x.is_floating_point(), x.is_complex()) for x in (like, stack))
        if own != other:
            raise ValueError(
                f"{name} of the checkpoint is {stack.dtype}, this population's {like.dtype}"
            )


def _check_progress(saved: Mapping[str, Any], count: int) -> None:
    """Refuse numbers of updates and of models that no training has left."""
    updates, made, active = saved["updates"], saved["made"], saved["active"]
    if updates < 0:
        raise ValueError(f"the checkpoint's updates is {updates}, and must be ≥ 0")
    for name in ("made", "losses", "limits"):
        tensor = saved[name]
        if tensor.shape != (count,) or tensor.is_meta or tensor.layout is not torch.strided:
            raise ValueError(
                f"the checkpoint's {name} has shape {tuple(tensor.shape)} on {tensor.device}, and "
                f"a number for each of {count} models is needed"
            )
    if made.is_floating_point() or made.dtype is torch.bool or bool((made < 0).any()):
        raise ValueError(f"the checkpoint's made is {made}, and must be integers ≥ 0")
    numbers = [*active, *saved["diverged"]]
    models = [k for k in numbers if type(k) is int and 0 <= k < count]
    if len(models) < len(numbers) or len({*active}) < len(active):
        raise ValueError(
            f"the checkpoint's models in training are {_short(list(active))} and those that "
            f"diverged {_short(list(saved['diverged']))}: each must be one of 0 to {count - 1}"
        )
    wrong = [t for t in saved["diverged"].values() if type(t) is not int or t < 1]
    if wrong:
        raise ValueError(f"the checkpoint has a model that diverged at update {wrong[0]!r}")


def _name(value: Any) -> str:
    """The same in another process, where functions lie elsewhere."""
    name: str = getattr(value, "__qualname__", None) or repr(value)
    return name


def _short(values: list[Any]) -> str:
    text = ", ".join(map(str, values[:6]))
    return f"[{text}, … {len(values)} values]" if len(values) > 6 else f"[{text}]"
