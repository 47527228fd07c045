"""Which parts go together, read off the registries."""

from __future__ import annotations

import itertools
import os

from unyoke import decays, directions, optimizers
from unyoke.equation import combine
from unyoke.storage import formats


def reason_against(direction: str, decay: str) -> str | None:
    """What the library says against the two together; None if they go together."""
    try:
        combine(directions.get(direction), decays.get(decay))
    except ValueError as refusal:
        return str(refusal)
    return None


def some_decay(direction: str) -> str:
    return "none" if reason_against(direction, "decoupled") else "decoupled"


def is_elementwise(direction: str, decay: str) -> bool:
    """Whether an update by the two is one formula for one element, as every backend has it."""
    return combine(directions.get(direction), decays.get(decay)).scope == "element"


ALL = [(r, d) for r in directions.ALL for d in decays.ALL]
PAIRS = [pair for pair in ALL if not reason_against(*pair)]
ELEMENTWISE = [pair for pair in PAIRS if is_elementwise(*pair)]

STORIES = [*itertools.product(optimizers.ALL, formats.STATE_DTYPES, formats.ROUNDINGS)]
"""Every optimizer with every format of state and every rounding of weights."""

EVERY = int(os.environ.get("UNYOKE_EVERY_STORY", "13"))
"""Kernels, which take seconds to make, are made for one in so many stories; 1: for all.

13 and the number of formats have no common divisor: all of them come up alike.
"""

COMPILED = STORIES[::EVERY]
