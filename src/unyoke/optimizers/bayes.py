"""Bayesian filters."""

from __future__ import annotations

from typing import Unpack

from torch.optim.optimizer import ParamsT

from unyoke._step.hyperparameters import WeightDecay
from unyoke.optimizers.named import Betas, Named, Options, Rate


class AdaBayes(Named, direction="adabayes"):
    """AdaBayes, a Bayesian filter between SGD and Adam, with decoupled weight decay.

    ``lr`` is Adam's learning rate and ``lr_sgd`` > 0 SGD's; ``batch_size`` is that over which the
    loss is a mean; ``beta1`` in [0, 1). See :data:`unyoke.directions.adabayes`.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Rate = 1e-3,
        lr_sgd: float = 0.1,
        beta1: float = 0.9,
        weight_decay: WeightDecay = 5e-5,
        batch_size: float = 1,
        **options: Unpack[Options],
    ) -> None:
        own = self.completed(options, lr_sgd=lr_sgd, beta1=beta1, batch_size=batch_size)
        super().__init__(params, lr, weight_decay, **own)


class AdaBayesFP(Named, direction="adabayes_fp"):
    """AdaBayes at the fixed point of its variance, with decoupled weight decay.

    Arguments as :class:`AdaBayes`, with ``betas`` in [0, 1) and ``eps`` ≥ 0. See
    :data:`unyoke.directions.adabayes_fp`.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Rate = 1e-3,
        lr_sgd: float = 0.1,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: WeightDecay = 5e-5,
        batch_size: float = 1,
        **options: Unpack[Options],
    ) -> None:
        own = self.completed(options, lr_sgd=lr_sgd, betas=betas, eps=eps, batch_size=batch_size)
        super().__init__(params, lr, weight_decay, **own)
