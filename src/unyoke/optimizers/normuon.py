"""NorMuon, for matrices."""

from __future__ import annotations

import math
from typing import Any

import torch

from unyoke.directions.descent import check_momentum
from unyoke.directions.matrices import (
    NEWTON_SCHULZ,
    check_newton_schulz,
    ns_dtype_of,
    objection_to,
    orthogonalized,
)
from unyoke.equation import Hyperparameters, MatrixStage, direction
from unyoke.optimizers.named import Named
from unyoke.primitives import moving_average
from unyoke.ranges import both


def _normalized(stack, second_momentum_buffer, beta2, new2, eps, ns_coefficients, ns_steps):
    """Orthogonal matrices, each row over the root of its mean square so far, at the old length."""
    turned = orthogonalized(stack, ns_coefficients, eps, ns_steps).to(second_momentum_buffer.dtype)
    mean_square = (turned * turned).mean(dim=-1, keepdim=True)
    second_momentum_buffer = moving_average(second_momentum_buffer, mean_square, beta2, new2)  # v_t
    turned = turned / (second_momentum_buffer.sqrt() + eps)
    norm = torch.linalg.vector_norm(turned, dim=(-2, -1), keepdim=True)
    length = math.sqrt(stack.shape[-2] * stack.shape[-1])
    return (length / norm.clamp(min=eps) * turned).to(stack.dtype), second_momentum_buffer


def _coefficients(
    lr: Any, momentum: Any, beta2: Any, ns_coefficients: Any, eps: Any, ns_steps: Any, ns_dtype: str
) -> dict[str, Any]:
    return {
        "size": 0.2 * lr,
        "momentum": momentum,
        "new": 1.0 - momentum,
        "beta2": beta2,
        "new2": 1.0 - beta2,
        "ns_coefficients": ns_coefficients,
        "eps": eps,
        "ns_steps": ns_steps,
        "ns_dtype": ns_dtype,
    }


def _initial(name: str, weight: torch.Tensor, hyperparameters: Hyperparameters) -> torch.Tensor:
    like = weight[:, :1] if name == "second_momentum_buffer" else weight
    return torch.zeros_like(like, memory_format=torch.preserve_format)


@direction(
    state=("momentum_buffer", "second_momentum_buffer"),
    nonnegative=("second_momentum_buffer",),
    coefficients=_coefficients,
    defaults={
        "momentum": 0.95,
        "beta2": 0.95,
        **NEWTON_SCHULZ,
        "eps": 1e-10,
        "ns_dtype": "bfloat16",
    },
    check=both(check_momentum, check_newton_schulz),
    scope="tensor",
    stage=MatrixStage(
        function=_normalized,
        size=lambda rows, columns, size: size,
        dtype=ns_dtype_of,
        state=("second_momentum_buffer",),
    ),
    initial=_initial,
    objection=lambda weight: objection_to("normuon", weight),
)
def normuon(grad, momentum_buffer, momentum, new):
    """NorMuon: Muon whose rows are divided by the root of their mean square so far.

    b_t = μ·b_{t−1} + (1 − μ)·g_t ;  O_t = NS(b_t), Newton–Schulz steps as in Muon
    v_t = β2·v_{t−1} + (1 − β2)·mean(O_t²), of each row ;  Ô_t = O_t/(√v_t + ε)
    step = 0.2·α·η_t·√(rows·columns)·Ô_t/‖Ô_t‖

    So each element of a step is 0.2·α·η_t in the mean square, about what Adam's is. For matrices
    only; rows are the units of a torch.nn.Linear.

    Source: Li et al., arXiv 2510.05491, Algorithm 1. The authors' code looks ahead along the buffer
    and keeps ‖O_t‖ times √max(1, rows/columns) in the place of 0.2·√(rows·columns).
    """
    momentum_buffer = moving_average(momentum_buffer, grad, momentum, new)  # b_t
    return momentum_buffer, momentum_buffer


class NorMuonW(Named, direction=normuon):
    """NorMuon with decoupled weight decay, for matrices.

        b_t = momentum·b_{t−1} + (1 − momentum)·g_t ;  O_t = NS(b_t)
        v_t = beta2·v_{t−1} + (1 − beta2)·mean(O_t²), of each row ;  Ô_t = O_t/(√v_t + eps)
        θ_t = θ_{t−1} − 0.2·lr_t·√(rows·columns)·Ô_t/‖Ô_t‖ − η_t·weight_decay·θ_{t−1}

    NS makes ns_steps Newton–Schulz steps with ns_coefficients, in ns_dtype, as in :class:`MuonW`.
    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier. Elements of
    a step are 0.2·lr_t in the mean square, so that rates and decays of Adam's are a good start.

    Args:
        params: real matrices; give other parameters to an optimizer of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        momentum: μ in [0, 1].
        beta2: in [0, 1).
        ns_coefficients: three numbers.
        eps: ≥ 0, beside √v_t, and the least norm that is divided by.
        ns_steps: an integer from 0 to 99.
        ns_dtype: of the Newton–Schulz steps of weights up to float32: ``"bfloat16"`` or
            ``"float32"``.
        weight_decay: λ ≥ 0, per update: multiplied by η_t, **not by lr**. A number, a tensor,
            :func:`unyoke.normalized`, or a function of t.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, no parameters, or a parameter that
            is not a real matrix.
        TypeError: an argument that this optimizer does not have.

    Source: Li et al., arXiv 2510.05491, Algorithm 1; the decay is Loshchilov & Hutter's.

    Departures: ε also bounds the norms from below; the published algorithm divides by ‖Ô_t‖.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 3, bias=False)
    >>> optimizer = unyoke.NorMuonW(model.parameters(), lr=1e-3, weight_decay=1e-5)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """


class NorMuon(Named, direction=normuon, decay="lr_coupled", weight_decay=0.0):
    """NorMuon as published, for matrices: its decay is multiplied by the learning rate.

        b_t = momentum·b_{t−1} + (1 − momentum)·g_t ;  O_t = NS(b_t)
        v_t = beta2·v_{t−1} + (1 − beta2)·mean(O_t²), of each row ;  Ô_t = O_t/(√v_t + eps)
        θ_t = θ_{t−1} − lr_t·(0.2·√(rows·columns)·Ô_t/‖Ô_t‖ + weight_decay·θ_{t−1})

    NS makes ns_steps Newton–Schulz steps with ns_coefficients, in ns_dtype, as in :class:`MuonW`.
    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: real matrices; give other parameters to an optimizer of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        momentum: μ in [0, 1].
        beta2: in [0, 1).
        ns_coefficients: three numbers.
        eps: ≥ 0, beside √v_t, and the least norm that is divided by.
        ns_steps: an integer from 0 to 99.
        ns_dtype: of the Newton–Schulz steps of weights up to float32: ``"bfloat16"`` or
            ``"float32"``.
        weight_decay: λ ≥ 0, multiplied by the learning rate lr_t.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, no parameters, or a parameter that
            is not a real matrix.
        TypeError: an argument that this optimizer does not have.

    Source: Li et al., arXiv 2510.05491, Algorithm 1.

    Departures: ε also bounds the norms from below; the published algorithm divides by ‖Ô_t‖.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 3, bias=False)
    >>> optimizer = unyoke.NorMuon(model.parameters(), lr=1e-3, weight_decay=0.01)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """
