"""Normalized direction-preserving Adam."""

from __future__ import annotations

from typing import Any, Unpack

from unyoke.optimizers.named import Betas, Named, Options, Params, Rate


class NDAdam(Named, direction="nd_adam", decay="none"):
    """Normalized direction-preserving Adam, for the weight vectors of units; without decay.

        ḡ_t = g_t − (g_t·w_{t−1})·w_{t−1}, w the weight vector of a unit, ‖w‖ = 1
        m_t = β1·m_{t−1} + (1 − β1)·ḡ_t ;  v_t = β2·v_{t−1} + (1 − β2)·‖ḡ_t‖² ;  (β1, β2) = betas
        m̂_t = m_t/(1 − β1^t) ;  v̂_t = v_t/(1 − β2^t)
        w_t = w'/‖w'‖ ;  w' = w_{t−1} − lr_t·m̂_t/(√v̂_t + eps)

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.
    There is nothing to decay: every vector keeps the length 1.

    Args:
        params: real tensors of two or more dimensions; a unit's vector is a row, all dimensions
            but the first. Give other parameters to an optimizer of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2), each in [0, 1).
        eps: ε ≥ 0, outside the bias correction.
        options: schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, no parameters, a parameter without
            rows, or a decay.
        TypeError: an argument that this optimizer does not have.

    Source: Zhang, Ma, Li & Wu, arXiv 1709.04546, Algorithm 1.

    Departures: the published algorithm gives all other parameters to Adam; here they need an
    optimizer of their own. The first step scales vectors of another length to 1.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 3, bias=False)
    >>> optimizer = unyoke.NDAdam(model.parameters(), lr=0.05)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """

    def __init__(
        self,
        params: Params,
        lr: Rate = 0.05,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        **options: Unpack[Options],
    ) -> None:
        given: dict[str, Any] = dict(options)
        weight_decay = given.pop("weight_decay", 0.0)  # timm's factory gives 0 to every optimizer
        if weight_decay != 0:
            raise ValueError(
                f"NDAdam has no weight decay, and weight_decay={weight_decay!r} was given: every "
                "vector keeps the length 1. Leave it out, or give 0"
            )
        super().__init__(params, lr, 0.0, betas=betas, eps=eps, **given)
