"""Directions that need norms or matrices: tensor scope, so eager and compile only."""

from __future__ import annotations

import math
from typing import Any

import torch

from unyoke.directions.descent import check_momentum
from unyoke.directions.moments import DEFAULTS, adam, adam_coefficients
from unyoke.equation import Hyperparameters, direction
from unyoke.primitives import where
from unyoke.ranges import both, positive

Coefficients = dict[str, Any]


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
    exp_avg = beta1 * exp_avg + new1 * turn  # m_t
    exp_avg_sq = beta2 * exp_avg_sq + new2 * _length(turn) ** 2  # v_t
    moved = weight - size * (exp_avg / (correction * exp_avg_sq.sqrt() + eps))
    return moving * (weight - moved / _length(moved)), exp_avg, exp_avg_sq


def _muon_objection(weight: torch.Tensor) -> str | None:
    if weight.is_complex() or weight.dim() != 2:
        return (
            "muon orthogonalizes real matrices: give parameters that have not two dimensions to an "
            "optimizer of their own, such as AdamW"
        )
    return None


RATE_OF_SHAPE = {
    "original": lambda rows, columns: math.sqrt(max(1.0, rows / columns)),
    "match_rms_adamw": lambda rows, columns: 0.2 * math.sqrt(max(rows, columns)),
    "spectral_unclamped": lambda rows, columns: math.sqrt(rows / columns),
}
"""What Muon multiplies the learning rate with: Jordan's choice, Liu et al.'s, and torch 2.14's."""


def _check_muon(hyperparameters: Hyperparameters) -> None:
    if hyperparameters["adjust_lr_fn"] not in RATE_OF_SHAPE:
        raise ValueError(
            f"Invalid adjust_lr_fn: {hyperparameters['adjust_lr_fn']!r}: there are "
            f"{', '.join(RATE_OF_SHAPE)}"
        )
    steps = hyperparameters["ns_steps"]
    if not isinstance(steps, int) or not 0 <= steps < 100:
        raise ValueError(f"Invalid ns_steps: {steps!r}: it must be an integer from 0 to 99")


def orthogonalized(
    matrix: torch.Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> torch.Tensor:
    """A matrix near UVᵀ, for matrix = USVᵀ: Newton–Schulz steps X ← aX + (bA + cA²)X, A = XXᵀ."""
    a, b, c = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


def _muon_step(
    grad: Any, buffer: Any, lr: Any, ns_coefficients: Any, eps: Any, ns_steps: Any, rate: Any
) -> Any:
    """α·η_t·c·NS(buffer); in bfloat16, as in torch, up to float32."""
    short = buffer if buffer.dtype == torch.float64 else buffer.bfloat16()
    turned = orthogonalized(short, ns_coefficients, ns_steps, eps).to(grad.dtype)
    return lr * rate(*grad.shape) * turned


def _muon_coefficients(
    lr: Any, momentum: Any, ns_coefficients: Any, eps: Any, ns_steps: Any, adjust_lr_fn: str
) -> Coefficients:
    return {
        "lr": lr,
        "momentum": momentum,
        "new": 1.0 - momentum,
        "ns_coefficients": ns_coefficients,
        "eps": eps,
        "ns_steps": ns_steps,
        "rate_of_shape": RATE_OF_SHAPE[adjust_lr_fn],
    }


MUON: dict[str, Any] = {
    "state": ("momentum_buffer",),
    "coefficients": _muon_coefficients,
    "defaults": {
        "momentum": 0.95,
        "ns_coefficients": (3.4445, -4.7750, 2.0315),
        "eps": 1e-7,
        "ns_steps": 5,
        "adjust_lr_fn": "original",
    },
    "check": both(check_momentum, _check_muon),
    "scope": "tensor",
    "objection": _muon_objection,
}


@direction(**MUON)
def muon(grad, momentum_buffer, lr, momentum, new, ns_coefficients, eps, ns_steps, rate_of_shape):
    """Muon: Nesterov momentum made orthogonal, so that every direction is learned at one rate.

    b_t = μ·b_{t−1} + (1 − μ)·g_t ;  b̃_t = μ·b_t + (1 − μ)·g_t
    step = α·η_t·√max(1, rows/columns)·NS(b̃_t), NS five Newton–Schulz steps towards UVᵀ

    For matrices only. In the place of the root, ``adjust_lr_fn="match_rms_adamw"`` has
    0.2·√max(rows, columns) and ``"spectral_unclamped"`` √(rows/columns). The Newton–Schulz steps
    run in bfloat16, as in torch, for weights up to float32, and in float64 for float64 weights,
    where torch has bfloat16 too.

    Source: Jordan, "Muon", 2024; torch.optim.Muon.
    """
    momentum_buffer = momentum * momentum_buffer + new * grad  # b_t
    ahead = momentum * momentum_buffer + new * grad  # b̃_t
    step = _muon_step(grad, ahead, lr, ns_coefficients, eps, ns_steps, rate_of_shape)
    return step, momentum_buffer


@direction(**MUON)
def muon_momentum(
    grad, momentum_buffer, lr, momentum, new, ns_coefficients, eps, ns_steps, rate_of_shape
):
    """Muon without the look ahead of Nesterov's momentum.

    b_t = μ·b_{t−1} + (1 − μ)·g_t ;  step = α·η_t·√max(1, rows/columns)·NS(b_t)

    For matrices only; the rest as in :data:`muon`.

    Source: torch.optim.Muon(nesterov=False).
    """
    momentum_buffer = momentum * momentum_buffer + new * grad  # b_t
    step = _muon_step(grad, momentum_buffer, lr, ns_coefficients, eps, ns_steps, rate_of_shape)
    return step, momentum_buffer


def _trust(weight: torch.Tensor, step: torch.Tensor, coefficient: Any) -> torch.Tensor:
    """coefficient·‖θ‖/‖step‖, and 1 where one of the two norms is 0."""
    weight_norm, step_norm = weight.norm(), step.norm()
    defined = (weight_norm > 0) & (step_norm > 0)
    ratio = coefficient * weight_norm / torch.where(defined, step_norm, 1.0)
    return torch.where(defined, ratio, 1.0)


@direction(
    state=("exp_avg", "exp_avg_sq"),
    nonnegative=("exp_avg_sq",),
    coefficients=lambda t, lr, betas, eps: {**adam_coefficients(t, 1.0, betas, eps), "lr": lr},
    defaults={"betas": (0.9, 0.999), "eps": 1e-6},
    scope="tensor",
)
def lamb(
    weight, grad, grad_v, exp_avg, exp_avg_sq, beta1, new1, beta2, new2, size, correction, eps, lr
):
    """LAMB: Adam's step, given the length of the tensor that it moves.

    r_t = m̂_t/(√v̂_t + ε) as in Adam ;  step = α·η_t·(‖θ_{t−1}‖/‖r_t‖)·r_t, norms per tensor

    The published algorithm adds λθ to r_t before it is scaled, so that its decay is neither
    decoupled nor L2; here the decay is its own slot, as in timm's Lamb(decoupled_decay=True,
    always_adapt=True). A norm of 0 counts as a ratio of 1. Gradients are not clipped.

    Source: You et al., ICLR 2020 (arXiv 1904.00962), Algorithm 2; timm.optim.Lamb.
    """
    ratio, exp_avg, exp_avg_sq = adam.formula(
        grad, grad_v, exp_avg, exp_avg_sq, beta1, new1, beta2, new2, size, correction, eps
    )
    return lr * _trust(weight, ratio, 1.0) * ratio, exp_avg, exp_avg_sq


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
)
def lars(weight, grad, momentum_buffer, lr, momentum, trust_coeff):
    """LARS: SGD with momentum on gradients that are given the length of the tensor they move.

    b_t = μ·b_{t−1} + c·(‖θ_{t−1}‖/‖g_t‖)·g_t, c = trust_coeff, norms per tensor ;  step = α·η_t·b_t

    The published ratio is c·‖θ‖/(‖g‖ + λ‖θ‖) and knows the L2 penalty; under ``decay="l2"`` the
    ratio here is c·‖θ‖/‖g + λθ‖. Where a norm is 0 the ratio, c included, is 1.

    Source: You, Gitman & Ginsburg, arXiv 1708.03888, Algorithm 1; timm.optim.Lars.
    """
    ratio = _trust(weight, grad, trust_coeff)
    momentum_buffer = momentum * momentum_buffer + ratio * grad  # b_t
    return lr * momentum_buffer, momentum_buffer
