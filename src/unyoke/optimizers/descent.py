"""SGD, with the learning rate inside the momentum buffer or outside."""

from __future__ import annotations

from typing import Any, Unpack

from torch.optim.optimizer import ParamsT

from unyoke._step.hyperparameters import WeightDecay
from unyoke.equation import Direction
from unyoke.optimizers.named import Named, Options, Rate


class SGDLike(Named):
    """The constructor of SGD and SGDW."""

    def __init__(
        self,
        params: ParamsT,
        lr: Rate = 1e-3,
        momentum: float = 0.9,
        weight_decay: WeightDecay = 1e-5,
        *,
        direction: str | Direction = "heavy_ball",
        **options: Unpack[Options],
    ) -> None:
        own: dict[str, Any] = {"direction": direction, "momentum": momentum}
        if momentum == 0 and direction in ("heavy_ball", "momentum", "nesterov"):
            own = {"direction": "gradient"}
        super().__init__(params, lr, weight_decay, **self.completed(options, **own))


class SGDW(SGDLike, direction="heavy_ball"):
    """SGD with momentum and decoupled weight decay: Algorithm 1 of the paper.

    m_t = β1·m_{t−1} + η_t·α·g_t ;  θ_t = θ_{t−1} − m_t − η_t·λ·θ_{t−1}

    **weight_decay is the paper's λ, not multiplied by lr.** ``direction="momentum"`` and
    ``"nesterov"`` are torch's forms, with the learning rate outside the buffer; ``momentum=0`` is
    plain gradient descent and keeps no buffer. SGDWR is this class with
    ``schedule=warm_restarts(...)`` and ``weight_decay=normalized(...)``.

    Arguments as :class:`unyoke.Optimizer`, and ``momentum`` β1 in [0, 1).
    """


class SGD(SGDLike, direction="heavy_ball", decay="l2", weight_decay=0.0):
    """SGD with momentum, with an L2 penalty if weight_decay is given: Algorithm 1, L2 branch.

    m_t = β1·m_{t−1} + η_t·α·g_t ;  θ_t = θ_{t−1} − m_t ;  g_t = ∇f_t(θ_{t−1}) + λ′·θ_{t−1}

    Arguments as :class:`SGDW`; ``weight_decay`` means what it means in torch.optim.SGD.
    """
