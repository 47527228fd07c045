"""Adam and what has its hyperparameters."""

from __future__ import annotations

from typing import Unpack

from torch.optim.optimizer import ParamsT

from unyoke._step.hyperparameters import WeightDecay
from unyoke.optimizers.named import Betas, Named, Options, Rate


class AdamLike(Named):
    """The constructor of Adam and of what has its hyperparameters."""

    def __init__(
        self,
        params: ParamsT,
        lr: Rate = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: WeightDecay = 1e-5,
        **options: Unpack[Options],
    ) -> None:
        own = self.completed(options, betas=betas, eps=eps)
        super().__init__(params, lr, weight_decay, **own)


class AdamW(AdamLike, direction="adam"):
    """Adam with decoupled weight decay: Algorithm 2 of the paper.

    θ_t = θ_{t−1} − η_t·(α·m̂_t/(√v̂_t + ε) + λ·θ_{t−1})

    **weight_decay is the paper's λ, not multiplied by lr.** torch's AdamW multiplies by lr:
    λ = lr·weight_decay_torch, and the default 1e-5 is torch's default 1e-2 at lr = 1e-3.
    AdamWR is this class with ``schedule=warm_restarts(...)`` and ``weight_decay=normalized(...)``.

    Arguments as :class:`unyoke.Optimizer`, and ``betas`` in [0, 1), ``eps`` ≥ 0.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-5)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """


class Adam(AdamLike, direction="adam", decay="l2", weight_decay=0.0):
    """Adam, with an L2 penalty if weight_decay is given: Algorithm 2 of the paper, L2 branch.

    θ_t = θ_{t−1} − η_t·α·m̂_t/(√v̂_t + ε) ;  g_t = ∇f_t(θ_{t−1}) + λ′·θ_{t−1}

    ``weight_decay`` means what it means in torch.optim.Adam. Arguments as :class:`AdamW`.
    """


class AMSGradW(AdamLike, direction="amsgrad"):
    """AMSGrad with decoupled weight decay.

    Arguments as :class:`AdamW`; see :data:`unyoke.directions.amsgrad`.
    """


class AMSGrad(AdamLike, direction="amsgrad", decay="l2", weight_decay=0.0):
    """AMSGrad, with an L2 penalty if weight_decay is given: torch.optim.Adam(amsgrad=True).

    Arguments as :class:`AdamW`.
    """


class NAdamW(AdamLike, direction="nadamw"):
    """Adam with Nesterov momentum and decoupled weight decay: timm's NAdamW.

    Arguments as :class:`AdamW`; see :data:`unyoke.directions.nadamw`. torch's NAdam is another
    algorithm: :class:`NAdam`, and with ``decay="decoupled"`` its decoupled form.
    """


class NAdam(Named, direction="nadam", decay="l2"):
    """Adam with Nesterov momentum, with an L2 penalty if weight_decay is given: torch's NAdam.

    Arguments as :class:`AdamW`, and ``momentum_decay`` ≥ 0; see :data:`unyoke.directions.nadam`.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Rate = 2e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: WeightDecay = 0.0,
        momentum_decay: float = 4e-3,
        **options: Unpack[Options],
    ) -> None:
        own = self.completed(options, betas=betas, eps=eps, momentum_decay=momentum_decay)
        super().__init__(params, lr, weight_decay, **own)


class RAdamW(AdamLike, direction="radam"):
    """Rectified Adam with decoupled weight decay.

    Arguments as :class:`AdamW`; see :data:`unyoke.directions.radam`.
    """


class RAdam(AdamLike, direction="radam", decay="l2", weight_decay=0.0):
    """Rectified Adam, with an L2 penalty if weight_decay is given: torch's RAdam.

    Arguments as :class:`AdamW`.
    """


class AdamaxW(AdamLike, direction="adamax", lr=2e-3):
    """Adamax with decoupled weight decay.

    Arguments as :class:`AdamW`; see :data:`unyoke.directions.adamax`.
    """


class Adamax(AdamLike, direction="adamax", decay="l2", lr=2e-3, weight_decay=0.0):
    """Adamax, with an L2 penalty if weight_decay is given: torch's Adamax.

    Arguments as :class:`AdamW`.
    """
