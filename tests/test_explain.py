"""explain(): what the decay amounts to, against what the optimizer then does."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import unyoke
from unyoke import schedules
from unyoke._step import proportion
from unyoke.equation import decay, direction
from unyoke.primitives import sign, where


def weights(dtype: torch.dtype = torch.float64, numel: int = 6) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.linspace(1, 2, numel, dtype=torch.float64).to(dtype))


def taken(optimizer: torch.optim.Optimizer, updates: int) -> float:
    """The mean part of each weight that so many updates without gradient take."""
    (p,) = optimizer.param_groups[0]["params"]
    start = p.detach().double().clone()
    p.grad = torch.zeros_like(p)
    for _ in range(updates):
        optimizer.step()
    return float((1 - p.detach().double() / start).mean())


def taken_from(optimizer: torch.optim.Optimizer) -> float:
    return float(optimizer.param_groups[0]["params"][0].detach()[0])


def _lasso(weight: Any) -> Any:
    """Decoupled L1: pull = sign(θ)."""
    return sign(weight)


KEEP: dict[str, Any] = {"coefficients": lambda keep: {"keep": keep}, "defaults": {"keep": 0.3}}
SHRINKING: dict[str, Any] = {"coefficients": lambda t: {"shrinking": 1.0 / t}}
ANCHOR: dict[str, Any] = {
    "state": ("first",),
    "initial": lambda name, weight, group: weight.clone(),
}

RULES: list[tuple[str, float]] = [("decoupled", 3e-3), ("lr_coupled", 0.15), ("corrected", 0.15)]
SCHEDULES = [None, schedules.cosine(50), schedules.warm_restarts(8), schedules.step_drops(50)]


@pytest.mark.parametrize(("decay", "weight_decay"), RULES)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_says_what_the_optimizer_then_does(decay: str, weight_decay: float, schedule: Any) -> None:
    """Now, and over a budget that begins in the middle of a schedule."""
    optimizer = unyoke.AdamW(
        [weights()],
        lr=0.02,
        weight_decay=weight_decay,
        decay=decay,
        schedule=schedule,
        backend="eager",
    )
    taken(optimizer, 10)
    found = optimizer.explain(updates=30).groups[0]
    assert found.per_update is not None
    assert found.per_update > 1e-5
    assert taken(optimizer, 1) == pytest.approx(found.per_update, rel=1e-9)
    optimizer.load_state_dict(optimizer.state_dict())
    rest = optimizer.explain(updates=29).groups[0].cumulative
    assert rest is not None
    whole = 1 - (1 - found.per_update) * (1 - rest)
    assert found.cumulative == pytest.approx(whole, rel=1e-9)
    assert taken(optimizer, 29) == pytest.approx(rest, rel=1e-9)


def test_half_life_and_window_are_what_they_say() -> None:
    optimizer = unyoke.SGDW([weights()], weight_decay=0.009, backend="eager")
    found = optimizer.explain(updates_per_epoch=10).groups[0]
    assert found.half_life is not None
    assert found.half_life_epochs == pytest.approx(found.half_life / 10)
    assert found.window == pytest.approx(1 / 0.009)
    assert found.window_epochs == pytest.approx(100 / 9)
    left = 1 - taken(optimizer, round(found.half_life))
    assert left == pytest.approx(0.5, abs=0.009)


def test_follows_normalized_decay_under_restarts() -> None:
    optimizer = unyoke.SGDW(
        [weights()],
        weight_decay=unyoke.normalized(0.01),
        schedule=schedules.warm_restarts(5),
        backend="eager",
    )
    expected = optimizer.explain(updates=35).groups[0].cumulative
    assert taken(optimizer, 35) == pytest.approx(expected, rel=1e-9)


def test_a_scheduler_of_torch_s_is_read_where_it_stands() -> None:
    optimizer = unyoke.AdamW([weights()], lr=0.1, weight_decay=1e-3)
    optimizer.param_groups[0]["lr"] = 0.025
    found = optimizer.explain(updates=7).groups[0]
    assert (found.eta, found.per_update) == (0.25, pytest.approx(2.5e-4))
    assert found.cumulative == pytest.approx(1 - (1 - 2.5e-4) ** 7)


@pytest.mark.parametrize(("decay", "weight_decay"), RULES[:2])
def test_torch_s_number_is_torch_s(decay: str, weight_decay: float) -> None:
    """Given to torch's AdamW at the same rate, it takes the same."""
    ours = unyoke.AdamW([weights()], lr=0.02, weight_decay=weight_decay, decay=decay)
    number = ours.explain().groups[0].torch_weight_decay
    assert number is not None
    theirs = torch.optim.AdamW([weights()], lr=0.02, weight_decay=number)
    assert taken(theirs, 3) == pytest.approx(taken(ours, 3), rel=1e-9)


def test_the_budget_is_the_schedule_s_by_default() -> None:
    optimizer = unyoke.SGDW(
        [weights()], weight_decay=1e-3, schedule=schedules.cosine(20), backend="eager"
    )
    taken(optimizer, 5)
    assert optimizer.explain().updates == 15
    assert unyoke.SGDW([weights()]).explain().updates is None
    assert unyoke.SGDW([weights()]).explain().groups[0].cumulative is None


class TestRounding:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
    def test_the_flag_is_what_happens(self, dtype: torch.dtype) -> None:
        """Weights between 1 and 2, of which every one, some or none ignores the decay."""
        eps = torch.finfo(dtype).eps
        for λ, flag in ((eps / 4.1, "all"), (eps / 2.5, "partly"), (eps * 0.9, "none")):
            p = weights(dtype, 500)
            before = p.detach().clone()
            optimizer = unyoke.SGDW([p], weight_decay=λ, backend="eager")
            assert optimizer.explain().groups[0].lost == flag
            taken(optimizer, 1)
            ignored = float((p.detach() == before).float().mean())
            assert {"all": ignored == 1.0, "partly": 0 < ignored < 1, "none": ignored < 0.01}[flag]

    @pytest.mark.parametrize("rounding", ["kahan", "stochastic"])
    def test_nothing_is_lost_with_a_rounding_that_keeps_it(self, rounding: Any) -> None:
        optimizer = unyoke.SGDW([weights(torch.float32)], weight_decay=1e-9, rounding=rounding)
        found = optimizer.explain(updates=10).groups[0]
        assert (found.lost, found.updates_lost, found.note) == ("none", 0, "")

    def test_updates_at_the_end_of_a_cosine_are_counted(self) -> None:
        optimizer = unyoke.AdamW(
            [weights(torch.float32)], weight_decay=1e-6, schedule=schedules.cosine(1000)
        )
        found = optimizer.explain().groups[0]
        eta, bound = schedules.cosine(1000), torch.finfo(torch.float32).eps / 4
        assert found.updates_lost == sum(eta(t) * 1e-6 <= bound for t in range(1000))
        assert found.updates_lost > 50
        assert found.lost == "none"
        decay = [eta(t) * 1e-6 for t in range(1000)]
        assert found.lost_share is not None
        least = sum(part for part in decay if part <= bound) / sum(decay)
        most = sum(part for part in decay if part <= 2 * bound) / sum(decay)
        assert least < found.lost_share < most < 0.01
        assert found.note == ""

    @pytest.mark.parametrize("updates", [180, 3_000])
    def test_a_cosine_s_end_is_no_alarm(self, updates: int) -> None:
        optimizer = unyoke.AdamW(
            [weights(torch.float32)],
            lr=3e-4,
            weight_decay=1.5e-5,
            schedule=schedules.cosine(updates),
        )
        assert "rounding" not in str(optimizer.explain())

    @pytest.mark.parametrize(("part", "words"), [(1e-3, "all of"), (3e-3, "38 % of")])
    def test_what_matters_is_an_alarm(self, part: float, words: str) -> None:
        """In bfloat16; the share is that of weights spread over many sizes."""
        p = torch.nn.Parameter(torch.logspace(-4, 4, 4001, base=2).bfloat16())
        before = p.detach().clone()
        optimizer = unyoke.SGDW([p], weight_decay=part, backend="eager")
        found = optimizer.explain(updates=10).groups[0]
        assert words in found.note
        taken(optimizer, 1)
        ignored = float((p.detach() == before).float().mean())
        assert found.lost_share == pytest.approx(ignored, abs=0.02)

    def test_float64_loses_nothing_that_matters(self) -> None:
        assert unyoke.AdamW([weights()], weight_decay=1e-12).explain().groups[0].lost == "none"


class TestRules:
    @pytest.mark.parametrize("decay", ["l2", "l2_first_moment", "constrained"])
    def test_no_fixed_part_where_there_is_none(self, decay: str) -> None:
        found = unyoke.AdamW([weights()], decay=decay).explain(updates=5).groups[0]
        assert found.per_update is found.cumulative is found.half_life is found.window is None
        assert "no fixed part" in found.note

    def test_none_cautious_and_anchors_say_what_they_are(self) -> None:
        notes = {
            decay: unyoke.AdamW([weights()], decay=decay).explain().groups[0].note
            for decay in ("none", "cautious", "toward_initial")
        }
        assert notes["none"] == "no decay"
        assert "at most" in notes["cautious"]
        assert "anchor" in notes["toward_initial"]

    def test_torch_has_no_number_for_anchors_masks_and_l1(self) -> None:
        lasso = decay()(_lasso)
        for rule in ("toward_initial", "toward_average", "cautious", lasso, "l2", "none"):
            optimizer = unyoke.SGDW([weights()], weight_decay=1e-3, decay=rule)
            assert optimizer.explain(updates=5).groups[0].torch_weight_decay is None, rule
            assert "torch's" not in str(optimizer.explain(updates=5))

    @pytest.mark.parametrize(
        ("formula", "more", "share", "note"),
        [
            (lambda weight: 0.5 * weight, {}, 0.5, ""),
            (lambda weight: weight - 1.0, {}, 1.0, "anchor"),
            (lambda weight, keep: keep * weight, KEEP, 0.3, ""),
            (lambda weight, step: where(step * weight >= 0, weight, 0.0), {}, 1.0, "at most"),
            (lambda weight, step: where(step * weight >= 0, sign(weight), 0.0), {}, None, "else"),
            (lambda weight: torch.clamp(weight, -10.0, 10.0), {}, None, "else"),
            (lambda weight, shrinking: shrinking * weight, SHRINKING, None, "else"),
            (lambda weight, first: (sign(weight - first), first), ANCHOR, None, "else"),
            (lambda weight, first: (0.1 * (weight - first), first), ANCHOR, 0.1, "anchor"),
        ],
    )
    def test_a_decay_of_ones_own_is_tried_out(
        self, formula: Any, more: dict[str, Any], share: float | None, note: str
    ) -> None:
        formula.__name__ = "own"
        optimizer = unyoke.SGDW([weights()], weight_decay=2e-3, decay=decay(**more)(formula))
        found = optimizer.explain(updates=3).groups[0]
        assert found.per_update == (None if share is None else pytest.approx(2e-3 * share))
        assert (found.half_life is None) == (share is None)
        assert note in found.note
        has_torch = share is not None and not note
        assert (found.torch_weight_decay is not None) == has_torch

    def test_l2_of_a_direction_that_is_called_like_one_of_sgd(self) -> None:
        def nesterov(grad: Any, lr: Any) -> Any:
            return lr * grad

        own = direction(coefficients=lambda lr: {"lr": lr})(nesterov)
        optimizer = unyoke.Optimizer([weights()], direction=own, decay="l2", weight_decay=0.1)
        assert optimizer.explain().groups[0].steady_state is None

    def test_a_rule_that_takes_no_part_says_so(self) -> None:
        optimizer = unyoke.SGDW([weights()], weight_decay=1e-3, decay=decay()(_lasso))
        found = optimizer.explain(updates=693).groups[0]
        assert found.per_update is found.cumulative is found.half_life is found.window is None
        assert "something else than the weight" in found.note

    @pytest.mark.parametrize(
        ("direction", "more"),
        [
            ("gradient", {}),
            ("momentum", {"momentum": 0.8}),
            ("momentum", {"momentum": 0.8, "dampening": 0.5}),
            ("nesterov", {"momentum": 0.8}),
            ("heavy_ball", {"momentum": 0.8}),
        ],
    )
    def test_the_steady_state_of_sgd_with_l2(self, direction: str, more: dict[str, Any]) -> None:
        optimizer = unyoke.Optimizer(
            [weights()],
            lr=1e-3,
            weight_decay=0.2,
            decay="l2",
            direction=direction,
            backend="eager",
            **more,
        )
        found = optimizer.explain(updates=300).groups[0]
        assert found.steady_state is not None
        assert found.per_update is None
        taken(optimizer, 100)  # until the buffer has filled
        before = taken_from(optimizer)
        taken(optimizer, 300)
        shrunk = 1 - taken_from(optimizer) / before
        assert shrunk == pytest.approx(found.cumulative, rel=0.01)  # to first order in lr·λ′
        assert "steady state" in str(optimizer.explain())

    def test_adam_with_l2_has_no_steady_state_that_is_known(self) -> None:
        assert unyoke.Adam([weights()], weight_decay=0.1).explain().groups[0].steady_state is None

    def test_zero(self) -> None:
        found = unyoke.AdamW([weights()], weight_decay=0.0).explain(updates=5).groups[0]
        assert (found.per_update, found.cumulative, found.window) == (0.0, 0.0, None)
        assert found.half_life == math.inf
        assert "never" in str(found)

    def test_all_of_it(self) -> None:
        optimizer = unyoke.AdamW([weights()], weight_decay=lambda t: 1.0)
        found = optimizer.explain(updates=2).groups[0]
        assert (found.cumulative, found.half_life) == (1.0, 1.0)


def test_groups_are_explained_each() -> None:
    p, q = weights(), weights(torch.bfloat16, 40)
    optimizer = unyoke.AdamW(
        [{"params": [p]}, {"params": [q], "lr": 0.1, "decay": "none"}], weight_decay=1e-5
    )
    one, two = optimizer.explain().groups
    assert (one.parameters, two.parameters) == (6, 40)
    assert (one.decay, two.decay, two.lr, two.dtype) == ("decoupled", "none", 0.1, torch.bfloat16)


def test_prints_for_people() -> None:
    optimizer = unyoke.AdamW([weights(torch.bfloat16)], weight_decay=1e-5)
    text = str(optimizer.explain(updates=1000, updates_per_epoch=100))
    for part in ("over the next 1,000 updates", "69,314 updates, 693.1 epochs", "0.01", "kahan"):
        assert part in text


@pytest.mark.parametrize(
    "arguments",
    [{"updates": 0}, {"updates": 2.5}, {"updates_per_epoch": 0}, {"updates_per_epoch": math.nan}],
)
def test_bad_input(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        unyoke.AdamW([weights()]).explain(**arguments)


def test_a_large_decay_is_warned_of_whatever_torchs_default_device_is() -> None:
    """What a decay takes is found by numbers, and on meta there are none."""
    weight = torch.nn.Parameter(torch.ones(2))
    proportion._is_proportional.cache_clear()
    with torch.device("meta"), pytest.warns(UserWarning, match="per update"):
        unyoke.AdamW([weight], weight_decay=0.05)
    with torch.device("meta"):
        found = unyoke.AdamW([weight], weight_decay=1e-3).explain().groups[0]
    assert found.per_update == pytest.approx(1e-3)
