"""Warnings in words: where weight decay does nothing, does too much, or is lost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch

from unyoke._step.hyperparameters import Group
from unyoke.explain import MATTERS, lost_share
from unyoke.monitoring.reading import GroupReading
from unyoke.transfer.run import EQUILIBRIUM

WEAK = 0.1
"""Σηλ of a whole run below which less than 10 % of a weight is taken."""
STRONG = 100.0
"""Σηλ of a whole run above which τ is under a hundredth of it."""


def warnings_of(
    optimizer: torch.optim.Optimizer,
    groups: Sequence[GroupReading],
    update: int,
    budget: int | None,
    per_epoch: float | None,
) -> tuple[str, ...]:
    """What somebody should know of each group that decays."""
    found = []
    for group in groups:
        if group.effective_decay is None or group.weight_decay == 0.0:
            continue
        own = optimizer.param_groups[group.index]
        texts = [
            *_of_the_run(group, budget),
            *_of_the_window(group, per_epoch),
            *_of_rounding(group, own),
        ]
        found += [f"group {group.index}: {text}" for text in texts]
    return tuple(found)


def _of_the_run(group: GroupReading, budget: int | None) -> Iterator[str]:
    if group.decay_so_far is None or group.decay_to_come is None or budget is None:
        return
    total = group.decay_so_far + group.decay_to_come
    if total < WEAK:
        yield (
            f"decay takes {-100 * math.expm1(-total):.3g} % of a weight in the whole run "
            f"(Σηλ = {total:.2g}): too weak to matter; λ {1 / total:.2g} times as large would make "
            "Σηλ = 1"
        )
    elif total < EQUILIBRIUM:
        yield (
            f"Σηλ = {total:.2g} over the run: norms of weights before a normalization do not reach "
            "equilibrium, so their rotation depends on where they began"
        )
    elif total > STRONG:
        yield (
            f"Σηλ = {total:.3g} over the run: a weight remembers {100 / total:.2g} % of it; decay "
            "is too strong unless the run is to go on without an end"
        )


def _of_the_window(group: GroupReading, per_epoch: float | None) -> Iterator[str]:
    if per_epoch is None or group.window is None:
        return
    peak = group.window * group.eta  # at η = 1: a schedule's end makes τ longer
    if 0.0 < peak < per_epoch:
        yield (
            f"τ = {peak / per_epoch:.2g} epochs at the peak: weights forget samples before they "
            "are seen again; decay is too strong"
        )


def _of_rounding(group: GroupReading, own: Group) -> Iterator[str]:
    dtypes = {weight.dtype for weight in own["params"] if weight.is_floating_point()}
    is_kept = own.get("rounding", "nearest") != "nearest" or group.decay in ("l2", "none")
    if not dtypes or is_kept or not group.effective_decay:
        return
    dtype = max(dtypes, key=lambda each: torch.finfo(each).eps)
    share = lost_share([group.effective_decay], torch.finfo(dtype).eps)
    if share > MATTERS and group.eta >= 0.5:  # the end of a schedule does not count
        yield (
            f"{100 * share:.2g} % of the decay is lost to rounding in "
            f"{str(dtype).removeprefix('torch.')} wherever the step is 0"
            + (": rounding='kahan' or 'stochastic' keeps it" if "rounding" in own else "")
        )
