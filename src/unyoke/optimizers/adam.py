"""Adam and AMSGrad."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

from unyoke.optimizers.named import Betas, Forms, Named, Options, Params, Rate, WeightDecay, by_flag


class AdamLike(Named):
    """The constructor of optimizers with Adam's hyperparameters."""

    def __init__(
        self,
        params: Params,
        lr: Rate = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: WeightDecay = 1e-5,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(params, lr, weight_decay, betas=betas, eps=eps, **options)


class WithAMSGrad(Named):
    """The constructor of Adam and AdamW; ``amsgrad`` is torch's word for another direction."""

    forms: ClassVar[Forms] = {"adam": {"amsgrad": False}, "amsgrad": {"amsgrad": True}}
    words = ("amsgrad",)

    def __init__(
        self,
        params: Params,
        lr: Rate = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: WeightDecay = 1e-5,
        amsgrad: bool = False,
        **options: Unpack[Options],
    ) -> None:
        own: dict[str, Any] = {"betas": betas, "eps": eps, "amsgrad": amsgrad}
        super().__init__(params, lr, weight_decay, **own, **options)


class AdamW(WithAMSGrad, direction="adam"):
    """Adam with decoupled weight decay: Algorithm 2 of the paper.

        m_t = β1·m_{t−1} + (1 − β1)·g_t ;  v_t = β2·v_{t−1} + (1 − β2)·g_t²
        m̂_t = m_t/(1 − β1^t) ;  v̂_t = v_t/(1 − β2^t) ;  (β1, β2) = betas
        θ_t = θ_{t−1} − lr_t·m̂_t/(√v̂_t + eps) − η_t·weight_decay·θ_{t−1}

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.
    AdamWR is this class with ``schedule=warm_restarts(...)`` and ``weight_decay=normalized(...)``.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2), each in [0, 1).
        eps: ε ≥ 0, outside the bias correction.
        weight_decay: λ ≥ 0, per update: multiplied by η_t, **not by lr**. A number, a tensor,
            :func:`unyoke.normalized`, or a function of t.
        amsgrad: divide by the largest √v_t so far, as :class:`AMSGradW`.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Loshchilov & Hutter, ICLR 2019, Algorithm 2, lines 6–12.

    Departures from torch.optim.AdamW, which multiplies the decay by lr_t: weight_decay here is
    lr·weight_decay there, and the default 1e-5 is torch's 1e-2 at lr = 1e-3.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-5)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """


class Adam(WithAMSGrad, direction="adam", decay="l2", weight_decay=0.0):
    """Adam, with an L2 penalty if weight_decay is given: Algorithm 2 of the paper, L2 branch.

        g_t = ∇f_t(θ_{t−1}) + weight_decay·θ_{t−1}
        m_t = β1·m_{t−1} + (1 − β1)·g_t ;  v_t = β2·v_{t−1} + (1 − β2)·g_t²
        m̂_t = m_t/(1 − β1^t) ;  v̂_t = v_t/(1 − β2^t) ;  (β1, β2) = betas
        θ_t = θ_{t−1} − lr_t·m̂_t/(√v̂_t + eps)

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2), each in [0, 1).
        eps: ε ≥ 0, outside the bias correction.
        weight_decay: λ′ ≥ 0, an L2 penalty that joins the gradient, as in torch.
        amsgrad: divide by the largest √v_t so far, as :class:`AMSGrad`.
        decoupled_weight_decay: torch's AdamW: the same as ``decay="lr_coupled"``.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Kingma & Ba, ICLR 2015, Algorithm 1; torch.optim.Adam, with the same numbers.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.Adam(model.parameters(), lr=1e-3, betas=(0.9, 0.95))
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
        amsgrad: bool = False,
        *,
        decoupled_weight_decay: bool = False,
        **options: Unpack[Options],
    ) -> None:
        own = by_flag(decoupled_weight_decay, options)
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, **own)


class AMSGradW(AdamLike, direction="amsgrad"):
    """AMSGrad with decoupled weight decay.

        m_t = β1·m_{t−1} + (1 − β1)·g_t ;  v_t = β2·v_{t−1} + (1 − β2)·g_t²
        m̂_t = m_t/(1 − β1^t) ;  v̂_t = max(v_1, …, v_t)/(1 − β2^t) ;  (β1, β2) = betas
        θ_t = θ_{t−1} − lr_t·m̂_t/(√v̂_t + eps) − η_t·weight_decay·θ_{t−1}

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

    Source: Reddi, Kale & Kumar, ICLR 2018, Algorithm 2; the decay is Loshchilov & Hutter's.

    Departures: the maximum is corrected for its bias, as in torch; the published algorithm
    corrects nothing.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.AMSGradW(model.parameters(), lr=1e-3, weight_decay=1e-5)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """


class AMSGrad(AdamLike, direction="amsgrad", decay="l2", weight_decay=0.0):
    """AMSGrad, with an L2 penalty if weight_decay is given: torch.optim.Adam(amsgrad=True).

        g_t = ∇f_t(θ_{t−1}) + weight_decay·θ_{t−1}
        m_t = β1·m_{t−1} + (1 − β1)·g_t ;  v_t = β2·v_{t−1} + (1 − β2)·g_t²
        m̂_t = m_t/(1 − β1^t) ;  v̂_t = max(v_1, …, v_t)/(1 − β2^t) ;  (β1, β2) = betas
        θ_t = θ_{t−1} − lr_t·m̂_t/(√v̂_t + eps)

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2), each in [0, 1).
        eps: ε ≥ 0, outside the bias correction.
        weight_decay: λ′ ≥ 0, an L2 penalty that joins the gradient, as in torch.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Reddi, Kale & Kumar, ICLR 2018, Algorithm 2; torch.optim.Adam(amsgrad=True).

    Departures: the maximum is corrected for its bias, as in torch; the published algorithm
    corrects nothing.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.AMSGrad(model.parameters(), lr=1e-3)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """
