"""Adadelta."""

from __future__ import annotations

from typing import Unpack

from unyoke.optimizers.named import Named, OptionsWithoutForeach, Params, Rate, WeightDecay


class AdadeltaLike(Named):
    """The constructor of Adadelta and AdadeltaW."""

    def __init__(
        self,
        params: Params,
        lr: Rate = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: WeightDecay = 1e-5,
        foreach: bool | None = None,
        **options: Unpack[OptionsWithoutForeach],
    ) -> None:
        super().__init__(params, lr, weight_decay, rho=rho, eps=eps, **options)


class AdadeltaW(AdadeltaLike, direction="adadelta"):
    """Adadelta with decoupled weight decay.

        v_t = rho·v_{t−1} + (1 − rho)·g_t² ;  Δ_t = √(u_{t−1} + eps)/√(v_t + eps)·g_t
        u_t = rho·u_{t−1} + (1 − rho)·Δ_t²
        θ_t = θ_{t−1} − lr_t·Δ_t − η_t·weight_decay·θ_{t−1}

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        rho: ρ in [0, 1], the memory of both averages.
        eps: ε ≥ 0, under both roots; the first steps are √eps long.
        weight_decay: λ ≥ 0, per update: multiplied by η_t, **not by lr**. A number, a tensor,
            :func:`unyoke.normalized`, or a function of t.
        foreach: torch's word; it changes nothing.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Zeiler, arXiv 1212.5701, Algorithm 1; the decay is Loshchilov & Hutter's.

    Departures: lr, which the published algorithm does not have, as in torch.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.AdadeltaW(model.parameters(), lr=1.0, weight_decay=1e-5)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """


class Adadelta(AdadeltaLike, direction="adadelta", decay="l2", weight_decay=0.0):
    """Adadelta, with an L2 penalty if weight_decay is given: torch's Adadelta.

        g_t = ∇f_t(θ_{t−1}) + weight_decay·θ_{t−1}
        v_t = rho·v_{t−1} + (1 − rho)·g_t² ;  Δ_t = √(u_{t−1} + eps)/√(v_t + eps)·g_t
        u_t = rho·u_{t−1} + (1 − rho)·Δ_t²
        θ_t = θ_{t−1} − lr_t·Δ_t

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        rho: ρ in [0, 1], the memory of both averages.
        eps: ε ≥ 0, under both roots; the first steps are √eps long.
        weight_decay: λ′ ≥ 0, an L2 penalty that joins the gradient, as in torch.
        foreach: torch's word; it changes nothing.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Zeiler, arXiv 1212.5701, Algorithm 1; torch.optim.Adadelta, with the same numbers.

    Departures: lr, which the published algorithm does not have, as in torch.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.Adadelta(model.parameters(), lr=1.0)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """
