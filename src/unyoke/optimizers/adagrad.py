"""Adagrad."""

from __future__ import annotations

from typing import Any, Unpack

from unyoke.optimizers.named import Named, OptionsWithoutForeach, Params, Rate, WeightDecay


class AdagradLike(Named):
    """The constructor of Adagrad and AdagradW."""

    def __init__(
        self,
        params: Params,
        lr: Rate = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: WeightDecay = 1e-5,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        **options: Unpack[OptionsWithoutForeach],
    ) -> None:
        own: dict[str, Any] = {
            "lr_decay": lr_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
        }
        super().__init__(params, lr, weight_decay, **own, **options)


class AdagradW(AdagradLike, direction="adagrad"):
    """Adagrad with decoupled weight decay.

        s_t = s_{t−1} + g_t² ;  s_0 = initial_accumulator_value
        θ_t = θ_{t−1} − lr_t/(1 + (t − 1)·lr_decay)·g_t/(√s_t + eps) − η_t·weight_decay·θ_{t−1}

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.
    Sparse gradients are taken where weight_decay is 0.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        lr_decay: ≥ 0; a schedule of its own, which does not move the decay.
        weight_decay: λ ≥ 0, per update: multiplied by η_t, **not by lr**. A number, a tensor,
            :func:`unyoke.normalized`, or a function of t.
        initial_accumulator_value: ≥ 0, where the sum of squares begins.
        eps: ε ≥ 0, outside the root.
        foreach: torch's word; it changes nothing.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Duchi, Hazan & Singer, JMLR 2011, Figure 1 with diagonal matrices; the decay is
    Loshchilov & Hutter's.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.AdagradW(model.parameters(), lr=1e-2, weight_decay=1e-5)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """


class Adagrad(AdagradLike, direction="adagrad", decay="l2", weight_decay=0.0):
    """Adagrad, with an L2 penalty if weight_decay is given: torch's Adagrad.

        g_t = ∇f_t(θ_{t−1}) + weight_decay·θ_{t−1}
        s_t = s_{t−1} + g_t² ;  s_0 = initial_accumulator_value
        θ_t = θ_{t−1} − lr_t/(1 + (t − 1)·lr_decay)·g_t/(√s_t + eps)

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.
    Sparse gradients are taken where weight_decay is 0.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        lr_decay: ≥ 0; a schedule of its own.
        weight_decay: λ′ ≥ 0, an L2 penalty that joins the gradient, as in torch.
        initial_accumulator_value: ≥ 0, where the sum of squares begins.
        eps: ε ≥ 0, outside the root.
        foreach: torch's word; it changes nothing.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Duchi, Hazan & Singer, JMLR 2011, Figure 1 with diagonal matrices;
    torch.optim.Adagrad, with the same numbers.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.Adagrad(model.parameters(), lr=1e-2)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """
