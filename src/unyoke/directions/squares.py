"""Adagrad, Adadelta and RMSprop: the gradient over the root of its collected squares."""

from __future__ import annotations

from typing import Any

import torch

from unyoke.directions.descent import Coefficients, check_momentum
from unyoke.equation import Hyperparameters, direction
from unyoke.primitives import absolute, moving_average, sqrt
from unyoke.ranges import both, unit_interval


def _initial_sum(name: str, weight: torch.Tensor, hyperparameters: Hyperparameters) -> torch.Tensor:
    value = hyperparameters["initial_accumulator_value"]
    filled = complex(value, value) if weight.is_complex() else value
    return torch.full_like(weight, filled, memory_format=torch.preserve_format)


def _adagrad_coefficients(t: Any, lr: Any, lr_decay: Any, eps: Any) -> Coefficients:
    return {"lr": lr / (1.0 + (t - 1) * lr_decay), "eps": eps}


@direction(
    state=("sum",),
    nonnegative=("sum",),
    coefficients=_adagrad_coefficients,
    defaults={"lr_decay": 0.0, "initial_accumulator_value": 0.0, "eps": 1e-10},
    initial=_initial_sum,
    skips_zeros=True,
)
def adagrad(grad, grad_v, sum, lr, eps):
    """Adagrad: each weight's steps shrink with the sum of its squared gradients.

    s_t = s_{t−1} + g_t², s_0 = initial_accumulator_value
    step = α·η_t/(1 + (t − 1)·lr_decay) · g_t/(√s_t + ε)

    Source: Duchi, Hazan & Singer, JMLR 2011; torch.optim.Adagrad.
    """
    sum = sum + grad_v * grad_v  # s_t
    return lr * (grad / (sqrt(sum) + eps)), sum


@direction(
    state=("square_avg", "acc_delta"),
    nonnegative=("square_avg", "acc_delta"),
    coefficients=lambda lr, rho, eps: {"lr": lr, "rho": rho, "new": 1.0 - rho, "eps": eps},
    defaults={"rho": 0.9, "eps": 1e-6},
    check=unit_interval("rho"),
)
def adadelta(grad, grad_v, square_avg, acc_delta, lr, rho, new, eps):
    """Adadelta: steps in the units of the weights, from the sizes of earlier steps.

    v_t = ρ·v_{t−1} + (1 − ρ)·g_t² ;  Δ_t = √(u_{t−1} + ε)/√(v_t + ε) · g_t
    u_t = ρ·u_{t−1} + (1 − ρ)·Δ_t² ;  step = α·η_t·Δ_t

    Source: Zeiler, arXiv 1212.5701; torch.optim.Adadelta (which also takes ρ = 1).
    """
    square_avg = moving_average(square_avg, grad_v * grad_v, rho, new)  # v_t
    change = sqrt(acc_delta + eps) / sqrt(square_avg + eps) * grad  # Δ_t
    acc_delta = moving_average(acc_delta, change * change, rho, new)  # u_t
    return lr * change, square_avg, acc_delta


def _rmsprop_coefficients(lr: Any, alpha: Any, eps: Any) -> Coefficients:
    return {"lr": lr, "keep": alpha, "new": 1.0 - alpha, "eps": eps}


def _rmsprop_momentum_coefficients(lr: Any, alpha: Any, eps: Any, momentum: Any) -> Coefficients:
    return {**_rmsprop_coefficients(lr, alpha, eps), "momentum": momentum}


RMSPROP = {"alpha": 0.99, "eps": 1e-8}
_check_rmsprop = unit_interval("alpha")
_check_rmsprop_momentum = both(_check_rmsprop, check_momentum)


@direction(
    state=("square_avg",),
    nonnegative=("square_avg",),
    coefficients=_rmsprop_coefficients,
    defaults=RMSPROP,
    check=_check_rmsprop,
    averages=True,
)
def rmsprop(grad, grad_v, square_avg, lr, keep, new, eps):
    """RMSprop: the gradient over its root mean square.

    v_t = a·v_{t−1} + (1 − a)·g_t², a = alpha ;  step = α·η_t·g_t/(√v_t + ε)

    Source: Tieleman & Hinton, lecture 6.5, 2012; torch.optim.RMSprop.
    """
    square_avg = moving_average(square_avg, grad_v * grad_v, keep, new)  # v_t
    return lr * (grad / (sqrt(square_avg) + eps)), square_avg


@direction(
    state=("square_avg", "momentum_buffer"),
    nonnegative=("square_avg",),
    coefficients=_rmsprop_momentum_coefficients,
    defaults={**RMSPROP, "momentum": 0.9},
    check=_check_rmsprop_momentum,
    averages=True,
)
def rmsprop_momentum(grad, grad_v, square_avg, momentum_buffer, lr, keep, new, eps, momentum):
    """RMSprop with momentum; the learning rate is outside the buffer.

    v_t as in RMSprop ;  b_t = μ·b_{t−1} + g_t/(√v_t + ε) ;  step = α·η_t·b_t

    Source: torch.optim.RMSprop(momentum=μ).
    """
    square_avg = moving_average(square_avg, grad_v * grad_v, keep, new)  # v_t
    momentum_buffer = momentum * momentum_buffer + grad / (sqrt(square_avg) + eps)  # b_t
    return lr * momentum_buffer, square_avg, momentum_buffer


@direction(
    state=("square_avg", "grad_avg"),
    nonnegative=("square_avg",),
    coefficients=_rmsprop_coefficients,
    defaults=RMSPROP,
    check=_check_rmsprop,
)
def rmsprop_centered(grad, grad_v, square_avg, grad_avg, lr, keep, new, eps):
    """RMSprop with the gradient's standard deviation in the place of its root mean square.

    v_t as in RMSprop ;  ḡ_t = a·ḡ_{t−1} + (1 − a)·g_t ;  step = α·η_t·g_t/(√|v_t − ḡ_t²| + ε)

    v_t − ḡ_t² ≥ 0 but for rounding, which makes torch's root NaN where gradients stay constant;
    the absolute value does not.

    Source: Graves, arXiv 1308.0850, eq. 38–45; torch.optim.RMSprop(centered=True).
    """
    square_avg = moving_average(square_avg, grad_v * grad_v, keep, new)  # v_t
    grad_avg = moving_average(grad_avg, grad, keep, new)  # ḡ_t
    deviation = sqrt(absolute(square_avg - grad_avg * grad_avg))
    return lr * (grad / (deviation + eps)), square_avg, grad_avg


@direction(
    state=("square_avg", "grad_avg", "momentum_buffer"),
    nonnegative=("square_avg",),
    coefficients=_rmsprop_momentum_coefficients,
    defaults={**RMSPROP, "momentum": 0.9},
    check=_check_rmsprop_momentum,
)
def rmsprop_centered_momentum(
    grad, grad_v, square_avg, grad_avg, momentum_buffer, lr, keep, new, eps, momentum
):
    """Centered RMSprop with momentum; the learning rate is outside the buffer.

    v_t, ḡ_t as in centered RMSprop
    b_t = μ·b_{t−1} + g_t/(√|v_t − ḡ_t²| + ε) ;  step = α·η_t·b_t

    Source: torch.optim.RMSprop(momentum=μ, centered=True).
    """
    square_avg = moving_average(square_avg, grad_v * grad_v, keep, new)  # v_t
    grad_avg = moving_average(grad_avg, grad, keep, new)  # ḡ_t
    deviation = sqrt(absolute(square_avg - grad_avg * grad_avg))
    momentum_buffer = momentum * momentum_buffer + grad / (deviation + eps)  # b_t
    return lr * momentum_buffer, square_avg, grad_avg, momentum_buffer
