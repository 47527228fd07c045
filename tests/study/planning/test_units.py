"""Usual axes follow from what α and λ of an optimizer are, which is tried."""

from __future__ import annotations

from typing import Any

import pytest

from unyoke import decays, directions, optimizers
from unyoke.equation import direction
from unyoke.primitives import sign
from unyoke.study.errors import StudyError
from unyoke.study.planning.defaults import full
from unyoke.study.planning.units import size_of_steps, unit_of_decay

DESCENT = {"gradient", "heavy_ball", "momentum", "nesterov", "schedule_free_sgd"}
OF_THEIR_OWN = {"lars", "adadelta", "adabayes"}
"""Steps in lengths of the weights, in sizes of earlier steps, and between SGD's and Adam's."""


@pytest.mark.parametrize("name", directions.names())
def test_every_direction_s_steps(name: str) -> None:
    expected = "gradient" if name in DESCENT else None if name in OF_THEIR_OWN else "rate"
    assert size_of_steps(directions.get(name)) == expected


def test_somebody_s_own_directions() -> None:
    @direction(coefficients=lambda lr: {"lr": lr})
    def signed(grad: Any, lr: Any) -> Any:
        return lr * sign(grad)

    @direction(coefficients=lambda lr: {"lr": lr})
    def cubed(grad: Any, lr: Any) -> Any:
        return lr * grad * grad * grad

    assert size_of_steps(signed) == "rate"
    assert size_of_steps(cubed) is None


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (("none", "l2", "l2_first_moment", "l2_second_moment"), "penalty"),
        (("decoupled", "cautious", "toward_initial", "toward_average"), "per update"),
        (("lr_coupled", "corrected", "constrained"), None),
    ],
)
def test_units_of_decays(rules: tuple[str, ...], expected: str | None) -> None:
    assert {unit_of_decay(decays.get(rule)) for rule in rules} == {expected}


def test_axes_of_optimizers() -> None:
    preset = full("digits")
    for name in ("AdEMAMixW", "NAdamW", "LionW", "RMSpropW"):
        assert preset.usual(name) == preset.axes("AdamW")
    assert preset.usual("RAdam") == preset.axes("Adam")
    with_axes = {name for name in optimizers.ALL if preset.usual(name) is not None}
    assert len(with_axes) >= 20
    with pytest.raises(StudyError, match="LarsW has no usual axes; give them"):
        preset.axes("LarsW")
