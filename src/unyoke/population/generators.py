"""The random numbers that a model, a loss or a task may draw: torch's, NumPy's and Python's."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch


def seed_all(seed: int) -> None:
    """Seed the global generators of torch, NumPy and Python."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  a task may draw from the global generator
    random.seed(seed)


@contextmanager
def left_alone(devices: Sequence[torch.device | int], *, enabled: bool = True) -> Iterator[None]:
    """Put all of them back at the end, where `enabled`; `devices` are those beside the CPU."""
    if not enabled:
        yield
        return
    numpys, pythons = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        np.random.set_state(numpys)  # noqa: NPY002
        random.setstate(pythons)


class Watch:
    """Tells whether random numbers were drawn on the CPU since it was made."""

    def __init__(self) -> None:
        self._before = _states()

    def anything_drawn(self) -> bool:
        """Whether any of the generators has moved."""
        return self._before != _states()


def _states() -> tuple[object, ...]:
    kind, words, *place = np.random.get_state(legacy=True)  # noqa: NPY002
    return (
        torch.get_rng_state().numpy().tobytes(),
        (kind, np.asarray(words).tobytes(), *place),
        random.getstate(),
    )
