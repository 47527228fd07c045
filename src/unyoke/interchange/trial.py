"""Whether a decay can follow an optimizer of another library: found out on weights of our own.

Under a zero gradient the weight must stay where it is, or the optimizer still decays; and where it
is put, or the optimizer forms it anew from a second copy, which a decay of the weight alone does
not reach: float32 master weights, schedule-free's z, MADGRAD's x0 and z, Lookahead's slow weights.
And a small decay may not change what steps are made under one gradient, or the optimizer finds its
rate by how far the weights have come, as Prodigy does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch

STEPS = 12
"""Steps of a trial: twice as many as Lookahead's usual 5 or 6 between two looks at its copy."""

FAR = 60
"""Steps in which an estimate of the distance to go, Prodigy's or D-Adaptation's, has grown."""

SHORT = (torch.bfloat16, torch.float16)
"""Dtypes for which some optimizers keep a longer copy, and for others none."""


def check_inner(
    cls: type[torch.optim.Optimizer], parameters: Any, arguments: dict[str, Any], *, stays: bool
) -> None:
    """Refuse an optimizer that moves a weight under a zero gradient, or takes back a decay of it.

    Args:
        cls: its class.
        parameters: what it is to be made with, for the number of dimensions and the dtype.
        arguments: the others, with its decay turned off.
        stays: whether to refuse one that moves the weight by itself.

    Raises:
        ValueError: it does.
    """
    first = _first_tensor(parameters)
    if first is None:
        return  # the constructor will say so
    for dtype in (torch.float64, *(short for short in SHORT if first.dtype == short)):
        weight = torch.ones((2,) * first.dim(), dtype=dtype)
        with torch.random.fork_rng(devices=[]):
            walk = _walk(cls, weight, arguments, 0.0, [1.0] * (STEPS + 1))
            moved = _largest(weight - 1.0 for weight, _ in walk)
            if moved > 0:
                if not stays:
                    return
                raise ValueError(
                    f"{cls.__name__} moves weights under a zero gradient (by {moved:.2g} of "
                    f"them in {STEPS + 1} steps) although its weight_decay is 0, so it decays in "
                    "another way. Say what turns that off, as in decouple(cls, off={'lambd': 0}), "
                    "or off={} to take it as it is"
                )
            walk = _walk(cls, weight, arguments, 0.0, [0.5] + [1.0] * STEPS)
            back = _largest(weight - 0.5 for weight, _ in walk)
        if back > 0:
            raise ValueError(
                f"decouple: {cls.__name__} keeps a second copy of the weights and forms them anew "
                f"from it: of a weight of {dtype} that was halved between two steps, {STEPS} steps "
                f"with a zero gradient have taken back {back / 0.5:.0%}. A decay after its step "
                "would be lost so. Use its own weight_decay, or off={} to take it as it is"
            )
    _check_steps(cls, first, arguments)


def _check_steps(
    cls: type[torch.optim.Optimizer], first: torch.Tensor, arguments: dict[str, Any]
) -> None:
    """Refuse an optimizer whose steps a small decay makes ten times smaller.

    Raises:
        ValueError: it is one.
    """
    sizes = []
    for kept in (1.0, 0.999):
        weight = torch.ones((2,) * first.dim(), dtype=torch.float64)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            steps = [step for _, step in _walk(cls, weight, arguments, -1.0, [kept] * FAR)]
        sizes.append(float(steps[-1].norm()) if len(steps) == FAR else 0.0)
    alone, beside = sizes
    if alone > 10.0 * beside:
        raise ValueError(
            f"decouple: {cls.__name__} finds its rate by how far the weights have come, which a "
            f"decay hides: after {FAR} steps under one gradient its step was {alone:.2g}, and with "
            f"a decay of 0.001 per update {beside:.2g}. Use its own weight_decay, or off={{}} to "
            "take it as it is"
        )


def _first_tensor(parameters: Any) -> torch.Tensor | None:
    one = isinstance(parameters, torch.Tensor)
    first = parameters if one else next(iter(parameters), None)
    while isinstance(first, (dict, tuple, list)):
        first = next(iter(first["params"]), None) if isinstance(first, dict) else first[-1]
    return first if isinstance(first, torch.Tensor) else None


def _walk(
    cls: Any, first: torch.Tensor, arguments: dict[str, Any], grad: float, factors: Iterable[float]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """A weight that is multiplied after each step, and the step itself, as far as it goes.

    Args:
        cls: the optimizer's class.
        first: the weight before its first step.
        arguments: of the class.
        grad: each element of the gradient; below 0, a step goes away from 0, as no decay does.
        factors: what the weight is multiplied by, one for each step.
    """
    weight = torch.nn.Parameter(first.clone())
    weight.grad = torch.full_like(first, grad)
    try:
        optimizer = cls([weight], **arguments)
        if callable(train := getattr(optimizer, "train", None)):
            train()  # schedule-free ones refuse a step without it
        for factor in factors:
            before = weight.detach().clone()
            optimizer.step()
            step = weight.detach() - before
            weight.data.mul_(factor)
            yield weight.detach().double(), step
    except Exception:
        return  # needs a closure, a device or sparse gradients: not known


def _largest(differences: Iterator[torch.Tensor]) -> float:
    """The largest finite difference."""
    sizes = [float(difference.abs().max()) for difference in differences]
    return max((size for size in sizes if size < float("inf")), default=0.0)
