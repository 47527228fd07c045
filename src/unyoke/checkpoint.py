"""Reading checkpoints: everything is checked before anything is changed.

torch's own ``load_state_dict`` casts state to the parameter's dtype, keeps references to the
checkpoint's tensors and mixes up parameters that come in another order. Here state keeps the dtype
it was saved in (or is converted, where this optimizer keeps another format or its weights have
another dtype), and parameters are matched by name where both sides have names. Whatever can fail is
done first, on new tensors; then all of it takes the old one's place at once.

A checkpoint of torch's optimizer of the same algorithm loads as it is, but for weight decay and α,
whose numbers mean something else there: these stay the constructor's. So ``lr`` shows where torch's
schedule stood, and η_t is lr/α from there on.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch

from unyoke import decays, directions
from unyoke._step import counters, group_checks
from unyoke._step.evaluation import EVALUATING
from unyoke._step.hyperparameters import Group, check_saved
from unyoke._step.owner import Owner
from unyoke.equation import Rule, stack_size
from unyoke.interchange.counterparts import Form, forms_for, known_arguments, saved_form
from unyoke.ranges import number, plain
from unyoke.storage import fit, formats

OWN = ("state_dtype", "rounding")
"""What a checkpoint does not decide: how this process keeps the numbers, as ``backend``."""

TORCH_STATE = frozenset(
    (
        *("ax", "eta", "mu", "prev", "step_size"),  # ASGD, Rprop
        *("col_var", "row_var", "variance"),  # Adafactor
        *("H_diag", "al", "d", "func_evals", "n_iter", "old_dirs", "old_stps"),  # LBFGS
        *("prev_flat_grad", "prev_loss", "ro", "t"),  # LBFGS
    )
)
"""State of torch's optimizers that have no counterpart here."""


def opened(state_dict: Any) -> dict[str, Any]:
    """A checkpoint as a dictionary that hooks may change.

    Raises:
        TypeError: it is not a mapping, such as a path.
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(
            f"load_state_dict takes what state_dict() returned, not {state_dict!r:.200}: load "
            "a file first, with torch.load(path, weights_only=True)"
        )
    return dict(state_dict)


def read(optimizer: Owner, saved: Mapping[str, Any]) -> dict[str, Any]:
    """What ``optimizer`` will be after loading ``saved``; see ``Optimizer.load_state_dict``."""
    pairs = _paired_groups(optimizer, saved)
    groups = [_new_group(optimizer, index, *pair) for index, pair in enumerate(pairs)]
    restored: dict[Any, dict[str, Any]] = {}
    for index, (group, (_, saved_group)) in enumerate(zip(groups, pairs, strict=True)):
        form = _form(group, saved_group)
        names = group.get("param_names")
        for place, (weight, key) in enumerate(_paired_weights(index, group, saved_group)):
            label = f"parameter {key if names is None else repr(names[place])}"
            entry = _present(label, saved["state"].get(key) or {})
            if form is not None:
                entry = _translated(form, group, entry)
            restored[weight] = _restored_entry(optimizer, weight, group, entry, label)
    if any(map(is_foreign, saved["param_groups"])):
        _count_updates(optimizer, groups, restored)
    optimizer.groups.refresh(groups)  # calls the user's functions of t, which may raise
    kept = {key: entry for key, entry in optimizer.state.items() if key not in restored}
    kept |= {weight: entry for weight, entry in restored.items() if entry}
    kept |= deepcopy(_foreign_keys(saved))
    return {"state": defaultdict(dict, kept), "param_groups": groups}


def is_foreign(group: Mapping[str, Any]) -> bool:
    """Whether a saved group was written by torch's optimizer and not by this library."""
    return "base_lr" not in group


def _paired_groups(optimizer: Owner, saved: Mapping[str, Any]) -> list[tuple[Group, Group]]:
    check_structure(saved)
    ours, theirs = optimizer.param_groups, saved["param_groups"]
    listed = {key for group in theirs for key in group["params"]}
    surplus = saved["state"].keys() - listed - _foreign_keys(saved).keys()
    if surplus:
        raise ValueError(
            f"the checkpoint has state of {', '.join(sorted(map(str, surplus))[:6])}, in none of "
            "its parameter groups"
        )
    if len(ours) != len(theirs):
        raise ValueError(
            f"the checkpoint has {len(theirs)} parameter groups (loaded state dict has a different "
            f"number of parameter groups), this optimizer {len(ours)}"
        )
    for index, (group, saved_group) in enumerate(zip(ours, theirs, strict=True)):
        if len(group["params"]) != len(saved_group["params"]):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of "
                f"optimizer's group: group {index} has {len(saved_group['params'])} parameters in "
                f"the checkpoint and {len(group['params'])} here"
            )
    return list(zip(ours, theirs, strict=True))


def check_structure(saved: Mapping[str, Any]) -> None:
    """Refuse what has not the form of an optimizer's checkpoint.

    Raises:
        ValueError: so it is.
    """
    if "param_groups" not in saved or "state" not in saved:
        raise ValueError(
            "a checkpoint of an optimizer has 'state' and 'param_groups'; this dictionary has "
            + (", ".join(map(repr, list(saved)[:6])) or "nothing")
        )
    if not isinstance(saved["state"], Mapping):
        raise ValueError(
            f"'state' of the checkpoint is a {type(saved['state']).__name__}, and a dictionary of "
            "the parameters' states is needed"
        )
    groups = saved["param_groups"]
    for index, group in enumerate(groups if isinstance(groups, (list, tuple)) else [None]):
        if not isinstance(group, Mapping) or not isinstance(group.get("params"), (list, tuple)):
            raise ValueError(
                f"'param_groups' of the checkpoint must be a list of dictionaries with 'params', "
                f"and number {index} is none"
            )


def _new_group(optimizer: Owner, index: int, group: Group, saved_group: Group) -> Group:
    """The group as it will be: the checkpoint's numbers, this optimizer's parameters."""
    theirs = deepcopy({name: value for name, value in saved_group.items() if name != "params"})
    names = group.get("param_names")
    group = _with_their_words(optimizer, group, saved_group)
    form = _form(group, saved_group)
    if form is not None:
        theirs = _numbers_here(form, group, theirs)
    else:
        theirs["direction"] = directions.current(theirs.get("direction", ""))
        if theirs["direction"] not in optimizer.groups.family(group["direction"]):
            raise ValueError(
                f"the checkpoint is of direction {theirs['direction']!r}, this optimizer's is "
                f"{group['direction']!r}"
            )
    own = {name: group[name] for name in OWN}
    here = {**group, EVALUATING: False} if EVALUATING in group else group
    result = {**here, **theirs, **own, "params": group["params"]}
    result = result if names is None else {**result, "param_names": names}
    check_saved(index, result, group)
    try:
        rule = optimizer.groups.rule(result)
        rule.check(result)
    except (TypeError, ValueError) as error:
        raise ValueError(f"parameter group {index} of the checkpoint: {error}") from None
    objection = group_checks.objection(rule, result)
    if objection is not None:
        raise ValueError(f"parameter group {index} of the checkpoint{objection}")
    numbers = {"lr", "base_lr", "weight_decay", *rule.defaults}
    read = {name: (number if name in numbers else plain)(value) for name, value in result.items()}
    return read | {"params": group["params"]}


def _with_their_words(optimizer: Owner, group: Group, saved_group: Group) -> Group:
    """The group, with the words of torch's that a saved group of torch's has; they choose."""
    words = optimizer.groups.words
    if not is_foreign(saved_group) or not words or not words <= saved_group.keys():
        return group
    group = {**group, **{name: saved_group[name] for name in words}}
    return {**group, "direction": optimizer.groups.group_direction(group).name}


# Checkpoints of torch's own optimizers


def _form(group: Group, saved_group: Group) -> Form | None:
    """The algorithm of torch's that a saved group is of; None if it is of this library."""
    if not is_foreign(saved_group):
        return None
    form = saved_form(group["direction"], saved_group)
    if form is None:
        names = " or ".join(sorted({form.name for form in forms_for(group["direction"])}))
        numbers = {
            name: saved_group[name]
            for name in sorted(known_arguments() & set(saved_group))
            if isinstance(saved_group[name], (int, float, tuple, list))
        }
        raise ValueError(
            f"the checkpoint's group has {numbers}, and direction {group['direction']!r} loads "
            f"checkpoints of {names or 'this library only'}"
        )
    if group["direction"] == "heavy_ball" and saved_group["dampening"] != 0:
        raise ValueError(
            f"the checkpoint has dampening={saved_group['dampening']}, which direction "
            "'heavy_ball' does not have: use direction='momentum'"
        )
    return form


def _numbers_here(form: Form, group: Group, theirs: Group) -> Group:
    """A saved group of torch's in our words; what users have added to it is kept."""
    known = form.hyperparameters(theirs)
    return {
        **{name: value for name, value in theirs.items() if name not in known_arguments()},
        **{name: value for name, value in known.items() if name in group},
        "lr": theirs["lr"],
        "maximize": bool(theirs.get("maximize", False)),
    }


def _translated(form: Form, group: Group, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The state of one parameter of torch's, under our names and in our units."""
    result = {name: value for name, value in entry.items() if value is not None}
    if "square_avg" in result and form.direction.endswith("momentum"):
        result.setdefault("momentum_buffer", torch.zeros_like(result["square_avg"]))
    if not form.counts and result:
        result["step"] = torch.tensor(1.0)  # at least one: torch does not count
    if group["direction"] == "heavy_ball" and result:
        # m = lr·b, with the rate of the coming update: exact there, and as long as it stays
        result["momentum_buffer"] = result["momentum_buffer"] * group["lr"]
    return result


def _count_updates(
    optimizer: Owner, groups: list[Group], state: Mapping[torch.Tensor, Mapping[str, Any]]
) -> None:
    """The number of updates made, which torch's groups do not hold, from the counters."""
    made = max((int(entry.get("step", 0)) for entry in state.values()), default=0)
    counts = all(form.counts for form in forms_for(groups[0]["direction"]))
    needed = optimizer.groups.schedule is not None or optimizer.groups.follow_t
    if made and needed and not counts:
        raise ValueError(
            "a checkpoint of torch.optim.SGD or Muon does not say how many updates were made, "
            "which the schedule or weight_decay of this optimizer is a function of: load it into "
            "torch's optimizer, and use unyoke.from_torch(…, updates=…)"
        )
    for group in groups:
        group["updates"] = made


# Parameters


def _paired_weights(index: int, group: Group, saved_group: Group) -> list[tuple[torch.Tensor, Any]]:
    """Each parameter with its key in the checkpoint: by name if both sides have names."""
    keys = dict(enumerate(saved_group["params"]))
    names, saved_names = group.get("param_names"), saved_group.get("param_names")
    if saved_names is None and any(isinstance(key, str) for key in keys.values()):
        saved_names = list(keys.values())  # torch.distributed.checkpoint keys state by name
    if names is None or saved_names is None or names == saved_names:
        return list(zip(group["params"], keys.values(), strict=True))
    if sorted(names) != sorted(saved_names):
        different = sorted(set(names) ^ set(saved_names))
        raise ValueError(
            f"group {index} of the checkpoint has other parameters than this optimizer's; names "
            f"on one side only: {', '.join(different[:6])}"
        )
    place = {name: position for position, name in enumerate(saved_names)}
    return [
        (weight, keys[place[name]]) for weight, name in zip(group["params"], names, strict=True)
    ]


def _foreign_keys(saved: Mapping[str, Any]) -> dict[Any, Any]:
    """State of no parameter, which a wrapper keeps under a key of its own."""
    keys = {key for group in saved["param_groups"] for key in group["params"]}
    if not all(isinstance(key, int) for key in keys):
        return {}  # parameters have names here, and one that is missing is not a wrapper's
    return {key: entry for key, entry in saved["state"].items() if not isinstance(key, int)}


def _known_entries(rule: Rule) -> set[str]:
    """State that some part of this library or of torch has; the rest is a wrapper's."""
    parts = (*directions.ALL.values(), *decays.ALL.values(), rule.direction, rule.decay)
    known = {name for part in parts for name in (*part.state, *part.scalars)}
    return {"step", *known, *formats.extra_names(rule), *TORCH_STATE}


def _restored_entry(
    optimizer: Owner, weight: torch.Tensor, group: Group, entry: Mapping[str, Any], label: str
) -> dict[str, Any]:
    """The state of one parameter in tensors of our own, with what a wrapper keeps there."""
    known = _known_entries(optimizer.groups.rule(group))
    own = {name: value for name, value in entry.items() if name in known}
    checked = _checked_entry(optimizer, weight, group, own, label)
    restored = {name: _own(value, name, weight) for name, value in checked.items()}
    for name, value in entry.items():
        if name not in known:  # such as slow weights
            if isinstance(value, torch.Tensor):
                restored[name] = value.detach().clone().to(weight.device)
            else:
                restored[name] = deepcopy(value)
    return restored


def _present(label: str, entry: Any) -> dict[str, Any]:
    """A saved state without what is None."""
    if not isinstance(entry, Mapping):
        raise ValueError(
            f"state of {label} in the checkpoint is a {type(entry).__name__}, and a dictionary of "
            "tensors is needed"
        )
    return {name: value for name, value in entry.items() if value is not None}


def _checked_entry(
    optimizer: Owner,
    weight: torch.Tensor,
    group: Group,
    entry: Mapping[str, Any],
    label: str,
) -> dict[str, Any]:
    """The state of one parameter out of the checkpoint, or an error that names both sides."""
    rule = optimizer.groups.rule(group)
    counts = ("step", *rule.scalars)
    known = {*counts, *rule.state}
    kept = {name for name in formats.extra_names(rule) if name in entry}
    surplus, lacking = sorted(set(entry) - known - kept), sorted(set(rule.state) - set(entry))
    if surplus or (entry and lacking):
        raise ValueError(
            f"the checkpoint holds another optimizer's state: {label} has {sorted(entry)}, and "
            f"{rule.name} has {sorted(known)}"
        )
    if not entry:
        return {}
    expected = rule.initial(weight.detach().to("meta"), group)
    try:
        for name, value in entry.items():
            if name in counts:
                check_count(name, value, stack_size(group) if name in rule.sums else None)
            elif name not in expected:
                fit.check_tensor(name, value, None, weight.device)
        for name, like in expected.items():
            fit.check_tensor(name, entry[name], like.shape, weight.device)
        entry = formats.converted(rule, entry, expected, group)
        return {**entry, **fit.followed(rule, weight, entry, group)}
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"state of {label} in the checkpoint: {error}") from None


def check_count(name: str, value: Any, models: int | None) -> None:
    """Refuse what no update has left as ``step`` or as another number of a parameter.

    ``models``: K, where there may be a number for each of K stacked models.
    """
    if isinstance(value, torch.Tensor) and not value.is_meta:
        fit.check_tensor(name, value, None, value.device)
        fit.check_count_shape(name, value, models)
    is_stack = isinstance(value, torch.Tensor) and value.dim() == 1
    try:
        numbers = [float(each) for each in (value.tolist() if is_stack else [value])]
    except (TypeError, ValueError, RuntimeError):
        numbers = [math.nan]
    is_right = all(math.isfinite(x) and (name != "step" or (x >= 0 and not x % 1)) for x in numbers)
    if isinstance(value, str) or not is_right:
        wanted = "an integer ≥ 0" if name == "step" else "a finite number"
        raise ValueError(f"{name} is {value!r}, and must be {wanted}")


def _own(value: Any, name: str, weight: torch.Tensor) -> torch.Tensor:
    """The checkpoint's value in a tensor of our own, laid out as the weight if it has its shape."""
    if not isinstance(value, torch.Tensor):
        return torch.tensor(float(value), dtype=counters.DTYPES.get(name, torch.float64))
    stays = weight.is_meta or (name == "step" and value.dim() == 0)  # numbers wait for their weight
    there = value.device if stays else weight.device
    if value.dim() == 0 or value.shape != weight.shape:
        return value.detach().clone().to(there)
    with torch.no_grad():
        return torch.empty_like(weight.detach(), dtype=value.dtype, device=there).copy_(value)
