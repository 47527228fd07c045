"""Eager on tensors of another device, on machines without one.

Tensors on "meta" have no numbers, and refuse to be mixed with the host's as those of a GPU do.
"""

from __future__ import annotations

import pytest
import torch

from unyoke import backends, decays, directions
from unyoke.backends import Work
from unyoke.equation import combine
from unyoke.storage import formats
from unyoke.storage.formats import Rounding, StateDtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rounding", ["nearest", "kahan", "stochastic"])
@pytest.mark.parametrize("state_dtype", [torch.float32, torch.bfloat16, "int8"])
@pytest.mark.parametrize("direction", ["adam", "lion"])
def test_every_format_stays_on_the_parameters_device(
    direction: str, state_dtype: StateDtype, rounding: Rounding, dtype: torch.dtype
) -> None:
    rule = combine(directions.get(direction), decays.get("decoupled"))
    group = {**rule.defaults, "state_dtype": formats.check_state_dtype(state_dtype)}
    coefficients = rule.coefficients(1, 1.0, 0.01, {**group, "weight_decay": 0.001})
    weight = torch.empty(100, 80, device="meta", dtype=dtype)
    state = formats.allocate(rule, rule.initial(weight, group), group)
    if rounding == "kahan":
        state[formats.COMPENSATION] = torch.zeros_like(weight)
    work = Work(rule, [weight], [state], [coefficients], rounding=rounding)
    work.updates, work.numbers = [1], [0]
    work.given_grads = [torch.empty_like(weight)]
    backends.ALL["eager"].step(work)
    assert {tensor.device.type for tensor in state.values()} == {"meta"}
