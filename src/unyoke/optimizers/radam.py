"""Rectified Adam."""

from __future__ import annotations

from typing import Unpack

from unyoke.optimizers.adam import AdamLike
from unyoke.optimizers.named import Betas, Options, Params, Rate, WeightDecay, by_flag


class RAdamW(AdamLike, direction="radam"):
    """Rectified Adam with decoupled weight decay.

        m_t = β1·m_{t−1} + (1 − β1)·g_t ;  v_t = β2·v_{t−1} + (1 − β2)·g_t²
        ρ_t = ρ_∞ − 2t·β2^t/(1 − β2^t) ;  ρ_∞ = 2/(1 − β2) − 1 ;  (β1, β2) = betas
        s_t = 1 while ρ_t ≤ 5, then r_t·√(1 − β2^t)/(√v_t + eps)
        r_t = √((ρ_t − 4)(ρ_t − 2)ρ_∞ / ((ρ_∞ − 4)(ρ_∞ − 2)ρ_t))
        θ_t = θ_{t−1} − lr_t·s_t·m_t/(1 − β1^t) − η_t·weight_decay·θ_{t−1}

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2), each in [0, 1).
        eps: ε ≥ 0, added to the uncorrected √v_t.
        weight_decay: λ ≥ 0, per update: multiplied by η_t, **not by lr**. A number, a tensor,
            :func:`unyoke.normalized`, or a function of t.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Liu et al., ICLR 2020, Algorithm 2; the decay is Loshchilov & Hutter's.

    Departures: ρ_t is held against 5 where the paper has 4, as in torch.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.RAdamW(model.parameters(), lr=1e-3, weight_decay=1e-5)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """


class RAdam(AdamLike, direction="radam", decay="l2"):
    """Rectified Adam, with an L2 penalty if weight_decay is given: torch's RAdam.

        g_t = ∇f_t(θ_{t−1}) + weight_decay·θ_{t−1}
        m_t = β1·m_{t−1} + (1 − β1)·g_t ;  v_t = β2·v_{t−1} + (1 − β2)·g_t²
        ρ_t = ρ_∞ − 2t·β2^t/(1 − β2^t) ;  ρ_∞ = 2/(1 − β2) − 1 ;  (β1, β2) = betas
        s_t = 1 while ρ_t ≤ 5, then r_t·√(1 − β2^t)/(√v_t + eps)
        r_t = √((ρ_t − 4)(ρ_t − 2)ρ_∞ / ((ρ_∞ − 4)(ρ_∞ − 2)ρ_t))
        θ_t = θ_{t−1} − lr_t·s_t·m_t/(1 − β1^t)

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2), each in [0, 1).
        eps: ε ≥ 0, added to the uncorrected √v_t.
        weight_decay: λ′ ≥ 0, an L2 penalty that joins the gradient, as in torch.
        decoupled_weight_decay: torch's decoupled form: the same as ``decay="lr_coupled"``.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Liu et al., ICLR 2020, Algorithm 2; torch.optim.RAdam, with the same numbers.

    Departures: ρ_t is held against 5 where the paper has 4, as in torch.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.RAdam(model.parameters(), lr=1e-3)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """

    def __init__(
        self,
        params: Params,
        lr: Rate = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: WeightDecay = 0.0,
        decoupled_weight_decay: bool = False,
        **options: Unpack[Options],
    ) -> None:
        own = by_flag(decoupled_weight_decay, options)
        super().__init__(params, lr, betas, eps, weight_decay, **own)
