"""Stories: what a program does with a model and its optimizer, drawn at random and told again.

A story is plain data, so that its ``repr`` is its reproduction. Each act is a name, the number of a
parameter and a number from which the act draws the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from acts import ACTS, OFTEN
from hypothesis import strategies as st

from unyoke import decays, directions, optimizers
from unyoke.equation import combine
from unyoke.storage import formats

Act = tuple[str, int, int]

BACKENDS = ("auto", "auto", "auto", "cpu", "eager")
SCHEDULES = ("none", "none", "cosine", "warm_restarts", "torch")


@dataclass(frozen=True)
class Story:
    """Who the optimizer is, and what happens to it.

    Attributes:
        settings: direction, decay, formats, backend, schedule and the weights' dtype.
        acts: what happens, in order.
    """

    settings: dict[str, Any]
    acts: tuple[Act, ...]


def pairs() -> list[tuple[str, str]]:
    """All directions with all decays that go together, by the registries."""
    found = []
    for direction in directions.ALL:
        for decay in decays.ALL:
            try:
                combine(directions.get(direction), decays.get(decay))
            except ValueError:
                continue
            found.append((direction, decay))
    return found


def pool(seed: int, first: int, size: int) -> list[dict[str, Any]]:
    """Some combinations of parts and formats; each is compiled code that has to be made.

    Args:
        seed: of all pools.
        first: number of the first combination: those of 0, 1, … go through all pairs and names.
        size: how many.
    """
    random = np.random.default_rng(seed)
    known: list[dict[str, Any]] = [{"direction": r, "decay": d} for r, d in pairs()]
    known += [{"name": name} for name in optimizers.ALL]
    order = random.permutation(len(known))
    return [
        {
            **known[order[number % len(known)]],
            **_formats(np.random.default_rng((seed, number))),
        }
        for number in range(first, first + size)
    ]


def _formats(random: np.random.Generator) -> dict[str, Any]:
    choices: dict[str, Sequence[str]] = {
        "state_dtype": list(formats.STATE_DTYPES),
        "rounding": list(formats.ROUNDINGS),
        "dtype": ("float32", "float32", "bfloat16", "float64"),
    }
    return {name: several[random.integers(len(several))] for name, several in choices.items()}


@st.composite
def stories(draw: Any, combinations: Sequence[dict[str, Any]]) -> Story:
    """Stories of optimizers of these combinations."""
    combination = draw(st.sampled_from(combinations))
    settings = {
        **combination,
        "backend": draw(st.sampled_from(BACKENDS)),
        "schedule": draw(st.sampled_from(SCHEDULES)),
        "named": draw(st.booleans()),
        "swapping": draw(st.booleans()),
    }
    plain = settings["state_dtype"] == "float32" and settings["rounding"] == "nearest"
    settings["exact"] = plain and draw(st.booleans())
    names = st.sampled_from([*ACTS, *OFTEN])
    act = st.tuples(names, st.integers(0, 5), st.integers(0, 999))
    return Story(settings, tuple(draw(st.lists(act, min_size=3, max_size=14))))
