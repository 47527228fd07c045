"""Saving a population and going on from it; everything is checked before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unyoke.population.choice import Choice
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
    if saved.get("format") != FORMAT:
        raise ValueError(
            f"this is not a population's checkpoint of format {FORMAT}: its format is "
            f"{saved.get('format')!r}"
        )
    for name, mine in training.described().items():
        theirs = saved["settings"].get(name, [])
        if mine != theirs:
            raise ValueError(
                f"the checkpoint's {name} is {_short(theirs)}, this population's {_short(mine)}: "
                "make the population with the same settings"
            )
    models = Models(dict(saved["weights"]), dict(saved["fixed"]), dict(saved["state"]))
    _check_shapes(one, models)
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
