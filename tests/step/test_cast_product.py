"""A model that is cast between updates: every optimizer, state format, rounding and backend.

One story: float32, then ``double()``, ``bfloat16()`` and ``float()``, some updates after each. It
is told to each backend in the formats and to a twin in float64 by the definition, which is given
the same gradients and, as it is cast, weights rounded alike. The product is of the registries.
Compiling is most of the time, so kernels are made for one in so many of the stories.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import pytest
import torch
from pairs import COMPILED, STORIES
from torch import nn

import unyoke

pytestmark = pytest.mark.any_backend

SHAPE = (70, 64)  # enough for narrow state, and no whole number of 8-bit blocks to a row
UPDATES = 3
SLOW = [pytest.param(*each, marks=pytest.mark.slow) for each in STORIES if each not in COMPILED]
UNIT = 2.0**-8
"""Of bfloat16: half the distance between neighbours is at most this part of a number."""
KEPT = {"float32": 1e-3, "bfloat16": 2e-2, "int8": 0.1}
"""What a format of state costs, as a part of the way: the largest seen is half of it."""
MAGNIFIED = 2e-2
"""Newton-Schulz magnifies the last bits of what it is given; the largest seen is half of it."""


def draw(seed: int) -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def casts(rounding: str) -> list[torch.dtype]:
    """What the weights are cast to; in float64 none is rounded by chance, which is refused."""
    second = torch.float32 if rounding == "stochastic" else torch.float64
    return [torch.float32, second, torch.bfloat16, torch.float32]


def tell(
    name: str, backend: str, rounding: str, state_dtype: str = "float32", exact: bool = False
) -> list[torch.Tensor]:
    """The weights after each cast's updates; exactly, in float64 whatever they are cast to."""
    kept: Any = {} if exact else {"rounding": rounding, "state_dtype": state_dtype}
    model = nn.ParameterDict({"w": nn.Parameter(draw(0).double() if exact else draw(0))})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of one optimizer's own rates
        optimizer = unyoke.optimizers.ALL[name](
            model.named_parameters(), lr=0.02, backend=backend, **kept
        )
    found: list[torch.Tensor] = []
    for part, dtype in enumerate(casts(rounding)):
        if exact:
            model["w"].data = model["w"].data.to(dtype).double()
        else:
            model.to(dtype)
        for update in range(UPDATES):  # a gradient that stays, and noise: both need memory
            grad = (draw(1000) + 0.3 * draw(10 * part + update + 1)).to(dtype)
            model["w"].grad = grad.to(model["w"].dtype)
            optimizer.step()
        assert model["w"].dtype == (torch.float64 if exact else dtype)
        found.append(model["w"].detach().double().clone())
    assert optimizer.state[model["w"]]["step"] == 4 * UPDATES
    return found


@functools.cache
def exactly(name: str, is_stochastic: bool) -> list[torch.Tensor]:
    """The twin's, which has no format and no rounding but that of the casts."""
    return tell(name, "eager", "stochastic" if is_stochastic else "nearest", exact=True)


def size(x: torch.Tensor) -> float:
    return float(x.square().mean().sqrt())


def is_magnified(name: str) -> bool:
    direction, _ = unyoke.optimizers.ALL[name].composition
    return direction.stage is not None


def check(found: list[torch.Tensor], name: str, state_dtype: str, rounding: str) -> None:
    """Each part of the story is the twin's but for what the formats cost."""
    exact = exactly(name, rounding == "stochastic")
    cost = max(KEPT[state_dtype], MAGNIFIED * is_magnified(name))
    for part, (own, its) in enumerate(zip(found, exact, strict=True)):
        # The compensation keeps what bfloat16 cannot: it is there again when that is over
        rounded = 0 if part < 2 else 1.5 if part == 2 or rounding != "kahan" else 0.05
        allowed = cost * size(its - draw(0).double()) + rounded * UNIT * size(its)
        assert size(own - its) <= allowed, f"after cast {part}: {size(own - its)} > {allowed}"


@pytest.mark.parametrize(("name", "state_dtype", "rounding"), [*COMPILED, *SLOW])
def test_the_definition(name: str, state_dtype: str, rounding: str) -> None:
    check(tell(name, "eager", rounding, state_dtype), name, state_dtype, rounding)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "state_dtype", "rounding"), COMPILED)
def test_kernels(name: str, state_dtype: str, rounding: str) -> None:
    found = tell(name, "auto", rounding, state_dtype)
    check(found, name, state_dtype, rounding)
    try:
        named = tell(name, "cpu", rounding, state_dtype)
    except RuntimeError as error:
        if "no backend can run" not in str(error):
            raise
    else:
        assert all(map(torch.equal, found, named))
    defined = tell(name, "eager", rounding, state_dtype)
    for own, its in zip(found, defined, strict=True):  # a root's last bit may turn a few codes
        near = MAGNIFIED if is_magnified(name) else 1e-3
        assert size(own - its) <= near * size(its - draw(0).double()) + 0.1 * UNIT * size(its)


@pytest.mark.parametrize("name", unyoke.optimizers.ALL)
@pytest.mark.parametrize("backend", ["auto", "eager"])
def test_a_float64_weight_is_not_rounded_by_chance(name: str, backend: str) -> None:
    """Refused by name before anything changes; cast back, the weight goes on."""
    weight = nn.Parameter(draw(0))
    optimizer = unyoke.optimizers.ALL[name]([("w", weight)], rounding="stochastic", backend=backend)
    weight.data = weight.data.double()
    weight.grad = torch.ones_like(weight)
    with pytest.raises(ValueError, match=r"parameter 'w'.*float64"):
        optimizer.step()
    assert torch.equal(weight, draw(0).double())
    assert optimizer.param_groups[0]["updates"] == 0
    if backend == "eager":  # the other's kernels are above
        weight.grad, weight.data = None, weight.data.float()
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        assert optimizer.param_groups[0]["updates"] == 1
