"""Adam with masks on its step: cautious AdamW and Grams."""

from __future__ import annotations

from unyoke.optimizers.named import Named


class CautiousAdamW(Named, direction="cautious_adam"):
    """Adam that moves only down the newest gradient, with decoupled weight decay.

        m_t = β1·m_{t−1} + (1 − β1)·g_t ;  v_t = β2·v_{t−1} + (1 − β2)·g_t²
        m̂_t = m_t/(1 − β1^t) ;  v̂_t = v_t/(1 − β2^t) ;  (β1, β2) = betas
        u_t = m̂_t/(√v̂_t + eps) ;  φ_t = [u_t·g_t > 0]
        θ_t = θ_{t−1} − lr_t·u_t·φ_t/max(mean φ_t, 0.001) − η_t·weight_decay·θ_{t−1}

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.
    Any direction can be masked so: ``direction="cautious_lion"``, and so on; see
    :mod:`unyoke.masks`. It is not ``decay="cautious"``, which is a mask on the decay; one goes with
    the other.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2), each in [0, 1).
        eps: ε ≥ 0, outside the bias correction.
        weight_decay: λ ≥ 0, per update: multiplied by η_t, **not by lr**. A number, a tensor,
            :func:`unyoke.normalized`, or a function of t.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Liang, Chen, Liu & Liu, arXiv 2411.16085, Algorithm 2, and the authors' code for the
    least mean; the decay is Loshchilov & Hutter's.

    Departures: eps is 1e-8, where the authors' code has 1e-6. The mean is over the elements of a
    tensor.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.CautiousAdamW(model.parameters(), lr=1e-3, weight_decay=1e-5)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """


class GramsW(Named, direction="grams_adam"):
    """Adam's size of step with the sign of the newest gradient, and decoupled weight decay.

        m_t = β1·m_{t−1} + (1 − β1)·g_t ;  v_t = β2·v_{t−1} + (1 − β2)·g_t²
        m̂_t = m_t/(1 − β1^t) ;  v̂_t = v_t/(1 − β2^t) ;  (β1, β2) = betas
        u_t = m̂_t/(√v̂_t + eps) ;  θ_t = θ_{t−1} − lr_t·|u_t|·sign(g_t) − η_t·weight_decay·θ_{t−1}

    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.
    Any direction can be masked so: ``direction="grams_lion"``, and so on; see :mod:`unyoke.masks`.

    Args:
        params: parameters, named parameters, or parameter groups with values of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        betas: (β1, β2), each in [0, 1).
        eps: ε ≥ 0, outside the bias correction.
        weight_decay: λ ≥ 0, per update: multiplied by η_t, **not by lr**. A number, a tensor,
            :func:`unyoke.normalized`, or a function of t.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, or no parameters.
        TypeError: an argument that this optimizer does not have.

    Source: Cao, Li & Song, arXiv 2412.17107, Algorithm 1; the decay is Loshchilov & Hutter's.

    Departures: eps is 1e-8, where the authors' code has 1e-6. A NaN in the gradient stays a NaN;
    torch.sign makes it 0.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.GramsW(model.parameters(), lr=1e-3, weight_decay=1e-5)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """
