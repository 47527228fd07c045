"""What tests of backends share: a folder of machine code, and a square root.

Machine code is kept between sessions, under a key that holds everything it depends on.
"""

from __future__ import annotations

import os

import pytest
import torch
from bits import exact_root


def pytest_configure(config: pytest.Config) -> None:
    cache = getattr(config, "cache", None)
    if cache is not None and "UNYOKE_CACHE_DIR" not in os.environ:
        folder = cache.mkdir("kernels")
        folder.chmod(0o700)  # umask 002 leaves it to the group, and it would be refused
        os.environ["UNYOKE_CACHE_DIR"] = str(folder)


@pytest.fixture
def ieee_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eager takes the square root that compiled code takes."""
    monkeypatch.setattr(torch, "sqrt", exact_root)
