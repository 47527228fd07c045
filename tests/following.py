"""Run an optimizer under a gradient written in NumPy, and give back where its weights went."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]
Gradient = Callable[[Array, int], Array]


def weights(seed: int = 0, shape: tuple[int, ...] = (4, 6)) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


@cache
def noise(t: int, shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(t).standard_normal(shape)


def noisy_quadratic(θ: Array, t: int) -> Array:
    """A gradient that depends on the weights and on the update, so that order matters."""
    return 0.7 * θ + noise(t, θ.shape)


def no_gradient(θ: Array, t: int) -> Array:
    return np.zeros_like(θ)


def parameter(θ: Any = None, dtype: torch.dtype = torch.float64) -> torch.nn.Parameter:
    values = torch.as_tensor(weights() if θ is None else θ)
    return torch.nn.Parameter(values.to(dtype, copy=True))


def set_gradient(p: torch.nn.Parameter, gradient: Gradient, t: int) -> None:
    g = gradient(p.detach().numpy(), t)
    p.grad = torch.from_numpy(np.asarray(g)).to(p.dtype)


def follow(
    optimizer: torch.optim.Optimizer,
    gradient: Gradient,
    updates: int,
    *,
    first: int = 1,
    after_each: Callable[[], object] = lambda: None,
) -> Array:
    """θ_0, θ_1, …, θ_updates of the optimizer's first parameter; all parameters get gradients."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    iterates = [parameters[0].detach().numpy().copy()]
    for t in range(first, first + updates):
        for p in parameters:
            set_gradient(p, gradient, t)
        optimizer.step()
        after_each()
        iterates.append(parameters[0].detach().numpy().copy())
    return np.array(iterates)


def assert_same_path(found: Array, expected: Array, tolerance: float = 1e-12) -> None:
    """Equal relative to the largest weight of the whole path; and the path goes somewhere."""
    assert found.shape == expected.shape
    scale = abs(expected).max()
    assert abs(expected[-1] - expected[0]).max() > 1e-3 * scale, "the test's path does not move"
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)
