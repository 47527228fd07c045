"""State follows a weight that was cast, and what does not fit never reaches a kernel."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

import unyoke

CASTS = [
    (torch.bfloat16, torch.float32),
    (torch.float32, torch.bfloat16),
    (torch.float32, torch.float64),
    (torch.float64, torch.float16),
]
FORMATS: tuple[dict[str, Any], ...] = (
    {"rounding": "kahan"},
    {"state_dtype": "bfloat16", "rounding": "kahan"},
    {"state_dtype": "int8", "rounding": "kahan"},
    {"direction": "adam", "decay": "toward_average"},
    {"direction": "nd_adam", "decay": "none", "rounding": "kahan"},
    {"direction": "adam", "decay": "constrained"},
)
SHAPE = (70, 64)  # enough for narrow state, and no whole number of 8-bit blocks to a row


def optimizer_of(weight: nn.Parameter, settings: dict[str, Any], backend: str) -> unyoke.Optimizer:
    return unyoke.Optimizer([("w", weight)], lr=1e-2, backend=backend, **settings)


def walk(optimizer: unyoke.Optimizer, weight: nn.Parameter, first: int, updates: int) -> None:
    for t in range(first, first + updates):
        values = torch.randn(SHAPE, generator=torch.Generator().manual_seed(t))
        weight.grad = values.to(weight.dtype)
        optimizer.step()


def story(settings: dict[str, Any], before: torch.dtype, after: torch.dtype, backend: str) -> Any:
    """Some updates (so many that they are repeated in the short way), a cast, and some more."""
    start = torch.linspace(-1, 1, SHAPE[0] * SHAPE[1]).reshape(SHAPE)
    weight = nn.Parameter(start.to(before))
    optimizer = optimizer_of(weight, settings, backend)
    walk(optimizer, weight, 1, 8)
    weight.data = weight.data.to(after)  # what Module.to() does
    walk(optimizer, weight, 9, 8)
    return weight, optimizer.state[weight]


@pytest.mark.parametrize(("before", "after"), CASTS)
@pytest.mark.parametrize("settings", FORMATS, ids=str)
def test_state_is_cast_with_its_weight(
    settings: dict[str, Any], before: torch.dtype, after: torch.dtype
) -> None:
    weight, state = story(settings, before, after, "eager")
    wide = torch.promote_types(after, torch.float32)
    assert weight.isfinite().all()
    for name, value in state.items():
        if name == "compensation":
            assert value.dtype == after
        elif value.dim() and value.dtype not in (torch.bfloat16, torch.int8, torch.uint8):
            narrow = name.endswith("_scale")
            assert value.dtype == (torch.float32 if narrow else wide), name


@pytest.mark.parametrize(
    ("before", "after"),
    [pytest.param(*cast, marks=[] if cast == CASTS[0] else pytest.mark.slow) for cast in CASTS],
)
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(each, marks=pytest.mark.slow if "state_dtype" in each else [])
        for each in FORMATS[:4]
    ],
    ids=str,
)
def test_a_cast_weight_goes_on_in_compiled_code(
    settings: dict[str, Any], before: torch.dtype, after: torch.dtype
) -> None:
    """The cpu backend, told by name to do it or to raise, takes the same path as the definition."""
    weight, state = story(settings, before, after, "cpu")
    expected, its_state = story(settings, before, after, "eager")
    tolerance = 4 * torch.finfo(torch.promote_types(before, after)).eps
    tolerance = max(tolerance, 2e-5, 4 * torch.finfo(after).eps)
    torch.testing.assert_close(weight, expected, rtol=tolerance, atol=tolerance)
    assert {n: v.dtype for n, v in state.items()} == {n: v.dtype for n, v in its_state.items()}


def test_a_compensation_that_pays_back_still_does_after_a_cast() -> None:
    """1,024 decays of 2^-20 each: bfloat16 loses them all, their compensation none, cast or not."""
    weight = nn.Parameter(torch.ones(SHAPE, dtype=torch.bfloat16))
    optimizer = unyoke.SGDW([weight], lr=1.0, weight_decay=2.0**-20, rounding="kahan")
    for t in range(1024):
        if t == 512:
            weight.data = weight.data.float()
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
    total = weight.detach().double() + optimizer.state[weight]["compensation"].double()
    assert float(1 - total.mean()) == pytest.approx(2.0**-10, rel=0.01)


class TestEditedState:
    """What users put into the state is checked before the step changes anything."""

    @pytest.mark.parametrize("backend", ["eager", "auto", "cpu"])
    @pytest.mark.parametrize(
        ("name", "value", "says"),
        [
            ("compensation", torch.zeros(SHAPE, dtype=torch.int8), "compensation is torch.int8"),
            ("compensation", torch.zeros(3, 10), r"compensation has shape \(3, 10\).*\(70, 64\)"),
            ("compensation", torch.zeros(SHAPE).to_sparse(), "compensation has layout"),
            ("exp_avg", torch.zeros(2, 2), r"exp_avg has shape \(2, 2\)"),
            ("exp_avg", [0.0], "exp_avg is a list"),
            ("exp_avg", torch.zeros(SHAPE, dtype=torch.int64), "exp_avg is torch.int64"),
            ("exp_avg", torch.zeros(SHAPE, dtype=torch.int8), "exp_avg_scale' are missing"),
            ("exp_avg", torch.zeros(SHAPE, dtype=torch.complex64), "the weight is real"),
        ],
    )
    def test_what_does_not_fit_is_refused(
        self, name: str, value: Any, says: str, backend: str
    ) -> None:
        weight = nn.Parameter(torch.ones(SHAPE))
        optimizer = optimizer_of(weight, FORMATS[0], backend)
        walk(optimizer, weight, 1, 4)
        kept, before = optimizer.state[weight][name], weight.detach().clone()
        optimizer.state[weight][name] = value
        with pytest.raises(ValueError, match=f"parameter 'w' .*{says}"):
            walk(optimizer, weight, 5, 1)
        assert torch.equal(weight, before)
        assert optimizer.state[weight]["step"] == optimizer.param_groups[0]["updates"] == 4
        optimizer.state[weight][name] = kept
        walk(optimizer, weight, 5, 4)
        assert optimizer.state[weight]["step"] == 8

    def test_scales_with_gaps_between_them_go_to_eager(self) -> None:
        """They are right numbers in another layout, of which a kernel would read the wrong ones."""
        paths = []
        for gaps in (False, True):
            weight = nn.Parameter(torch.ones(SHAPE))
            optimizer = optimizer_of(weight, FORMATS[2], "auto")
            walk(optimizer, weight, 1, 3)
            state = optimizer.state[weight]
            if gaps:
                wide = torch.stack([state["exp_avg_scale"], torch.full((35,), 1e9)], dim=1)
                state["exp_avg_scale"] = wide[:, 0]
            walk(optimizer, weight, 4, 3)
            paths.append(weight.detach())
        torch.testing.assert_close(*paths)


class TestCheckpoints:
    """State of a checkpoint is cast to this model, or refused by name."""

    def saved(self, dtype: torch.dtype) -> Any:
        weight = nn.Parameter(torch.ones(SHAPE, dtype=dtype))
        optimizer = optimizer_of(weight, FORMATS[0], "auto")
        walk(optimizer, weight, 1, 5)
        return copy.deepcopy(optimizer.state_dict())

    @pytest.mark.parametrize(("before", "after"), CASTS)
    def test_of_a_model_of_another_dtype(self, before: torch.dtype, after: torch.dtype) -> None:
        weight = nn.Parameter(torch.ones(SHAPE, dtype=after))
        optimizer = optimizer_of(weight, FORMATS[0], "cpu")
        saved = self.saved(before)
        optimizer.load_state_dict(saved)
        found, theirs = optimizer.state[weight], saved["state"][0]
        assert found["compensation"].dtype == after
        assert found["exp_avg"].dtype == torch.promote_types(after, torch.float32)
        assert torch.equal(found["exp_avg"], theirs["exp_avg"].to(found["exp_avg"].dtype))
        walk(optimizer, weight, 6, 3)

    @pytest.mark.parametrize(
        ("value", "says"),
        [
            (torch.zeros(SHAPE, dtype=torch.int8), "compensation is torch.int8"),
            (torch.zeros(3, 10), r"compensation has shape \(3, 10\).*\(70, 64\)"),
            (torch.zeros(SHAPE).to_sparse(), "compensation has layout"),
        ],
    )
    def test_a_compensation_that_is_none(self, value: Any, says: str) -> None:
        saved = self.saved(torch.float32)
        saved["state"][0]["compensation"] = value
        weight = nn.Parameter(torch.ones(SHAPE))
        optimizer = optimizer_of(weight, FORMATS[0], "auto")
        with pytest.raises(ValueError, match=says):
            optimizer.load_state_dict(saved)
        walk(optimizer, weight, 1, 3)
