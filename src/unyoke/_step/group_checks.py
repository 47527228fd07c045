"""Who may be in a parameter group: its keys and its parameters."""

from __future__ import annotations

from typing import Any

import torch

from unyoke import decays, directions
from unyoke._step.hyperparameters import Group
from unyoke.equation import Rule
from unyoke.storage import formats


def check_keys(rule: Rule, group: Group) -> None:
    """Refuse a key that some other part would understand; other extra keys are the user's own."""
    for name in group.keys() - rule.defaults.keys():
        parts = (*directions.ALL.values(), *decays.ALL.values())
        owners = [repr(part) for part in parts if name in part.defaults]
        if owners:
            raise TypeError(
                f"a parameter group gives {name}={group[name]!r}, which {rule.name} does not have: "
                f"it is a hyperparameter of {', '.join(owners)}"
            )


def objection(rule: Rule, group: Group) -> str | None:
    """What is wrong with a group's parameters, to follow the group's number."""
    if not group["params"]:
        return " is empty: it was given no parameters (a generator that was used up?)"
    for number, weight in enumerate(group["params"]):
        reason = formats.objection(weight, group) or rule.objection(weight, group)
        if reason is not None:
            name = f" ({group['param_names'][number]})" if "param_names" in group else ""
            return f", parameter {number}{name} of shape {tuple(weight.shape)}: {reason}"
    return None


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
