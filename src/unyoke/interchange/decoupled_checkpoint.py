"""Whether a checkpoint can be loaded into a decoupled optimizer, before torch changes anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from unyoke._step.hyperparameters import Group, check_saved
from unyoke._step.owner import Owner
from unyoke.checkpoint import check_count, check_structure, is_foreign
from unyoke.storage import fit


def check(optimizer: Owner, saved: Mapping[str, Any], checked_decay: Callable[[str], str]) -> None:
    """Refuse a checkpoint whose numbers or state the optimizer cannot go on with.

    What the inner class keeps is its own, and is looked at only as far as it can be known: tensors
    have numbers, and the shapes of those that are there already.

    Args:
        optimizer: a decoupled one.
        saved: the checkpoint.
        checked_decay: refuses a decay that cannot follow another optimizer's update.

    Raises:
        ValueError: so it is.
    """
    check_structure(saved)
    ours, theirs = optimizer.param_groups, saved["param_groups"]
    if [len(group["params"]) for group in ours] != [len(group["params"]) for group in theirs]:
        return  # torch words it, and has changed nothing by then
    foreign = [is_foreign(group) for group in theirs]
    if any(foreign) and not all(foreign):
        raise ValueError(f"parameter group {foreign.index(True)} of the checkpoint has no base_lr")
    for index, (group, saved_group) in enumerate(zip(ours, theirs, strict=True)):
        new = {**group, **saved_group} if not foreign[index] else dict(group)
        if not foreign[index]:
            _check_group(optimizer, index, group, new, saved_group, checked_decay)
        for weight, key in zip(group["params"], saved_group["params"], strict=True):
            label = fit.parameter_name(weight, group)
            try:
                _check_entry(optimizer, weight, new, saved["state"].get(key, {}))
            except (TypeError, ValueError, RuntimeError) as error:
                raise ValueError(
                    f"state of parameter {label} of group {index} in the checkpoint: {error}"
                ) from None


def _check_group(
    optimizer: Owner,
    index: int,
    group: Group,
    new: Group,
    saved: Group,
    checked_decay: Callable[[str], str],
) -> None:
    for name in ("updates", "decay", "weight_decay"):
        if name not in saved:
            raise ValueError(f"parameter group {index} of the checkpoint has no {name}")
    check_saved(index, new, group)
    try:
        checked_decay(new["decay"])
        part = optimizer.groups.decay(new)
        part.check_values({**part.defaults, **new})
    except (TypeError, ValueError) as error:
        raise ValueError(f"parameter group {index} of the checkpoint: {error}") from None


def _check_entry(optimizer: Owner, weight: torch.Tensor, group: Group, entry: Any) -> None:
    if not isinstance(entry, Mapping):
        raise ValueError(f"it is a {type(entry).__name__}, and a dictionary is needed")
    if "step" in entry:
        check_count("step", entry["step"], None)
    part, own = optimizer.groups.decay(group), optimizer.state.get(weight, {})
    for name in part.state:
        if name in entry:
            like = part.initial(name, weight.detach().to("meta"), {**part.defaults, **group})
            fit.check_tensor(name, entry[name], like.shape, weight.device)
            fit.cast(name, entry[name], like.dtype)
    for name, value in entry.items():
        if isinstance(value, torch.Tensor) and value.is_meta and not weight.is_meta:
            raise ValueError(f"{name} is on the meta device, where there are no numbers")
        known = own.get(name)
        if isinstance(known, torch.Tensor) and name != "step":
            fit.check_tensor(name, value, known.shape, weight.device)
