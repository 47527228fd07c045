"""The exact claims: propositions 1 to 3 and the Bayesian filter, along whole paths in float64.

Each function takes a problem's number and gives one figure; nothing is trained. A problem is a
logistic regression of drawn data, on batches that change at every update, so that gradients are
neither constant nor linear. λ is 1e-3 and α 0.05 unless a limit asks for others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

import unyoke

Array = NDArray[np.float64]
Gradient = Callable[[Array, int], Array]
Path = Array  # weights before the first update and after each, [updates + 1, weights]

PROBLEMS = 5
UPDATES = 100
WEIGHTS = 12
BATCH = 8
LR = 0.05
DECAY = 1e-3
SGD_L2 = partial(unyoke.SGDW, decay="l2")
ADAM_L2 = partial(unyoke.AdamW, decay="l2")
COARSE = np.linspace(-3.0, 2.0, 11)
"""Decades around λ/α among which the search for the best λ′ begins."""


class Problem:
    """Start and gradients of a drawn logistic regression."""

    def __init__(self, number: int) -> None:
        draw = np.random.default_rng(number)
        scales = np.logspace(-1, 1, WEIGHTS)  # features of unlike size, so that M is far from kI
        self.inputs = draw.normal(size=(UPDATES, BATCH, WEIGHTS)) * scales
        self.signs = draw.choice([-1.0, 1.0], size=(UPDATES, BATCH))
        self.start = draw.normal(size=WEIGHTS)

    def gradient(self, weights: Array, update: int) -> Array:
        """Of the mean logistic loss over the batch of one update."""
        inputs, signs = self.inputs[update], self.signs[update]
        slopes = -signs / (1.0 + np.exp(np.clip(signs * (inputs @ weights), -500, 500)))
        return cast(Array, inputs.T @ slopes / BATCH)


def path(make: Callable[..., Any], problem: Problem, **settings: Any) -> Path:
    """The weights that an optimizer of unyoke goes through."""
    weight = torch.nn.Parameter(torch.tensor(problem.start))
    optimizer = make([weight], backend="eager", **settings)
    points = [problem.start]
    for update in range(UPDATES):
        weight.grad = torch.from_numpy(problem.gradient(points[-1], update))
        optimizer.step()
        points.append(weight.detach().numpy().copy())
    return np.array(points)


def distance(first: Path, second: Path) -> float:
    """Largest distance of two paths, as a share of how far the second goes."""
    apart = np.linalg.norm(first - second, axis=1).max()
    return float(apart / np.linalg.norm(second - second[0], axis=1).max())


def unexplained(decoupled: Path, plain: Path, penalised: Callable[[float], Path]) -> float:
    """The share of decoupled decay's effect that the best λ′ of an L2 penalty leaves.

    min over λ′ of ‖path(λ′) − decoupled‖/‖plain − decoupled‖
    """
    from scipy.optimize import minimize_scalar

    effect = float(np.linalg.norm(plain - decoupled))

    def left(decades: float) -> float:
        return float(np.linalg.norm(penalised(DECAY / LR * 10**decades) - decoupled)) / effect

    found = [left(decades) for decades in COARSE]
    best = int(np.argmin(found))
    around = (COARSE[max(best - 1, 0)], COARSE[min(best + 1, len(COARSE) - 1)])
    refined = minimize_scalar(left, bounds=around, method="bounded", options={"maxiter": 25})
    return min(min(found), float(refined.fun))


def same_plain_sgd(number: int, scheduled: bool = False) -> float:
    """P1: SGD + L2 with λ′ = λ/α against SGDW, without momentum."""
    problem, schedule = Problem(number), _schedule(scheduled)
    kept: dict[str, Any] = {"lr": LR, "momentum": 0.0, "schedule": schedule}
    penalised = path(SGD_L2, problem, weight_decay=DECAY / LR, **kept)
    return distance(penalised, path(unyoke.SGDW, problem, weight_decay=DECAY, **kept))


def parted_by_momentum(number: int, scheduled: bool = False) -> float:
    """P1's limit: what the best λ′ leaves once there is momentum."""
    return _best_penalty(number, SGD_L2, unyoke.SGDW, scheduled)


def parted_in_adam(number: int) -> float:
    """P2: what the best λ′ of Adam + L2 leaves of AdamW."""
    return _best_penalty(number, ADAM_L2, unyoke.AdamW, scheduled=False)


def steady_decay(number: int) -> float:
    """P1 with momentum: decay per update of SGD + L2 under zero gradients, over αλ′/(1 − β1)."""
    problem = Problem(number)
    problem.inputs[:] = 0.0
    weights = path(SGD_L2, problem, lr=LR, momentum=0.9, weight_decay=DECAY)
    late = np.linalg.norm(weights[-1]) / np.linalg.norm(weights[UPDATES // 2])
    return float(-math.log(late) / (UPDATES - UPDATES // 2) / (LR * DECAY / 0.1))


def same_frozen(number: int) -> float:
    """P3: scale-adjusted L2 against decay, under a preconditioner that stands still."""
    problem = Problem(number)
    return distance(
        _preconditioned(problem, 0.0, 0.0, DECAY / LR), _preconditioned(problem, 0.0, DECAY, 0.0)
    )


SPEEDS = np.array([1e-6, 1e-5, 1e-4, 1e-3])
"""1 − β2, at which the preconditioner moves."""


def parted_by_moving(number: int) -> float:
    """Slope, in log-log, of what scale-adjusted L2 leaves over the speed 1 − β2."""
    problem, left = Problem(PROBLEMS + number), []  # its region was set when 0 to 4 were known
    for speed in SPEEDS:
        decoupled = _preconditioned(problem, speed, DECAY, 0.0)
        effect = np.linalg.norm(_preconditioned(problem, speed, 0.0, 0.0) - decoupled)
        apart = np.linalg.norm(_preconditioned(problem, speed, 0.0, DECAY / LR) - decoupled)
        left.append(apart / effect)
    return float(np.polyfit(np.log(SPEEDS), np.log(left), 1)[0])


def _preconditioned(problem: Problem, speed: float, decay: float, penalty: float) -> Path:
    """θ ← (1 − λ)θ − α(∇f + λ′·s_0⊙θ)/s_t, s_t² an average of squared gradients from g_1² on."""
    weights, points = problem.start, [problem.start]
    square = problem.gradient(weights, 0) ** 2 + 1e-6
    fixed = np.sqrt(square)
    for update in range(UPDATES):
        gradient = problem.gradient(weights, update)
        square = square + speed * (gradient**2 - square)
        step = (gradient + penalty * fixed * weights) / np.sqrt(square)
        weights = weights - LR * step - decay * weights
        points.append(weights)
    return np.array(points)


def transition(number: int) -> float:
    """Decay of AdaBayes' mean under zero gradients against (1 − λ)^t, for two widths of belief."""
    problem = Problem(number)
    problem.inputs[:] = 0.0
    expected = problem.start * (1 - DECAY) ** np.arange(UPDATES + 1)[:, None]
    paths = [
        path(unyoke.AdaBayes, problem, lr=1e-3, lr_sgd=width, weight_decay=DECAY)
        for width in (1e-3, 1.0)
    ]
    return max(distance(weights, expected) for weights in paths)


def limit_of_sgd(number: int, decay: float = DECAY) -> float:
    """Little information: AdaBayes-FP against SGD on averaged gradients, with decay."""
    problem, rate = Problem(number), 0.01
    weights = path(unyoke.AdaBayesFP, problem, lr=1e4, lr_sgd=rate, weight_decay=decay)
    return distance(weights, _averaged_sgd(problem, rate, decay))


def limit_of_sgd_filtered(number: int) -> float:
    """Little information: the filter itself, its variance updated by every gradient."""
    problem, rate = Problem(number), 1e-8
    weights = path(unyoke.AdaBayes, problem, lr=1.0, lr_sgd=rate, weight_decay=1e-10)
    return distance(weights, _averaged_sgd(problem, rate, 1e-10))


def limit_of_adam(number: int, decay: float = 0.0) -> float:
    """Much information, σ → ∞: AdaBayes-FP against Adam, or AdamW."""
    problem = Problem(number)
    kept: dict[str, Any] = {"lr": LR, "weight_decay": decay, "eps": 0.0}
    weights = path(unyoke.AdaBayesFP, problem, lr_sgd=1e12, **kept)
    return distance(weights, path(unyoke.AdamW, problem, **kept))


def _averaged_sgd(problem: Problem, rate: float, decay: float) -> Path:
    """θ ← (1 − λ)θ − rate·m̂, m̂ the corrected average of gradients with β1 = 0.9."""
    weights, points, average = problem.start, [problem.start], np.zeros(WEIGHTS)
    for update in range(UPDATES):
        average = 0.9 * average + 0.1 * problem.gradient(weights, update)
        weights = weights - rate * average / (1 - 0.9 ** (update + 1)) - decay * weights
        points.append(weights)
    return np.array(points)


def _best_penalty(number: int, penalised: Any, decoupled: Any, scheduled: bool) -> float:
    problem = Problem(number)
    kept: dict[str, Any] = {"lr": LR, "schedule": _schedule(scheduled)}
    return unexplained(
        path(decoupled, problem, weight_decay=DECAY, **kept),
        path(decoupled, problem, weight_decay=0.0, **kept),
        lambda penalty: path(penalised, problem, weight_decay=penalty, **kept),
    )


def _schedule(scheduled: bool) -> Any:
    return unyoke.schedules.cosine(UPDATES) if scheduled else None


FIGURES: Mapping[str, Callable[[int], float]] = {
    "p1/same": same_plain_sgd,
    "p1/same-scheduled": partial(same_plain_sgd, scheduled=True),
    "p1/momentum": parted_by_momentum,
    "p1/momentum-scheduled": partial(parted_by_momentum, scheduled=True),
    "p1/steady": steady_decay,
    "p2/adam": parted_in_adam,
    "p3/frozen": same_frozen,
    "p3/moving": parted_by_moving,
    "bayes/transition": transition,
    "bayes/sgd": limit_of_sgd,
    "bayes/sgd-filtered": limit_of_sgd_filtered,
    "bayes/adam": limit_of_adam,
    "bayes/adamw": partial(limit_of_adam, decay=DECAY),
}
