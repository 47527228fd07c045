"""The paper, line by line, in NumPy float64: what the library is held against.

Nothing here imports torch or unyoke, and nothing here is fast. The symbols are the paper's
(Loshchilov & Hutter 2019): θ weights, g gradient, α initial learning rate, η schedule
multiplier, λ weight decay, t = 1, 2, … counts updates. Hyperparameters carry torch's names, so
that a test can hand one set of them to both sides.

Three parts:

1. `algorithm_1` and `algorithm_2`: SGD, SGDW, Adam and AdamW exactly as the paper prints them.
2. Schedules and normalized weight decay.
3. `DIRECTIONS`, `DECAYS` and `trajectory`: every direction with every decay rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Gradient = Callable[[Array, int], Array]  # ∇f_t(θ), told θ and t
Schedule = Callable[[int], float]  # η, told the number of updates already made, t − 1

sqrt = np.sqrt


def algorithm_1(
    θ: Array,
    gradient: Gradient,
    schedule: Schedule,
    *,
    α: float,
    β1: float,
    λ_L2: float = 0.0,
    λ_SGDW: float = 0.0,
) -> Iterator[Array]:
    """SGD with L2 regularization, and SGDW, both with momentum. Yields θ_1, θ_2, …"""
    t, m = 0, np.zeros_like(θ)
    while True:
        t = t + 1
        g = gradient(θ, t) + λ_L2 * θ
        η = schedule(t - 1)
        m = β1 * m + η * α * g
        θ = θ - m - η * λ_SGDW * θ
        yield θ


def algorithm_2(
    θ: Array,
    gradient: Gradient,
    schedule: Schedule,
    *,
    α: float = 0.001,
    β1: float = 0.9,
    β2: float = 0.999,
    ε: float = 1e-8,
    λ_L2: float = 0.0,
    λ_AdamW: float = 0.0,
) -> Iterator[Array]:
    """Adam with L2 regularization, and AdamW. Yields θ_1, θ_2, …"""
    t, m, v = 0, np.zeros_like(θ), np.zeros_like(θ)
    while True:
        t = t + 1
        g = gradient(θ, t) + λ_L2 * θ
        m = β1 * m + (1 - β1) * g
        v = β2 * v + (1 - β2) * g**2
        m_hat = m / (1 - β1**t)
        v_hat = v / (1 - β2**t)
        η = schedule(t - 1)
        θ = θ - η * (α * m_hat / (sqrt(v_hat) + ε) + λ_AdamW * θ)
        yield θ


def exactly(number: float) -> Fraction:
    """The decimal that was written: 0.3 is 3/10, not the float nearest to it."""
    return Fraction(str(number))


def constant() -> Schedule:
    """η = 1."""
    return lambda t: 1.0


def step_drops(
    updates: int, at: tuple[float, ...] = (0.3, 0.6, 0.8), factor: float = 0.1
) -> Schedule:
    """η is multiplied by `factor` at each of the given fractions of the budget (Figure 1)."""
    drops = [round(exactly(fraction) * updates) for fraction in at]
    return lambda t: factor ** sum(t >= drop for drop in drops)


def cosine(updates: int) -> Schedule:
    """η = 0.5 + 0.5 cos(π T_cur/T); the budget spent, η stays 0."""
    return lambda t: 0.5 + 0.5 * math.cos(math.pi * min(t, updates) / updates)


def current_run(t: int, first: int, growth: float = 2) -> tuple[int, int]:
    """T_cur and T_i after t updates: counted run by run, in integers.

    T_i is T_0·growth^i, computed exactly and rounded half up to a whole number of updates.
    """
    i, T_i = 0, first
    while t >= T_i:
        t, i = t - T_i, i + 1
        T_i = math.floor(first * exactly(growth) ** i + Fraction(1, 2))
    return t, T_i


def warm_restarts(first: int, growth: float = 2, minimum: float = 0.0) -> Schedule:
    """η = η_min + 0.5 (η_max − η_min)(1 + cos(π T_cur/T_i)), with η_max = 1."""

    def η(t: int) -> float:
        T_cur, T_i = current_run(t, first, growth)
        return minimum + 0.5 * (1 - minimum) * (1 + math.cos(math.pi * T_cur / T_i))

    return η


def warmup(updates: int, then: Schedule) -> Schedule:
    """η rises by equal steps, from above 0, of which the next would be the first of `then`."""
    return lambda t: (t + 1) / (updates + 1) * then(0) if t < updates else then(t - updates)


def normalized(lambda_norm: float, updates: int) -> float:
    """λ = λ_norm √(b/(B T)): one over the root of the number of updates (Appendix B.1)."""
    return lambda_norm / math.sqrt(updates)


def normalized_over_runs(lambda_norm: float, first: int, growth: float = 2) -> Schedule:
    """λ under warm restarts: T is the length T_i of the current run."""
    return lambda t: normalized(lambda_norm, current_run(t, first, growth)[1])


@dataclass
class Update:
    """What is known when update t is made."""

    t: int
    θ: Array  # θ_{t−1}
    g: Array  # the gradient that enters the first moment
    h: Array  # the gradient that enters the second moment: g, but for two ablations of L2
    α: float
    η: float

    @property
    def γ(self) -> float:
        """The learning rate of this update."""
        return self.α * self.η


class Symbols(SimpleNamespace):
    """A direction's or decay's memory. Every symbol starts at 0, as m_0 and v_0 do."""

    def __getattr__(self, name: str) -> Any:
        return 0.0


Betas = tuple[float, float]


def gradient(s: Symbols, u: Update) -> Array:
    """Plain gradient descent."""
    return u.γ * u.g


def heavy_ball(s: Symbols, u: Update, *, momentum: float = 0.9) -> Array:
    """Algorithm 1: the learning rate is inside the buffer."""
    s.m = momentum * s.m + u.η * u.α * u.g
    return s.m


def momentum(s: Symbols, u: Update, *, momentum: float = 0.9, dampening: float = 0.0) -> Array:
    """torch.optim.SGD: the learning rate is outside the buffer, and b_1 = g_1."""
    s.b = momentum * s.b + (1 - dampening) * u.g if u.t > 1 else u.g
    return u.γ * s.b


def nesterov(s: Symbols, u: Update, *, momentum: float = 0.9) -> Array:
    """torch.optim.SGD(nesterov=True)."""
    s.b = momentum * s.b + u.g
    return u.γ * (u.g + momentum * s.b)


def adam(s: Symbols, u: Update, *, betas: Betas = (0.9, 0.999), eps: float = 1e-8) -> Array:
    """Algorithm 2."""
    β1, β2 = betas
    s.m = β1 * s.m + (1 - β1) * u.g
    s.v = β2 * s.v + (1 - β2) * u.h**2
    m_hat = s.m / (1 - β1**u.t)
    v_hat = s.v / (1 - β2**u.t)
    return u.γ * m_hat / (sqrt(v_hat) + eps)


def amsgrad(s: Symbols, u: Update, *, betas: Betas = (0.9, 0.999), eps: float = 1e-8) -> Array:
    """Reddi et al. 2018, as torch has it: the maximum is taken before the bias correction."""
    β1, β2 = betas
    s.m = β1 * s.m + (1 - β1) * u.g
    s.v = β2 * s.v + (1 - β2) * u.h**2
    s.v_max = np.maximum(s.v_max, s.v)
    m_hat = s.m / (1 - β1**u.t)
    v_hat = s.v_max / (1 - β2**u.t)
    return u.γ * m_hat / (sqrt(v_hat) + eps)


def ademamix(
    s: Symbols,
    u: Update,
    *,
    betas: tuple[float, float, float] = (0.9, 0.999, 0.9999),
    alpha: float = 2.0,
    beta3_warmup: int = 0,
    alpha_warmup: int = 0,
    eps: float = 1e-8,
) -> Array:
    """Pagliardini et al. 2024, Algorithm 1, with f(β) = log ½/log β − 1 from the authors' code."""
    β1, β2, β3_end = betas
    α, β3 = alpha, β3_end
    if u.t < alpha_warmup:
        α = u.t / alpha_warmup * alpha
    if u.t < beta3_warmup:
        half_lives = [math.log(0.5) / math.log(β + 1e-8) - 1 for β in (β1, β3_end)]
        μ = u.t / beta3_warmup
        β3 = 0.5 ** (1 / ((1 - μ) * half_lives[0] + μ * half_lives[1] + 1))
    s.m1 = β1 * s.m1 + (1 - β1) * u.g
    s.m2 = β3 * s.m2 + (1 - β3) * u.g
    s.v = β2 * s.v + (1 - β2) * u.h**2
    m1_hat = s.m1 / (1 - β1**u.t)
    v_hat = s.v / (1 - β2**u.t)
    return u.γ * (m1_hat + α * s.m2) / (sqrt(v_hat) + eps)


def adabelief(s: Symbols, u: Update, *, betas: Betas = (0.9, 0.999), eps: float = 1e-16) -> Array:
    """Zhuang et al. 2020, Algorithm 2: ε enters s at each update, and the denominator."""
    β1, β2 = betas
    s.m = β1 * s.m + (1 - β1) * u.g
    s.s = β2 * s.s + (1 - β2) * (u.h - s.m) ** 2 + eps
    m_hat = s.m / (1 - β1**u.t)
    s_hat = s.s / (1 - β2**u.t)
    return u.γ * m_hat / (sqrt(s_hat) + eps)


def signum(s: Symbols, u: Update, *, momentum: float = 0.9) -> Array:
    """Bernstein et al. 2018, Algorithm 2."""
    s.m = momentum * s.m + (1 - momentum) * u.g
    return u.γ * np.sign(s.m)


def adopt(
    s: Symbols,
    u: Update,
    *,
    betas: Betas = (0.9, 0.9999),
    eps: float = 1e-6,
    clip_exponent: float = 0.25,
) -> Array:
    """Taniguchi et al. 2024, Algorithm 2: v_0 = g_0², then clipped steps t = 1, 2, …"""
    β1, β2 = betas
    if u.t == 1:
        s.v, s.m = u.h**2, np.zeros_like(u.θ)
        return s.m
    c = (u.t - 1) ** clip_exponent
    s.m = β1 * s.m + (1 - β1) * np.clip(u.g / np.maximum(sqrt(s.v), eps), -c, c)
    s.v = β2 * s.v + (1 - β2) * u.h**2
    return u.γ * s.m


def adan(
    s: Symbols,
    u: Update,
    *,
    betas: tuple[float, float, float] = (0.98, 0.92, 0.99),
    eps: float = 1e-8,
) -> Array:
    """Xie et al. 2022, Algorithm 1 for 1 − β, with the bias corrections of the authors' code."""
    β1, β2, β3 = betas
    difference = u.g - s.g_before if u.t > 1 else 0 * u.g
    s.m = β1 * s.m + (1 - β1) * u.g
    s.v = β2 * s.v + (1 - β2) * difference
    s.n = β3 * s.n + (1 - β3) * (u.h + β2 * difference) ** 2
    s.g_before = u.g
    moment = s.m / (1 - β1**u.t) + β2 * s.v / (1 - β2**u.t)
    return u.γ * moment / (sqrt(s.n / (1 - β3**u.t)) + eps)


def nadam(
    s: Symbols,
    u: Update,
    *,
    betas: Betas = (0.9, 0.999),
    eps: float = 1e-8,
    momentum_decay: float = 4e-3,
) -> Array:
    """Dozat 2016, with torch's momentum-decay schedule."""
    β1, β2 = betas
    ψ = momentum_decay
    μ = β1 * (1 - 0.5 * 0.96 ** (u.t * ψ))
    μ_next = β1 * (1 - 0.5 * 0.96 ** ((u.t + 1) * ψ))
    s.product = μ * (s.product if u.t > 1 else 1.0)
    s.m = β1 * s.m + (1 - β1) * u.g
    s.v = β2 * s.v + (1 - β2) * u.h**2
    m_hat = μ_next * s.m / (1 - s.product * μ_next) + (1 - μ) * u.g / (1 - s.product)
    v_hat = s.v / (1 - β2**u.t)
    return u.γ * m_hat / (sqrt(v_hat) + eps)


def nesterov_adam(
    s: Symbols, u: Update, *, betas: Betas = (0.9, 0.999), eps: float = 1e-8
) -> Array:
    """timm's NAdamW (Choi et al. 2019, table 1): one more step of the first moment."""
    β1, β2 = betas
    s.m = β1 * s.m + (1 - β1) * u.g
    s.v = β2 * s.v + (1 - β2) * u.h**2
    m_bar = β1 * s.m + (1 - β1) * u.g
    v_hat = s.v / (1 - β2**u.t)
    return u.γ * (m_bar / (1 - β1**u.t)) / (sqrt(v_hat) + eps)


def radam(s: Symbols, u: Update, *, betas: Betas = (0.9, 0.999), eps: float = 1e-8) -> Array:
    """Liu et al. 2020, as torch has it: ε is added before the bias correction."""
    β1, β2 = betas
    s.m = β1 * s.m + (1 - β1) * u.g
    s.v = β2 * s.v + (1 - β2) * u.h**2
    m_hat = s.m / (1 - β1**u.t)
    ρ_inf = 2 / (1 - β2) - 1
    ρ = ρ_inf - 2 * u.t * β2**u.t / (1 - β2**u.t)
    if ρ <= 5:
        return u.γ * m_hat
    r = sqrt((ρ - 4) * (ρ - 2) * ρ_inf / ((ρ_inf - 4) * (ρ_inf - 2) * ρ))
    return u.γ * m_hat * r * sqrt(1 - β2**u.t) / (sqrt(s.v) + eps)


def adamax(s: Symbols, u: Update, *, betas: Betas = (0.9, 0.999), eps: float = 1e-8) -> Array:
    """Kingma & Ba 2015, section 7.1, as torch has it: ε is inside the maximum."""
    β1, β2 = betas
    s.m = β1 * s.m + (1 - β1) * u.g
    s.u = np.maximum(β2 * s.u, abs(u.h) + eps)
    return u.γ / (1 - β1**u.t) * s.m / s.u


def adagrad(
    s: Symbols,
    u: Update,
    *,
    lr_decay: float = 0.0,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
) -> Array:
    """Duchi et al. 2011, torch's definition."""
    s.sum = (s.sum if u.t > 1 else initial_accumulator_value) + u.h**2
    return u.γ / (1 + (u.t - 1) * lr_decay) * u.g / (sqrt(s.sum) + eps)


def adadelta(s: Symbols, u: Update, *, rho: float = 0.9, eps: float = 1e-6) -> Array:
    """Zeiler 2012, torch's definition."""
    s.v = rho * s.v + (1 - rho) * u.h**2
    Δ = sqrt(s.a + eps) / sqrt(s.v + eps) * u.g
    s.a = rho * s.a + (1 - rho) * Δ**2
    return u.γ * Δ


def rmsprop(
    s: Symbols,
    u: Update,
    *,
    alpha: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.0,
    centered: bool = False,
) -> Array:
    """Tieleman & Hinton 2012, torch's definition: plain, centred, and with momentum."""
    s.v = alpha * s.v + (1 - alpha) * u.h**2
    s.mean = alpha * s.mean + (1 - alpha) * u.g
    variance = s.v - s.mean**2 if centered else s.v
    s.b = momentum * s.b + u.g / (sqrt(variance) + eps)
    return u.γ * s.b


def rmsprop_momentum(s: Symbols, u: Update, *, momentum: float = 0.9, **others: float) -> Array:
    return rmsprop(s, u, momentum=momentum, **others)


def rmsprop_centered(s: Symbols, u: Update, **others: float) -> Array:
    return rmsprop(s, u, centered=True, **others)


def rmsprop_centered_momentum(
    s: Symbols, u: Update, *, momentum: float = 0.9, **others: float
) -> Array:
    return rmsprop(s, u, centered=True, momentum=momentum, **others)


def lion(s: Symbols, u: Update, *, betas: Betas = (0.9, 0.99)) -> Array:
    """Chen et al. 2023."""
    β1, β2 = betas
    step = u.γ * np.sign(β1 * s.m + (1 - β1) * u.g)
    s.m = β2 * s.m + (1 - β2) * u.g
    return step


def adabayes(
    s: Symbols, u: Update, *, lr_sgd: float = 0.1, batch_size: int = 1, beta1: float = 0.9
) -> Array:
    """Aitchison 2020: the Bayesian filter. `batch_size` is B, α is lr_init, γ is lr."""
    B = batch_size
    g, h = B * u.g, B * u.h
    s.m = beta1 * s.m + (1 - beta1) * g
    if u.t == 1:
        s.s = lr_sgd / B
    if u.γ > 0:  # at γ = 0 the prior is the posterior of before: d = 1
        σ2 = u.γ * (lr_sgd / u.α) / B
        d = np.exp(-(u.γ**2) / σ2)
        one_minus_d = -np.expm1(-(u.γ**2) / σ2)  # the exponent is small: 1 − d would round away
        s.s = d * s.s + σ2 * one_minus_d
    s.s = 1 / (1 / s.s + h**2)
    return s.s * s.m / (1 - beta1**u.t) if u.γ > 0 else 0 * s.m


def adabayes_fp(
    s: Symbols,
    u: Update,
    *,
    lr_sgd: float = 0.1,
    batch_size: int = 1,
    betas: Betas = (0.9, 0.999),
    eps: float = 1e-8,
) -> Array:
    """Aitchison 2020: the filter at its fixed point."""
    β1, β2 = betas
    B = batch_size
    g, h = B * u.g, B * u.h
    s.m = β1 * s.m + (1 - β1) * g
    s.v = β2 * s.v + (1 - β2) * h**2
    if u.γ == 0:
        return 0 * s.m  # L is infinite
    σ2 = u.γ * (lr_sgd / u.α) / B
    v_hat = s.v / (1 - β2**u.t) + eps
    L = 1 / (2 * σ2) + sqrt(v_hat / u.γ**2 + 1 / (4 * σ2**2))
    return s.m / ((1 - β1**u.t) * L)


def nd_adam(s: Symbols, u: Update, *, betas: Betas = (0.9, 0.999), eps: float = 1e-8) -> Array:
    """Zhang et al. 2017, normalized direction-preserving Adam: each row is a unit's vector."""
    β1, β2 = betas
    w = u.θ
    g = u.g - (u.g * w).sum(axis=1, keepdims=True) * w
    s.m = β1 * s.m + (1 - β1) * g
    s.v = β2 * s.v + (1 - β2) * (g**2).sum(axis=1, keepdims=True)
    m_hat = s.m / (1 - β1**u.t)
    v_hat = s.v / (1 - β2**u.t)
    w = w - u.γ * m_hat / (sqrt(v_hat) + eps)
    w = w / sqrt((w**2).sum(axis=1, keepdims=True))
    return u.θ - w


def newton_schulz(X: Array, *, steps: int = 5, eps: float = 1e-7) -> Array:
    """Towards the nearest orthogonal matrix: X ← aX + bXXᵀX + c(XXᵀ)²X."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = X.shape[0] > X.shape[1]
    X = X.T if tall else X
    X = X / max(float(np.linalg.norm(X)), eps)
    for _ in range(steps):
        A = X @ X.T
        X = a * X + b * A @ X + c * A @ A @ X
    return X.T if tall else X


def muon(s: Symbols, u: Update, *, momentum: float = 0.95, ns_steps: int = 5) -> Array:
    """torch.optim.Muon, with the Newton–Schulz steps in float64 rather than bfloat16."""
    rows, columns = u.θ.shape
    s.B = momentum * s.B + (1 - momentum) * u.g
    B_tilde = momentum * s.B + (1 - momentum) * u.g
    γ = u.γ * math.sqrt(max(1, rows / columns))
    return γ * newton_schulz(B_tilde, steps=ns_steps)


def muon_momentum(s: Symbols, u: Update, *, momentum: float = 0.95, ns_steps: int = 5) -> Array:
    """torch.optim.Muon(nesterov=False)."""
    rows, columns = u.θ.shape
    s.B = momentum * s.B + (1 - momentum) * u.g
    return u.γ * math.sqrt(max(1, rows / columns)) * newton_schulz(s.B, steps=ns_steps)


def normuon(
    s: Symbols,
    u: Update,
    *,
    momentum: float = 0.95,
    beta2: float = 0.95,
    eps: float = 1e-10,
    ns_steps: int = 5,
) -> Array:
    """Li et al. 2025, Algorithm 1, with ε for the least norm that is divided by."""
    s.M = momentum * s.M + (1 - momentum) * u.g
    NS5 = newton_schulz(s.M, steps=ns_steps, eps=eps)
    s.v = beta2 * s.v + (1 - beta2) * (NS5**2).mean(axis=1, keepdims=True)
    Ô = NS5 / (sqrt(s.v) + eps)
    η̂ = 0.2 * u.γ * math.sqrt(Ô.size) / max(norm(Ô), eps)
    return η̂ * Ô


def norm(x: Array) -> float:
    return math.sqrt(float((x**2).sum()))


def lamb(s: Symbols, u: Update, *, betas: Betas = (0.9, 0.999), eps: float = 1e-6) -> Array:
    """You et al. 2020, without its decay inside the ratio: Adam's step with the tensor's length."""
    β1, β2 = betas
    s.m = β1 * s.m + (1 - β1) * u.g
    s.v = β2 * s.v + (1 - β2) * u.h**2
    r = s.m / (1 - β1**u.t) / (sqrt(s.v / (1 - β2**u.t)) + eps)
    return u.γ * (norm(u.θ) / norm(r) if norm(u.θ) > 0 and norm(r) > 0 else 1.0) * r


def lars(s: Symbols, u: Update, *, momentum: float = 0.9, trust_coeff: float = 0.001) -> Array:
    """You, Gitman & Ginsburg 2017, the ratio of norms without a term of its own for λ."""
    both = norm(u.θ) > 0 and norm(u.g) > 0
    ratio = trust_coeff * norm(u.θ) / norm(u.g) if both else 1.0
    s.b = momentum * s.b + ratio * u.g
    return u.γ * s.b


def stable_adam(s: Symbols, u: Update, *, betas: Betas = (0.9, 0.99), eps: float = 1e-6) -> Array:
    """Wortsman et al. 2023, Algorithm 2, without its decay: β̂ is what corrects the bias at once."""
    β1, β2 = (β * (1 - β ** (u.t - 1)) / (1 - β**u.t) for β in betas)
    s.v = β1 * s.v + (1 - β1) * u.g
    s.u = β2 * s.u + (1 - β2) * u.h**2
    rms = sqrt(np.mean(u.h**2 / np.maximum(s.u, eps**2)))
    return u.γ / max(1.0, float(rms)) * s.v / (sqrt(s.u) + eps)


def mars(
    s: Symbols, u: Update, *, betas: Betas = (0.95, 0.99), gamma: float = 0.025, eps: float = 1e-8
) -> Array:
    """Yuan et al. 2024, Algorithm 2 with the gradient of the update before."""
    β1, β2 = betas
    c = u.g + gamma * β1 / (1 - β1) * (u.g - s.g_before)
    c = c / norm(c) if norm(c) > 1 else c
    s.g_before = u.g
    s.m = β1 * s.m + (1 - β1) * c
    s.v = β2 * s.v + (1 - β2) * c**2
    return u.γ * s.m / (1 - β1**u.t) / (sqrt(s.v / (1 - β2**u.t)) + eps)


def cautious_adam(s: Symbols, u: Update, **others: Any) -> Array:
    """Liang et al. 2024, Algorithm 2; 1e-3 is the authors' code's."""
    step = adam(s, u, **others)
    φ = np.where(step * u.g > 0, 1.0, 0.0)
    return step * φ / max(float(φ.mean()), 1e-3)


def grams_adam(s: Symbols, u: Update, **others: Any) -> Array:
    """Cao et al. 2024, Algorithm 1."""
    return abs(adam(s, u, **others)) * np.sign(u.g)


def schedule_free_sgd(
    s: Symbols, u: Update, *, momentum: float = 0.9, r: float = 0.0, weight_lr_power: float = 2.0
) -> Array:
    """Defazio et al. 2024, Algorithm 1, the gradient's part; :func:`average` does the rest."""
    return u.γ * u.g


def schedule_free_adam(
    s: Symbols,
    u: Update,
    *,
    betas: Betas = (0.9, 0.999),
    eps: float = 1e-8,
    r: float = 0.0,
    weight_lr_power: float = 2.0,
) -> Array:
    """Defazio et al. 2024, equation 15, likewise."""
    β2 = betas[1]
    s.v = β2 * s.v + (1 - β2) * u.h**2
    return u.γ * u.g / (sqrt(s.v / (1 - β2**u.t)) + eps)


def average(
    s: Symbols,
    u: Update,
    moved: Array,
    *,
    momentum: float = 0.9,
    betas: Betas | None = None,
    r: float = 0.0,
    weight_lr_power: float = 2.0,
    **others: Any,
) -> Array:
    """y_t from what an update would make of y_{t−1}: z takes it, x is the average of z."""
    β = momentum if betas is None else betas[0]
    if u.t == 1:
        s.z, s.x = u.θ, u.θ
    if u.γ == 0:
        return u.θ
    s.η_max = max(s.η_max, u.η)
    w = u.t**r * s.η_max**weight_lr_power
    s.w_sum = s.w_sum + w
    c = w / s.w_sum
    s.z = s.z - (u.θ - moved)
    s.x = (1 - c) * s.x + c * s.z
    return (1 - β) * s.z + β * s.x


AVERAGED = {"schedule_free_sgd", "schedule_free_adam"}

DIRECTIONS: dict[str, Callable[..., Array]] = {
    direction.__name__: direction
    for direction in (
        gradient,
        heavy_ball,
        momentum,
        nesterov,
        adam,
        amsgrad,
        ademamix,
        adabelief,
        signum,
        adopt,
        adan,
        nadam,
        nesterov_adam,
        radam,
        adamax,
        adagrad,
        adadelta,
        rmsprop,
        rmsprop_centered,
        rmsprop_momentum,
        rmsprop_centered_momentum,
        lion,
        adabayes,
        adabayes_fp,
        nd_adam,
        muon,
        muon_momentum,
        normuon,
        lamb,
        lars,
        stable_adam,
        mars,
        cautious_adam,
        grams_adam,
        schedule_free_sgd,
        schedule_free_adam,
    )
}


@dataclass(frozen=True)
class Decay:
    """A decay rule: where λ enters the gradient, what is subtracted, what is done afterwards."""

    l2_first: bool = False  # λθ is added to the gradient of the first moment
    l2_second: bool = False  # λθ is added to the gradient of the second moment
    shrink: Callable[..., Any] = field(default=lambda s, u, λ, step: 0.0)
    project: Callable[..., Array] = field(default=lambda s, u, λ, θ: θ)
    shrink_takes: tuple[str, ...] = ()  # names of its hyperparameters
    project_takes: tuple[str, ...] = ()


def decoupled(s: Symbols, u: Update, λ: float, step: Array) -> Array:
    """η λ θ: the paper's."""
    return u.η * λ * u.θ


def lr_coupled(s: Symbols, u: Update, λ: float, step: Array) -> Array:
    """lr_t wd θ: torch's."""
    return u.γ * λ * u.θ


def cautious(s: Symbols, u: Update, λ: float, step: Array) -> Array:
    """Only where the step moves the weight towards zero, or not at all (arXiv 2510.12402)."""
    return u.η * λ * np.where(step * u.θ >= 0, u.θ, 0.0)


def corrected(s: Symbols, u: Update, λ: float, step: Array) -> Array:
    """(lr_t²/lr_max) wd θ, for weights followed by normalization (AdamC, arXiv 2506.02285)."""
    return u.γ**2 / u.α * λ * u.θ


def toward_initial(s: Symbols, u: Update, λ: float, step: Array) -> Array:
    """η λ (θ − θ_0): L2-SP."""
    if u.t == 1:
        s.anchor = u.θ
    return u.η * λ * (u.θ - s.anchor)


def toward_average(
    s: Symbols, u: Update, λ: float, step: Array, *, average_beta: float = 0.999
) -> Array:
    """η λ (θ − a), a the running average of the weights so far, a_0 = θ_0."""
    a = s.anchor if u.t > 1 else u.θ
    s.anchor = average_beta * a + (1 - average_beta) * u.θ
    return u.η * λ * (u.θ - s.anchor)


def constrained(s: Symbols, u: Update, λ: float, θ: Array, *, bound_factor: float = 1.0) -> Array:
    """AdamCPR (arXiv 2311.09058), per tensor: L rises while ‖W‖² exceeds κ, and shrinks W.

    κ is a multiple of ‖θ_0‖², and μ, the rate at which L rises, is λ over the number of weights.
    """
    if u.t == 1:
        s.κ = bound_factor * float((u.θ**2).sum())
    μ = λ / θ.size
    s.L = max(0.0, s.L + μ * (float((θ**2).sum()) - s.κ))
    return θ - 2 * s.L * θ


DECAYS: dict[str, Decay] = {
    "none": Decay(),
    "l2": Decay(l2_first=True, l2_second=True),
    "l2_first_moment": Decay(l2_first=True),
    "l2_second_moment": Decay(l2_second=True),
    "decoupled": Decay(shrink=decoupled),
    "lr_coupled": Decay(shrink=lr_coupled),
    "cautious": Decay(shrink=cautious),
    "corrected": Decay(shrink=corrected),
    "toward_initial": Decay(shrink=toward_initial),
    "toward_average": Decay(shrink=toward_average, shrink_takes=("average_beta",)),
    "constrained": Decay(project=constrained, project_takes=("bound_factor",)),
}


def trajectory(
    θ: Array,
    gradient: Gradient,
    *,
    direction: str,
    decay: str,
    lr: float,
    weight_decay: float | Schedule = 0.0,
    schedule: Schedule | None = None,
    updates: int,
    **hyperparameters: Any,
) -> Array:
    """θ_0, θ_1, …, θ_updates for any direction with any decay rule and any schedule.

    The one equation: θ_t = θ_{t−1} − step(g_t; α η_t) − η_t λ pull(θ_{t−1}).
    """
    rule, s = DECAYS[decay], Symbols()

    def own(names: tuple[str, ...]) -> dict[str, Any]:
        return {name: hyperparameters.pop(name) for name in names if name in hyperparameters}

    shrink = partial(rule.shrink, **own(rule.shrink_takes))
    project = partial(rule.project, **own(rule.project_takes))
    iterates = [θ]
    for t in range(1, updates + 1):
        η = schedule(t - 1) if schedule else 1.0
        λ = weight_decay(t - 1) if callable(weight_decay) else weight_decay
        g = gradient(θ, t)
        u = Update(
            t=t,
            θ=θ,
            g=g + λ * θ if rule.l2_first else g,
            h=g + λ * θ if rule.l2_second else g,
            α=lr,
            η=η,
        )
        step = DIRECTIONS[direction](s, u, **hyperparameters)
        θ = project(s, u, λ, θ - step - shrink(s, u, λ, step))
        if direction in AVERAGED:
            θ = average(s, u, θ, **hyperparameters)
        iterates.append(θ)
    return np.array(iterates)
