"""AdaBelief."""

from __future__ import annotations

from unyoke.directions.moments import adam_coefficients
from unyoke.equation import direction
from unyoke.optimizers.named import Named
from unyoke.primitives import moving_average, sqrt


@direction(
    state=("exp_avg", "exp_avg_var"),
    nonnegative=("exp_avg_var",),
    coefficients=adam_coefficients,
    defaults={"betas": (0.9, 0.999), "eps": 1e-16},
    averages=True,
)
def adabelief(grad, grad_v, exp_avg, exp_avg_var, beta1, new1, beta2, new2, size, correction, eps):
    """Adam whose denominator is how far gradients lie from their average.

    m_t as in Adam ;  s_t = β2·s_{t−1} + (1 − β2)·(g_t − m_t)² + ε
    step = α·η_t·m̂_t / (√ŝ_t + ε) ;  m̂_t = m_t/(1 − β1^t), ŝ_t = s_t/(1 − β2^t)

    ε is kept in s_t, so that it grows to ε/(1 − β2) there, and is added to the root once more.

    Source: Zhuang et al., NeurIPS 2020, Algorithm 2; adabelief-pytorch 0.2.1 with rectify=False.
    """
    exp_avg = moving_average(exp_avg, grad, beta1, new1)  # m_t
    surprise = grad_v - exp_avg
    exp_avg_var = moving_average(exp_avg_var, surprise * surprise, beta2, new2) + eps  # s_t
    step = size * (exp_avg / (correction * sqrt(exp_avg_var) + eps))
    return step, exp_avg, exp_avg_var


class AdaBeliefW(Named, direction=adabelief):
    """AdaBelief with decoupled weight decay.

        m_t = β1·m_{t−1} + (1 − β1)·g_t ;  s_t = β2·s_{t−1} + (1 − β2)·(g_t − m_t)² + eps
        m̂_t = m_t/(1 − β1^t) ;  ŝ_t = s_t/(1 − β2^t) ;  (β1, β2) = betas
        θ_t = θ_{t−1} − lr_t·m̂_t/(√ŝ_t + eps) − η_t·weight_decay·θ_{t−1}

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2), each in [0, 1).
        eps: ε ≥ 0, added to s_t at each update and to its corrected root, as in the authors' code.
        weight_decay: λ ≥ 0, per update: multiplied by η_t, **not by lr**. A number, a tensor,
            :func:`unyoke.normalized`, or a function of t.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Zhuang et al., NeurIPS 2020 (arXiv 2010.07468), Algorithm 2; adabelief-pytorch 0.2.1;
    the decay is Loshchilov & Hutter's.

    Departures: the authors' code rectifies the first updates as RAdam does unless told
    ``rectify=False``; the paper's algorithm, and this one, does not.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.AdaBeliefW(model.parameters(), lr=1e-3, weight_decay=1e-5)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """


class AdaBelief(Named, direction=adabelief, decay="lr_coupled", weight_decay=0.0):
    """AdaBelief as published: its decay is multiplied by the learning rate.

        m_t = β1·m_{t−1} + (1 − β1)·g_t ;  s_t = β2·s_{t−1} + (1 − β2)·(g_t − m_t)² + eps
        m̂_t = m_t/(1 − β1^t) ;  ŝ_t = s_t/(1 − β2^t) ;  (β1, β2) = betas
        θ_t = θ_{t−1} − lr_t·(m̂_t/(√ŝ_t + eps) + weight_decay·θ_{t−1})

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2), each in [0, 1).
        eps: ε ≥ 0, added to s_t at each update and to its corrected root, as in the authors' code.
        weight_decay: λ ≥ 0, multiplied by the learning rate lr_t.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Zhuang et al., NeurIPS 2020 (arXiv 2010.07468), Algorithm 2; adabelief-pytorch 0.2.1,
    whose default values these are.

    Departures: the authors' code rectifies the first updates as RAdam does unless told
    ``rectify=False``; the paper's algorithm, and this one, does not.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.AdaBelief(model.parameters(), lr=1e-3, weight_decay=0.01)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """
