"""Directions that keep only the sign of what they average."""

from __future__ import annotations

from unyoke.directions.moments import averages
from unyoke.equation import direction
from unyoke.primitives import moving_average, sign


@direction(
    state=("exp_avg",),
    coefficients=lambda lr, betas: averages(betas) | {"lr": lr},
    defaults={"betas": (0.9, 0.99)},
)
def lion(grad, exp_avg, beta1, new1, beta2, new2, lr):
    """Lion: every weight moves by the learning rate, in the direction of an average of gradients.

    step = α·η_t·sign(β1·m_{t−1} + (1 − β1)·g_t) ;  m_t = β2·m_{t−1} + (1 − β2)·g_t

    Where the average is exactly 0 nothing moves. A NaN stays a NaN (torch.sign makes it 0).

    Source: Chen et al., arXiv 2302.06675, Algorithm 2.
    """
    step = lr * sign(moving_average(exp_avg, grad, beta1, new1))
    exp_avg = moving_average(exp_avg, grad, beta2, new2)  # m_t
    return step, exp_avg
