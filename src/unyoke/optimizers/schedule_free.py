"""Schedule-free AdamW and SGD: the average of the weights in the place of a schedule."""

from __future__ import annotations

from typing import Any

import torch

from unyoke.equation import Average, Hyperparameters, direction
from unyoke.optimizers.named import Named
from unyoke.primitives import maximum, moving_average, sqrt, where
from unyoke.ranges import in_range


def _average(weight, delta, z, mixed, share):
    """y_t and z_t: y_{t−1} − y_t = c_t·(y_{t−1} − z_{t−1}) + (1 − β·(1 − c_t))·delta.

    delta is what z moves by, decay included; x_t = (1 − c_t)·x_{t−1} + c_t·z_t is not kept.
    """
    return mixed * (weight - z) + share * delta, z - delta


def _momentum(hyperparameters: Hyperparameters) -> Any:
    """β: the share of the average in the weights at which gradients are taken."""
    return (
        hyperparameters["betas"][0] if "betas" in hyperparameters else hyperparameters["momentum"]
    )


def _evaluated(
    weight: torch.Tensor, z: torch.Tensor, hyperparameters: Hyperparameters
) -> torch.Tensor:
    """x = y + (1 − 1/β)·(z − y)."""
    return torch.lerp(weight, z, 1.0 - 1.0 / _momentum(hyperparameters))


def _trained(
    weight: torch.Tensor, z: torch.Tensor, hyperparameters: Hyperparameters
) -> torch.Tensor:
    """y = x + (1 − β)·(z − x)."""
    return torch.lerp(weight, z, 1.0 - _momentum(hyperparameters))


AVERAGE = Average(_average, _evaluated, _trained, state=("z",))


def _mixing(
    t: Any, eta: Any, beta: Any, r: Any, power: Any, weight_sum: Any, eta_max: Any
) -> dict[str, Any]:
    """c_t and what the average needs beside it; an update at a rate of 0 has no weight."""
    eta_max = maximum(eta_max, eta)
    weight = where(eta > 0, 1.0 * t**r * eta_max**power, 0.0)
    weight_sum = weight_sum + weight
    mixed = weight / where(weight_sum > 0, weight_sum, 1.0)
    return {
        "weight_sum": weight_sum,
        "eta_max": eta_max,
        "mixed": mixed,
        "share": 1.0 - beta * (1.0 - mixed),
    }


def _first_state(name: str, weight: torch.Tensor, hyperparameters: Hyperparameters) -> torch.Tensor:
    made = torch.clone if name == "z" else torch.zeros_like
    return made(weight, memory_format=torch.preserve_format)


def _check(hyperparameters: Hyperparameters) -> None:
    """At β = 0 the average could not be had from y and z."""
    beta = _momentum(hyperparameters)
    name = "beta parameter at index 0" if "betas" in hyperparameters else "momentum value"
    in_range(name, beta, 0.0, 1.0)
    if beta == 0:
        raise ValueError(f"Invalid {name}: {beta}: it must lie in (0, 1)")


SHARED: dict[str, Any] = {
    "scalars": ("weight_sum", "eta_max"),
    "sums": ("weight_sum", "eta_max"),
    "initial": _first_state,
    "check": _check,
    "average": AVERAGE,
}
AVERAGING = {"r": 0.0, "weight_lr_power": 2.0}


def _adam_coefficients(
    t: Any,
    eta: Any,
    lr: Any,
    betas: Any,
    eps: Any,
    r: Any,
    weight_lr_power: Any,
    weight_sum: Any,
    eta_max: Any,
) -> dict[str, Any]:
    beta1, beta2 = betas
    return _mixing(t, eta, beta1, r, weight_lr_power, weight_sum, eta_max) | {
        "beta2": beta2,
        "new2": 1.0 - beta2,
        "correction": 1.0 / sqrt(1.0 - beta2**t),
        "lr": lr,
        "eps": eps,
    }


@direction(
    state=("exp_avg_sq", "z"),
    nonnegative=("exp_avg_sq",),
    coefficients=_adam_coefficients,
    defaults={"betas": (0.9, 0.999), "eps": 1e-8, **AVERAGING},
    **SHARED,
)
def schedule_free_adam(grad, grad_v, exp_avg_sq, lr, beta2, new2, correction, eps):
    """Adam's normalized gradients from weights between an iterate and the average of iterates.

    v_t = β2·v_{t−1} + (1 − β2)·g_t² ;  step = α·η_t·g_t/(√v̂_t + ε) ;  v̂_t = v_t/(1 − β2^t)
    z_t = z_{t−1} − step − η_t·λ·pull(y_{t−1}) ;  x_t = (1 − c_t)·x_{t−1} + c_t·z_t
    θ_t = y_t = (1 − β1)·z_t + β1·x_t ;  c_t = w_t/Σw_i, w_t = t^r·(max η)^weight_lr_power

    y is what is trained, and x what is evaluated (``optimizer.eval()``).

    Source: Defazio et al., NeurIPS 2024 (arXiv 2405.15682), equation 15; schedulefree 1.4.1.
    """
    exp_avg_sq = moving_average(exp_avg_sq, grad_v * grad_v, beta2, new2)  # v_t
    return lr * (grad / (correction * sqrt(exp_avg_sq) + eps)), exp_avg_sq


def _sgd_coefficients(
    t: Any,
    eta: Any,
    lr: Any,
    momentum: Any,
    r: Any,
    weight_lr_power: Any,
    weight_sum: Any,
    eta_max: Any,
) -> dict[str, Any]:
    mixing = _mixing(t, eta, momentum, r, weight_lr_power, weight_sum, eta_max)
    return mixing | {"lr": lr}


@direction(
    state=("z",),
    coefficients=_sgd_coefficients,
    defaults={"momentum": 0.9, **AVERAGING},
    **SHARED,
)
def schedule_free_sgd(grad, lr):
    """Gradients from weights between an iterate and the average of iterates.

    step = α·η_t·g_t ;  z_t = z_{t−1} − step − η_t·λ·pull(y_{t−1})
    x_t = (1 − c_t)·x_{t−1} + c_t·z_t ;  θ_t = y_t = (1 − β)·z_t + β·x_t, β = momentum
    c_t = w_t/Σw_i, w_t = t^r·(max η)^weight_lr_power

    y is what is trained, and x what is evaluated (``optimizer.eval()``).

    Source: Defazio et al., NeurIPS 2024 (arXiv 2405.15682), Algorithm 1; schedulefree 1.4.1.
    """
    return lr * grad


class ScheduleFreeAdamW(Named, direction=schedule_free_adam, lr=0.0025):
    """Schedule-free AdamW with decoupled weight decay.

        w_t = t^r·(max_{i≤t} η_i)^weight_lr_power ;  c_t = w_t/Σ_{i≤t} w_i ;  β = β1
        y_t = (1 − β)·z_t + β·x_t: the weights, at which gradients are taken ;  x_0 = y_0 = z_0
        v_t = β2·v_{t−1} + (1 − β2)·g_t² ;  u_t = g_t/(√(v_t/(1 − β2^t)) + eps) ;  (β1, β2) = betas
        z_t = z_{t−1} − lr_t·u_t − η_t·weight_decay·y_{t−1} ;  x_t = (1 − c_t)·x_{t−1} + c_t·z_t

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.
    x is what is evaluated: call ``optimizer.eval()`` before an evaluation and before the model is
    saved, and ``optimizer.train()`` after it, where you call ``model.eval()`` and
    ``model.train()``. A step in between raises RuntimeError. A schedule is not needed but for a
    warmup: ``schedule=unyoke.schedules.warmup(1000, then=unyoke.schedules.constant())``. decay= may
    be any rule; λ acts at y, as the authors' does.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2): the share of the average in y, in (0, 1), and the memory of the second
            moment, in [0, 1).
        eps: ε ≥ 0, outside the bias correction.
        r: ≥ 0, the power of t in the weight of the average; 0 weighs all updates alike.
        weight_lr_power: ≥ 0, the power of the largest multiplier so far in that weight, which makes
            little of a warmup's iterates.
        weight_decay: λ ≥ 0, per update: multiplied by η_t, **not by lr**. A number, a tensor,
            :func:`unyoke.normalized`, or a function of t.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Defazio, Yang, Mehta, Mishchenko, Khaled & Cutkosky, NeurIPS 2024 (arXiv 2405.15682),
    Algorithm 1 and equation 15, and the authors' schedulefree 1.4.1, whose default values these
    are; the units of the decay are Loshchilov & Hutter's.

    Departures: the authors multiply the decay by the learning rate: ``decay="lr_coupled"``. Their
    warmup_steps is a schedule here. An optimizer begins in training mode. At a learning rate of 0
    nothing moves, y towards x neither, and the update has no weight in the average.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.ScheduleFreeAdamW(model.parameters(), lr=0.0025, weight_decay=1e-5)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    >>> optimizer.eval()  # evaluate, save the model
    >>> optimizer.train()
    """


class ScheduleFreeSGDW(Named, direction=schedule_free_sgd, lr=1.0):
    """Schedule-free SGD with decoupled weight decay.

        w_t = t^r·(max_{i≤t} η_i)^weight_lr_power ;  c_t = w_t/Σ_{i≤t} w_i ;  β = momentum
        y_t = (1 − β)·z_t + β·x_t: the weights, at which gradients are taken ;  x_0 = y_0 = z_0
        u_t = g_t
        z_t = z_{t−1} − lr_t·u_t − η_t·weight_decay·y_{t−1} ;  x_t = (1 − c_t)·x_{t−1} + c_t·z_t

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.
    x is what is evaluated: call ``optimizer.eval()`` before an evaluation and before the model is
    saved, and ``optimizer.train()`` after it, where you call ``model.eval()`` and
    ``model.train()``. A step in between raises RuntimeError. A schedule is not needed but for a
    warmup: ``schedule=unyoke.schedules.warmup(1000, then=unyoke.schedules.constant())``. decay= may
    be any rule; λ acts at y, as the authors' does.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        momentum: β in (0, 1), the share of the average in y.
        r: ≥ 0, the power of t in the weight of the average; 0 weighs all updates alike.
        weight_lr_power: ≥ 0, the power of the largest multiplier so far in that weight, which makes
            little of a warmup's iterates.
        weight_decay: λ ≥ 0, per update: multiplied by η_t, **not by lr**. A number, a tensor,
            :func:`unyoke.normalized`, or a function of t.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Defazio, Yang, Mehta, Mishchenko, Khaled & Cutkosky, NeurIPS 2024 (arXiv 2405.15682),
    Algorithm 1, and the authors' schedulefree 1.4.1, whose default values these are; the units of
    the decay are Loshchilov & Hutter's.

    Departures: the authors multiply the decay by the learning rate: ``decay="lr_coupled"``. Their
    warmup_steps is a schedule here. An optimizer begins in training mode. At a learning rate of 0
    nothing moves, y towards x neither, and the update has no weight in the average.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.ScheduleFreeSGDW(model.parameters(), lr=1.0, weight_decay=1e-5)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    >>> optimizer.eval()  # evaluate, save the model
    >>> optimizer.train()
    """
