"""Signum: signSGD with momentum."""

from __future__ import annotations

from unyoke.directions.descent import check_momentum
from unyoke.equation import direction
from unyoke.optimizers.named import Named
from unyoke.primitives import moving_average, sign


@direction(
    state=("momentum_buffer",),
    coefficients=lambda lr, momentum: {"lr": lr, "momentum": momentum, "new": 1.0 - momentum},
    defaults={"momentum": 0.9},
    check=check_momentum,
)
def signum(grad, momentum_buffer, lr, momentum, new):
    """Every weight moves by the learning rate, against the sign of an average of gradients.

    m_t = β·m_{t−1} + (1 − β)·g_t ;  step = α·η_t·sign(m_t), β = momentum

    With β = 0 it is signSGD. Where the average is exactly 0 nothing moves. A NaN stays a NaN.

    Source: Bernstein et al., ICML 2018, Algorithm 2; MXNet's Signum.
    """
    momentum_buffer = moving_average(momentum_buffer, grad, momentum, new)  # m_t
    return lr * sign(momentum_buffer), momentum_buffer


class SignumW(Named, direction=signum, lr=1e-4):
    """Signum, the sign of momentum, with decoupled weight decay.

        m_t = momentum·m_{t−1} + (1 − momentum)·g_t
        θ_t = θ_{t−1} − lr_t·sign(m_t) − η_t·weight_decay·θ_{t−1}

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        momentum: β in [0, 1); 0 is signSGD.
        weight_decay: λ ≥ 0, per update: multiplied by η_t, **not by lr**. A number, a tensor,
            :func:`unyoke.normalized`, or a function of t.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Bernstein, Wang, Azizzadenesheli & Anandkumar, ICML 2018 (arXiv 1802.04434), Algorithm
    2; the decay is Loshchilov & Hutter's.

    Departures: a NaN in the average stays a NaN; torch.sign makes it 0.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.SignumW(model.parameters(), lr=1e-4, weight_decay=1e-5)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """


class Signum(Named, direction=signum, decay="lr_coupled", lr=1e-4, weight_decay=0.0):
    """Signum as in MXNet: its decay is multiplied by the learning rate.

        m_t = momentum·m_{t−1} + (1 − momentum)·g_t
        θ_t = θ_{t−1} − lr_t·(sign(m_t) + weight_decay·θ_{t−1})

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        momentum: β in [0, 1); 0 is signSGD.
        weight_decay: λ ≥ 0, multiplied by the learning rate lr_t.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Bernstein, Wang, Azizzadenesheli & Anandkumar, ICML 2018 (arXiv 1802.04434), Algorithm
    2; MXNet 1.9's Signum, whose ``wd_lh`` is this weight_decay.

    Departures: lr is 1e-4, where MXNet has 0.01. A NaN in the average stays a NaN; torch.sign makes
    it 0.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.Signum(model.parameters(), lr=1e-4, weight_decay=0.1)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """
