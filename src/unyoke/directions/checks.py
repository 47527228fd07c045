"""Ranges of hyperparameters, with the words of torch's errors where torch has them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from unyoke.equation import Hyperparameters


def check_betas(hyperparameters: Hyperparameters) -> None:
    """Each of betas in [0, 1)."""
    betas = hyperparameters["betas"]
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise ValueError(f"Invalid betas: {betas!r}: give a pair such as (0.9, 0.999)")
    for index, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(
                f"Invalid beta parameter at index {index}: {beta}: it must lie in [0, 1)"
            )


def check_eps(hyperparameters: Hyperparameters) -> None:
    """eps ≥ 0 and finite."""
    if not 0.0 <= hyperparameters["eps"] < math.inf:
        raise ValueError(
            f"Invalid epsilon value: {hyperparameters['eps']}: it must be finite and ≥ 0"
        )


def fraction(name: str) -> Callable[[Hyperparameters], None]:
    """A check of one hyperparameter in [0, 1)."""

    def check(hyperparameters: Hyperparameters) -> None:
        if not 0.0 <= hyperparameters[name] < 1.0:
            raise ValueError(
                f"Invalid {name} value: {hyperparameters[name]}: it must lie in [0, 1)"
            )

    return check


def not_negative(name: str) -> Callable[[Hyperparameters], None]:
    """A check of one hyperparameter in [0, ∞)."""

    def check(hyperparameters: Hyperparameters) -> None:
        if not 0.0 <= hyperparameters[name] < math.inf:
            raise ValueError(
                f"Invalid {name} value: {hyperparameters[name]}: it must be finite and ≥ 0"
            )

    return check


def positive(name: str) -> Callable[[Hyperparameters], None]:
    """A check of one hyperparameter in (0, ∞)."""

    def check(hyperparameters: Hyperparameters) -> None:
        if not 0.0 < hyperparameters[name] < math.inf:
            raise ValueError(
                f"Invalid {name} value: {hyperparameters[name]}: it must be finite and > 0"
            )

    return check


def both(*checks: Callable[[Hyperparameters], Any]) -> Callable[[Hyperparameters], None]:
    """Several checks, one after the other."""

    def check(hyperparameters: Hyperparameters) -> None:
        for each in checks:
            each(hyperparameters)

    return check


check_adam = both(check_betas, check_eps)
check_momentum = fraction("momentum")
