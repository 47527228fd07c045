"""Directions: how gradients become the step. Each formula stands here, once.

Symbols of the paper and names in the formulas:

    g_t     grad          the gradient (grad_v: as the second moment sees it)
    m_t     exp_avg, momentum_buffer
    v_t     exp_avg_sq, square_avg, sum
    α·η_t   lr            the learning rate of this update
    β1, β2  betas, momentum
    ε       eps

Coefficients (what depends on t alone) are formed by the function above each formula, on the host
in float64: 1 − 0.999 formed in float32 is wrong by 5e-5 of itself. At a learning rate of exactly 0
every step is 0, whatever the buffers hold.

>>> from unyoke import directions
>>> directions.adam.summary
"Adam's step, bias-corrected."
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from unyoke.directions.bayes import adabayes, adabayes_fp
from unyoke.directions.descent import gradient, heavy_ball, momentum, nesterov
from unyoke.directions.moments import adam, adamax, amsgrad, nadam, nadamw, radam
from unyoke.directions.norms import lamb, lars, muon, nd_adam
from unyoke.directions.signs import lion
from unyoke.directions.squares import (
    adadelta,
    adagrad,
    rmsprop,
    rmsprop_centered,
    rmsprop_centered_momentum,
    rmsprop_momentum,
)
from unyoke.equation import Direction

ALL: Mapping[str, Direction] = MappingProxyType(
    {
        part.name: part
        for part in (
            gradient,
            heavy_ball,
            momentum,
            nesterov,
            adam,
            amsgrad,
            nadam,
            nadamw,
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
            lamb,
            lars,
        )
    }
)
"""Every direction by its name."""


def names() -> tuple[str, ...]:
    """The names of all directions."""
    return tuple(ALL)


def get(name: str | Direction) -> Direction:
    """The direction of that name; a :class:`~unyoke.equation.Direction` is passed through.

    Raises:
        ValueError: no such direction; the message lists near names.
    """
    if isinstance(name, Direction):
        return name
    if name not in ALL:
        near = difflib.get_close_matches(str(name), ALL, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
        raise ValueError(f"unknown direction {name!r}: {hint}there are {', '.join(ALL)}")
    return ALL[name]


__all__ = [
    "ALL",
    "adabayes",
    "adabayes_fp",
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "amsgrad",
    "get",
    "gradient",
    "heavy_ball",
    "lamb",
    "lars",
    "lion",
    "momentum",
    "muon",
    "nadam",
    "nadamw",
    "names",
    "nd_adam",
    "nesterov",
    "radam",
    "rmsprop",
    "rmsprop_centered",
    "rmsprop_centered_momentum",
    "rmsprop_momentum",
]
