"""Adagrad, Adadelta and RMSprop."""

from __future__ import annotations

from typing import Any, Unpack

from torch.optim.optimizer import ParamsT

from unyoke._step.hyperparameters import WeightDecay
from unyoke.optimizers.named import Named, Options, Rate


class AdagradLike(Named):
    """The constructor of Adagrad and AdagradW."""

    def __init__(
        self,
        params: ParamsT,
        lr: Rate = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: WeightDecay = 1e-5,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        **options: Unpack[Options],
    ) -> None:
        own = self.completed(
            options,
            lr_decay=lr_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )
        super().__init__(params, lr, weight_decay, **own)


class AdagradW(AdagradLike, direction="adagrad"):
    """Adagrad with decoupled weight decay.

    Arguments as :class:`unyoke.Optimizer`, and ``lr_decay``, ``initial_accumulator_value`` and
    ``eps``, all ≥ 0; see :data:`unyoke.directions.adagrad`. Sparse gradients without decay.
    """


class Adagrad(AdagradLike, direction="adagrad", decay="l2", weight_decay=0.0):
    """Adagrad, with an L2 penalty if weight_decay is given: torch's Adagrad.

    Arguments as :class:`AdagradW`.
    """


class AdadeltaLike(Named):
    """The constructor of Adadelta and AdadeltaW."""

    def __init__(
        self,
        params: ParamsT,
        lr: Rate = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: WeightDecay = 1e-5,
        **options: Unpack[Options],
    ) -> None:
        own = self.completed(options, rho=rho, eps=eps)
        super().__init__(params, lr, weight_decay, **own)


class AdadeltaW(AdadeltaLike, direction="adadelta"):
    """Adadelta with decoupled weight decay.

    Arguments as :class:`unyoke.Optimizer`, and ``rho`` in [0, 1), ``eps`` ≥ 0; see
    :data:`unyoke.directions.adadelta`.
    """


class Adadelta(AdadeltaLike, direction="adadelta", decay="l2", weight_decay=0.0):
    """Adadelta, with an L2 penalty if weight_decay is given: torch's Adadelta.

    Arguments as :class:`AdadeltaW`.
    """


class RMSpropLike(Named):
    """The constructor of RMSprop and RMSpropW; ``centered`` is torch's word for a direction."""

    def __init__(
        self,
        params: ParamsT,
        lr: Rate = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: WeightDecay = 1e-5,
        momentum: float = 0.0,
        centered: bool = False,
        **options: Unpack[Options],
    ) -> None:
        direction = "rmsprop_centered" if centered else "rmsprop"
        own: dict[str, Any] = {"direction": direction}
        if momentum != 0:
            own = {"direction": f"{direction}_momentum", "momentum": momentum}
        own = self.completed(options, alpha=alpha, eps=eps, **own)
        super().__init__(params, lr, weight_decay, **own)


class RMSpropW(RMSpropLike, direction="rmsprop"):
    """RMSprop with decoupled weight decay.

    Arguments as :class:`unyoke.Optimizer`, and ``alpha`` and ``momentum`` in [0, 1), ``eps`` ≥ 0.
    ``momentum`` and ``centered=True`` choose :data:`unyoke.directions.rmsprop_momentum`,
    ``rmsprop_centered`` or ``rmsprop_centered_momentum``.
    """


class RMSprop(RMSpropLike, direction="rmsprop", decay="l2", weight_decay=0.0):
    """RMSprop, with an L2 penalty if weight_decay is given: torch's RMSprop.

    Arguments as :class:`RMSpropW`.
    """
