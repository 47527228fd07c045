"""Saving a population and going on from it; everything is checked before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unyoke.population.choice import ENGINES, Choice
from unyoke.population.engine import Blueprint
from unyoke.population.models import Models
from unyoke.population.progress import Progress
from unyoke.population.settings import Rates

FORMAT = 1
KEYS = (
    *("format", "settings", "engine", "reason", "updates", "made", "active", "diverged"),
    *("losses", "limits", "weights", "fixed", "state"),
)


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
        ValueError: it was trained otherwise, is of other models, or is damaged.
    """
    if saved.get("format") != FORMAT:
        raise ValueError(
            f"this is not a population's checkpoint of format {FORMAT}: its format is "
            f"{saved.get('format')!r}"
        )
    lacking = [name for name in KEYS if name not in saved]
    if lacking:
        raise ValueError(f"the population's checkpoint lacks {', '.join(map(repr, lacking))}")
    for name in ("settings", "weights", "fixed", "state", "diverged"):
        _demand(isinstance(saved[name], Mapping), name, saved[name], "a dictionary")
    for name, mine in training.described().items():
        theirs = saved["settings"].get(name, [])
        if mine != theirs:
            raise ValueError(
                f"the checkpoint's {name} is {_short(theirs)}, this population's {_short(mine)}: "
                "make the population with the same settings"
            )
    models = Models(dict(saved["weights"]), dict(saved["fixed"]), dict(saved["state"]))
    count = len(training.blueprint.settings)
    _check_stacks(one, models, count)
    _check_progress(count, saved)
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


def _demand(holds: bool, name: str, value: Any, wanted: str) -> None:
    if not holds:
        raise ValueError(f"{name} of the population's checkpoint is {value!r}, and not {wanted}")


def _check_progress(count: int, saved: Mapping[str, Any]) -> None:
    """How far the models are, as no training could have left it otherwise."""
    updates = saved["updates"]
    _demand(_is_count(updates), "updates", updates, "an integer ≥ 0")
    engine = saved["engine"]
    _demand(
        engine is None or (isinstance(engine, str) and engine in ENGINES),
        *("engine", engine, " or ".join(map(repr, ENGINES))),
    )
    active, diverged = saved["active"], saved["diverged"]
    ascending = isinstance(active, list) and all(map(_is_count, active))
    _demand(
        ascending and active == sorted({row for row in active if row < count}),
        *("active", active, f"numbers of models below {count}, ascending"),
    )
    _demand(
        all(_is_count(row) and row < count and _is_count(t) for row, t in diverged.items()),
        *("diverged", diverged, f"an update for numbers of models below {count}"),
    )
    wanted = {"made": torch.int64, "losses": torch.float64, "limits": torch.float64}
    for name, dtype in wanted.items():
        theirs = saved[name]
        fits = _is_dense(theirs) and theirs.shape == (count,) and theirs.dtype == dtype
        _demand(fits, name, theirs, f"a tensor of {count} {dtype}")
    made = saved["made"]
    _demand(bool(((made >= 0) & (made <= updates)).all()), "made", made, f"between 0 and {updates}")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_dense(value: Any) -> bool:
    return isinstance(value, Tensor) and value.layout is torch.strided and not value.is_meta


def _name(value: Any) -> str:
    """The same in another process, where functions lie elsewhere."""
    name: str = getattr(value, "__qualname__", None) or repr(value)
    return name


def _check_stacks(one: Models, models: Models, count: int) -> None:
    expected, found = _tensors(one), _tensors(models)
    if not models.state:
        expected = {name: tensor for name, tensor in expected.items() if name[0] != "state"}
    for name in sorted({*expected, *found}, key=lambda name: (name[0] != "weights", name)):
        mine, theirs = _described(expected.get(name), 1), _described(found.get(name), count)
        if mine != theirs:
            raise ValueError(
                f"{' '.join(name)} has {theirs} per model in the checkpoint and {mine} in this "
                "population: it is of another model or optimizer"
            )
        if name[0] == "state" and name[-1] == "step":
            steps = found[name]
            if not bool(((steps >= 0) & (steps == steps.round())).all()):
                raise ValueError(
                    f"{' '.join(name)} of the checkpoint is {steps.tolist()}: integers ≥ 0 are "
                    "needed"
                )


def _tensors(models: Models) -> dict[tuple[str, ...], Any]:
    found: dict[tuple[str, ...], Any] = {}
    for part, named in (("weights", models.weights), ("fixed", models.fixed)):
        found |= {(part, name): stack for name, stack in named.items()}
    for parameter, state in models.state.items():
        if not isinstance(state, Mapping):
            raise ValueError(
                f"state {parameter} of the population's checkpoint is a {type(state).__name__}, "
                "and not a dictionary"
            )
        found |= {("state", parameter, name): stack for name, stack in state.items()}
    return found


def _described(stack: Any, count: int) -> str:
    """What a stack of so many models holds of each."""
    if stack is None:
        return "nothing"
    if not _is_dense(stack) or stack.dim() == 0:
        what = f"{stack.layout}, on {stack.device}" if isinstance(stack, Tensor) else "no tensor"
        return f"no stack ({what})"
    if len(stack) != count:
        return f"{len(stack)} rows for {count} models"
    return f"shape {tuple(stack.shape[1:])} in {stack.dtype}"


def _short(values: list[Any]) -> str:
    text = ", ".join(map(str, values[:6]))
    return f"[{text}, … {len(values)} values]" if len(values) > 6 else f"[{text}]"
