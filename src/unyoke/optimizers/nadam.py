"""Adam with Nesterov momentum: torch's algorithm and timm's."""

from __future__ import annotations

from typing import Any, Unpack

from unyoke.optimizers.adam import AdamLike
from unyoke.optimizers.named import Betas, Named, Options, Params, Rate, WeightDecay, by_flag


class NAdamW(AdamLike, direction="nesterov_adam"):
    """Adam with Nesterov momentum and decoupled weight decay: timm's NAdamW.

        m_t = β1·m_{t−1} + (1 − β1)·g_t ;  v_t = β2·v_{t−1} + (1 − β2)·g_t²
        m̂_t = (β1·m_t + (1 − β1)·g_t)/(1 − β1^t) ;  v̂_t = v_t/(1 − β2^t) ;  (β1, β2) = betas
        θ_t = θ_{t−1} − lr_t·m̂_t/(√v̂_t + eps) − η_t·weight_decay·θ_{t−1}

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.
    torch's NAdam is another algorithm, which lets β1 rise slowly: its decoupled form is
    ``NAdam(decay="decoupled")``.

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

    Source: Choi et al., arXiv 1910.05446, table 1; timm.optim.NAdamW.

    Departures from timm, which multiplies the decay by lr_t: here it is the paper's.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.NAdamW(model.parameters(), lr=1e-3, weight_decay=1e-5)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """


class NAdam(Named, direction="nadam", decay="l2"):
    """Adam with Nesterov momentum, with an L2 penalty if weight_decay is given: torch's NAdam.

        g_t = ∇f_t(θ_{t−1}) + weight_decay·θ_{t−1}
        m_t = β1·m_{t−1} + (1 − β1)·g_t ;  v_t = β2·v_{t−1} + (1 − β2)·g_t²
        μ_t = β1·(1 − ½·0.96^(t·momentum_decay)) ;  (β1, β2) = betas
        m̂_t = μ_{t+1}·m_t/(1 − Π_{i≤t+1} μ_i) + (1 − μ_t)·g_t/(1 − Π_{i≤t} μ_i)
        θ_t = θ_{t−1} − lr_t·m̂_t/(√v̂_t + eps) ;  v̂_t = v_t/(1 − β2^t)

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2), each in [0, 1).
        eps: ε ≥ 0, outside the bias correction.
        weight_decay: λ′ ≥ 0, an L2 penalty that joins the gradient, as in torch.
        momentum_decay: ≥ 0; how slowly the momentum rises from β1/2 to β1.
        decoupled_weight_decay: torch's decoupled form: the same as ``decay="lr_coupled"``.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Dozat, ICLR workshop 2016, Algorithm 2; torch.optim.NAdam.

    Departures: the product of μ_i is kept in float64 where torch has float32, 1e-7 apart.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.NAdam(model.parameters(), lr=2e-3, momentum_decay=4e-3)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """

    def __init__(
        self,
        params: Params,
        lr: Rate = 2e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: WeightDecay = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        **options: Unpack[Options],
    ) -> None:
        own: dict[str, Any] = {"betas": betas, "eps": eps, "momentum_decay": momentum_decay}
        own |= by_flag(decoupled_weight_decay, options)
        super().__init__(params, lr, weight_decay, **own)
