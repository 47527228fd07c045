"""Adam and its relatives: an average of gradients over a root of an average of their squares."""

from __future__ import annotations

from typing import Any

from unyoke.compat import renamed
from unyoke.equation import direction
from unyoke.primitives import absolute, maximum, moving_average, sqrt, where

__getattr__ = renamed(__name__)

Coefficients = dict[str, Any]
DEFAULTS = {"betas": (0.9, 0.999), "eps": 1e-8}


def averages(betas: Any) -> Coefficients:
    """β1, 1 − β1, β2 and 1 − β2."""
    beta1, beta2 = betas
    return {"beta1": beta1, "new1": 1.0 - beta1, "beta2": beta2, "new2": 1.0 - beta2}


def adam_coefficients(t: Any, lr: Any, betas: Any, eps: Any) -> Coefficients:
    """What Algorithm 2 needs beside the tensors."""
    beta1, beta2 = betas
    return averages(betas) | {
        "size": lr / (1.0 - beta1**t),  # α·η_t / (1 − β1^t)
        "correction": 1.0 / sqrt(1.0 - beta2**t),  # 1/√(1 − β2^t)
        "eps": eps,
    }


@direction(
    state=("exp_avg", "exp_avg_sq"),
    nonnegative=("exp_avg_sq",),
    coefficients=adam_coefficients,
    defaults=DEFAULTS,
    averages=True,
)
def adam(grad, grad_v, exp_avg, exp_avg_sq, beta1, new1, beta2, new2, size, correction, eps):
    """Adam's step, bias-corrected.

    m_t = β1·m_{t−1} + (1 − β1)·g_t ;  v_t = β2·v_{t−1} + (1 − β2)·g_t²
    step = α·η_t·m̂_t / (√v̂_t + ε) ;  m̂_t = m_t/(1 − β1^t), v̂_t = v_t/(1 − β2^t)

    ε stands outside the bias correction, as in torch.

    Source: Loshchilov & Hutter, ICLR 2019, Algorithm 2; Kingma & Ba, ICLR 2015.
    """
    exp_avg = moving_average(exp_avg, grad, beta1, new1)  # m_t
    exp_avg_sq = moving_average(exp_avg_sq, grad_v * grad_v, beta2, new2)  # v_t
    step = size * (exp_avg / (correction * sqrt(exp_avg_sq) + eps))
    return step, exp_avg, exp_avg_sq


@direction(
    state=("exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
    nonnegative=("exp_avg_sq", "max_exp_avg_sq"),
    coefficients=adam_coefficients,
    defaults=DEFAULTS,
    averages=True,
)
def amsgrad(
    grad,
    grad_v,
    exp_avg,
    exp_avg_sq,
    max_exp_avg_sq,
    beta1,
    new1,
    beta2,
    new2,
    size,
    correction,
    eps,
):
    """Adam whose denominator never falls.

    m_t, v_t as in Adam ;  v_max = max(v_max, v_t)
    step = α·η_t·m̂_t / (√v̂_max + ε) ;  v̂_max = v_max/(1 − β2^t)

    The maximum is of the uncorrected v and is corrected afterwards, as in torch; the published
    algorithm corrects nothing.

    Source: Reddi, Kale & Kumar, ICLR 2018, Algorithm 2; torch.optim.Adam(amsgrad=True).
    """
    exp_avg = moving_average(exp_avg, grad, beta1, new1)  # m_t
    exp_avg_sq = moving_average(exp_avg_sq, grad_v * grad_v, beta2, new2)  # v_t
    max_exp_avg_sq = maximum(max_exp_avg_sq, exp_avg_sq)
    step = size * (exp_avg / (correction * sqrt(max_exp_avg_sq) + eps))
    return step, exp_avg, exp_avg_sq, max_exp_avg_sq


@direction(
    state=("exp_avg", "exp_avg_sq"),
    nonnegative=("exp_avg_sq",),
    coefficients=adam_coefficients,
    defaults=DEFAULTS,
)
def nesterov_adam(
    grad, grad_v, exp_avg, exp_avg_sq, beta1, new1, beta2, new2, size, correction, eps
):
    """Adam with Nesterov momentum in the form of timm's NAdamW.

    m_t, v_t as in Adam ;  m̄_t = β1·m_t + (1 − β1)·g_t
    step = α·η_t·[m̄_t/(1 − β1^t)] / (√v̂_t + ε)

    :data:`nadam` is torch's algorithm, which differs: it lets β1 rise slowly.

    Source: Choi et al., arXiv 1910.05446, table 1; timm.optim.NAdamW.
    """
    exp_avg = moving_average(exp_avg, grad, beta1, new1)  # m_t
    exp_avg_sq = moving_average(exp_avg_sq, grad_v * grad_v, beta2, new2)  # v_t
    ahead = moving_average(exp_avg, grad, beta1, new1)  # m̄_t
    step = size * (ahead / (correction * sqrt(exp_avg_sq) + eps))
    return step, exp_avg, exp_avg_sq


def _nadam_coefficients(
    t: Any, lr: Any, betas: Any, eps: Any, momentum_decay: Any, mu_product: Any
) -> Coefficients:
    beta1, beta2 = betas
    mu = beta1 * (1.0 - 0.5 * 0.96 ** (t * momentum_decay))  # μ_t
    mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
    mu_product = mu_product * mu  # Π μ_i
    return averages(betas) | {
        "mu_product": mu_product,
        "size": lr * mu_next / (1.0 - mu_product * mu_next),
        "size_new": lr * (1.0 - mu) / (1.0 - mu_product),
        "correction": 1.0 / sqrt(1.0 - beta2**t),
        "eps": eps,
    }


@direction(
    state=("exp_avg", "exp_avg_sq"),
    nonnegative=("exp_avg_sq",),
    scalars=("mu_product",),
    coefficients=_nadam_coefficients,
    defaults={**DEFAULTS, "momentum_decay": 4e-3},
)
def nadam(
    grad, grad_v, exp_avg, exp_avg_sq, beta1, new1, beta2, new2, size, size_new, correction, eps
):
    """Adam with Nesterov momentum as in torch: the weight of the momentum follows a schedule.

    m_t, v_t as in Adam ;  μ_t = β1·(1 − ½·0.96^(t·ψ)), ψ = momentum_decay
    m̂_t = μ_{t+1}·m_t/(1 − Π_{i≤t+1} μ_i) + (1 − μ_t)·g_t/(1 − Π_{i≤t} μ_i)
    step = α·η_t·m̂_t / (√v̂_t + ε)

    Π μ_i is kept as ``mu_product``, in float64 where torch has float32: 1e-7 apart.
    :data:`nesterov_adam` is the simpler algorithm of timm's NAdamW.

    Source: Dozat, ICLR workshop 2016; torch.optim.NAdam.
    """
    exp_avg = moving_average(exp_avg, grad, beta1, new1)  # m_t
    exp_avg_sq = moving_average(exp_avg_sq, grad_v * grad_v, beta2, new2)  # v_t
    ahead = size * exp_avg + size_new * grad  # α·η_t·m̂_t
    return ahead / (correction * sqrt(exp_avg_sq) + eps), exp_avg, exp_avg_sq


def _radam_coefficients(t: Any, lr: Any, betas: Any, eps: Any) -> Coefficients:
    beta1, beta2 = betas
    longest = 2.0 / (1.0 - beta2) - 1.0  # ρ_∞
    length = longest - 2.0 * t * beta2**t / (1.0 - beta2**t)  # ρ_t
    known = length > 5.0
    rho = where(known, length, 6.0)  # any length for which the root exists
    rho_inf = where(known, longest, 6.0)
    root = sqrt((rho - 4.0) * (rho - 2.0) * rho_inf / ((rho_inf - 4.0) * (rho_inf - 2.0) * rho))
    return averages(betas) | {
        "size": lr / (1.0 - beta1**t),
        "rectified": where(known, root * sqrt(1.0 - beta2**t), 0.0),  # r_t·√(1 − β2^t)
        "plain": where(known, 0.0, 1.0),
        "eps": eps,
    }


@direction(
    state=("exp_avg", "exp_avg_sq"),
    nonnegative=("exp_avg_sq",),
    coefficients=_radam_coefficients,
    defaults=DEFAULTS,
    averages=True,
)
def radam(grad, grad_v, exp_avg, exp_avg_sq, beta1, new1, beta2, new2, size, rectified, plain, eps):
    """Rectified Adam: plain momentum until the variance of the denominator is known.

    m_t, v_t as in Adam ;  ρ_∞ = 2/(1 − β2) − 1 ;  ρ_t = ρ_∞ − 2t·β2^t/(1 − β2^t)
    step = α·η_t·m̂_t                                 while ρ_t ≤ 5
    step = α·η_t·m̂_t·r_t·√(1 − β2^t)/(√v_t + ε)      afterwards
    r_t = √((ρ_t − 4)(ρ_t − 2)ρ_∞ / ((ρ_∞ − 4)(ρ_∞ − 2)ρ_t))

    ε is added to the uncorrected √v_t and ρ_t is held against 5, both as in torch.

    Source: Liu et al., ICLR 2020, Algorithm 2; torch.optim.RAdam.
    """
    exp_avg = moving_average(exp_avg, grad, beta1, new1)  # m_t
    exp_avg_sq = moving_average(exp_avg_sq, grad_v * grad_v, beta2, new2)  # v_t
    slow = size * exp_avg  # α·η_t·m̂_t
    # A tensor over a tensor: torch forms a number over a tensor as a product with its reciprocal
    fast = rectified * slow / (sqrt(exp_avg_sq) + eps)
    return where(plain > 0, slow, fast), exp_avg, exp_avg_sq


def _adamax_coefficients(t: Any, lr: Any, betas: Any, eps: Any) -> Coefficients:
    beta1, beta2 = betas
    return {
        "beta1": beta1,
        "new1": 1.0 - beta1,
        "beta2": beta2,
        "size": lr / (1.0 - beta1**t),
        "eps": eps,
    }


@direction(
    state=("exp_avg", "exp_inf"),
    nonnegative=("exp_inf",),
    coefficients=_adamax_coefficients,
    defaults=DEFAULTS,
    averages=True,
)
def adamax(grad, grad_v, exp_avg, exp_inf, beta1, new1, beta2, size, eps):
    """Adam with the largest recent gradient in the place of the root mean square.

    m_t as in Adam ;  u_t = max(β2·u_{t−1}, |g_t| + ε) ;  step = α·η_t·m̂_t / u_t

    ε stands inside the maximum, as in torch.

    Source: Kingma & Ba, ICLR 2015, section 7.1; torch.optim.Adamax.
    """
    exp_avg = moving_average(exp_avg, grad, beta1, new1)  # m_t
    exp_inf = maximum(beta2 * exp_inf, absolute(grad_v) + eps)  # u_t
    return size * (exp_avg / exp_inf), exp_avg, exp_inf
