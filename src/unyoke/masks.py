"""Masks on steps: any direction, moving only where the newest gradient agrees, or its way.

A mask looks at what a direction would do and at the gradient of this update, and leaves the
direction's state alone. It is no decay rule: ``decay="cautious"`` asks whether the step moves a
weight towards 0, ``cautious_adam`` whether it goes down the gradient; one goes with the other.

The name of a masked direction is that of the mask and that of the direction, ``cautious_lion`` or
``grams_heavy_ball``, and :func:`unyoke.directions.get` knows all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from unyoke.primitives import absolute, sign, where
from unyoke.slots import Direction
from unyoke.stages import Formula, Norms, arguments_of, from_text

LEAST = 1e-3
"""The share of agreeing elements that a cautious step is divided by at least; the authors'."""


def _agreeing(step: Any, grad: Any) -> Any:
    """φ: 1 where the step goes down the gradient, else 0."""
    # Not step·grad > 0: a product of small numbers is 0 in float32
    agrees = ((step > 0) & (grad > 0)) | ((step < 0) & (grad < 0))
    return where(agrees, absolute(sign(step)), 0.0)  # 1 in the step's dtype


def _terms(step: Any, grad: Any) -> tuple[Any]:
    return (_agreeing(step, grad),)


def _down(step: Any, grad: Any, agreeing_share: Any) -> Any:
    """The step where it goes down the gradient, divided by the share of such elements."""
    return step * (_agreeing(step, grad) / agreeing_share)


def _share(agreeing_norm: Any, elements: Any) -> Any:
    """max(mean φ, 0.001), of the root of Σφ²."""
    mean = agreeing_norm * agreeing_norm / elements
    return where(mean < LEAST, LEAST, mean)


def _down_of_tensor(step: Any, grad: Any) -> Any:
    """The same, of a whole tensor."""
    return _down(step, grad, _share(_agreeing(step, grad).norm(), step.numel()))


def _along(step: Any, grad: Any) -> Any:
    """The step's size, in the direction of the gradient."""
    return absolute(step) * sign(grad)


def cautious(direction: Direction) -> Direction:
    """A direction that moves only where its step and the newest gradient have the same sign.

    φ = [step·g_t > 0] ;  step' = step·φ / max(mean φ, 0.001), the mean over the tensor's elements

    Of a direction whose own step needs norms or matrices it runs in eager and compile only.

    Args:
        direction: any but those that keep weights on a sphere.

    Raises:
        ValueError: such a direction.

    Source: Liang et al., arXiv 2411.16085, and the authors' code for the least mean. Departures:
    the mask compares with the direction's whole step, the authors' with its momentum, which has the
    same sign in AdamW and Lion.

    >>> from unyoke import directions
    >>> directions.cautious(directions.lion)
    <direction cautious_lion>
    """
    changed: dict[str, Any] = {"scope": "tensor", "skips_zeros": False}
    if direction.scope == "tensor":
        return _masked("cautious", direction, _down_of_tensor, _AGREEING, changed)
    changed["norms"] = Norms(_joined("agreeing", direction, _terms), _share, "agreeing_share")
    return _masked("cautious", direction, _down, _AGREEING, changed)


def grams(direction: Direction) -> Direction:
    """A direction whose step has the size that it had and the sign of the newest gradient.

    step' = |step|·sign(g_t)

    Args:
        direction: any but those that keep weights on a sphere.

    Raises:
        ValueError: such a direction.

    Source: Cao, Li & Song, arXiv 2412.17107, for Adam's step; the rule is the same for any.

    >>> from unyoke import directions
    >>> directions.grams(directions.adam)
    <direction grams_adam>
    """
    return _masked("grams", direction, _along, _ALONG, {})


MODULE = "unyoke.directions.masked"
"""Where pickle finds masked directions of this library by name."""

MASKS: Mapping[str, Callable[[Direction], Direction]] = {"cautious": cautious, "grams": grams}
"""By the first word of a masked direction's name."""


def split(name: str) -> tuple[str, str] | None:
    """The mask and the direction that a name is made of; None if it begins with no mask's."""
    mask, _, direction = name.partition("_")
    return (mask, direction) if mask in MASKS and direction else None


_AGREEING = """only where it goes down the newest gradient.

φ = [step·g_t > 0] ;  step' = step·φ / max(mean φ, 0.001), the mean over the tensor's elements

Source: Liang et al., arXiv 2411.16085.
"""
_ALONG = """with the sign of the newest gradient.

step' = |step|·sign(g_t)

Source: Cao, Li & Song, arXiv 2412.17107.
"""


def _masked(
    word: str, direction: Direction, mask: Formula, text: str, changed: Mapping[str, Any]
) -> Direction:
    """The direction of the joined formula; the rest is as it was, but for ``changed``."""
    name = f"{word}_{direction.name}"
    if direction.no_decay:
        raise ValueError(
            f"{name} has no meaning: direction {direction.name!r} has no decay because "
            f"{direction.no_decay}, and a masked step would not keep it"
        )
    formula = _joined(name, direction, mask, *direction.moments)
    changed = {"stage": None, "norms": None, "averages": False, **changed}
    result = replace(direction, name=name, formula=formula, **changed)
    own = not direction.__module__.startswith("unyoke.")
    text = f"The step of {direction.name} {text.strip()}"
    # it is frozen
    vars(result).update(__doc__=text, __module__=direction.__module__ if own else MODULE)
    return result


def _joined(name: str, direction: Direction, mask: Formula, *results: str) -> Formula:
    """The formula that asks the direction's, its norms and its stage, and masks the step.

    It takes what the mask takes beside step and gradient too, and gives back the masked step and
    ``results``.
    """
    stage, norms, masked = direction.stage, direction.norms, arguments_of(mask)
    more = () if stage is None else (*stage.state, *stage.coefficient_names)
    rest = () if norms is None else norms.arguments
    given = dict.fromkeys((*direction.arguments, *more, *rest, *masked[2:]))
    if norms is not None:
        del given[norms.name]
    result = ", ".join((f"mask({', '.join(masked)})", *results))
    lines = (f"def {name}({', '.join(given)}):", *direction.lines(), f"    return {result}")
    filename = f"<unyoke {name} {id(direction):x}>"
    names = {**direction.functions, "mask": mask}
    return from_text(name, "\n".join(lines) + "\n", filename, names)
