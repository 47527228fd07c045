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

Masks make further ones: ``cautious_lion`` is ``cautious(lion)``, and so for every name; see
:mod:`unyoke.masks`.

A direction is known by its name as soon as it stands in a file of this folder, or in one of
:mod:`unyoke.optimizers` beside the optimizer that is made of it.

>>> from unyoke import directions
>>> directions.adam.summary
"Adam's step, bias-corrected."
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from unyoke._support.callers import warn
from unyoke._support.discovery import Registry, one_of
from unyoke.masks import MASKS, split
from unyoke.masks import cautious as cautious
from unyoke.masks import grams as grams
from unyoke.slots import Direction

ALL: Mapping[str, Direction] = Registry(
    ("unyoke.directions", "unyoke.optimizers"),
    lambda value: isinstance(value, Direction),
    first=("descent", "moments"),
)
"""Every direction by its name."""

RENAMED: Mapping[str, str] = {"nadamw": "nesterov_adam"}
"""Old names of directions, which work for one release."""


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
    name = current(name)
    is_masked = split(name) is not None and name not in ALL
    return _masked(name) if is_masked else one_of("direction", ALL, name)


@cache
def _masked(name: str) -> Direction:
    """The direction of a masked one's name: the same object each time."""
    parts = split(name)
    assert parts is not None, "it begins with a mask's name"
    mask, direction = parts
    return MASKS[mask](get(direction))


def name_of(direction: str | Direction) -> str:
    """The name of a direction that is given by name or as an object."""
    return direction.name if isinstance(direction, Direction) else current(direction)


def current(name: str) -> str:
    """The name that a direction has now; an old one warns."""
    if name not in RENAMED:
        return name
    warn(
        f"direction {name!r} is called {RENAMED[name]!r}: the old name goes with the next release",
        DeprecationWarning,
    )
    return RENAMED[name]


def __getattr__(name: str) -> Direction:
    """A direction as an attribute: ``directions.adam``."""
    is_known = name in RENAMED or name in ALL or (split(name) is not None)
    if name.startswith("_") or not is_known:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return get(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *ALL})
