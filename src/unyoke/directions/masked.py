"""The masked directions that have an optimizer's name; see :mod:`unyoke.masks` for all others."""

from __future__ import annotations

from unyoke import directions
from unyoke.directions.moments import adam
from unyoke.masks import cautious, grams, split
from unyoke.slots import Direction

cautious_adam = cautious(adam)
grams_adam = grams(adam)


def __getattr__(name: str) -> Direction:
    """Any other one, which is pickled as an attribute of this module."""
    if split(name) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return directions.get(name)
