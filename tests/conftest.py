"""What all tests share: one thread, so that sums have one order and shared machines one user."""

import sys
from collections.abc import Iterator

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _gradients_are_on(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test begins with autograd on; the name of one that has left it off is printed.

    Without this the tests after it fail, and nothing says whose fault that was.
    """
    yield
    if not torch.is_grad_enabled():
        torch.set_grad_enabled(True)
        print(f"\nautograd was left off by {request.node.nodeid}", file=sys.__stderr__, flush=True)
