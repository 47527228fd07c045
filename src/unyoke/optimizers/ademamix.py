"""AdEMAMix: the direction and both optimizers, a whole method in one file."""

from __future__ import annotations

import math
from typing import Any

import torch

from unyoke.directions.moments import adam_coefficients
from unyoke.equation import direction
from unyoke.optimizers.named import Named
from unyoke.primitives import moving_average, sqrt, where


def _half_life(beta: Any) -> Any:
    """Updates until half of an average is forgotten, less one; the authors' 1e-8 is for β = 0."""
    log = torch.log if isinstance(beta, torch.Tensor) else math.log
    return math.log(0.5) / log(beta + 1e-8) - 1.0


def _part(t: Any, warmup: Any) -> Any:
    """How much of a warmup is over at update t, in (0, 1]; without one, all of it."""
    return where(t < warmup, t / max(warmup, 1), 1.0)


def _coefficients(
    t: Any, lr: Any, betas: Any, alpha: Any, beta3_warmup: Any, alpha_warmup: Any, eps: Any
) -> dict[str, Any]:
    beta1, beta2, beta3 = betas
    first, last = _half_life(beta1), _half_life(beta3)
    half_life = first + _part(t, beta3_warmup) * (last - first)
    beta3_t = where(t < beta3_warmup, 0.5 ** (1.0 / (half_life + 1.0)), beta3)
    return adam_coefficients(t, lr, (beta1, beta2), eps) | {
        "beta3": beta3_t,
        "new3": 1.0 - beta3_t,
        "size_slow": lr * alpha * _part(t, alpha_warmup),
    }


@direction(
    state=("exp_avg_fast", "exp_avg_slow", "exp_avg_sq"),
    nonnegative=("exp_avg_sq",),
    coefficients=_coefficients,
    defaults={
        "betas": (0.9, 0.999, 0.9999),
        "alpha": 2.0,
        "beta3_warmup": 0,
        "alpha_warmup": 0,
        "eps": 1e-8,
    },
)
def ademamix(
    grad, grad_v, exp_avg_fast, exp_avg_slow, exp_avg_sq,
    beta1, new1, beta2, new2, beta3, new3, size, size_slow, correction, eps,
):  # fmt: skip
    """Adam's step with a second, slow average of the gradients.

    m_t = β1·m_{t−1} + (1 − β1)·g_t ;  n_t = β3·n_{t−1} + (1 − β3)·g_t ;  v_t as in Adam
    step = α·η_t·(m̂_t + a·n_t)/(√v̂_t + ε), a = alpha ;  m̂_t, v̂_t as in Adam

    n_t is not corrected for its bias. While t < alpha_warmup, a = alpha·t/alpha_warmup; while
    t < beta3_warmup, β3 rises from β1 so that its half-life grows by equal steps.

    Source: Pagliardini, Ablin & Grangier, arXiv 2409.03137, Algorithm 1, and the authors' code.
    """
    exp_avg_fast = moving_average(exp_avg_fast, grad, beta1, new1)  # m_t
    exp_avg_slow = moving_average(exp_avg_slow, grad, beta3, new3)  # n_t
    exp_avg_sq = moving_average(exp_avg_sq, grad_v * grad_v, beta2, new2)  # v_t
    moved = size * exp_avg_fast + size_slow * exp_avg_slow
    step = moved / (correction * sqrt(exp_avg_sq) + eps)
    return step, exp_avg_fast, exp_avg_slow, exp_avg_sq


class AdEMAMixW(Named, direction=ademamix):
    """Adam with a second, slow average of the gradients, and decoupled weight decay.

        m_t = β1·m_{t−1} + (1 − β1)·g_t ;  n_t = β3_t·n_{t−1} + (1 − β3_t)·g_t
        v_t = β2·v_{t−1} + (1 − β2)·g_t² ;  m̂_t = m_t/(1 − β1^t) ;  v̂_t = v_t/(1 − β2^t)
        θ_t = θ_{t−1} − lr_t·(m̂_t + a_t·n_t)/(√v̂_t + eps) − η_t·weight_decay·θ_{t−1}
        a_t = alpha·min(1, t/alpha_warmup) ;  (β1, β2, β3) = betas

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.
    β3_t rises from β1 to β3 over beta3_warmup updates, its half-life by equal steps.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2, β3), each in [0, 1); β3 is that of the slow average.
        alpha: ≥ 0, the weight of the slow average; the paper has 4 to 10 for long runs.
        beta3_warmup: updates over which β3_t rises; 0 starts with β3. The paper has all of the run.
        alpha_warmup: updates over which a_t rises; 0 starts with alpha. As beta3_warmup.
        eps: ε ≥ 0, outside the bias correction.
        weight_decay: λ ≥ 0, per update: multiplied by η_t, **not by lr**. A number, a tensor,
            :func:`unyoke.normalized`, or a function of t.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Pagliardini, Ablin & Grangier, arXiv 2409.03137, Algorithm 1 and appendix A.1 for
    the warmups, and the authors' code, whose default values these are; the decay is Loshchilov &
    Hutter's.

    Departures: no warmup is spelled 0 where the authors' code has None, and with β1 = 0 the fast
    average keeps its buffer.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> warmup = {"alpha": 5.0, "alpha_warmup": 10_000, "beta3_warmup": 10_000}
    >>> optimizer = unyoke.AdEMAMixW(model.parameters(), lr=1e-3, weight_decay=1e-5, **warmup)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """


class AdEMAMix(Named, direction=ademamix, decay="lr_coupled", weight_decay=0.0):
    """AdEMAMix as published: its decay is multiplied by the learning rate.

        m_t = β1·m_{t−1} + (1 − β1)·g_t ;  n_t = β3_t·n_{t−1} + (1 − β3_t)·g_t
        v_t = β2·v_{t−1} + (1 − β2)·g_t² ;  m̂_t = m_t/(1 − β1^t) ;  v̂_t = v_t/(1 − β2^t)
        θ_t = θ_{t−1} − lr_t·((m̂_t + a_t·n_t)/(√v̂_t + eps) + weight_decay·θ_{t−1})
        a_t = alpha·min(1, t/alpha_warmup) ;  (β1, β2, β3) = betas

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.
    β3_t rises from β1 to β3 over beta3_warmup updates, its half-life by equal steps.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2, β3), each in [0, 1); β3 is that of the slow average.
        alpha: ≥ 0, the weight of the slow average; the paper has 4 to 10 for long runs.
        beta3_warmup: updates over which β3_t rises; 0 starts with β3. The paper has all of the run.
        alpha_warmup: updates over which a_t rises; 0 starts with alpha. As beta3_warmup.
        eps: ε ≥ 0, outside the bias correction.
        weight_decay: λ ≥ 0, multiplied by the learning rate lr_t.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Pagliardini, Ablin & Grangier, arXiv 2409.03137, Algorithm 1 and appendix A.1 for
    the warmups, and the authors' code, whose default values these are.

    Departures: no warmup is spelled 0 where the authors' code has None, and with β1 = 0 the fast
    average keeps its buffer.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.AdEMAMix(model.parameters(), lr=1e-3, weight_decay=0.01)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """
