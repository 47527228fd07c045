"""Bayesian filters."""

from __future__ import annotations

from typing import Any, Unpack

from unyoke.optimizers.named import Betas, Named, Options, Params, Rate, WeightDecay


class AdaBayes(Named, direction="adabayes"):
    """AdaBayes, a Bayesian filter between SGD and Adam, with decoupled weight decay.

        g = batch_size·g_t ;  m_t = beta1·m_{t−1} + (1 − beta1)·g
        σ² = η_t·lr_sgd/batch_size ;  d = exp(−lr_t²/σ²) ;  s' = d·s_{t−1} + σ²·(1 − d)
        1/s_t = 1/s' + g² ;  s_0 = lr_sgd/batch_size
        θ_t = θ_{t−1} − s_t·m_t/(1 − beta1^t) − η_t·weight_decay·θ_{t−1}

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.
    Little information leaves the step SGD's, much information makes it Adam's.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, Adam's peak learning rate: a number, or a tensor that is updated in place.
        lr_sgd: > 0, SGD's learning rate.
        beta1: in [0, 1), the memory of the momentum.
        weight_decay: λ ≥ 0, per update: multiplied by η_t, **not by lr**. A number, a tensor,
            :func:`unyoke.normalized`, or a function of t.
            The authors call it weight_drift.
        batch_size: > 0, over how many samples the loss is a mean.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Aitchison, NeurIPS 2020 (arXiv 1807.07540), and the author's adabayes.py.

    Departures: 1 − d is formed without cancellation, and at a learning rate of 0 the belief is
    updated while the weights stand still.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.AdaBayes(model.parameters(), lr=1e-3, lr_sgd=0.1, batch_size=128)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """

    def __init__(
        self,
        params: Params,
        lr: Rate = 1e-3,
        lr_sgd: float = 0.1,
        beta1: float = 0.9,
        weight_decay: WeightDecay = 5e-5,
        batch_size: float = 1,
        **options: Unpack[Options],
    ) -> None:
        own: dict[str, Any] = {"lr_sgd": lr_sgd, "beta1": beta1, "batch_size": batch_size}
        super().__init__(params, lr, weight_decay, **own, **options)


class AdaBayesFP(Named, direction="adabayes_fp"):
    """AdaBayes at the fixed point of its variance, with decoupled weight decay.

        g = batch_size·g_t ;  m_t = β1·m_{t−1} + (1 − β1)·g ;  v_t = β2·v_{t−1} + (1 − β2)·g²
        m̂_t = m_t/(1 − β1^t) ;  v̂_t = v_t/(1 − β2^t) + eps ;  (β1, β2) = betas
        L = 1/(2σ²) + √(v̂_t/lr_t² + 1/(4σ⁴)) ;  σ² = η_t·lr_sgd/batch_size
        θ_t = θ_{t−1} − m̂_t/L − η_t·weight_decay·θ_{t−1}

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.
    Little information leaves the step SGD's, much information makes it Adam's.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, Adam's peak learning rate: a number, or a tensor that is updated in place.
        lr_sgd: > 0, SGD's learning rate.
        betas: (β1, β2), each in [0, 1).
        eps: ε ≥ 0, under the root.
        weight_decay: λ ≥ 0, per update: multiplied by η_t, **not by lr**. A number, a tensor,
            :func:`unyoke.normalized`, or a function of t.
            The authors call it weight_drift.
        batch_size: > 0, over how many samples the loss is a mean.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Aitchison, NeurIPS 2020 (arXiv 1807.07540), and the author's adabayesfp.py.

    Departures: the step is multiplied out with lr_t, so that nothing is divided by it.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.AdaBayesFP(model.parameters(), lr=1e-3, lr_sgd=0.1, batch_size=128)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """

    def __init__(
        self,
        params: Params,
        lr: Rate = 1e-3,
        lr_sgd: float = 0.1,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: WeightDecay = 5e-5,
        batch_size: float = 1,
        **options: Unpack[Options],
    ) -> None:
        own: dict[str, Any] = {
            "lr_sgd": lr_sgd,
            "betas": betas,
            "eps": eps,
            "batch_size": batch_size,
        }
        super().__init__(params, lr, weight_decay, **own, **options)
