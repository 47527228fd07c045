"""MARS, in its approximate form."""

from __future__ import annotations

from typing import Any

from unyoke.directions.moments import adam_coefficients
from unyoke.equation import Norms, direction
from unyoke.optimizers.named import Named
from unyoke.primitives import moving_average, sqrt, where


def _coefficients(t: Any, lr: Any, betas: Any, gamma: Any, eps: Any) -> dict[str, Any]:
    beta1, _ = betas
    return adam_coefficients(t, lr, betas, eps) | {"ahead": gamma * beta1 / (1.0 - beta1)}


def _corrected(grad: Any, previous_grad: Any, ahead: Any) -> tuple[Any]:
    return (grad + ahead * (grad - previous_grad),)  # c_t


def _length(corrected_norm: Any) -> Any:
    """max(1, ‖c_t‖); NaN stays NaN."""
    return where(corrected_norm <= 1.0, 1.0, corrected_norm)


@direction(
    state=("exp_avg", "exp_avg_sq", "previous_grad"),
    nonnegative=("exp_avg_sq",),
    coefficients=_coefficients,
    defaults={"betas": (0.95, 0.99), "gamma": 0.025, "eps": 1e-8},
    scope="tensor",
    norms=Norms(_corrected, _length, "length"),
)
def mars(
    grad, exp_avg, exp_avg_sq, previous_grad,
    beta1, new1, beta2, new2, ahead, size, correction, eps, length,
):  # fmt: skip
    """Adam on gradients whose variance is lowered by the gradient of before.

    c_t = g_t + γ·β1/(1 − β1)·(g_t − g_{t−1}), g_0 = 0 ;  c̃_t = c_t/max(1, ‖c_t‖), per tensor
    m_t, v_t and step as in Adam, of c̃_t

    Source: Yuan et al., arXiv 2411.10438, Algorithm 2, approximate; the authors' mars.py.
    """
    (corrected,) = _corrected(grad, previous_grad, ahead)
    clipped = corrected / length  # c̃_t
    exp_avg = moving_average(exp_avg, clipped, beta1, new1)  # m_t
    exp_avg_sq = moving_average(exp_avg_sq, clipped * clipped, beta2, new2)  # v_t
    step = size * (exp_avg / (correction * sqrt(exp_avg_sq) + eps))
    return step, exp_avg, exp_avg_sq, grad


class MARSW(Named, direction=mars, lr=3e-3):
    """MARS (approximate MARS-AdamW) with decoupled weight decay.

        c_t = g_t + gamma·β1/(1 − β1)·(g_t − g_{t−1}), g_0 = 0
        c̃_t = c_t/max(1, ‖c_t‖), a norm for each tensor
        m_t = β1·m_{t−1} + (1 − β1)·c̃_t ;  v_t = β2·v_{t−1} + (1 − β2)·c̃_t²
        m̂_t = m_t/(1 − β1^t) ;  v̂_t = v_t/(1 − β2^t) ;  (β1, β2) = betas
        θ_t = θ_{t−1} − lr_t·m̂_t/(√v̂_t + eps) − η_t·weight_decay·θ_{t−1}

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2), each in [0, 1).
        gamma: ≥ 0, how much of the change of the gradient is added; 0 is Adam on clipped gradients.
        eps: ε ≥ 0, outside the bias correction.
        weight_decay: λ ≥ 0, per update: multiplied by η_t, **not by lr**. A number, a tensor,
            :func:`unyoke.normalized`, or a function of t.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Yuan, Liu, Wu, Zhou & Gu, arXiv 2411.10438, Algorithm 2 (MARS-AdamW) in its approximate
    form, which has the gradient of the update before in the place of a second one of this batch;
    the authors' mars.py, whose default values these are; the decay is Loshchilov & Hutter's.

    Departures: the authors' code gives all but matrices to AdamW: give such parameters a group of
    their own with ``direction="adam"``.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.MARSW(model.parameters(), lr=3e-3, weight_decay=1e-5)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """


class MARS(Named, direction=mars, decay="lr_coupled", lr=3e-3, weight_decay=0.0):
    """MARS (approximate MARS-AdamW) as published: its decay is multiplied by the learning rate.

        c_t = g_t + gamma·β1/(1 − β1)·(g_t − g_{t−1}), g_0 = 0
        c̃_t = c_t/max(1, ‖c_t‖), a norm for each tensor
        m_t = β1·m_{t−1} + (1 − β1)·c̃_t ;  v_t = β2·v_{t−1} + (1 − β2)·c̃_t²
        m̂_t = m_t/(1 − β1^t) ;  v̂_t = v_t/(1 − β2^t) ;  (β1, β2) = betas
        θ_t = θ_{t−1} − lr_t·(m̂_t/(√v̂_t + eps) + weight_decay·θ_{t−1})

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2), each in [0, 1).
        gamma: ≥ 0, how much of the change of the gradient is added; 0 is Adam on clipped gradients.
        eps: ε ≥ 0, outside the bias correction.
        weight_decay: λ ≥ 0, multiplied by the learning rate lr_t.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Yuan, Liu, Wu, Zhou & Gu, arXiv 2411.10438, Algorithm 2 (MARS-AdamW) in its approximate
    form, which has the gradient of the update before in the place of a second one of this batch;
    the authors' mars.py, whose default values these are.

    Departures: the authors' code gives all but matrices to AdamW: give such parameters a group of
    their own with ``direction="adam"``.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.MARS(model.parameters(), lr=3e-3, weight_decay=0.01)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """
