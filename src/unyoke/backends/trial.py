"""Whether a backend works on this machine, found out by making an update."""

from __future__ import annotations

import torch

from unyoke import decays, directions
from unyoke.backends.base import Backend, Work
from unyoke.equation import combine


def lacking(backend: Backend) -> str | None:
    """What stands against a backend here, as one line; None if it has made an update."""
    if (reason := backend.tried()) is not None:
        return reason
    rule = combine(directions.get("gradient"), decays.get("none"))
    device = "cuda" if backend.name == "gpu" else "cpu"
    weight, grad = torch.ones(100, device=device), torch.arange(1.0, 101.0, device=device)
    weight.grad = grad
    work = Work(rule, [weight], [{}], [{"lr": 0.25, "strength": 0.0}], updates=[1], numbers=[0])
    try:
        if (reason := backend.why_not(work)) is not None:
            return reason
        backend.step(work)
    except Exception as error:  # compilers raise what they like
        return f"{type(error).__name__}: {str(error).strip().split(chr(10))[0]}"
    if not torch.equal(weight, 1.0 - 0.25 * grad):
        return "an update came out wrong: please report it, with the versions of torch and numba"
    return None
