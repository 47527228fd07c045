"""SGD: torch's, with the learning rate outside the momentum buffer, and the paper's, inside."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

from unyoke import directions
from unyoke.optimizers.named import Forms, Group, Named, Options, Params, Rate, WeightDecay
from unyoke.ranges import unit_interval
from unyoke.slots import Direction

check_dampening = unit_interval("dampening")


class SGDW(Named, direction="heavy_ball"):
    """SGD with momentum and decoupled weight decay: Algorithm 1 of the paper.

        m_t = momentum·m_{t−1} + lr_t·g_t
        θ_t = θ_{t−1} − m_t − η_t·weight_decay·θ_{t−1}

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.
    SGDWR is this class with ``schedule=warm_restarts(...)`` and ``weight_decay=normalized(...)``.
    SGD with an L2 penalty as the paper has it is this class with ``decay="l2"``.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        momentum: β1 in [0, 1]; 0 is plain gradient descent and keeps no buffer.
        weight_decay: λ ≥ 0, per update: multiplied by η_t, **not by lr**. A number, a tensor,
            :func:`unyoke.normalized`, or a function of t.
        direction: ``"heavy_ball"``, the paper's; ``"momentum"`` or ``"nesterov"``, torch's, with
            the learning rate outside the buffer; or ``"gradient"``, without momentum.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Loshchilov & Hutter, ICLR 2019, Algorithm 1, lines 6–10.

    Departures from torch.optim.SGD, whose buffer holds no learning rate: the two differ as soon as
    a schedule moves it.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.SGDW(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """

    forms: ClassVar[Forms] = {"heavy_ball": {"momentum": True}, "gradient": {"momentum": False}}
    words = ("momentum",)

    def __init__(
        self,
        params: Params,
        lr: Rate = 1e-3,
        momentum: float = 0.9,
        weight_decay: WeightDecay = 1e-5,
        *,
        direction: str | Direction = "heavy_ball",
        **options: Unpack[Options],
    ) -> None:
        chosen = directions.get(direction)
        if "momentum" not in chosen.defaults:
            if momentum not in (0, 0.9):
                raise TypeError(
                    f"{type(self).__name__} with direction {chosen.name!r} has no momentum, and "
                    f"got momentum={momentum!r}: use direction='heavy_ball'"
                )
            momentum = 0.0
        own: dict[str, Any] = {"momentum": momentum}
        if chosen is not self.composition.direction:
            own["direction"] = chosen
        super().__init__(params, lr, weight_decay, **own, **options)


class SGD(Named, direction="gradient", decay="l2"):
    """SGD as in torch, with an L2 penalty if weight_decay is given.

        g_t = ∇f_t(θ_{t−1}) + weight_decay·θ_{t−1}
        b_t = momentum·b_{t−1} + (1 − dampening)·g_t ;  b_1 = g_1
        θ_t = θ_{t−1} − lr_t·b_t, with nesterov θ_{t−1} − lr_t·(g_t + momentum·b_t)

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.
    The paper's SGD with L2, whose learning rate is inside the buffer, is
    ``SGDW(momentum=0.9, decay="l2")``. Without momentum there is no buffer, and sparse gradients
    are taken. A scheduler may give ``group["momentum"]`` another value, as OneCycleLR does.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        momentum: μ in [0, 1].
        dampening: in [0, 1]; without momentum it does nothing.
        weight_decay: λ′ ≥ 0, an L2 penalty that joins the gradient, as in torch.
        nesterov: look ahead along the buffer; needs momentum, and no dampening.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, no parameters, or nesterov without
            momentum or with dampening.
        TypeError: an argument that this optimizer does not have.

    Source: torch.optim.SGD, with the same numbers; Sutskever et al., ICML 2013, eq. 1–4.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """

    forms: ClassVar[Forms] = {
        "gradient": {"momentum": False, "nesterov": False},
        "momentum": {"momentum": True, "nesterov": False},
        "nesterov": {"nesterov": True},
    }
    words = ("momentum", "dampening", "nesterov")

    def __init__(
        self,
        params: Params,
        lr: Rate = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: WeightDecay = 0.0,
        nesterov: bool = False,
        **options: Unpack[Options],
    ) -> None:
        own: dict[str, Any] = {
            "momentum": momentum,
            "dampening": dampening,
            "nesterov": nesterov,
        }
        super().__init__(params, lr, weight_decay, **own, **options)

    def add_param_group(self, param_group: Group) -> None:
        """Add a group; values it lacks are the constructor's.

        Raises:
            ValueError: as :class:`unyoke.Optimizer`, or nesterov without momentum.
        """
        full = {**self.defaults, **param_group}
        check_dampening(full)
        if full["nesterov"] and (full["momentum"] <= 0 or full["dampening"] != 0):
            raise ValueError(
                "Nesterov momentum requires a momentum and zero dampening: got "
                f"momentum={full['momentum']}, dampening={full['dampening']}"
            )
        super().add_param_group(param_group)
