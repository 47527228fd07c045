"""Decays: what pulls the weights back. Each formula stands here, once.

A rule's ``strength`` says what its ``weight_decay`` is multiplied with: η_t alone (``decoupled``),
the learning rate α·η_t (``lr_coupled``), or nothing before the direction scales it (``l2``).

>>> from unyoke import decays
>>> decays.names()[:4]
('none', 'decoupled', 'lr_coupled', 'l2')
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch

from unyoke._support.discovery import one_of
from unyoke.compat import renamed
from unyoke.equation import (
    Decay,
    Hyperparameters,
    decay,
    in_gradient,
    per_learning_rate,
    per_squared_rate,
)
from unyoke.primitives import moving_average, where
from unyoke.schedules import Schedule

__getattr__ = renamed(__name__)


@decay(kind="none")
def none():
    """No decay; weight_decay is ignored."""


@decay
def decoupled(weight):
    """The paper's decay: θ shrinks by η_t·λ, whatever the gradient and the learning rate.

    pull = θ_{t−1}, multiplied by η_t·λ

    Source: Loshchilov & Hutter, ICLR 2019, Algorithms 1 and 2.
    """
    return weight


@decay(strength=per_learning_rate)
def lr_coupled(weight):
    """What torch, optax, Keras and timm call AdamW: θ shrinks by α·η_t·λ.

    pull = θ_{t−1}, multiplied by the learning rate α·η_t times λ

    Source: torch.optim.AdamW.
    """
    return weight


@decay(kind="penalty", strength=in_gradient)
def l2(grad, weight, strength):
    """L2 regularization: λ′θ joins the gradient, and the direction scales it as it scales g.

    g_t = ∇f_t(θ_{t−1}) + λ′·θ_{t−1}

    Source: Loshchilov & Hutter, ICLR 2019, Algorithms 1 and 2, the L2 branch.
    """
    return grad + strength * weight


@decay(kind="moment_penalty", strength=in_gradient)
def l2_first_moment(grad, weight, strength):
    """L2 regularization that the first moment sees and the second does not.

    g_t = ∇f_t(θ_{t−1}) + λ′·θ_{t−1} in m_t (or in what is divided) ;  ∇f_t(θ_{t−1}) in v_t

    Source: an ablation of Bjorck, Weinberger & Gomes, AAAI 2021.
    """
    return grad + strength * weight, grad


@decay(kind="moment_penalty", strength=in_gradient)
def l2_second_moment(grad, weight, strength):
    """L2 regularization that the second moment sees and the first does not.

    ∇f_t(θ_{t−1}) in m_t ;  g_t = ∇f_t(θ_{t−1}) + λ′·θ_{t−1} in v_t

    It pulls nothing towards the origin: large weights only learn more slowly.

    Source: an ablation of Bjorck, Weinberger & Gomes, AAAI 2021.
    """
    return grad, grad + strength * weight


@decay
def cautious(weight, step):
    """Decoupled decay only where the step already moves the weight towards 0.

    pull = θ_{t−1} where step·θ_{t−1} ≥ 0, else 0; multiplied by η_t·λ

    A step of exactly 0 decays: without gradients this is ``decoupled``.

    Source: Chen et al., arXiv 2510.12402, Algorithm 1, whose mask is u·x ≥ 0 as well. Departure:
    the multiplier is η_t·λ, theirs the learning rate times λ.
    """
    return where(step * weight >= 0, weight, 0.0)


@decay(strength=per_squared_rate)
def corrected(weight):
    """AdamC's decay, for weights that a normalization follows.

    pull = θ_{t−1}, multiplied by lr_t²/lr_max·λ = α·η_t²·λ; lr_max is α, so give the peak as lr

    It keeps gradient norm over weight norm constant under a schedule. Weights that no
    normalization follows are to have lr_t·λ: give their group ``decay="lr_coupled"``.
    ``weight_decay`` is multiplied by the learning rate, as in torch.

    Source: Defazio, arXiv 2506.02285, Algorithm 1.
    """
    return weight


def _copy_of_weight(
    name: str, weight: torch.Tensor, hyperparameters: Hyperparameters
) -> torch.Tensor:
    return weight.clone(memory_format=torch.preserve_format)


@decay(state=("initial_weight",), initial=_copy_of_weight)
def toward_initial(weight, initial_weight):
    """Decoupled decay towards the weights that training began with.

    pull = θ_{t−1} − θ_0, multiplied by η_t·λ

    θ_0 is the weight just before its first update: what was loaded into the model by then.

    Source: the penalty is L2-SP (Li, Grandvalet & Davoine, ICML 2018), decoupled here.
    """
    return weight - initial_weight, initial_weight


@decay(
    state=("average_weight",),
    initial=_copy_of_weight,
    coefficients=lambda average_beta: {
        "average_beta": average_beta,
        "average_new": 1.0 - average_beta,
    },
    defaults={"average_beta": 0.999},
)
def toward_average(weight, average_weight, average_beta, average_new):
    """Decoupled decay towards a running average of the weights.

    a_t = β·a_{t−1} + (1 − β)·θ_{t−1}, a_0 = θ_0, β = average_beta
    pull = θ_{t−1} − a_t, multiplied by η_t·λ
    """
    average_weight = moving_average(average_weight, weight, average_beta, average_new)  # a_t
    return weight - average_weight, average_weight


def _mean_square(tensor: torch.Tensor) -> torch.Tensor:
    real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return (real * real).mean()


def _multiplier_and_bound(
    name: str, weight: torch.Tensor, hyperparameters: Hyperparameters
) -> torch.Tensor:
    mean = _mean_square(weight.to(torch.promote_types(weight.dtype, torch.float32)))
    return mean * (hyperparameters["bound_factor"] if name == "bound" else 0.0)


@decay(
    kind="projection",
    strength=in_gradient,
    scope="tensor",
    state=("multiplier", "bound"),
    initial=_multiplier_and_bound,
    coefficients=lambda lr: {"shrinking": where(lr == 0, 0.0, 2.0)},
    defaults={"bound_factor": 1.0},
)
def constrained(weight, step, strength, multiplier, bound, shrinking):
    """AdamCPR: a bound on the norm of each tensor, kept by a multiplier that learns its size.

    W = θ_{t−1} − step ;  L_t = max(0, L_{t−1} + μ·(‖W‖² − κ)) ;  θ_t = W − 2·L_t·W
    κ = bound_factor·‖θ_0‖² ;  μ = weight_decay/(number of elements) ;  L_0 = 0

    ``weight_decay`` is the rate at which the multiplier learns, not a decay: 1 is the authors'
    choice, and η_t does not multiply it. ``bound_factor=1`` keeps the norm that the weights have
    before their first update. While the learning rate is 0 the multiplier runs on and the weights
    stand still.

    Source: Franke et al., NeurIPS 2024 (arXiv 2311.09058), Algorithm 1 with the bound "dependent"
    on the initial weights. Departure: the number of elements divides μ, as in the authors' code,
    and so the state holds means of squares: ``bound`` is κ/elements.
    """
    moved = weight - step
    multiplier = multiplier + strength * (_mean_square(moved) - bound)
    multiplier = torch.where(multiplier > 0, multiplier, torch.zeros_like(multiplier))
    return shrinking * multiplier * moved, multiplier, bound


ALL: Mapping[str, Decay] = MappingProxyType(
    {part.name: part for part in list(globals().values()) if isinstance(part, Decay)}
)
"""Every decay rule by its name."""


def names() -> tuple[str, ...]:
    """The names of all decay rules."""
    return tuple(ALL)


def get(name: str | Decay) -> Decay:
    """The decay rule of that name; a :class:`~unyoke.equation.Decay` is passed through.

    Raises:
        ValueError: no such rule; the message lists near names.
    """
    return name if isinstance(name, Decay) else one_of("decay", ALL, name)


@dataclass(frozen=True)
class Normalized:
    """A weight decay laid out for the number of updates; made by :func:`normalized`."""

    lambda_norm: float
    updates: float | None = None

    def at(self, t: int, schedule: Schedule | None) -> float:
        """λ of the update that follows t updates.

        Raises:
            ValueError: neither this object nor the schedule knows how long the run is.
        """
        run = schedule.run(t) if schedule else None
        updates = run.length if run else self.updates
        if updates is None and schedule is not None:
            updates = schedule.budget
        if updates is None:
            raise ValueError(
                f"normalized({self.lambda_norm}) does not know the length of the run: give "
                "updates=, or batch_size=, samples= and epochs=, or a schedule with a length"
            )
        return self.lambda_norm / math.sqrt(updates)


def normalized(
    lambda_norm: float,
    *,
    updates: float | None = None,
    batch_size: float | None = None,
    samples: float | None = None,
    epochs: float | None = None,
) -> Normalized:
    """Normalized weight decay: give the result as ``weight_decay=``.

    λ = λ_norm·√(b/(B·T)) = λ_norm/√(number of updates)

    Under a schedule with restarts the number of updates is the current run's, so λ falls by
    √growth at each restart, and ``updates`` may be left out; with another schedule that has a
    length (cosine, step_drops) it may be left out as well.

    Args:
        lambda_norm: the decay to use if only one update were allowed. The paper has 0.025 and 0.05
            for networks of millions of weights on CIFAR-10; none of the best cells of our small
            tasks lies there (docs/choosing.md). :func:`unyoke.timescales.lambda_norm_of` gives it
            from a λ that was tuned.
        updates: number of updates of the whole run; or, instead,
        batch_size: b, with
        samples: B, the number of training points, and
        epochs: T.

    Raises:
        ValueError: a negative or non-finite number, or half of one form mixed with the other.

    Source: Loshchilov & Hutter, ICLR 2019, Appendix B.1.

    >>> decay = normalized(0.025, batch_size=128, samples=50000, epochs=100)
    >>> f"{decay.at(0, schedule=None):.4g}"
    '0.0001265'
    """
    if not 0.0 <= lambda_norm < math.inf:
        raise ValueError(f"normalized: lambda_norm must be finite and ≥ 0, not {lambda_norm!r}")
    epoch_form = {"batch_size": batch_size, "samples": samples, "epochs": epochs}
    given = {name: value for name, value in epoch_form.items() if value is not None}
    if given and (updates is not None or len(given) < len(epoch_form)):
        raise ValueError(
            "normalized: give either updates=, or all of batch_size=, samples= and epochs=; "
            f"got {sorted(given)}" + (" and updates" if updates is not None else "")
        )
    for name, value in {**given, "updates": updates}.items():
        if value is not None and not 0.0 < value < math.inf:
            raise ValueError(f"normalized: {name} must be finite and > 0, not {value!r}")
    if batch_size is not None and samples is not None and epochs is not None:
        updates = samples * epochs / batch_size
    return Normalized(lambda_norm, updates)
