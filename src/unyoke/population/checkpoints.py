"""Saving a population and going on from it; everything is checked before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from unyoke.population.choice import ENGINES, Choice
from unyoke.population.models import Models
from unyoke.population.settings import Rates

if TYPE_CHECKING:
    from unyoke.population.trainer import Population

FORMAT = 1


def write(population: Population) -> dict[str, Any]:
    """Plain values and copies of all tensors."""
    models = population._current().map(Tensor.clone)
    choice = population._choice
    return {
        "format": FORMAT,
        "settings": _settings(population),
        "engine": choice.engine if choice else None,
        "reason": choice.reason if choice else None,
        "updates": population._updates,
        "made": population._made.clone(),
        "active": list(population._rows),
        "diverged": dict(population._diverged),
        "losses": population._losses.clone(),
        "limits": population._limits.clone(),
        "weights": models.weights,
        "fixed": models.fixed,
        "state": models.state,
    }


def read(population: Population, saved: Mapping[str, Any]) -> None:
    """Put ``saved`` into a population that was made with the same settings."""
    if saved.get("format") != FORMAT:
        raise ValueError(
            f"this is not a population's checkpoint of format {FORMAT}: its format is "
            f"{saved.get('format')!r}"
        )
    for name, mine in _settings(population).items():
        theirs = saved["settings"].get(name, [])
        if mine != theirs:
            raise ValueError(
                f"the checkpoint's {name} is {_short(theirs)}, this population's {_short(mine)}: "
                "make the population with the same settings"
            )
    models = Models(dict(saved["weights"]), dict(saved["fixed"]), dict(saved["state"]))
    _check_shapes(population, models)
    population._models = models.map(Tensor.clone)
    population._engine = None  # made from these models at the next update
    engine = saved["engine"]
    population._choice = Choice(engine, saved["reason"], random=False) if engine else None
    population._updates = saved["updates"]
    population._made = saved["made"].clone()
    population._rows = list(saved["active"])
    population._diverged = dict(saved["diverged"])
    population._losses = saved["losses"].clone()
    population._limits = saved["limits"].clone()


def _settings(population: Population) -> dict[str, Any]:
    """What makes two populations the same question, as plain lists of K."""
    settings = population.settings
    return {
        "lr": list(settings.lr),
        "weight_decay": Rates(settings, range(len(settings))).weight_decay.tolist(),
        "seeds": list(settings.seeds),
        "schedule": [repr(schedule) for schedule in settings.schedules],
        "updates": list(settings.budgets),
        **_training(population),
    }


def _training(population: Population) -> dict[str, list[Any]]:
    """How all of the models are trained."""
    plan = population._blueprint
    return {
        "optimizer": [_name(plan.optimizer)],
        "optimizer's options": [f"{n}={_name(value)}" for n, value in sorted(plan.options.items())],
        "clip_norm": [plan.clip_norm],
        "loss_limit": [population._loss_limit],
    }


def _name(value: Any) -> str:
    """The same in another process, where functions lie elsewhere."""
    name: str = getattr(value, "__qualname__", None) or repr(value)
    return name


def _check_shapes(population: Population, models: Models) -> None:
    one = ENGINES["one_by_one"](population._blueprint, population._current().rows([0]), [])
    expected, found = _shapes(one.models()), _shapes(models)
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
