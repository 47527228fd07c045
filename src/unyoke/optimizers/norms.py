"""Optimizers that need norms or matrices: eager and compile only."""

from __future__ import annotations

from typing import Unpack

from torch.optim.optimizer import ParamsT

from unyoke._step.hyperparameters import WeightDecay
from unyoke.optimizers.moments import AdamLike
from unyoke.optimizers.named import Betas, Named, Options, Rate


class MuonLike(Named):
    """The constructor of Muon and MuonW."""

    def __init__(
        self,
        params: ParamsT,
        lr: Rate = 1e-3,
        weight_decay: WeightDecay = 1e-4,
        momentum: float = 0.95,
        *,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str = "original",
        **options: Unpack[Options],
    ) -> None:
        own = self.completed(
            options,
            momentum=momentum,
            ns_coefficients=ns_coefficients,
            eps=eps,
            ns_steps=ns_steps,
            adjust_lr_fn=adjust_lr_fn,
        )
        super().__init__(params, lr, weight_decay, **own)


class MuonW(MuonLike, direction="muon"):
    """Muon with decoupled weight decay, for matrices.

    The default decay is torch's, 0.1 multiplied by the default learning rate. Arguments as
    :class:`unyoke.Optimizer`, and those of :data:`unyoke.directions.muon`.
    """


class Muon(MuonLike, direction="muon", decay="lr_coupled", weight_decay=0.1):
    """Muon as in torch, for matrices: its decay is multiplied by the learning rate.

    Arguments as :class:`MuonW`.
    """


class LambW(AdamLike, direction="lamb", eps=1e-6):
    """LAMB with decoupled weight decay.

    Arguments as :class:`AdamW`; see :data:`unyoke.directions.lamb` for the published decay, which
    is another.
    """


class LarsW(Named, direction="lars"):
    """LARS with decoupled weight decay.

    Arguments as :class:`unyoke.Optimizer`, ``momentum`` in [0, 1) and ``trust_coeff`` > 0; see
    :data:`unyoke.directions.lars`.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Rate = 1.0,
        momentum: float = 0.9,
        weight_decay: WeightDecay = 1e-5,
        trust_coeff: float = 0.001,
        **options: Unpack[Options],
    ) -> None:
        own = self.completed(options, momentum=momentum, trust_coeff=trust_coeff)
        super().__init__(params, lr, weight_decay, **own)


class NDAdam(Named, direction="nd_adam", decay="none"):
    """Normalized direction-preserving Adam, for the weight vectors of units; without decay.

    Arguments as :class:`AdamW`, without ``weight_decay``; see :data:`unyoke.directions.nd_adam`.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Rate = 0.05,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(params, lr, 0.0, **self.completed(options, betas=betas, eps=eps))
