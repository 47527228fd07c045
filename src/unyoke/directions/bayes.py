"""Directions that filter the gradients as evidence about the weights (the paper's section 3).

Each weight has a Gaussian belief whose variance plays the learning rate's part: little information
leaves it at σ² and the step is SGD's; much information shrinks it to α·η_t/√v̂ and the step is
Adam's. The filter's state transition multiplies the mean by 1 − λ, whatever the variance is: that
is decoupled decay, and it is the decay slot's, not a hyperparameter of its own.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from unyoke.directions.moments import Coefficients, averages
from unyoke.equation import Hyperparameters, direction
from unyoke.primitives import moving_average, sqrt, where
from unyoke.ranges import both, positive

check_scale = both(positive("lr_sgd"), positive("batch_size"))


def _exp_and_rest(x: Any) -> tuple[Any, Any]:
    """exp(−x) and 1 − exp(−x), which for small x would round away."""
    if isinstance(x, torch.Tensor):
        return torch.exp(-x), -torch.expm1(-x)
    return math.exp(-x), -math.expm1(-x)


def _initial_rate(lr: Any, eta: Any) -> Any:
    """α, of which lr is η_t·α; 0 while nothing moves."""
    still = eta == 0
    return where(still, 0.0, lr / where(still, 1.0, eta))


def _adabayes_coefficients(
    t: Any, eta: Any, lr: Any, lr_sgd: Any, batch_size: Any, beta1: Any
) -> Coefficients:
    forgetting = _initial_rate(lr, eta) * lr * batch_size / lr_sgd  # (α·η_t)²/σ²
    keep, gain = _exp_and_rest(forgetting)
    return {
        "samples": batch_size,
        "beta1": beta1,
        "new1": 1.0 - beta1,
        "keep": keep,
        "gain": eta * lr_sgd / batch_size * gain,  # σ²·(1 − d)
        "size": where(lr == 0, lr, 1.0 / (1.0 - beta1**t)),
    }


def _initial_belief(
    name: str, weight: torch.Tensor, hyperparameters: Hyperparameters
) -> torch.Tensor:
    if name == "exp_avg":
        return torch.zeros_like(weight, memory_format=torch.preserve_format)
    value = hyperparameters["lr_sgd"] / hyperparameters["batch_size"]
    filled = complex(value, value) if weight.is_complex() else value
    return torch.full_like(weight, filled, memory_format=torch.preserve_format)


@direction(
    state=("exp_avg", "variance"),
    nonnegative=("variance",),
    coefficients=_adabayes_coefficients,
    defaults={"lr_sgd": 0.1, "batch_size": 1, "beta1": 0.9},
    check=check_scale,
    initial=_initial_belief,
)
def adabayes(grad, grad_v, exp_avg, variance, samples, beta1, new1, keep, gain, size):
    """AdaBayes: a Bayesian filter over the weights, between SGD and Adam.

    g = B·∇f ;  m_t = β1·m_{t−1} + (1 − β1)·g ;  σ² = η_t·lr_sgd/B ;  d = exp(−(α·η_t)²/σ²)
    s_prior = d·s_{t−1} + σ²·(1 − d) ;  1/s_t = 1/s_prior + g² ;  s_0 = lr_sgd/B
    step = s_t·m_t/(1 − β1^t)

    ``lr`` is Adam's learning rate, ``lr_sgd`` SGD's; ``batch_size`` is B, over which the loss is a
    mean. 1 − d is formed as expm1, which the authors' code does not do, and at a learning rate of
    0 the belief is updated and the weights stand still. The authors' ``weight_drift`` is
    ``weight_decay`` here.

    Source: Aitchison, NeurIPS 2020 (arXiv 1807.07540), and the author's adabayes.py.
    """
    exp_avg = moving_average(exp_avg, samples * grad, beta1, new1)  # m_t
    prior = keep * variance + gain  # σ²_prior
    evidence = samples * grad_v
    variance = prior / (prior * (evidence * evidence) + 1.0)  # σ²_post
    return size * (variance * exp_avg), exp_avg, variance


def _adabayes_fp_coefficients(
    t: Any, eta: Any, lr: Any, lr_sgd: Any, batch_size: Any, betas: Any, eps: Any
) -> Coefficients:
    beta1, beta2 = betas
    half_precision = _initial_rate(lr, eta) * batch_size / (2.0 * lr_sgd)  # α·η_t/(2σ²)
    return averages(betas) | {
        "samples": batch_size,
        "size": lr / (1.0 - beta1**t),
        "correction": 1.0 / (1.0 - beta2**t),
        "floor": half_precision,
        "floor_sq": half_precision * half_precision,
        "eps": eps,
    }


@direction(
    state=("exp_avg", "exp_avg_sq"),
    nonnegative=("exp_avg_sq",),
    coefficients=_adabayes_fp_coefficients,
    defaults={"lr_sgd": 0.1, "batch_size": 1, "betas": (0.9, 0.999), "eps": 1e-8},
    check=check_scale,
    averages=True,
)
def adabayes_fp(
    grad,
    grad_v,
    exp_avg,
    exp_avg_sq,
    samples,
    beta1,
    new1,
    beta2,
    new2,
    size,
    correction,
    floor,
    floor_sq,
    eps,
):
    """AdaBayes with the filter's variance at its fixed point.

    g = B·∇f ;  m_t, v_t as in Adam ;  v̂_t = v_t/(1 − β2^t) + ε ;  σ² = η_t·lr_sgd/B
    L = 1/(2σ²) + √(v̂_t/(α·η_t)² + 1/(4σ⁴)) ;  step = m_t/((1 − β1^t)·L)

    Multiplied out with α·η_t, so that nothing is divided by it:
    step = α·η_t·m̂_t/(a + √(v̂_t + a²)) with a = α·η_t/(2σ²) = α·B/(2·lr_sgd).

    ε stands under the root. Hyperparameters as :data:`adabayes`.

    Source: Aitchison, NeurIPS 2020 (arXiv 1807.07540), and the author's adabayesfp.py.
    """
    evidence = samples * grad_v
    exp_avg = moving_average(exp_avg, samples * grad, beta1, new1)  # m_t
    exp_avg_sq = moving_average(exp_avg_sq, evidence * evidence, beta2, new2)  # v_t
    root = sqrt(correction * exp_avg_sq + eps + floor_sq)
    return size * (exp_avg / (floor + root)), exp_avg, exp_avg_sq
