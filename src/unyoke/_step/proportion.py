"""Which part of a weight a decay takes: found by trying its formula out.

Half-lives, averaging windows and torch's number have a meaning for decays that take a fixed part of
the weight. Of a decay that somebody has written only its formula tells whether it does.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch

from unyoke.equation import Decay, Hyperparameters
from unyoke.stages import arguments_of


class Proportion(NamedTuple):
    """What a proportional decay pulls.

    Attributes:
        share: of the weight's distance to the anchor, before ``strength`` multiplies it.
        to_zero: whether the anchor is 0.
    """

    share: float
    to_zero: bool


def proportion(decay: Decay, hyperparameters: Hyperparameters) -> Proportion | None:
    """Which part of what it pulls a decay's strength takes; None where that is no fixed part.

    The formula is tried out: on weights of many sizes, after 1 and 1,000 updates, with a new state
    and, if it asks for the step, with steps towards 0 and away from it. Decoupled L1, say, pulls by
    the same amount whatever the weight is.
    """
    try:
        return _found(decay, hyperparameters)
    except Exception:  # whatever a formula says to numbers that are of no model
        return None


def _found(decay: Decay, hyperparameters: Hyperparameters) -> Proportion | None:
    if decay.kind != "pull" or decay.scalars:
        return None
    with torch.device("cpu"):  # whatever torch's default is: numbers are needed
        found = {each for t in (1, 1000) for each in _tried(decay, t, hyperparameters)}
    takes = {each for each in found if each != _NOTHING}
    is_masked = "step" in decay.arguments
    return takes.pop() if len(takes) == 1 and (is_masked or takes == found) else None


def is_proportional(decay: Decay) -> bool:
    """Whether a decay takes a fixed part of the weight, or of its distance to an anchor."""
    try:
        return _is_proportional(decay)
    except Exception:  # asked again the next time: it may be torch's mode that has no numbers
        return False


@functools.lru_cache(maxsize=256)
def _is_proportional(decay: Decay) -> bool:
    return _found(decay, decay.defaults) is not None


_NOTHING = Proportion(0.0, to_zero=True)


def _tried(decay: Decay, t: int, hyperparameters: Hyperparameters) -> Iterator[Proportion | None]:
    """What a decay takes of some weights, several times; None where that is no fixed part."""
    given = {"t": t, "lr": 0.5, "eta": 0.25, **hyperparameters}
    names = arguments_of(decay.coefficients)
    coefficients = decay.coefficients(**{name: given[name] for name in names})
    sizes = 10.0 ** torch.linspace(-6, 4, 11, dtype=torch.float64)
    for scale, towards in itertools.product((1.0, 3.0), (1.0, -1.0)):
        weight = scale * torch.cat([sizes, -sizes])
        first = weight.roll(1)
        state = {name: decay.initial(name, first, hyperparameters) for name in decay.state}
        known = {**coefficients, **state, "step": towards * weight.sign()}

        def pulled(
            weight: torch.Tensor, known: Mapping[str, Any] = known
        ) -> tuple[torch.Tensor, ...]:
            values = {"weight": weight, **known}
            result = decay.formula(**{name: values[name] for name in decay.arguments})
            return tuple(map(torch.as_tensor, result if decay.state else (result,)))

        pull, *anchors = pulled(weight)
        if not anchors:  # a constant one is where nothing is pulled
            at_zero = pulled(torch.zeros_like(weight))[0].expand_as(weight)
            share = (pull - at_zero) / weight
            anchors = [torch.where(share == 0, 0.0, -at_zero / share)]
        distance = weight - anchors[0]
        share = (pull / distance).expand_as(weight)[distance.abs() > 1e-6 * weight.abs()]
        is_fixed = len(anchors) == 1 and torch.allclose(share, share[:1], rtol=1e-9, atol=0.0)
        to_zero = not decay.state and not bool(anchors[0].any())
        yield Proportion(float(f"{share[0]:.9g}"), to_zero) if is_fixed else None
