"""ADOPT."""

from __future__ import annotations

from typing import Any

from unyoke.directions.moments import averages
from unyoke.equation import direction
from unyoke.optimizers.named import Named
from unyoke.primitives import maximum, moving_average, sqrt, where


def _coefficients(t: Any, lr: Any, betas: Any, eps: Any, clip_exponent: Any) -> dict[str, Any]:
    own, zero = averages(betas), 0.0 * t  # as precise as t is where it lies on a device
    return own | {
        "beta2": where(t == 1, zero, own["beta2"]),  # v_1 = g_1²
        "new2": where(t == 1, zero + 1.0, own["new2"]),
        "clip": where(t == 1, zero, 1.0 * (t - 1) ** clip_exponent),  # c_1 = 0: nothing moves
        "lr": lr,
        "eps": eps,
    }


@direction(
    state=("exp_avg", "exp_avg_sq"),
    nonnegative=("exp_avg_sq",),
    coefficients=_coefficients,
    defaults={"betas": (0.9, 0.9999), "eps": 1e-6, "clip_exponent": 0.25},
    averages=True,
)
def adopt(grad, grad_v, exp_avg, exp_avg_sq, beta1, new1, beta2, new2, clip, lr, eps):
    """Momentum of gradients that were each divided by the second moment of before.

    v_1 = g_1², step = 0 ;  for t ≥ 2, c_t = (t − 1)^clip_exponent:
    m_t = β1·m_{t−1} + (1 − β1)·clip(g_t/max(√v_{t−1}, ε), −c_t, c_t) ;  step = α·η_t·m_t
    v_t = β2·v_{t−1} + (1 − β2)·g_t²

    A gradient and its denominator are independent, so it converges for any β2. Neither m_t nor v_t
    is corrected for its bias.

    Source: Taniguchi et al., NeurIPS 2024 (arXiv 2411.02853), Algorithm 2, and the authors' code.
    """
    normed = grad / maximum(sqrt(exp_avg_sq), eps)
    clipped = where(normed > clip, clip, where(normed < -clip, -clip, normed))
    exp_avg = moving_average(exp_avg, clipped, beta1, new1)  # m_t
    exp_avg_sq = moving_average(exp_avg_sq, grad_v * grad_v, beta2, new2)  # v_t
    return lr * exp_avg, exp_avg, exp_avg_sq


class ADOPTW(Named, direction=adopt):
    """ADOPT with decoupled weight decay.

        v_1 = g_1², and nothing moves ;  for t ≥ 2, c_t = (t − 1)^clip_exponent, (β1, β2) = betas:
        m_t = β1·m_{t−1} + (1 − β1)·clip(g_t/max(√v_{t−1}, eps), −c_t, c_t)
        θ_t = θ_{t−1} − lr_t·m_t − η_t·weight_decay·θ_{t−1}
        v_t = β2·v_{t−1} + (1 − β2)·g_t²

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2), each in [0, 1).
        eps: ε ≥ 0, the least denominator.
        clip_exponent: ≥ 0, of the bound that grows with t; 0 clips at 1 for ever.
        weight_decay: λ ≥ 0, per update: multiplied by η_t, **not by lr**. A number, a tensor,
            :func:`unyoke.normalized`, or a function of t.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Taniguchi et al., NeurIPS 2024 (arXiv 2411.02853), Algorithm 2, and the authors' code,
    whose default values these are; the decay is Loshchilov & Hutter's.

    Departures: the first update, in which the authors' code only sets v_1, decays the weights.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.ADOPTW(model.parameters(), lr=1e-3, weight_decay=1e-5)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """


class ADOPT(Named, direction=adopt, decay="l2", weight_decay=0.0):
    """ADOPT as published, with an L2 penalty if weight_decay is given.

        g_t = ∇f_t(θ_{t−1}) + weight_decay·θ_{t−1}
        v_1 = g_1², and nothing moves ;  for t ≥ 2, c_t = (t − 1)^clip_exponent, (β1, β2) = betas:
        m_t = β1·m_{t−1} + (1 − β1)·clip(g_t/max(√v_{t−1}, eps), −c_t, c_t)
        θ_t = θ_{t−1} − lr_t·m_t
        v_t = β2·v_{t−1} + (1 − β2)·g_t²

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2), each in [0, 1).
        eps: ε ≥ 0, the least denominator.
        clip_exponent: ≥ 0, of the bound that grows with t; 0 clips at 1 for ever.
        weight_decay: λ′ ≥ 0, an L2 penalty that joins the gradient, as in torch.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Taniguchi et al., NeurIPS 2024 (arXiv 2411.02853), Algorithm 2, and the authors' code,
    whose default values these are.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.ADOPT(model.parameters(), lr=1e-3)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """
