"""What a weight decay amounts to, in units that people can judge. Behind ``Optimizer.explain``.

>>> import torch, unyoke
>>> optimizer = unyoke.AdamW([torch.nn.Parameter(torch.ones(10))], lr=1e-3, weight_decay=1e-5)
>>> print(optimizer.explain(updates=100_000, updates_per_epoch=1000))
over the next 100,000 updates
group 0: 10 weights, adam with decoupled, lr=0.001, η=1, weight_decay=1e-05
  taken per update      1e-05
  taken over the budget 0.6321 (63.2 %)
  total decay Σηλ       1
  half-life             69,314 updates, 69.31 epochs
  averaging window τ    100,000 updates, 100 epochs
  torch's weight_decay  0.01
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch

from unyoke import decays, directions
from unyoke._step.hyperparameters import Group, largest, weight_decay_at
from unyoke._step.owner import Owner
from unyoke._step.proportion import Proportion, proportion
from unyoke.equation import Decay, Direction, Rule, per_learning_rate, per_update

Lost = Literal["none", "partly", "all"]


@dataclass(frozen=True)
class GroupDecay:
    """One parameter group's decay. None where a quantity is not defined for its rule.

    Attributes:
        index: the group's place in ``param_groups``.
        parameters: how many weights it has.
        direction: its direction, by name.
        decay: its rule, by name.
        weight_decay: λ of the coming update, in the rule's own units.
        lr: α·η_t of the coming update.
        eta: η_t of the coming update.
        per_update: the part of what is pulled (for most rules: of the weight) that the coming
            update takes.
        cumulative: the part that all ``updates`` take together; None without a budget.
        half_life: updates after which half is gone, if they all took what the coming one takes.
        half_life_epochs: the same in epochs; None without ``updates_per_epoch``.
        window: τ = 1/(η·λ), the length in updates of the average that decay makes the weights.
        window_epochs: the same in epochs.
        torch_weight_decay: the number that torch's AdamW would call this at this learning rate;
            None where torch has no such decay (an anchor, L1, L2, a mask).
        dtype: the shortest dtype among the weights.
        lost: whether the coming update's decay survives rounding where the step itself is 0:
            ``"none"`` of it is lost, ``"partly"``, or ``"all"``.
        updates_lost: in how many of ``updates`` all of it is lost.
        note: what a reader should know about the rule or the rounding; may be empty.
        steady_state: for L2 in the gradient of SGD, the part that an update takes once the
            momentum's buffer has filled; ``cumulative`` and the times are then its. None elsewhere.
        total: Σηλ, the decay of all ``updates`` added up.
        lost_share: the share of the budget's decay that rounding takes where the step is 0.
    """

    index: int
    parameters: int
    direction: str
    decay: str
    weight_decay: float
    lr: float
    eta: float
    per_update: float | None
    cumulative: float | None
    half_life: float | None
    half_life_epochs: float | None
    window: float | None
    window_epochs: float | None
    torch_weight_decay: float | None
    dtype: torch.dtype
    lost: Lost
    updates_lost: int | None
    note: str
    steady_state: float | None = None
    total: float | None = None
    lost_share: float | None = None

    def __str__(self) -> str:
        heading = (
            f"group {self.index}: {self.parameters:,} weights, {self.direction} with {self.decay}, "
            f"lr={self.lr:g}, η={self.eta:g}, weight_decay={self.weight_decay:g}"
        )
        lines = [f"  {name:<22}{text}" for name, text in self._rows() if text]
        return "\n".join([heading, *lines, *([f"  {self.note}"] if self.note else [])])

    def _rows(self) -> list[tuple[str, str]]:
        return [
            ("taken per update", _number(self.per_update)),
            ("in the steady state", _number(self.steady_state)),
            ("taken over the budget", _share(self.cumulative)),
            ("total decay Σηλ", _number(self.total)),
            ("half-life", _updates(self.half_life, self.half_life_epochs)),
            ("averaging window τ", _updates(self.window, self.window_epochs)),
            ("torch's weight_decay", _number(self.torch_weight_decay)),
        ]


@dataclass(frozen=True)
class Explanation:
    """What :meth:`unyoke.Optimizer.explain` found; prints as text.

    Attributes:
        groups: one entry for each parameter group.
        updates: the budget that ``cumulative`` is about; None if there was none.
        updates_per_epoch: as given.
    """

    groups: tuple[GroupDecay, ...]
    updates: int | None
    updates_per_epoch: float | None

    def __str__(self) -> str:
        budget = [] if self.updates is None else [f"over the next {self.updates:,} updates"]
        return "\n".join([*budget, *map(str, self.groups)])

    __repr__ = __str__


def explain(optimizer: Owner, updates: int | None, updates_per_epoch: float | None) -> Explanation:
    """See :meth:`unyoke.Optimizer.explain`."""
    if updates is not None and (
        isinstance(updates, bool) or not isinstance(updates, int) or updates < 1
    ):
        raise ValueError(f"explain: updates must be an integer ≥ 1, not {updates!r}")
    if updates_per_epoch is not None and not 0 < updates_per_epoch < math.inf:
        raise ValueError(
            f"explain: updates_per_epoch must be finite and > 0, not {updates_per_epoch!r}"
        )
    if updates is None and (schedule := optimizer.groups.schedule) is not None:
        left = (schedule.budget or 0) - optimizer.param_groups[0]["updates"]
        updates = left if left > 0 else None
    groups = tuple(
        _explain_group(optimizer, index, updates, updates_per_epoch)
        for index in range(len(optimizer.param_groups))
    )
    return Explanation(groups, updates, updates_per_epoch)


def _explain_group(
    optimizer: Owner, index: int, updates: int | None, updates_per_epoch: float | None
) -> GroupDecay:
    group = optimizer.param_groups[index]
    rule = optimizer.groups.rule(group)
    rates = GroupRates(optimizer, index)
    lr, eta, weight_decay = rates.now()
    dtypes = (weight.dtype for weight in group["params"])
    dtype = max(dtypes, key=lambda each: torch.finfo(each).eps, default=torch.float32)
    exact = group.get("rounding", "nearest") != "nearest"
    eps = 0.0 if exact else torch.finfo(dtype).eps
    pulled = proportion(rule.decay, group)
    averaged = rule.direction.average is not None
    part = coming = None
    if (take := taker(rule.direction, rule.decay, group)) is not None:
        part = take(lr, eta, weight_decay)
        # of an average, what is evaluated follows later, and by how much depends on the run
        if updates is not None and not averaged:
            coming = [take(*each) for each in rates.following(updates)]
    taken, rounds = (None, None) if pulled is None else (part, coming)
    share = None if rounds is None else lost_share(rounds, eps)
    return GroupDecay(
        index=index,
        parameters=sum(weight.numel() for weight in group["params"]),
        direction=rule.direction.name,
        decay=rule.decay.name,
        weight_decay=weight_decay,
        lr=lr,
        eta=eta,
        dtype=dtype,
        lost=_lost(taken, eps),
        updates_lost=None if rounds is None else sum(0 < each <= eps / 4 for each in rounds),
        note="; ".join([*_notes(rule, pulled, part), *_losses(taken, eps, dtype, share)]),
        lost_share=share,
        **amounts(rule.decay, group, part, coming, lr, updates_per_epoch, lasts=not averaged),
    )


def amounts(
    decay: Decay,
    group: Mapping[str, Any],
    part: float | None,
    coming: list[float] | None,
    lr: float,
    updates_per_epoch: float | None,
    lasts: bool = True,
) -> dict[str, Any]:
    """What an update's part of a weight amounts to, as attributes of :class:`GroupDecay`.

    Args:
        decay: the rule.
        group: with its numbers.
        part: what the coming update takes, or takes in the steady state; None if no fixed part is.
        coming: the same of each update of the budget, if there is one.
        lr: α·η_t of the coming update.
        updates_per_epoch: if known.
        lasts: whether half-life and window have a meaning.
    """
    is_taken = decay.kind == "pull"  # and not what the steady state takes
    half_life = half_life_of(part) if part is not None and lasts else None
    window = 1.0 / part if part and lasts else None
    shared = part if lr > 0 and torch_has(decay, group) else None
    return {
        "per_update": part if is_taken else None,
        "steady_state": None if is_taken else part,
        "cumulative": None if coming is None else taken_together(coming),
        "total": None if coming is None else math.fsum(coming),
        "half_life": half_life,
        "half_life_epochs": in_epochs(half_life, updates_per_epoch),
        "window": window,
        "window_epochs": in_epochs(window, updates_per_epoch),
        "torch_weight_decay": None if shared is None else shared / lr,
    }


Taker = Callable[[float, float, float], float]


def taker(direction: Direction | None, decay: Decay, group: Mapping[str, Any]) -> Taker | None:
    """(lr, η, λ) → the part of a weight that an update takes; None where no fixed part is taken.

    An L2 penalty is scaled by the learning rate as the gradient is.
    """
    factor, strength = steady_state(direction, decay, group), decay.strength
    if factor is not None:
        strength = per_learning_rate
    elif (pulled := proportion(decay, {**decay.defaults, **group})) is not None:
        factor = pulled.share
    else:
        return None
    return lambda lr, eta, weight_decay: float(factor * strength(weight_decay, eta, lr))


def torch_has(decay: Decay, group: Mapping[str, Any]) -> bool:
    """Whether torch's AdamW has this decay under some number: a part of θ, by η or by lr."""
    pulled = proportion(decay, group)
    to_zero = pulled is not None and pulled.to_zero
    own = decay.strength in (per_update, per_learning_rate)
    return own and to_zero and "step" not in decay.arguments


def steady_state(
    direction: Direction | None, decay: Decay, group: Mapping[str, Any]
) -> float | None:
    """What multiplies lr·λ′ in the steady state of SGD with L2; None for other pairs.

    The buffer adds up a constant λ′θ to λ′θ·(1 − dampening)/(1 − momentum).
    """
    if decay is not decays.l2 or direction not in [directions.ALL[name] for name in SGD]:
        return None
    is_plain = direction is directions.ALL["gradient"]
    momentum = 0.0 if is_plain else largest(group.get("momentum", 0.0))
    # torch leaves dampening alone where there is no momentum
    kept = 1.0 - largest(group.get("dampening", 0.0)) if momentum else 1.0
    return kept / (1.0 - momentum)


SGD = ("gradient", "heavy_ball", "momentum", "nesterov")
"""Directions whose step is a sum of gradients."""


class GroupRates:
    """The learning rate and decay of a group, now and in the updates to come."""

    def __init__(self, optimizer: Owner, index: int) -> None:
        self.schedule = optimizer.groups.schedule
        self.group: Group = optimizer.param_groups[index]
        self.base = largest(self.group["base_lr"])
        own = optimizer.groups.function(index)
        self.weight_decay = self.group["weight_decay"] if own is None else own

    def now(self) -> tuple[float, float, float]:
        """(α·η_t, η_t, λ) of the coming update."""
        return self.at(self.group["updates"])

    def at(self, t: int) -> tuple[float, float, float]:
        """The same of the update that follows t updates; without a schedule lr stays as it is."""
        weight_decay = largest(weight_decay_at(self.weight_decay, t, self.schedule))
        if self.schedule is not None:
            eta = self.schedule(t)
            return self.base * eta, eta, weight_decay
        lr = largest(self.group["lr"])
        return lr, lr / self.base if self.base > 0 else 0.0, weight_decay

    def following(self, updates: int) -> list[tuple[float, float, float]]:
        """The same of each of the coming updates."""
        if self.schedule is None and not callable(self.weight_decay):
            return [self.now()] * updates
        first = self.group["updates"]
        return [self.at(t) for t in range(first, first + updates)]


def taken_together(parts: list[float]) -> float:
    """1 − Π(1 − part), precise for small parts."""
    if any(part >= 1.0 for part in parts):
        return 1.0
    return 0.0 - math.expm1(math.fsum(math.log1p(-part) for part in parts))


def half_life_of(part: float) -> float:
    """Updates that together take half, if each takes ``part``."""
    if part == 0.0:
        return math.inf
    return 1.0 if part >= 0.5 else -math.log(2.0) / math.log1p(-part)


def in_epochs(updates: float | None, updates_per_epoch: float | None) -> float | None:
    """Updates in epochs; None if either is unknown."""
    return updates / updates_per_epoch if updates is not None and updates_per_epoch else None


def _lost(part: float | None, eps: float) -> Lost:
    """θ − part·θ rounds back to θ for every θ below eps/4, for some up to eps/2."""
    if not part or part > eps / 2:
        return "none"
    return "all" if part <= eps / 4 else "partly"


def lost_share(parts: list[float], eps: float) -> float:
    """The share of the decay that rounding takes where the step is 0, over binades of weights.

    A weight m·2^e, 1 ≤ m < 2, loses a part p where m·p ≤ eps/2: of weights that are spread evenly
    on a logarithmic scale, log2(eps/(2·p)) of them.
    """
    total = math.fsum(parts)
    if total == 0.0 or eps == 0.0:
        return 0.0
    lost = (
        part * min(1.0, math.log2(eps / (2.0 * part))) for part in parts if 0.0 < part < eps / 2.0
    )
    return math.fsum(lost) / total


def _notes(rule: Rule, pulled: Proportion | None, part: float | None) -> list[str]:
    """What is particular about a rule."""
    averaged = rule.direction.average is not None and pulled is not None
    after = [
        "taken from z, of the trained weights y; the evaluated x, an average of z, follows later"
    ]
    return _decay_notes(rule.decay, pulled, part) + after * averaged


def _decay_notes(decay: Decay, pulled: Proportion | None, part: float | None) -> list[str]:
    if decay.kind == "none":
        return ["no decay"]
    if decay.kind != "pull" and part is not None:
        return ["L2 in the gradient: the numbers are those of its steady state"]
    if decay.kind != "pull":
        return ["the strength of this decay depends on gradients or norms: no fixed part is taken"]
    if pulled is None:
        return [f"{decay.name!r} pulls by something else than the weight: no fixed part is taken"]
    if "step" in decay.arguments:
        return ["at most: a weight that the step moves away from 0 keeps its size"]
    return [] if pulled.to_zero else ["what is taken is a part of the distance to the anchor"]


MATTERS = 0.01
"""The share of a budget's decay that rounding may take without a word."""


def _losses(part: float | None, eps: float, dtype: torch.dtype, share: float | None) -> list[str]:
    """What rounding takes, if it matters."""
    if share is None:  # no budget is known: the coming update stands for it
        share = lost_share([part or 0.0], eps)
    if share <= MATTERS:
        return []
    what = "all" if share > 1.0 - MATTERS else f"{100 * share:.2g} %"
    return [
        f"{what} of the decay is lost to rounding in {str(dtype).removeprefix('torch.')} wherever "
        "the step is 0: rounding='kahan' or 'stochastic' keeps it"
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.4g} ({100 * value:.3g} %)"


def _updates(value: float | None, epochs: float | None) -> str:
    if value is None:
        return ""
    if math.isinf(value):
        return "never"
    return f"{value:,.0f} updates" + ("" if epochs is None else f", {epochs:.4g} epochs")
