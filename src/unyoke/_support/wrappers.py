"""What frameworks put around optimizers and parameters.

Lightning and Accelerate hand out an object of their own that keeps the optimizer as an attribute.
Some of them pass ``isinstance`` for its class, and what is set on them stays on the wrapper.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable
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


def reducing_module(parameters: Iterable[torch.Tensor]) -> str | None:
    """The class of torch.distributed that forms these parameters' gradients itself; None if none.

    DistributedDataParallel and FullyShardedDataParallel leave no mark on a parameter, so all
    objects of the process are asked; without torch.distributed there is nothing to look for.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return None
    classes: list[type] = [torch.nn.parallel.DistributedDataParallel]
    fsdp: Any = sys.modules.get("torch.distributed.fsdp")  # imported by whoever has used it
    if fsdp is not None:
        classes.append(fsdp.FullyShardedDataParallel)
    ours = set(map(id, parameters))
    for candidate in gc.get_objects():
        for cls in classes:
            if issubclass(type(candidate), cls) and any(
                id(weight) in ours for weight in candidate.parameters()
            ):
                return cls.__name__
    return None
