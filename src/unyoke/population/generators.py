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


def states() -> tuple[object, ...]:
    """The states of the CPU's generators: equal to others where nothing was drawn in between."""
    kind, words, *place = np.random.get_state(legacy=True)  # noqa: NPY002
    return (
        torch.get_rng_state().numpy().tobytes(),
        (kind, np.asarray(words).tobytes(), *place),
        random.getstate(),
    )
