"""RMSprop, plain or centered, with or without momentum."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

from unyoke.optimizers.named import Forms, Named, OptionsWithoutSwitches, Params, Rate, WeightDecay


class RMSpropLike(Named):
    """The constructor of RMSprop and RMSpropW, whose words choose one of four directions."""

    forms: ClassVar[Forms] = {
        "rmsprop": {"momentum": False, "centered": False},
        "rmsprop_momentum": {"momentum": True, "centered": False},
        "rmsprop_centered": {"momentum": False, "centered": True},
        "rmsprop_centered_momentum": {"momentum": True, "centered": True},
    }
    words = ("momentum", "centered")

    def __init__(
        self,
        params: Params,
        lr: Rate = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: WeightDecay = 1e-5,
        momentum: float = 0.0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        **options: Unpack[OptionsWithoutSwitches],
    ) -> None:
        own: dict[str, Any] = {
            "alpha": alpha,
            "eps": eps,
            "momentum": momentum,
            "centered": centered,
            "capturable": capturable,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, lr, weight_decay, **own, **options)


class RMSpropW(RMSpropLike, direction="rmsprop"):
    """RMSprop with decoupled weight decay.

        v_t = alpha·v_{t−1} + (1 − alpha)·g_t² ;  ḡ_t = alpha·ḡ_{t−1} + (1 − alpha)·g_t
        d_t = √v_t + eps, if centered √|v_t − ḡ_t²| + eps
        b_t = momentum·b_{t−1} + g_t/d_t
        θ_t = θ_{t−1} − lr_t·b_t − η_t·weight_decay·θ_{t−1}

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        alpha: in [0, 1], the memory of the averages.
        eps: ε ≥ 0, outside the root.
        weight_decay: λ ≥ 0, per update: multiplied by η_t, **not by lr**. A number, a tensor,
            :func:`unyoke.normalized`, or a function of t.
        momentum: μ in [0, 1]; without it there is no buffer b_t.
        centered: divide by the standard deviation of the gradients, not by their root mean square.
        capturable: keep the coefficients on the device, for CUDA graphs.
        foreach: torch's word; it changes nothing.
        maximize: climb instead of descending.
        differentiable: let autograd record the steps.
        options: decay, schedule, backend, state_dtype and rounding, as for
            :class:`unyoke.Optimizer`; fused is torch's word and changes nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Tieleman & Hinton, lecture 6.5, 2012; centered, Graves, arXiv 1308.0850, eq. 38–45;
    the decay is Loshchilov & Hutter's.

    Departures: v_t − ḡ_t² is taken without its sign, which rounding can make negative.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.RMSpropW(model.parameters(), lr=1e-3, weight_decay=1e-5, momentum=0.9)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """


class RMSprop(RMSpropLike, direction="rmsprop", decay="l2", weight_decay=0.0):
    """RMSprop, with an L2 penalty if weight_decay is given: torch's RMSprop.

        g_t = ∇f_t(θ_{t−1}) + weight_decay·θ_{t−1}
        v_t = alpha·v_{t−1} + (1 − alpha)·g_t² ;  ḡ_t = alpha·ḡ_{t−1} + (1 − alpha)·g_t
        d_t = √v_t + eps, if centered √|v_t − ḡ_t²| + eps
        θ_t = θ_{t−1} − lr_t·b_t ;  b_t = momentum·b_{t−1} + g_t/d_t

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        alpha: in [0, 1], the memory of the averages.
        eps: ε ≥ 0, outside the root.
        weight_decay: λ′ ≥ 0, an L2 penalty that joins the gradient, as in torch.
        momentum: μ in [0, 1]; without it there is no buffer b_t.
        centered: divide by the standard deviation of the gradients, not by their root mean square.
        capturable: keep the coefficients on the device, for CUDA graphs.
        foreach: torch's word; it changes nothing.
        maximize: climb instead of descending.
        differentiable: let autograd record the steps.
        options: decay, schedule, backend, state_dtype and rounding, as for
            :class:`unyoke.Optimizer`; fused is torch's word and changes nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Tieleman & Hinton, lecture 6.5, 2012; centered, Graves, arXiv 1308.0850, eq. 38–45;
    torch.optim.RMSprop, with the same numbers.

    Departures: v_t − ḡ_t² is taken without its sign, which rounding can make negative; torch's
    root is NaN there.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.RMSprop(model.parameters(), lr=1e-3, centered=True)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """
