"""What all tests share: one thread, so that sums have one order and shared machines one user."""

import sys
from collections.abc import Iterator

import pytest
import torch

from unyoke import backends
from unyoke.backends._native import tensor_layout

torch.set_num_threads(1)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "any_backend: runs on the backend that users would get")


@pytest.fixture
def definition(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is about the definition: "auto" takes the eager backend.

    Tests marked `any_backend` are about what users meet, and take whatever "auto" takes elsewhere.
    """
    if request.node.get_closest_marker("any_backend") is None:
        monkeypatch.setattr(backends, "_present", lambda: (backends.ALL["eager"],))


@pytest.fixture
def looks_into_objects() -> None:
    """For what is about compiled code that reads Python's objects: skipped where it cannot."""
    if tensor_layout.places() is None:
        pytest.skip("compiled code cannot look into Python's objects here")


@pytest.fixture(autouse=True)
def _gradients_are_on(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test begins with autograd on; the name of one that has left it off is printed.

    Without this the tests after it fail, and nothing says whose fault that was.
    """
    yield
    if not torch.is_grad_enabled():
        torch.set_grad_enabled(True)
        print(f"\nautograd was left off by {request.node.nodeid}", file=sys.__stderr__, flush=True)
