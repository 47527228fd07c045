"""StableAdamW."""

from __future__ import annotations

from typing import Any

from unyoke.directions.moments import adam, adam_coefficients
from unyoke.equation import Norms, direction
from unyoke.optimizers.named import Named
from unyoke.primitives import maximum, sqrt, where

_adam = adam.formula


def _surprise(grad, grad_v, exp_avg, exp_avg_sq, beta1, new1, beta2, new2, size, correction, eps):
    _, _, exp_avg_sq = _adam(
        grad, grad_v, exp_avg, exp_avg_sq, beta1, new1, beta2, new2, size, correction, eps
    )
    return (grad_v / maximum(correction * sqrt(exp_avg_sq), eps),)  # g_t/√max(v̂_t, ε²)


def _shortening(surprise_norm: Any, elements: Any) -> Any:
    """max(1, rms_t); NaN stays NaN."""
    mean = surprise_norm * surprise_norm / elements
    return where(mean <= 1.0, 1.0, mean) ** 0.5


@direction(
    state=("exp_avg", "exp_avg_sq"),
    nonnegative=("exp_avg_sq",),
    coefficients=adam_coefficients,
    defaults={"betas": (0.9, 0.99), "eps": 1e-6},
    scope="tensor",
    norms=Norms(_surprise, _shortening, "shortening"),
    averages=True,
)
def stable_adam(
    grad, grad_v, exp_avg, exp_avg_sq,
    beta1, new1, beta2, new2, size, correction, eps, shortening,
):  # fmt: skip
    """Adam's step, shortened in a tensor whose gradients are larger than its second moment knows.

    m̂_t, v̂_t as in Adam ;  rms_t = √mean(g_t²/max(v̂_t, ε²)), over the elements of a tensor
    step = α·η_t/max(1, rms_t)·m̂_t/(√v̂_t + ε)

    Source: Wortsman et al., NeurIPS 2023 (arXiv 2304.13013), Algorithm 2; the clipping of updates
    is Shazeer & Stern's (Adafactor, 2018).
    """
    step, exp_avg, exp_avg_sq = _adam(
        grad, grad_v, exp_avg, exp_avg_sq, beta1, new1, beta2, new2, size, correction, eps
    )
    return step / shortening, exp_avg, exp_avg_sq


class StableAdamW(Named, direction=stable_adam, lr=2e-3):
    """Adam whose step is clipped per tensor, with decoupled weight decay.

        m_t = β1·m_{t−1} + (1 − β1)·g_t ;  v_t = β2·v_{t−1} + (1 − β2)·g_t²
        m̂_t = m_t/(1 − β1^t) ;  v̂_t = v_t/(1 − β2^t) ;  (β1, β2) = betas
        rms_t = √mean(g_t²/max(v̂_t, eps²)), over the elements of a tensor
        θ_t = θ_{t−1} − lr_t/max(1, rms_t)·m̂_t/(√v̂_t + eps) − η_t·weight_decay·θ_{t−1}

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2), each in [0, 1).
        eps: ε ≥ 0, outside the bias correction; its square is the least v̂_t under the mean.
        weight_decay: λ ≥ 0, per update: multiplied by η_t, **not by lr**. A number, a tensor,
            :func:`unyoke.normalized`, or a function of t.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Wortsman, Dettmers, Zettlemoyer, Morcos, Farhadi & Schmidt, NeurIPS 2023 (arXiv
    2304.13013), Algorithm 2, and the authors' StableAdamWUnfused, whose default values these are;
    the decay is Loshchilov & Hutter's.

    Departures: the published decay is multiplied by the learning rate and by 1/max(1, rms_t); this
    one by neither.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.StableAdamW(model.parameters(), lr=2e-3, weight_decay=1e-5)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """
