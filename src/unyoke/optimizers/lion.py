"""Lion."""

from __future__ import annotations

from typing import Unpack

from unyoke.optimizers.named import Betas, Named, Options, Params, Rate, WeightDecay


class LionLike(Named):
    """The constructor of Lion and LionW."""

    def __init__(
        self,
        params: Params,
        lr: Rate = 1e-4,
        betas: Betas = (0.9, 0.99),
        weight_decay: WeightDecay = 1e-5,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(params, lr, weight_decay, betas=betas, **options)


class LionW(LionLike, direction="lion"):
    """Lion with decoupled weight decay.

        θ_t = θ_{t−1} − lr_t·sign(β1·m_{t−1} + (1 − β1)·g_t) − η_t·weight_decay·θ_{t−1}
        m_t = β2·m_{t−1} + (1 − β2)·g_t ;  (β1, β2) = betas

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2), each in [0, 1).
        weight_decay: λ ≥ 0, per update: multiplied by η_t, **not by lr**. A number, a tensor,
            :func:`unyoke.normalized`, or a function of t.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Chen et al., arXiv 2302.06675, Algorithm 2; the decay is Loshchilov & Hutter's.

    Departures: a NaN in the average stays a NaN; torch.sign makes it 0.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.LionW(model.parameters(), lr=1e-4, weight_decay=1e-5)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """


class Lion(LionLike, direction="lion", decay="lr_coupled", weight_decay=0.0):
    """Lion as published: its decay is multiplied by the learning rate.

        θ_t = θ_{t−1} − lr_t·(sign(β1·m_{t−1} + (1 − β1)·g_t) + weight_decay·θ_{t−1})
        m_t = β2·m_{t−1} + (1 − β2)·g_t ;  (β1, β2) = betas

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2), each in [0, 1).
        weight_decay: λ ≥ 0, multiplied by the learning rate lr_t.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Chen et al., arXiv 2302.06675, Algorithm 2.

    Departures: a NaN in the average stays a NaN; torch.sign makes it 0.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.Lion(model.parameters(), lr=1e-4, weight_decay=0.1)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """
