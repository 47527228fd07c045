"""Directions that make matrices orthogonal: one pass over elements, a stage, another pass.

A formula here is one of an element. It gives the matrix that the stage takes, and ``stage=`` says
what is made of that matrix; see :class:`unyoke.slots.MatrixStage`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from unyoke.directions.descent import Coefficients, check_momentum
from unyoke.equation import Hyperparameters, MatrixStage, direction
from unyoke.primitives import moving_average
from unyoke.ranges import both

RATE_OF_SHAPE = {
    "original": lambda rows, columns: math.sqrt(max(1.0, rows / max(columns, 1))),
    "match_rms_adamw": lambda rows, columns: 0.2 * math.sqrt(max(rows, columns)),
    "spectral_unclamped": lambda rows, columns: math.sqrt(rows / max(columns, 1)),
}
"""What Muon multiplies the learning rate with: Jordan's choice, Liu et al.'s, and torch 2.14's."""

NS_DTYPES: Mapping[str, torch.dtype] = {"bfloat16": torch.bfloat16, "float32": torch.float32}
"""What the Newton–Schulz steps of weights up to float32 can run in."""


def objection_to(name: str, weight: torch.Tensor) -> str | None:
    """Why a weight is none for a direction that makes matrices orthogonal."""
    if weight.is_complex() or weight.dim() != 2:
        return (
            f"{name} orthogonalizes real matrices: give parameters that have not two dimensions "
            "to an optimizer of their own, such as AdamW"
        )
    return None


def check_newton_schulz(hyperparameters: Hyperparameters) -> None:
    """Raise ValueError for a polynomial that cannot be applied as it says."""
    steps, dtype = hyperparameters["ns_steps"], hyperparameters["ns_dtype"]
    if not isinstance(steps, int) or not 0 <= steps < 100:
        raise ValueError(f"Invalid ns_steps: {steps!r}: it must be an integer from 0 to 99")
    if dtype not in NS_DTYPES:
        raise ValueError(f"Invalid ns_dtype: {dtype!r}: there are {', '.join(NS_DTYPES)}")


def _check_muon(hyperparameters: Hyperparameters) -> None:
    if hyperparameters["adjust_lr_fn"] not in RATE_OF_SHAPE:
        raise ValueError(
            f"Invalid adjust_lr_fn: {hyperparameters['adjust_lr_fn']!r}: there are "
            f"{', '.join(RATE_OF_SHAPE)}"
        )
    check_newton_schulz(hyperparameters)


def orthogonalized(
    stack: torch.Tensor, ns_coefficients: tuple[float, float, float], eps: Any, ns_steps: int
) -> torch.Tensor:
    """Near UVᵀ for each matrix M = USVᵀ of a stack: X ← aX + (bA + cA²)X, A = XXᵀ, ns_steps times.

    From X = M/max(‖M‖, ε). Of a tall matrix A = XᵀX stands on the right, which is the same in real
    numbers; so neither A is larger than it must be, nor is anything transposed in memory.
    """
    a, b, c = ns_coefficients
    tall = stack.shape[-2] > stack.shape[-1]
    x: torch.Tensor = stack / torch.linalg.vector_norm(stack, dim=(-2, -1), keepdim=True).clamp(
        min=eps
    )
    gram: torch.Tensor | None = None
    factor: torch.Tensor | None = None
    spare: torch.Tensor | None = None
    for _ in range(ns_steps):
        gram = torch.bmm(*((x.mT, x) if tall else (x, x.mT)), out=gram)
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c, out=factor)
        left, right = (x, factor) if tall else (factor, x)
        x, spare = torch.baddbmm(x, left, right, beta=a, out=spare), x
        if stack.requires_grad or type(stack) is not torch.Tensor:
            # autograd keeps what it recorded, and a DTensor is not written so
            gram = factor = spare = None
    return x


def ns_dtype_of(wide: torch.dtype, ns_dtype: str) -> torch.dtype:
    """What the Newton–Schulz steps run in: float64 for float64 weights."""
    return wide if wide == torch.float64 else NS_DTYPES[ns_dtype]


ORTHOGONAL = MatrixStage(
    function=orthogonalized,
    size=lambda rows, columns, lr, rate_of_shape: lr * rate_of_shape(rows, columns),
    dtype=ns_dtype_of,
)

NEWTON_SCHULZ: dict[str, Any] = {
    "ns_coefficients": (3.4445, -4.7750, 2.0315),
    "eps": 1e-7,
    "ns_steps": 5,
}


def _muon_coefficients(
    lr: Any,
    momentum: Any,
    ns_coefficients: Any,
    eps: Any,
    ns_steps: Any,
    adjust_lr_fn: str,
    ns_dtype: str,
) -> Coefficients:
    return {
        "lr": lr,
        "momentum": momentum,
        "new": 1.0 - momentum,
        "ns_coefficients": ns_coefficients,
        "eps": eps,
        "ns_steps": ns_steps,
        "ns_dtype": ns_dtype,
        "rate_of_shape": RATE_OF_SHAPE[adjust_lr_fn],
    }


MUON: dict[str, Any] = {
    "state": ("momentum_buffer",),
    "coefficients": _muon_coefficients,
    "defaults": {
        "momentum": 0.95,
        **NEWTON_SCHULZ,
        "adjust_lr_fn": "original",
        "ns_dtype": "bfloat16",
    },
    "check": both(check_momentum, _check_muon),
    "scope": "tensor",
    "stage": ORTHOGONAL,
    "objection": lambda weight: objection_to("muon", weight),
}


@direction(**MUON)
def muon(grad, momentum_buffer, momentum, new):
    """Muon: Nesterov momentum made orthogonal, so that every direction is learned at one rate.

    b_t = μ·b_{t−1} + (1 − μ)·g_t ;  b̃_t = μ·b_t + (1 − μ)·g_t
    step = α·η_t·√max(1, rows/columns)·NS(b̃_t), NS five Newton–Schulz steps towards UVᵀ

    For matrices only. In the place of the root, ``adjust_lr_fn="match_rms_adamw"`` has
    0.2·√max(rows, columns) and ``"spectral_unclamped"`` √(rows/columns). The Newton–Schulz steps
    run in bfloat16, as in torch, for weights up to float32 (``ns_dtype="float32"``: in that), and
    in float64 for float64 weights, where torch has bfloat16 too.

    Source: Jordan, "Muon", 2024; torch.optim.Muon.
    """
    momentum_buffer = moving_average(momentum_buffer, grad, momentum, new)  # b_t
    return momentum * momentum_buffer + new * grad, momentum_buffer  # b̃_t


@direction(**MUON)
def muon_momentum(grad, momentum_buffer, momentum, new):
    """Muon without the look ahead of Nesterov's momentum.

    b_t = μ·b_{t−1} + (1 − μ)·g_t ;  step = α·η_t·√max(1, rows/columns)·NS(b_t)

    For matrices only; the rest as in :data:`muon`.

    Source: torch.optim.Muon(nesterov=False).
    """
    momentum_buffer = moving_average(momentum_buffer, grad, momentum, new)  # b_t
    return momentum_buffer, momentum_buffer
