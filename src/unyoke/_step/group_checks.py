"""Who may be in a parameter group: its keys and its parameters."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from unyoke import decays, directions
from unyoke._step.hyperparameters import Group
from unyoke.backends import shards
from unyoke.equation import Direction, Rule
from unyoke.storage import formats

COMMON = (
    "lr",
    "weight_decay",
    "direction",
    "decay",
    "schedule",
    "backend",
    "state_dtype",
    "rounding",
    "seed",
    "maximize",
    "differentiable",
    "capturable",
)
"""What every optimizer takes beside its hyperparameters."""

TORCH_WORDS = {
    "amsgrad": "direction='amsgrad', or unyoke.AdamW(amsgrad=True)",
    "centered": "direction='rmsprop_centered', or unyoke.RMSpropW(centered=True)",
    "dampening": "direction='momentum', whose hyperparameter it is, or unyoke.SGD",
    "decoupled_weight_decay": "decay='lr_coupled'",
    "nesterov": "direction='nesterov', or unyoke.SGD(nesterov=True)",
}
"""Words by which torch's optimizers choose an algorithm, and what to write here."""


def check_arguments(owner: str, params: Any, schedule: Any) -> None:
    """Refuse a model in the place of its parameters, and a schedule that was not called.

    Raises:
        TypeError: it is one of these.
    """
    if isinstance(params, torch.nn.Module):
        raise TypeError(
            f"{owner} takes parameters, not a {type(params).__name__}: give model.parameters(), "
            "model.named_parameters() or groups of them"
        )
    if isinstance(schedule, type) and issubclass(schedule, torch.optim.lr_scheduler.LRScheduler):
        raise TypeError(
            f"schedule={schedule.__name__} is a scheduler of torch's: make it with the optimizer "
            "and call its step(), or give a function of t, such as unyoke.schedules.cosine(updates)"
        )
    if isinstance(schedule, type):
        raise TypeError(
            f"schedule={schedule.__name__} is a class: call it, such as "
            "unyoke.schedules.cosine(updates)"
        )


def check_keywords(
    owner: str, direction: Direction, given: Mapping[str, Any], known: Mapping[str, Any]
) -> None:
    """Refuse an argument that nothing here has, and name what may have been meant.

    Raises:
        TypeError: there is one.
    """
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, (*known, *COMMON), n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            hint = f"write {TORCH_WORDS[name]}. " if name in TORCH_WORDS else hint
            raise TypeError(
                f"{owner} with direction {direction.name!r} has no hyperparameter {name!r}: {hint}"
                f"There are {', '.join((*known, *COMMON))}"
            )


def check_keys(rule: Rule, group: Group, words: Sequence[str] = ()) -> None:
    """Refuse a word of torch's that chooses another algorithm; other extra keys are kept.

    They may be a wrapper's, which hands its groups on: SAM's ``rho`` is not Adadelta's.

    Raises:
        TypeError: there is one; says what to write.
    """
    for name in TORCH_WORDS.keys() - {*words, *rule.defaults}:
        if group.get(name):
            raise TypeError(
                f"a parameter group gives {name}={group[name]!r}, which chooses another algorithm "
                f"in torch.optim: give the group {TORCH_WORDS[name]}"
            )


def warning_if_unused(rule: Rule, group: Group, words: Sequence[str]) -> str | None:
    """What to say of a group that names its direction and gives numbers of another one."""
    if "direction" not in group:
        return None
    parts = (*directions.ALL.values(), *decays.ALL.values())
    for name in sorted(group.keys() - {*rule.defaults, *words, *COMMON}):
        owners = [part.name for part in parts if name in part.defaults]
        if owners:
            return (
                f"a parameter group with direction={group['direction']!r} gives "
                f"{name}={group[name]!r}, which {rule.name} does not use: it is a hyperparameter "
                f"of {', '.join(owners)}. It is kept and left alone"
            )
    return None


def objection(rule: Rule, group: Group) -> str | None:
    """What is wrong with a group's parameters, to follow the group's number."""
    for number, weight in enumerate(group["params"]):
        reason = (
            formats.objection(weight, group)
            or shards.objection(rule, group, weight)
            or rule.objection(weight, group)
        )
        if reason is not None:
            name = f" ({group['param_names'][number]})" if "param_names" in group else ""
            return f", parameter {number}{name} of shape {tuple(weight.shape)}: {reason}"
    return None


def drop_needless_dimension(group: Group) -> None:
    """Take a rate of shape [1] for a number, as torch does, where no models are stacked."""
    if all(weight.dim() > 0 and weight.shape[0] == 1 for weight in group["params"]):
        return
    for name in ("lr", "base_lr", "weight_decay"):
        value = group[name]
        if isinstance(value, torch.Tensor) and value.shape == (1,):
            group[name] = value.view(())  # the same number: who writes one writes the other


def drop_repeats(group: Group) -> None:
    """Keep a parameter that is listed twice once; torch has warned of it."""
    kept: dict[torch.Tensor, Any] = {}
    names = group["param_names"] if "param_names" in group else group["params"]
    for weight, name in zip(group["params"], names, strict=True):
        kept.setdefault(weight, name)
    if len(kept) < len(group["params"]):
        group["params"] = list(kept)
        if "param_names" in group:
            group["param_names"] = list(kept.values())
