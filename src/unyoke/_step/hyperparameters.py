"""α·η_t, η_t and λ of one update: how a parameter group's rates are read, checked and shown.

Each group keeps α in ``group["base_lr"]`` and shows α·η_t in ``group["lr"]``, where torch's
schedulers and loggers look for it. Whoever moves ``lr`` moves η_t = lr/α, and the decay with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias, TypeGuard, cast

import torch

from unyoke._step.proportion import is_proportional
from unyoke.decays import Normalized
from unyoke.equation import Decay, per_update
from unyoke.ranges import Limits, number
from unyoke.schedules import Schedule
from unyoke.storage.fit import lacks_memory
from unyoke.timescales import LARGE

ABOVE_ONE = 1.0 + 1e-6
"""An η_t that is more than 1 in its last digits."""

WeightDecay: TypeAlias = float | torch.Tensor | Normalized | Callable[[int], float]
Group: TypeAlias = dict[str, Any]


def rate(schedule: Schedule | None, index: int, group: Mapping[str, Any]) -> tuple[Any, Any]:
    """(α·η_t, η_t) of the coming update of group number ``index``.

    Raises:
        RuntimeError: a schedule was given and something else moved ``lr``; or α is 0 and ``lr``
            is not.
        ValueError: ``lr``, or what the schedule gives, is negative or not finite.
    """
    lr, base = group["lr"], group["base_lr"]
    # Floats first: to find out that a float is no tensor takes as long as all the rest
    plain = isinstance(lr, float) and isinstance(base, float)
    if not plain:
        lr, base = number(lr), number(base)
        _check_written(index, "learning rate", lr)
        _check_written(index, "base_lr", base)
    if schedule is not None:
        eta = schedule(group["updates"])
        if not plain and isinstance(base, torch.Tensor):
            return precise(base) * eta, eta
        if not 0.0 <= base * eta < math.inf:
            raise ValueError(
                f"schedule={schedule!r} gives {eta!r} at t={group['updates']}, for which lr of "
                f"group {index} would be {base * eta!r}: it must give finite numbers ≥ 0"
            )
        own = plain or not isinstance(lr, torch.Tensor)
        if own and lr != base * eta and not _is_same(lr, base * eta, base):
            raise RuntimeError(
                f"schedule={schedule!r} sets lr of group {index} to {base * eta:g}, but "
                f"something else, such as a scheduler from torch.optim.lr_scheduler, has set "
                f"it to {lr:g}: use one of the two"
            )
        return base * eta, eta
    if not plain and (isinstance(lr, torch.Tensor) or isinstance(base, torch.Tensor)):
        lr, base = precise(lr), precise(base)
        still = base == 0
        return lr, torch.where(still, 0.0, lr / torch.where(still, 1.0, base))
    if not 0.0 < lr < math.inf:
        _check_written(index, "learning rate", lr)
        return 0.0, 0.0
    if not 0.0 < base < math.inf:
        _check_written(index, "base_lr", base)
        raise RuntimeError(
            f"group {index} was made with lr=0 and now has lr={lr:g}: the schedule's "
            "multiplier lr/base_lr is undefined. Give the peak learning rate to the "
            "constructor, or set group['base_lr']"
        )
    return lr, lr / base


def _is_same(lr: float, expected: float, base: float) -> bool:
    """Whether two numbers may be one that was computed in two ways.

    A rate that went through float32 differs by 6e-8 of itself, and one that a recursion over a
    million updates has formed by less; the zero at the end of a cosine is 1e-16 of α in another.
    """
    return bool(abs(lr - expected) <= 1e-6 * abs(expected) + 1e-12 * base)


def precise(value: Any) -> torch.Tensor:
    """A number or tensor in float64, in which coefficients are formed; on MPS in float32."""
    if not isinstance(value, torch.Tensor):
        return torch.tensor(value, dtype=torch.float64)
    return value if value.device.type == "mps" else value.double()


def weight_decay_at(
    weight_decay: WeightDecay, updates: int, schedule: Schedule | None
) -> float | torch.Tensor:
    """λ of the update that follows ``updates`` updates."""
    if isinstance(weight_decay, Normalized):
        return weight_decay.at(updates, schedule)
    found = weight_decay(updates) if callable(weight_decay) else weight_decay
    return found if isinstance(found, torch.Tensor) else cast(float, number(found))


def depends_on_t(weight_decay: Any) -> TypeGuard[Normalized | Callable[[int], float]]:
    """Whether λ is a function of the number of updates made."""
    return isinstance(weight_decay, Normalized) or callable(weight_decay)


def largest(value: Any) -> float:
    """A number as it is; of a tensor its largest element."""
    return float(value.detach().max()) if isinstance(value, torch.Tensor) else float(value)


def is_rehearsal(groups: Sequence[Group]) -> bool:
    """Whether torch.distributed.checkpoint only wants to see the state: lr and gradients are 0.

    Raises:
        ValueError: an lr that somebody has written into a group is negative or no number.
    """
    for index, group in enumerate(groups):
        _check_written(index, "learning rate", group["lr"])
    if any(largest(group["lr"]) != 0 for group in groups):
        return False
    weights = [weight for group in groups for weight in group["params"]]
    grads = [weight.grad for weight in weights if weight.grad is not None]
    return bool(grads) and not any(map(_has_numbers, grads))


def _has_numbers(grad: torch.Tensor) -> bool:
    """Whether a gradient is another than the zeros of a rehearsal."""
    if grad.layout is not torch.strided or lacks_memory(grad):
        return True  # the step says what it has against these
    return not grad.is_meta and bool(grad.any())


def own_copy(lr: Any) -> Any:
    """α as a group keeps it: a tensor is copied, since ``lr`` is updated in place."""
    return lr.clone() if isinstance(lr, torch.Tensor) else lr


def may_be_torchs(decay: Decay) -> bool:
    """Whether λ is a share of the weight in each update, so that a large one may be torch's."""
    return decay.strength is per_update and is_proportional(decay)


def grows_with_rate(decay: Decay) -> bool:
    """Whether a learning rate above α makes the decay larger than λ."""
    return decay.kind != "none" and decay.strength is per_update


def rate_limits(decay: Decay, warned: Collection[str]) -> dict[str, Limits]:
    """Between which numbers there is no warning and no refusal of a group's rates.

    Args:
        decay: of the group.
        warned: what there was a warning of already, ``"decay"`` or ``"eta"``.
    """
    may_be_large = "decay" in warned or not may_be_torchs(decay)
    may_grow = "eta" in warned or not grows_with_rate(decay)
    positive = (math.nextafter(0.0, 1.0), math.inf)
    return {
        "lr": positive,
        "base_lr": positive,
        "eta": (0.0, math.inf if may_grow else ABOVE_ONE),
        "weight_decay": (0.0, math.inf if may_be_large else LARGE),
    }


def warning_if_large(group: Group, decay: Decay) -> str | None:
    """What to tell somebody whose λ looks like a number from torch; None if it does not."""
    weight_decay = largest(group["weight_decay"])
    if weight_decay < LARGE or not may_be_torchs(decay):
        return None
    lr = largest(group["base_lr"])
    return (
        f"weight_decay={weight_decay:g} is per update and not multiplied by lr: each update "
        f"takes {weight_decay:.3g} of every weight. If you meant torch's "
        f"weight_decay={weight_decay:g} at lr={lr:g}, give "
        f"weight_decay={weight_decay * lr:g}, or decay='lr_coupled'"
    )


def warning_if_above_one(group: Group, decay: Decay, eta: float) -> str | None:
    """What to tell somebody whose learning rate is above α, by which the decay grows as well."""
    if eta <= ABOVE_ONE or not grows_with_rate(decay) or not group["weight_decay"] > 0:
        return None
    weight_decay, lr, base = group["weight_decay"], group["lr"], group["base_lr"]
    return (
        f"lr={lr:g} is {eta:.3g} times the constructor's lr={base:g}, and so is the decay: each "
        f"update takes {eta * weight_decay:.3g} of every weight, and weight_decay says "
        f"{weight_decay:g}. Give the peak learning rate to the constructor, or set "
        f"group['base_lr'] to it"
    )


def _check_written(index: int, name: str, value: Any) -> None:
    if not isinstance(value, torch.Tensor):  # numbers may be formed of tensors on a device
        check_entry(index, name, value)


def check_entry(index: int, name: str, value: Any) -> None:
    """Check a rate of a group, into which somebody may have written.

    Raises:
        ValueError: it is negative, not finite or no number.
    """
    try:
        if type(value) is int and type(number(value)) is float:
            raise ValueError(f"Invalid {name}: {value}: an integer of more than 64 bits")
        _check_number(name, value)
    except ValueError as error:
        raise ValueError(f"parameter group {index}: {error}") from None


def check_lr(lr: Any) -> None:
    """A learning rate is finite and ≥ 0."""
    _check_number("learning rate", lr)


def check_weight_decay(weight_decay: Any) -> None:
    """A weight decay is finite and ≥ 0."""
    _check_number("weight_decay value", weight_decay)


def _check_number(name: str, value: Any) -> None:
    value = number(value)
    if isinstance(value, torch.Tensor):
        if value.dim() > 1:
            raise ValueError(
                f"Invalid {name}: a tensor of shape {tuple(value.shape)}: give a 0-d "
                "tensor, or one of shape [K] for K stacked models"
            )
        if not value.is_cpu or _are_finite(value):
            return  # a value on a device is not waited for
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf:
        return
    raise ValueError(f"Invalid {name}: {value!r}: it must be a finite number ≥ 0")


def _are_finite(rates: torch.Tensor) -> bool:
    if rates.is_complex():
        return False
    if rates.dim() == 0:
        return 0 <= rates.item() < math.inf  # asked at every update: an operation less
    ends = rates.detach().aminmax() if rates.numel() else ()
    return all(0 <= end.item() < math.inf for end in ends)  # NaN is both ends


def _check_count(value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"Invalid number of updates: {value!r}: it must be an integer ≥ 0")


def check_seed(value: Any) -> None:
    """A seed of random bits is an integer ≥ 0 and below 2^31."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 31:
        raise ValueError(f"Invalid seed: {value!r}: it must be an integer ≥ 0 and below 2^31")


def _check_switch(value: Any) -> None:
    if value not in (False, True):
        raise ValueError(f"Invalid switch: {value!r}: it must be True or False")


CHECKS: Mapping[str, Callable[[Any], None]] = {
    "lr": check_lr,
    "base_lr": check_lr,
    "weight_decay": check_weight_decay,
    "updates": _check_count,
    "seed": check_seed,
    **dict.fromkeys(("maximize", "differentiable", "capturable"), _check_switch),
}
"""Of what every group holds beside hyperparameters."""


def check_saved(index: int, saved: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Check the numbers of a checkpoint's group as the constructor checks its arguments.

    Args:
        index: of the group.
        saved: the group as it is about to be.
        own: the group as it is.

    Raises:
        ValueError: one is out of its range, or lr and base_lr do not go together.
    """
    for name, check in CHECKS.items():
        if name in saved:
            try:
                check(saved[name])
            except (TypeError, ValueError, RuntimeError) as error:
                raise ValueError(
                    f"parameter group {index} of the checkpoint has {name}={saved[name]!r}, and "
                    f"this optimizer's has {own.get(name)!r}: {error}"
                ) from None
    lr, base = saved["lr"], saved["base_lr"]
    if not isinstance(lr, torch.Tensor) and not isinstance(base, torch.Tensor) and lr > 0 == base:
        raise ValueError(
            f"parameter group {index} of the checkpoint has lr={lr:g} over base_lr={base:g}, of "
            "which the schedule's multiplier lr/base_lr is undefined; this optimizer's has "
            f"base_lr={own.get('base_lr')!r}: give the peak learning rate to the constructor"
        )
