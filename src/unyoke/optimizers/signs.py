"""Lion."""

from __future__ import annotations

from typing import Unpack

from torch.optim.optimizer import ParamsT

from unyoke._step.hyperparameters import WeightDecay
from unyoke.optimizers.named import Betas, Named, Options, Rate


class LionLike(Named):
    """The constructor of Lion and LionW."""

    def __init__(
        self,
        params: ParamsT,
        lr: Rate = 1e-4,
        betas: Betas = (0.9, 0.99),
        weight_decay: WeightDecay = 1e-5,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(params, lr, weight_decay, **self.completed(options, betas=betas))


class LionW(LionLike, direction="lion"):
    """Lion with decoupled weight decay.

    Arguments as :class:`unyoke.Optimizer`, and ``betas`` in [0, 1); see
    :data:`unyoke.directions.lion`.
    """


class Lion(LionLike, direction="lion", decay="lr_coupled", weight_decay=0.0):
    """Lion as published: its decay is multiplied by the learning rate.

    Arguments as :class:`LionW`.
    """
