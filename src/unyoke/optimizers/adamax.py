"""Adamax."""

from __future__ import annotations

from typing import Unpack

from unyoke.optimizers.named import Betas, Named, OptionsWithoutForeach, Params, Rate, WeightDecay


class AdamaxLike(Named):
    """The constructor of Adamax and AdamaxW."""

    def __init__(
        self,
        params: Params,
        lr: Rate = 2e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: WeightDecay = 1e-5,
        foreach: bool | None = None,
        **options: Unpack[OptionsWithoutForeach],
    ) -> None:
        super().__init__(params, lr, weight_decay, betas=betas, eps=eps, **options)


class AdamaxW(AdamaxLike, direction="adamax"):
    """Adamax with decoupled weight decay.

        m_t = β1·m_{t−1} + (1 − β1)·g_t ;  u_t = max(β2·u_{t−1}, |g_t| + eps) ;  (β1, β2) = betas
        θ_t = θ_{t−1} − lr_t·m_t/((1 − β1^t)·u_t) − η_t·weight_decay·θ_{t−1}

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2), each in [0, 1).
        eps: ε ≥ 0, inside the maximum.
        weight_decay: λ ≥ 0, per update: multiplied by η_t, **not by lr**. A number, a tensor,
            :func:`unyoke.normalized`, or a function of t.
        foreach: torch's word; it changes nothing.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Kingma & Ba, ICLR 2015, section 7.1, Algorithm 2; the decay is Loshchilov & Hutter's.

    Departures: ε stands inside the maximum, as in torch; the published algorithm has none.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.AdamaxW(model.parameters(), lr=2e-3, weight_decay=1e-5)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """


class Adamax(AdamaxLike, direction="adamax", decay="l2", weight_decay=0.0):
    """Adamax, with an L2 penalty if weight_decay is given: torch's Adamax.

        g_t = ∇f_t(θ_{t−1}) + weight_decay·θ_{t−1}
        m_t = β1·m_{t−1} + (1 − β1)·g_t ;  u_t = max(β2·u_{t−1}, |g_t| + eps) ;  (β1, β2) = betas
        θ_t = θ_{t−1} − lr_t·m_t/((1 − β1^t)·u_t)

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2), each in [0, 1).
        eps: ε ≥ 0, inside the maximum.
        weight_decay: λ′ ≥ 0, an L2 penalty that joins the gradient, as in torch.
        foreach: torch's word; it changes nothing.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Kingma & Ba, ICLR 2015, section 7.1, Algorithm 2; torch.optim.Adamax.

    Departures: ε stands inside the maximum, as in torch; the published algorithm has none.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.Adamax(model.parameters(), lr=2e-3)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """
