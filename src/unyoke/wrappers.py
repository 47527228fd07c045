"""What frameworks put around optimizers, seen through.

Lightning and Accelerate hand out an object of their own that keeps the optimizer as an attribute.
Some of them pass ``isinstance`` for its class, and what is set on them stays on the wrapper.
"""

from __future__ import annotations

from typing import Any

import torch

HOLDERS = ("_optimizer", "optimizer")
"""Attributes in which Lightning, Accelerate and transformers keep the optimizer they wrap."""


def inner_optimizer(optimizer: Any) -> Any:
    """The optimizer inside of all wrappers; the argument itself if it is none.

    >>> class Wrapper:
    ...     def __init__(self, optimizer):
    ...         self.optimizer = optimizer
    >>> inside = torch.optim.SGD([torch.ones(1)])
    >>> inner_optimizer(Wrapper(Wrapper(inside))) is inside
    True
    """
    own = getattr(optimizer, "__dict__", {})  # of the wrapper alone: some forward all they lack
    for name in HOLDERS:
        inside = own.get(name)
        if isinstance(inside, torch.optim.Optimizer) or any(
            holder in getattr(inside, "__dict__", {}) for holder in HOLDERS
        ):
            return inner_optimizer(inside)
    return optimizer
