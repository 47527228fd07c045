"""Gradient descent, plain and with momentum."""

from __future__ import annotations

from typing import Any

from unyoke.equation import direction
from unyoke.primitives import where
from unyoke.ranges import both, unit_interval

Coefficients = dict[str, Any]
check_momentum = unit_interval("momentum")


@direction(coefficients=lambda lr: {"lr": lr}, skips_zeros=True, averages=True)
def gradient(grad, lr):
    """Plain gradient descent, without state.

    step = α·η_t·g_t

    Source: Robbins & Monro, 1951; propositions 1–3 of the paper are about this step.
    """
    return lr * grad


def _heavy_ball_coefficients(lr: Any, momentum: Any) -> Coefficients:
    return {"momentum": momentum, "lr": lr, "moving": where(lr == 0, 0.0, 1.0)}


@direction(
    state=("momentum_buffer",),
    coefficients=_heavy_ball_coefficients,
    defaults={"momentum": 0.9},
    check=check_momentum,
    averages=True,
)
def heavy_ball(grad, momentum_buffer, momentum, lr, moving):
    """SGD with momentum as in the paper: the learning rate is inside the buffer.

    m_t = β1·m_{t−1} + η_t·α·g_t ;  step = m_t

    Equal to :data:`momentum` while the learning rate is constant; when a schedule moves it, a
    gradient keeps the rate of the update it came from. At a learning rate of exactly 0 the buffer
    runs on and the weights stand still.

    Source: Loshchilov & Hutter, ICLR 2019, Algorithm 1, lines 6–9.
    """
    momentum_buffer = momentum * momentum_buffer + lr * grad  # m_t
    return moving * momentum_buffer, momentum_buffer


def _momentum_coefficients(t: Any, lr: Any, momentum: Any, dampening: Any) -> Coefficients:
    return {
        "momentum": momentum,
        "intake": where(t == 1, 1.0, 1.0 - dampening),  # torch does not dampen the first gradient
        "lr": lr,
    }


@direction(
    state=("momentum_buffer",),
    coefficients=_momentum_coefficients,
    defaults={"momentum": 0.9, "dampening": 0.0},
    check=both(check_momentum, unit_interval("dampening")),
    averages=True,
)
def momentum(grad, momentum_buffer, momentum, intake, lr):
    """SGD with momentum as in torch: the learning rate is outside the buffer.

    b_t = μ·b_{t−1} + (1 − dampening)·g_t ;  step = α·η_t·b_t ;  b_1 = g_1

    Source: torch.optim.SGD.
    """
    momentum_buffer = momentum * momentum_buffer + intake * grad  # b_t
    return lr * momentum_buffer, momentum_buffer


@direction(
    state=("momentum_buffer",),
    coefficients=lambda momentum, lr: {"momentum": momentum, "lr": lr},
    defaults={"momentum": 0.9},
    check=check_momentum,
)
def nesterov(grad, momentum_buffer, momentum, lr):
    """SGD with Nesterov momentum as in torch.

    b_t = μ·b_{t−1} + g_t ;  step = α·η_t·(g_t + μ·b_t)

    Source: torch.optim.SGD(nesterov=True); Sutskever et al., ICML 2013.
    """
    momentum_buffer = momentum * momentum_buffer + grad  # b_t
    return lr * (grad + momentum * momentum_buffer), momentum_buffer
