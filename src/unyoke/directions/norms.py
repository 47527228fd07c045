"""Directions that need norms of whole tensors."""

from __future__ import annotations

from typing import Any

import torch

from unyoke.compat import renamed
from unyoke.directions.descent import check_momentum
from unyoke.directions.moments import DEFAULTS, Coefficients, adam, adam_coefficients
from unyoke.equation import Hyperparameters, Norms, direction
from unyoke.primitives import moving_average, where
from unyoke.ranges import both, positive

__getattr__ = renamed(__name__)


def _per_unit(tensor: torch.Tensor) -> tuple[int, ...]:
    """The dimensions of one unit's weight vector: all but the first."""
    return tuple(range(1, tensor.dim()))


def _length(tensor: torch.Tensor) -> torch.Tensor:
    """‖w‖ of each unit, with the other dimensions kept at size 1."""
    return (tensor * tensor).sum(_per_unit(tensor), keepdim=True).sqrt()


def _nd_adam_objection(weight: torch.Tensor) -> str | None:
    if weight.is_complex() or weight.dim() < 2:
        return (
            "nd_adam moves the weight vectors of units, the rows of a real tensor of two or more "
            "dimensions: give other parameters to an optimizer of their own, such as Adam"
        )
    return None


def _nd_adam_state(
    name: str, weight: torch.Tensor, hyperparameters: Hyperparameters
) -> torch.Tensor:
    like = weight if name == "exp_avg" else weight[(slice(None), *[slice(1)] * (weight.dim() - 1))]
    return torch.zeros_like(like, memory_format=torch.preserve_format)


def _nd_adam_coefficients(t: Any, lr: Any, betas: Any, eps: Any) -> Coefficients:
    return adam_coefficients(t, lr, betas, eps) | {"moving": where(lr == 0, 0.0, 1.0)}


@direction(
    state=("exp_avg", "exp_avg_sq"),
    nonnegative=("exp_avg_sq",),
    coefficients=_nd_adam_coefficients,
    defaults=DEFAULTS,
    scope="tensor",
    initial=_nd_adam_state,
    objection=_nd_adam_objection,
    no_decay="it keeps every unit's weight vector at length 1, so there is nothing to decay",
)
def nd_adam(
    weight, grad, exp_avg, exp_avg_sq, beta1, new1, beta2, new2, size, correction, eps, moving
):
    """Normalized direction-preserving Adam: unit vectors that turn, one rate for each.

    For the weight vector w of each unit (a row: all dimensions but the first), ‖w‖ = 1:
    g = ∇f − (∇f·w)w ;  m_t = β1·m_{t−1} + (1 − β1)·g ;  v_t = β2·v_{t−1} + (1 − β2)·‖g‖²
    w' = w − α·η_t·m̂_t/(√v̂_t + ε) ;  step = w − w'/‖w'‖

    v is one number for each unit. Vectors of another length are scaled to 1 by the first step.
    The published algorithm gives all parameters that are not such vectors to plain Adam: make
    a second optimizer for them.

    Source: Zhang, Ma, Li & Wu, arXiv 1709.04546, Algorithm 1.
    """
    along = (grad * weight).sum(_per_unit(weight), keepdim=True)
    turn = grad - along * weight
    exp_avg = moving_average(exp_avg, turn, beta1, new1)  # m_t
    exp_avg_sq = moving_average(exp_avg_sq, _length(turn) ** 2, beta2, new2)  # v_t
    moved = weight - size * (exp_avg / (correction * exp_avg_sq.sqrt() + eps))
    return moving * (weight - moved / _length(moved)), exp_avg, exp_avg_sq


def _trust_ratio(weight_norm: Any, step_norm: Any, coefficient: Any) -> Any:
    """coefficient·‖θ‖/‖step‖, and 1 where one of the two norms is 0."""
    defined = (weight_norm > 0) & (step_norm > 0)
    return where(defined, coefficient * weight_norm / where(defined, step_norm, 1.0), 1.0)


_adam = adam.formula


def _lamb_terms(
    weight, grad, grad_v, exp_avg, exp_avg_sq, beta1, new1, beta2, new2, size, correction, eps
):
    step, _, _ = _adam(
        grad, grad_v, exp_avg, exp_avg_sq, beta1, new1, beta2, new2, size, correction, eps
    )
    return weight, step


@direction(
    state=("exp_avg", "exp_avg_sq"),
    nonnegative=("exp_avg_sq",),
    coefficients=lambda t, lr, betas, eps: {**adam_coefficients(t, 1.0, betas, eps), "lr": lr},
    defaults={"betas": (0.9, 0.999), "eps": 1e-6},
    scope="tensor",
    norms=Norms(
        _lamb_terms,
        lambda weight_norm, step_norm: _trust_ratio(weight_norm, step_norm, 1.0),
        "trust",
    ),
)
def lamb(
    grad, grad_v, exp_avg, exp_avg_sq, beta1, new1, beta2, new2, size, correction, eps, lr, trust
):
    """LAMB: Adam's step, given the length of the tensor that it moves.

    r_t = m̂_t/(√v̂_t + ε) as in Adam ;  step = α·η_t·(‖θ_{t−1}‖/‖r_t‖)·r_t, norms per tensor

    The published algorithm adds λθ to r_t before it is scaled, so that its decay is neither
    decoupled nor L2; here the decay is its own slot, as in timm's Lamb(decoupled_decay=True,
    always_adapt=True). A norm of 0 counts as a ratio of 1. Gradients are not clipped.

    Source: You et al., ICLR 2020 (arXiv 1904.00962), Algorithm 2; timm.optim.Lamb.
    """
    step, exp_avg, exp_avg_sq = _adam(
        grad, grad_v, exp_avg, exp_avg_sq, beta1, new1, beta2, new2, size, correction, eps
    )
    return lr * trust * step, exp_avg, exp_avg_sq


def _lars_terms(weight, grad):
    return weight, grad


@direction(
    state=("momentum_buffer",),
    coefficients=lambda lr, momentum, trust_coeff: {
        "lr": lr,
        "momentum": momentum,
        "trust_coeff": trust_coeff,
    },
    defaults={"momentum": 0.9, "trust_coeff": 0.001},
    check=both(check_momentum, positive("trust_coeff")),
    scope="tensor",
    norms=Norms(
        _lars_terms,
        lambda weight_norm, grad_norm, trust_coeff: _trust_ratio(
            weight_norm, grad_norm, trust_coeff
        ),
        "trust",
    ),
)
def lars(grad, momentum_buffer, lr, momentum, trust):
    """LARS: SGD with momentum on gradients that are given the length of the tensor they move.

    b_t = μ·b_{t−1} + c·(‖θ_{t−1}‖/‖g_t‖)·g_t, c = trust_coeff, norms per tensor ;  step = α·η_t·b_t

    The published ratio is c·‖θ‖/(‖g‖ + λ‖θ‖) and knows the L2 penalty; under ``decay="l2"`` the
    ratio here is c·‖θ‖/‖g + λθ‖. Where a norm is 0 the ratio, c included, is 1.

    Source: You, Gitman & Ginsburg, arXiv 1708.03888, Algorithm 1; timm.optim.Lars.
    """
    momentum_buffer = momentum * momentum_buffer + trust * grad  # b_t
    return lr * momentum_buffer, momentum_buffer
