"""From torch.optim to unyoke and back in the middle of a run, state included.

The units of weight decay are converted: λ = α·weight_decay_torch, and since both libraries take
η_t·α as the learning rate, η_t·λ = lr_t·weight_decay_torch at every update, whatever schedule
follows. Nothing here depends on what was taken for α; only what ``weight_decay`` shows does.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch

from unyoke._step.hyperparameters import largest, own_copy
from unyoke._step.state import before_updates
from unyoke.equation import per_update
from unyoke.interchange.counterparts import (
    Form,
    TorchOptimizer,
    forms_for,
    forms_of,
    known_arguments,
    rows_for,
)
from unyoke.optimizer import Optimizer
from unyoke.schedules import Schedule
from unyoke.storage import formats

Group = Mapping[str, Any]
BaseRate = float | torch.Tensor


def from_torch(
    optimizer: TorchOptimizer,
    *,
    base_lr: BaseRate | Sequence[BaseRate] | None = None,
    decay: Literal["decoupled", "lr_coupled"] = "decoupled",
    schedule: Schedule | None = None,
    updates: int | None = None,
    backend: str = "auto",
) -> Optimizer:
    """The optimizer here that continues the run of one of torch's.

    Groups, parameters and their names, hyperparameters, moments and counters are taken over; the
    next update equals the one that torch would have made (to rounding: 1e-12 in float64). Where
    torch's groups run different algorithms (``amsgrad``, ``nesterov``, ``centered``), each of ours
    has its own direction. Drop
    the old optimizer: hooks on it and schedulers built around it stay with it. ``initial_lr`` is
    kept, so that the same scheduler, built anew with ``last_epoch=``, goes on where it was.

    What α is, for each group: ``base_lr`` if given; otherwise the ``initial_lr`` that a scheduler
    has left there, if it is not 0; otherwise ``lr``. η_t is lr/α from then on, and under
    ``decay="decoupled"`` λ = α·weight_decay, so that η_t·λ = lr_t·weight_decay for any α.
    OneCycleLR leaves its starting rate as ``initial_lr``: give ``base_lr`` if λ shall refer to its
    peak.

    Args:
        optimizer: one of torch.optim's Adadelta, Adagrad, Adam, Adamax, AdamW, Muon, NAdam,
            RAdam, RMSprop or SGD.
        base_lr: α, for all groups or one for each.
        decay: of groups with torch's decoupled decay: ``"decoupled"`` shows the paper's λ,
            ``"lr_coupled"`` keeps torch's number. Both do the same.
        schedule: to use from now on, in the place of torch's scheduler.
        updates: number of updates made so far; needed with ``schedule`` for SGD and Muon, which do
            not count them.
        backend: as for :class:`unyoke.Optimizer`.

    Raises:
        ValueError: no counterpart here (the message says why), an α that cannot be known, or a
            schedule that does not give the learning rate at which torch stands.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> theirs = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    >>> ours = unyoke.from_torch(theirs)
    >>> ours.direction.name, ours.param_groups[0]["weight_decay"]
    ('adam', 1e-05)
    """
    if not isinstance(optimizer, TorchOptimizer):
        raise TypeError(f"from_torch takes an optimizer of torch's, not {type(optimizer).__name__}")
    if isinstance(optimizer, Optimizer):
        raise ValueError(f"from_torch: {type(optimizer).__name__} is an unyoke optimizer already")
    if decay not in ("decoupled", "lr_coupled"):
        raise ValueError(f"from_torch: decay must be 'decoupled' or 'lr_coupled', not {decay!r}")
    forms = forms_of(optimizer)
    rates = _base_rates(optimizer, base_lr)
    made = _updates(optimizer, forms[0], updates, schedule)
    groups = [
        _group_here(form, group, rate, decay) | {"direction": form.direction}
        for form, group, rate in zip(forms, optimizer.param_groups, rates, strict=True)
    ]
    ours = _optimizer_here(optimizer, forms, groups, schedule, backend, decay)
    ours.groups.accept_any_eta()  # λ is α·weight_decay
    pairs = zip(forms, ours.param_groups, optimizer.param_groups, strict=True)
    for form, group, theirs in pairs:
        group["updates"] = made
        if schedule is None:
            group["lr"] = theirs["lr"]
        for weight in group["params"]:
            _state_here(ours, form, group, weight, optimizer.state.get(weight) or {})
    ours.refresh()
    _check_rates(ours, optimizer)
    return ours


def _base_rates(
    optimizer: TorchOptimizer, base_lr: BaseRate | Sequence[BaseRate] | None
) -> list[BaseRate]:
    """α of every group."""
    groups = optimizer.param_groups
    given = list(base_lr) if isinstance(base_lr, (list, tuple)) else [base_lr] * len(groups)
    if len(given) != len(groups):
        raise ValueError(f"base_lr has {len(given)} values, and there are {len(groups)} groups")
    rates = []
    for index, (group, own) in enumerate(zip(groups, given, strict=True)):
        rate = own if own is not None else group.get("initial_lr")
        if rate is None or (own is None and largest(rate) == 0):
            rate = group["lr"]
        if own is None and largest(rate) == 0:
            raise ValueError(
                f"lr of group {index} is 0, so its peak is not known: give base_lr=, the learning "
                "rate α of which a schedule takes a part"
            )
        if isinstance(group["lr"], torch.Tensor):
            rate = torch.as_tensor(rate, dtype=group["lr"].dtype, device=group["lr"].device)
        rates.append(own_copy(rate))
    return rates


def _updates(
    optimizer: TorchOptimizer, form: Form, given: int | None, schedule: Schedule | None
) -> int:
    """How many updates were made."""
    if given is not None:
        if isinstance(given, bool) or not isinstance(given, int) or given < 0:
            raise ValueError(f"updates must be an integer ≥ 0, not {given!r}")
        return given
    if form.counts:
        return max((int(state["step"]) for state in optimizer.state.values() if state), default=0)
    if schedule is not None and any(optimizer.state.values()):
        raise ValueError(
            f"{form.name} does not count its updates, and schedule={schedule!r} needs their "
            "number: give updates="
        )
    return 1 if any(optimizer.state.values()) else 0


def _group_here(form: Form, group: Group, rate: BaseRate, decay: str) -> dict[str, Any]:
    """A parameter group of ours; entries that users or schedulers have added are kept."""
    names = group.get("param_names")
    weights = list(group["params"])
    known = known_arguments() | {"params", "param_names"}
    return {
        **{name: value for name, value in group.items() if name not in known},
        **_decay_here(form, group, rate, decay),
        **form.hyperparameters(group),
        "params": weights if names is None else list(zip(names, weights, strict=True)),
        "lr": rate,
        "maximize": bool(group.get("maximize", False)),
        "differentiable": bool(group.get("differentiable", False)),
    }


def _decay_here(form: Form, group: Group, rate: BaseRate, decay: str) -> dict[str, Any]:
    weight_decay = group["weight_decay"]
    if not form.is_decoupled(group):
        return {"decay": "l2", "weight_decay": weight_decay}
    if decay == "lr_coupled":
        return {"decay": "lr_coupled", "weight_decay": weight_decay}
    return {"decay": "decoupled", "weight_decay": rate * weight_decay}  # λ = α·wd


def _optimizer_here(
    theirs: TorchOptimizer,
    forms: Sequence[Form],
    groups: list[dict[str, Any]],
    schedule: Schedule | None,
    backend: str,
    decay: str,
) -> Optimizer:
    # groups that come later have the algorithm of the constructor's numbers, if some group has it
    form = next((form for form in forms if form.matches(theirs.defaults)), forms[0])
    default = _group_here(form, {**theirs.defaults, "params": ()}, theirs.defaults["lr"], decay)
    names = ("lr", "weight_decay", "decay", "maximize", "differentiable", *form.shared)
    with warnings.catch_warnings():
        # a λ that was converted is in the right units, however large it is
        warnings.filterwarnings("ignore", "weight_decay=.* is per update", UserWarning)
        return Optimizer(
            groups,
            direction=form.direction,
            schedule=schedule,
            backend=backend,
            **{name: default[name] for name in names},
        )


def _state_here(
    ours: Optimizer, form: Form, group: dict[str, Any], weight: torch.Tensor, state: Group
) -> None:
    """Copy the state of one parameter; moments of short weights go on in float32."""
    if not any(value is not None for value in state.values()):
        return
    rule = ours.groups.rule(group)
    (own,) = before_updates(ours, rule, [weight], group)
    own["step"].fill_(float(state["step"]) if form.counts else max(1, group["updates"]))
    for name in (*rule.scalars, *rule.state):
        value = state.get(name)
        if value is not None:
            own[name].copy_(torch.as_tensor(value).detach())
        elif name != "momentum_buffer":  # which torch makes only where there is momentum
            raise ValueError(
                f"the state of this {form.name} has no {name!r}: it has {', '.join(state)}"
            )


def _check_rates(ours: Optimizer, theirs: TorchOptimizer) -> None:
    if ours.schedule is None:
        return
    for index, (group, old) in enumerate(zip(ours.param_groups, theirs.param_groups, strict=True)):
        if not math.isclose(largest(group["lr"]), largest(old["lr"]), rel_tol=1e-6):
            raise ValueError(
                f"group {index} stands at lr={largest(old['lr']):g}, and {ours.schedule!r} after "
                f"{group['updates']} updates at α={largest(group['base_lr']):g} gives "
                f"{largest(group['lr']):g}: give base_lr= or updates= so that they agree "
                "(updates=0 begins the schedule now)"
            )


def to_torch(optimizer: Optimizer) -> TorchOptimizer:
    """The optimizer of torch's that continues the run of one of ours.

    The inverse of :func:`from_torch`: weight_decay_torch = λ/α for ``decay="decoupled"``. Where
    the learning rate has been moved, α is left as ``initial_lr``, so that torch's schedulers go on
    with ``last_epoch=``: ``LambdaLR(optimizer, schedule, last_epoch=updates - 1)``. Moments are
    cast to the weights' dtype, which torch's optimizers need.

    ``heavy_ball`` becomes torch's momentum, the same as long as the learning rate stays what it is.

    Args:
        optimizer: of a direction that torch has, with decay none, l2, or, where torch has a
            decoupled form (Adam, NAdam, RAdam, Muon), decoupled or lr_coupled.

    Raises:
        ValueError: torch has no such algorithm, decay or schedule; the message says which.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> ours = unyoke.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-5)
    >>> theirs = unyoke.to_torch(ours)
    >>> type(theirs).__name__, theirs.param_groups[0]["weight_decay"]
    ('AdamW', 0.01)
    """
    if not isinstance(optimizer, Optimizer):
        raise ValueError(f"to_torch: {type(optimizer).__name__} is not an unyoke optimizer")
    _check_convertible(optimizer)
    forms = _forms_there(optimizer)
    pairs = zip(forms, optimizer.param_groups, strict=True)
    groups = [_group_there(optimizer, *pair) for pair in pairs]
    first = {name: value for name, value in groups[0].items() if name in forms[0].constructor}
    theirs = forms[0].optimizer(groups, **first)
    for form, group, own in zip(forms, theirs.param_groups, optimizer.param_groups, strict=True):
        group["lr"] = own["lr"]
        if "param_names" in own:
            group["param_names"] = list(own["param_names"])
        for weight in group["params"]:
            state = optimizer.state.get(weight) or {}
            if state and int(state["step"]) > 0:
                theirs.state[weight] = _state_there(optimizer, form, own, weight, state)
    return theirs


def _direction(optimizer: Optimizer, group: Group) -> str:
    return optimizer.groups.rule(dict(group)).direction.name


def _check_convertible(optimizer: Optimizer) -> None:
    found = {_direction(optimizer, group) for group in optimizer.param_groups}
    if "heavy_ball" in found and optimizer.schedule is not None:
        raise ValueError(
            f"direction 'heavy_ball' keeps the learning rate inside its buffer, and torch's SGD "
            f"outside: under schedule={optimizer.schedule!r} they differ. direction='momentum' is "
            "torch's form"
        )
    if optimizer.groups.follow_t:
        raise ValueError(
            "to_torch: weight_decay is a function of the number of updates, which torch's "
            "optimizers do not have"
        )
    for group in optimizer.param_groups:
        if group.get("ns_dtype", "bfloat16") != "bfloat16":
            raise ValueError(
                f"to_torch: ns_dtype={group['ns_dtype']!r}, and the Newton–Schulz steps "
                "of torch's Muon are in bfloat16: set group['ns_dtype'] = 'bfloat16' to go on so"
            )
        for name in ("lr", "weight_decay"):
            if isinstance(group[name], torch.Tensor) and group[name].numel() != 1:
                raise ValueError(
                    f"to_torch: {name} is a tensor of shape {tuple(group[name].shape)}, one number "
                    "for each of several models, which torch's optimizers do not have"
                )


def _forms_there(optimizer: Optimizer) -> list[Form]:
    """The algorithms of the groups, all of one class of torch's that has these decays."""
    groups = optimizer.param_groups
    names = [_direction(optimizer, group) for group in groups]
    if len(set(names)) == 1 and not forms_for(names[0]):
        raise ValueError(f"torch.optim has no optimizer for direction {names[0]!r}")
    rows = rows_for(names)
    if not rows:
        raise ValueError(
            f"to_torch: the groups have the directions {', '.join(sorted(set(names)))}, and no one "
            "optimizer of torch's runs all of them: give each direction an optimizer of its own"
        )
    styles = [_style(optimizer, group) for group in groups]
    wanted = [
        row for row in rows if all(form.can(style) for form, style in zip(row, styles, strict=True))
    ]
    if wanted:
        # AdamW only where every group is: it turns the flag of all its groups on when it loads
        decouples = "decoupled" in styles and "penalty" not in styles
        return next((row for row in wanted if row[0].flag == decouples), wanted[0])
    decays = sorted({group["decay"] for group in groups})
    raise ValueError(
        f"{rows[0][0].name} has no decay {' and '.join(map(repr, decays))}: it has "
        + ("'l2'" if rows[0][0].decouples == "never" else "'decoupled' and 'lr_coupled'")
        + "; weight_decay=0 or 'none' converts always"
    )


def _style(optimizer: Optimizer, group: Group) -> str:
    """``none``, ``penalty`` or ``decoupled``, as far as torch knows decays; else the name."""
    decay = optimizer.groups.decay(dict(group))
    if decay.kind == "none" or largest(group["weight_decay"]) == 0:
        return "none"
    return {"l2": "penalty", "decoupled": "decoupled", "lr_coupled": "decoupled"}.get(
        decay.name, decay.name
    )


def _group_there(optimizer: Optimizer, form: Form, group: Group) -> dict[str, Any]:
    """A parameter group of torch's; entries that users or schedulers have added are kept."""
    rule = optimizer.groups.rule(dict(group))
    own = {*rule.defaults, *optimizer.defaults, "params", "param_names", "base_lr", "updates"}
    result = {name: value for name, value in group.items() if name not in own | {"direction"}}
    result |= dict.fromkeys(form.idle, False)
    result |= {name: group[name] for name in form.shared if name in group}
    result |= {name: value for name, value in form.switches.items() if name not in form.shared}
    if form.direction == "momentum":
        result["dampening"] = group.get("dampening", 0.0)
    if largest(group["lr"]) != largest(group["base_lr"]):
        result.setdefault("initial_lr", own_copy(group["base_lr"]))
    if form.decouples == "by flag":
        style = _style(optimizer, group)
        result["decoupled_weight_decay"] = style == "decoupled" or (style == "none" and form.flag)
    for name in ("maximize", "differentiable"):
        if group[name]:
            result[name] = True
    return {
        **result,
        "params": list(group["params"]),
        "lr": group["lr"],
        "weight_decay": _decay_there(optimizer, group),
    }


def _decay_there(optimizer: Optimizer, group: Group) -> float:
    weight_decay, base = largest(group["weight_decay"]), largest(group["base_lr"])
    if _style(optimizer, group) == "none":
        return 0.0
    if optimizer.groups.decay(dict(group)).strength is not per_update:
        return weight_decay
    if base == 0:
        raise ValueError("to_torch: with lr=0 torch's weight_decay = λ/lr is not defined")
    return weight_decay / base


def _state_there(
    optimizer: Optimizer, form: Form, group: Group, weight: torch.Tensor, state: Group
) -> dict[str, Any]:
    rule = optimizer.groups.rule(dict(group))
    scale = 1.0
    if rule.direction.name == "heavy_ball":
        if largest(group["lr"]) == 0:
            raise ValueError("to_torch: heavy_ball at lr=0 has no buffer without the learning rate")
        scale = 1.0 / largest(group["lr"])  # m = lr·b
    result: dict[str, Any] = {"step": torch.tensor(float(state["step"]))} if form.counts else {}
    for name in rule.direction.scalars:
        result[name] = torch.tensor(float(state[name]))
    for name in rule.direction.state:
        value = formats.read(state, name, formats.format_of(rule, state, name))
        result[name] = (value.detach() * scale).to(weight.dtype)
    return result
