"""What tests of the step share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moving import swapping


@pytest.fixture
def swapped_tensors() -> Iterator[None]:
    """As a module gets memory, its parameters stay the same objects."""
    with swapping(True):
        yield
