"""Adan: adaptive Nesterov momentum."""

from __future__ import annotations

from typing import Any

from unyoke.equation import direction
from unyoke.optimizers.named import Named
from unyoke.primitives import moving_average, sqrt, where


def _coefficients(t: Any, lr: Any, betas: Any, eps: Any) -> dict[str, Any]:
    beta1, beta2, beta3 = betas
    return {
        "beta1": beta1,
        "new1": 1.0 - beta1,
        "beta2": beta2,
        "new2": 1.0 - beta2,
        "beta3": beta3,
        "new3": 1.0 - beta3,
        "known": where(t == 1, 0.0, 1.0),  # there is no gradient before the first
        "size": lr / (1.0 - beta1**t),
        "size_diff": lr * beta2 / (1.0 - beta2**t),
        "correction": 1.0 / sqrt(1.0 - beta3**t),
        "eps": eps,
    }


@direction(
    state=("exp_avg", "exp_avg_diff", "exp_avg_sq", "previous_grad"),
    nonnegative=("exp_avg_sq",),
    coefficients=_coefficients,
    defaults={"betas": (0.98, 0.92, 0.99), "eps": 1e-8},
)
def adan(
    grad, grad_v, exp_avg, exp_avg_diff, exp_avg_sq, previous_grad,
    beta1, new1, beta2, new2, beta3, new3, known, size, size_diff, correction, eps,
):  # fmt: skip
    """Nesterov momentum by differences of gradients, over the root of their squares.

    m_t = β1·m_{t−1} + (1 − β1)·g_t ;  d_t = β2·d_{t−1} + (1 − β2)·(g_t − g_{t−1})
    n_t = β3·n_{t−1} + (1 − β3)·(g_t + β2·(g_t − g_{t−1}))² ;  g_0 = g_1
    step = α·η_t·(m̂_t + β2·d̂_t)/(√n̂_t + ε), each corrected for its bias by its own β

    Source: Xie et al., arXiv 2208.06677, Algorithm 1, and the authors' code, whose β are one less
    the paper's.
    """
    difference = known * (grad - previous_grad)
    ahead = grad_v + beta2 * difference
    exp_avg = moving_average(exp_avg, grad, beta1, new1)  # m_t
    exp_avg_diff = moving_average(exp_avg_diff, difference, beta2, new2)  # d_t
    exp_avg_sq = moving_average(exp_avg_sq, ahead * ahead, beta3, new3)  # n_t
    moved = size * exp_avg + size_diff * exp_avg_diff
    step = moved / (correction * sqrt(exp_avg_sq) + eps)
    return step, exp_avg, exp_avg_diff, exp_avg_sq, grad


class AdanW(Named, direction=adan):
    """Adan, adaptive Nesterov momentum, with decoupled weight decay.

        m_t = β1·m_{t−1} + (1 − β1)·g_t ;  d_t = β2·d_{t−1} + (1 − β2)·(g_t − g_{t−1})
        n_t = β3·n_{t−1} + (1 − β3)·(g_t + β2·(g_t − g_{t−1}))² ;  (β1, β2, β3) = betas
        m̂_t = m_t/(1 − β1^t) ;  d̂_t = d_t/(1 − β2^t) ;  n̂_t = n_t/(1 − β3^t)
        θ_t = θ_{t−1} − lr_t·(m̂_t + β2·d̂_t)/(√n̂_t + eps) − η_t·weight_decay·θ_{t−1}

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2, β3), each in [0, 1): of gradients, of their differences and of squares. The
            paper's β are 1 less these.
        eps: ε ≥ 0, outside the bias correction.
        weight_decay: λ ≥ 0, per update: multiplied by η_t, **not by lr**. A number, a tensor,
            :func:`unyoke.normalized`, or a function of t.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Xie, Zhou, Li, Lin & Yan, arXiv 2208.06677, Algorithm 1, and the authors' code, whose
    default values these are; the decay is Loshchilov & Hutter's.

    Departures: gradients are not clipped, and nothing restarts.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.AdanW(model.parameters(), lr=1e-3, weight_decay=1e-5)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """


class Adan(Named, direction=adan, decay="lr_coupled", weight_decay=0.0):
    """Adan as published: its decay is multiplied by the learning rate.

        m_t = β1·m_{t−1} + (1 − β1)·g_t ;  d_t = β2·d_{t−1} + (1 − β2)·(g_t − g_{t−1})
        n_t = β3·n_{t−1} + (1 − β3)·(g_t + β2·(g_t − g_{t−1}))² ;  (β1, β2, β3) = betas
        m̂_t = m_t/(1 − β1^t) ;  d̂_t = d_t/(1 − β2^t) ;  n̂_t = n_t/(1 − β3^t)
        θ_t = θ_{t−1} − lr_t·((m̂_t + β2·d̂_t)/(√n̂_t + eps) + weight_decay·θ_{t−1})

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2, β3), each in [0, 1): of gradients, of their differences and of squares. The
            paper's β are 1 less these.
        eps: ε ≥ 0, outside the bias correction.
        weight_decay: λ ≥ 0, multiplied by the learning rate lr_t.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Xie, Zhou, Li, Lin & Yan, arXiv 2208.06677, Algorithm 1, and the authors' code, whose
    default values these are.

    Departures: the decay is that of the authors' ``no_prox=True``; their default divides the new
    weights by 1 + lr_t·weight_decay instead. Gradients are not clipped, and nothing restarts.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.Adan(model.parameters(), lr=1e-3, weight_decay=0.02)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """
