"""LAMB and LARS, whose steps have the length of the tensor that they move."""

from __future__ import annotations

from typing import Any, Unpack

from unyoke.optimizers.adam import AdamLike
from unyoke.optimizers.named import Named, Options, Params, Rate, WeightDecay


class LambW(AdamLike, direction="lamb", eps=1e-6):
    """LAMB with decoupled weight decay.

        m_t = β1·m_{t−1} + (1 − β1)·g_t ;  v_t = β2·v_{t−1} + (1 − β2)·g_t² ;  (β1, β2) = betas
        r_t = m̂_t/(√v̂_t + eps) ;  m̂_t = m_t/(1 − β1^t) ;  v̂_t = v_t/(1 − β2^t)
        θ_t = θ_{t−1} − lr_t·(‖θ_{t−1}‖/‖r_t‖)·r_t − η_t·weight_decay·θ_{t−1}, norms per tensor

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2), each in [0, 1).
        eps: ε ≥ 0, outside the bias correction.
        weight_decay: λ ≥ 0, per update: multiplied by η_t, **not by lr**. A number, a tensor,
            :func:`unyoke.normalized`, or a function of t.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: You et al., ICLR 2020 (arXiv 1904.00962), Algorithm 2; the decay is Loshchilov &
    Hutter's.

    Departures: the published algorithm adds λθ to r_t before it is scaled, so that its decay is
    neither decoupled nor L2; a norm of 0 counts as a ratio of 1; gradients are not clipped.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.LambW(model.parameters(), lr=1e-3, weight_decay=1e-5)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """


class LarsW(Named, direction="lars"):
    """LARS with decoupled weight decay.

        b_t = momentum·b_{t−1} + trust_coeff·(‖θ_{t−1}‖/‖g_t‖)·g_t, norms per tensor
        θ_t = θ_{t−1} − lr_t·b_t − η_t·weight_decay·θ_{t−1}

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        momentum: μ in [0, 1].
        weight_decay: λ ≥ 0, per update: multiplied by η_t, **not by lr**. A number, a tensor,
            :func:`unyoke.normalized`, or a function of t.
        trust_coeff: > 0; the length of a step at lr = 1, in lengths of the tensor.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: You, Gitman & Ginsburg, arXiv 1708.03888, Algorithm 1; the decay is Loshchilov &
    Hutter's.

    Departures: the published ratio is ‖θ‖/(‖g‖ + λ‖θ‖) and knows the L2 penalty; where a norm is 0
    the ratio, trust_coeff included, is 1.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.LarsW(model.parameters(), lr=1.0, weight_decay=1e-5)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """

    def __init__(
        self,
        params: Params,
        lr: Rate = 1.0,
        momentum: float = 0.9,
        weight_decay: WeightDecay = 1e-5,
        trust_coeff: float = 0.001,
        **options: Unpack[Options],
    ) -> None:
        own: dict[str, Any] = {"momentum": momentum, "trust_coeff": trust_coeff}
        super().__init__(params, lr, weight_decay, **own, **options)
