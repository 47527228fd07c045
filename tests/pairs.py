"""Which directions go with which decay rules, read off the registries."""

from __future__ import annotations

from unyoke import decays, directions
from unyoke.equation import combine


def reason_against(direction: str, decay: str) -> str | None:
    """What the library says against the two together; None if they go together."""
    try:
        combine(directions.get(direction), decays.get(decay))
    except ValueError as refusal:
        return str(refusal)
    return None


def some_decay(direction: str) -> str:
    return "none" if reason_against(direction, "decoupled") else "decoupled"


ALL = [(r, d) for r in directions.ALL for d in decays.ALL]
PAIRS = [pair for pair in ALL if not reason_against(*pair)]
