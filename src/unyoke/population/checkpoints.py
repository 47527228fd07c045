"""Saving a population and going on from it; everything is checked before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any

import torch
from torch import Tensor

from unyoke.population.choice import ENGINES, Choice
from unyoke.population.engine import Blueprint
from unyoke.population.models import Models
from unyoke.population.progress import Progress
from unyoke.population.settings import Rates

FORMAT = 1


@dataclass(frozen=True)
class Training:
    """How the models are trained, which must be the same where they go on.

    Attributes:
        blueprint: model, settings, loss and optimizer.
        loss_limit: above which a model counts as diverged.
    """

    blueprint: Blueprint
    loss_limit: float

    def described(self) -> dict[str, list[Any]]:
        """As plain lists; of the settings one entry for each model."""
        plan, settings = self.blueprint, self.blueprint.settings
        options = [f"{name}={_name(value)}" for name, value in sorted(plan.options.items())]
        return {
            "lr": list(settings.lr),
            "weight_decay": Rates(settings, range(len(settings))).weight_decay.tolist(),
            "seeds": list(settings.seeds),
            "schedule": [repr(schedule) for schedule in settings.schedules],
            "updates": list(settings.budgets),
            "optimizer": [_name(plan.optimizer)],
            "optimizer's options": options,
            "clip_norm": [plan.clip_norm],
            "loss_limit": [self.loss_limit],
        }


def write(
    training: Training, choice: Choice | None, models: Models, progress: Progress
) -> dict[str, Any]:
    """Plain values and tensors; those of the models are not copied."""
    return {
        "format": FORMAT,
        "settings": training.described(),
        "engine": choice.engine if choice else None,
        "reason": choice.reason if choice else None,
        "updates": progress.updates,
        "made": progress.made.clone(),
        "active": list(progress.rows),
        "diverged": dict(progress.diverged),
        "losses": progress.losses.clone(),
        "limits": progress.limits.clone(),
        "weights": models.weights,
        "fixed": models.fixed,
        "state": models.state,
    }


def read(
    training: Training, one: Models, saved: Mapping[str, Any]
) -> tuple[Choice | None, Models, Progress]:
    """What a population that is trained in this way is after loading ``saved``.

    Args:
        training: of the population that will go on.
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
    for name, mine in training.described().items():
        theirs = saved["settings"].get(name, [])
        if not isinstance(theirs, list) or mine != theirs:
            theirs = theirs if isinstance(theirs, list) else [theirs]
            raise ValueError(
                f"the checkpoint's {name} is {_short(theirs)}, this population's {_short(mine)}: "
                "make the population with the same settings"
            )
    models = Models(dict(saved["weights"]), dict(saved["fixed"]), dict(saved["state"]))
    _check_shapes(one, models)
    count = len(training.blueprint.settings)
    _check_tensors(one, models, count)
    _check_progress(saved, count)
    engine = saved["engine"]
    progress = Progress(
        updates=saved["updates"],
        made=saved["made"].clone(),
        rows=list(saved["active"]),
        diverged=dict(saved["diverged"]),
        losses=saved["losses"].clone(),
        limits=saved["limits"].clone(),
    )
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
    stacks = [saved["weights"], saved["fixed"], *saved["state"].values()]
    for stack in stacks:
        for name, value in stack.items() if isinstance(stack, Mapping) else [("state", stack)]:
            if (
                not isinstance(value, Tensor)
                or value.dim() == 0
                or value.layout is not torch.strided
            ):
                raise ValueError(
                    f"{name!r} of the checkpoint is a {type(value).__name__}, and must be a dense "
                    "tensor with a row for each model"
                )


def _check_tensors(one: Models, models: Models, count: int) -> None:
    """Refuse tensors of another number of models or another kind, or without numbers."""
    groups = [("weights", one.weights, models.weights), ("fixed", one.fixed, models.fixed)]
    groups += [("state", one.state.get(name, {}), own) for name, own in models.state.items()]
    for part, expected, found in groups:
        for name, stack in found.items():
            like = expected.get(name)
            kind = stack.dtype if like is None else like.dtype
            whole = (stack.is_floating_point(), stack.is_complex())
            if len(stack) != count or stack.is_meta:
                raise ValueError(
                    f"{part} {name} of the checkpoint has {len(stack)} rows on {stack.device}, and "
                    f"this population has {count} models"
                )
            if whole != (kind.is_floating_point, kind.is_complex):
                raise ValueError(
                    f"{part} {name} of the checkpoint is {stack.dtype}, this population's {kind}"
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


def _check_shapes(one: Models, models: Models) -> None:
    expected, found = _shapes(one), _shapes(models)
    if not models.state:
        expected = {name: shape for name, shape in expected.items() if name[0] != "state"}
    for name in sorted({*expected, *found}, key=lambda name: (name[0] != "weights", name)):
        mine, theirs = expected.get(name), found.get(name)
        if mine != theirs:
            raise ValueError(
                f"{' '.join(name)} has shape {theirs} per model in the checkpoint and {mine} in "
                "this population: it is of another model or optimizer"
            )


def _shapes(models: Models) -> dict[tuple[str, ...], tuple[int, ...]]:
    shapes: dict[tuple[str, ...], tuple[int, ...]] = {}
    for part, named in (("weights", models.weights), ("fixed", models.fixed)):
        shapes |= {(part, name): tuple(stack.shape[1:]) for name, stack in named.items()}
    for parameter, state in models.state.items():
        for name, stack in state.items():
            shapes["state", parameter, name] = tuple(stack.shape[1:])
    return shapes


def _short(values: list[Any]) -> str:
    text = ", ".join(map(str, values[:6]))
    return f"[{text}, … {len(values)} values]" if len(values) > 6 else f"[{text}]"
