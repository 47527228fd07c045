"""Schedules against the oracle and against tables; restart boundaries; torch's LambdaLR."""

from __future__ import annotations

import copy
import inspect
import itertools
import pickle
from fractions import Fraction
from typing import Any

import oracle
import pytest
import torch
from following import parameter

import unyoke
from unyoke import schedules

pytestmark = pytest.mark.usefixtures("definition")

PAIRS: dict[str, list[tuple[Any, oracle.Schedule]]] = {
    "constant": [(schedules.constant(), oracle.constant())],
    "step_drops": [
        (schedules.step_drops(200), oracle.step_drops(200)),
        (
            schedules.step_drops(90, at=(0.07, 0.5), factor=0.3),
            oracle.step_drops(90, (0.07, 0.5), 0.3),
        ),
    ],
    "cosine": [(schedules.cosine(n), oracle.cosine(n)) for n in (1, 200, 317)],
    "warm_restarts": [
        (
            schedules.warm_restarts(first, growth, minimum),
            oracle.warm_restarts(first, growth, minimum),
        )
        for first, growth, minimum in [
            (13, 2, 0.0),
            (10, 1, 0.05),
            (7, 3, 0.0),
            (3, 10, 0.1),
            (5, 1.5, 0.0),
        ]
    ],
    "warmup": [
        (
            schedules.warmup(10, then=schedules.cosine(150)),
            oracle.warmup(10, oracle.cosine(150)),
        ),
        (
            schedules.warmup(0, then=schedules.warm_restarts(20)),
            oracle.warmup(0, oracle.warm_restarts(20)),
        ),
    ],
}
ALL = [pair for pairs in PAIRS.values() for pair in pairs]


def test_every_schedule_has_a_counterpart_in_the_oracle() -> None:
    defined = {
        name
        for name, value in vars(schedules).items()
        if inspect.isclass(value)
        and issubclass(value, schedules.Schedule)
        and not inspect.isabstract(value)
    }
    assert defined == set(PAIRS)


def name_of(schedule: Any) -> str:
    """The same in every process: a function's repr has its address."""
    function = getattr(schedule, "__qualname__", None)
    return repr(schedule) if function is None else f"oracle {function.split('.')[0]}"


@pytest.mark.parametrize(("ours", "expected"), ALL, ids=name_of)
class TestEverySchedule:
    def test_agrees_with_the_oracle(self, ours: Any, expected: oracle.Schedule) -> None:
        for t in range(500):
            assert ours(t) == pytest.approx(expected(t), rel=1e-12, abs=1e-15), t

    def test_is_pure_prints_itself_compares_and_pickles(
        self, ours: Any, expected: oracle.Schedule
    ) -> None:
        assert ours(50) == ours(50)
        names = vars(schedules)
        assert eval(repr(ours), dict(names)) == ours
        assert pickle.loads(pickle.dumps(ours)) == ours
        assert copy.deepcopy(ours) == ours

    def test_drives_lambda_lr(self, ours: Any, expected: oracle.Schedule) -> None:
        """torch counts updates made, as a schedule does: the schedule goes in as it is."""
        p = parameter()
        optimizer = unyoke.AdamW([p], lr=0.02, weight_decay=1e-3)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, ours)
        for t in range(40):
            lr = optimizer.param_groups[0]["lr"]
            assert lr == pytest.approx(0.02 * expected(t), rel=1e-12, abs=1e-18)
            p.grad = torch.ones_like(p)
            optimizer.step()
            scheduler.step()


@pytest.mark.parametrize(
    "schedule",
    [schedules.constant(), schedules.cosine(30), schedules.warm_restarts(10)],
    ids=repr,
)
def test_first_update_has_full_rate(schedule: Any) -> None:
    assert schedule(0) == 1.0


class TestLambdaLR:
    @pytest.mark.parametrize(("schedule", "_"), ALL, ids=name_of)
    def test_resumes_from_its_state_dict(self, schedule: Any, _: object) -> None:
        def make() -> tuple[Any, Any]:
            optimizer = unyoke.SGDW([parameter()], lr=0.1, weight_decay=1e-3)
            return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)

        def advance(optimizer: Any, scheduler: Any, updates: int) -> list[float]:
            rates = []
            for _ in range(updates):
                rates.append(optimizer.param_groups[0]["lr"])
                optimizer.step()
                scheduler.step()
            return rates

        whole = advance(*make(), 40)
        first, first_scheduler = make()
        advance(first, first_scheduler, 15)
        second, second_scheduler = make()
        second.load_state_dict(first.state_dict())
        second_scheduler.load_state_dict(first_scheduler.state_dict())
        assert advance(second, second_scheduler, 25) == whole[15:]


class TestRestarts:
    """Boundaries are decided in integers."""

    @pytest.mark.parametrize(
        ("first", "growth", "starts"),
        [
            (100, 1, [0, 100, 200, 300, 400]),
            (100, 2, [0, 100, 300, 700, 1500, 3100]),
            (100, 3, [0, 100, 400, 1300, 4000, 12100, 36400]),
            (10, 10, [0, 10, 110, 1110, 11110, 111110]),
            (10, 1.5, [0, 10, 25, 48, 82, 133]),  # 10, 15, 22.5 → 23, 33.75 → 34, 50.6 → 51
            (5, 1.7, [0, 5, 14, 28, 53]),  # 8.5 → 9: the decimal that was written, half up
            (5, Fraction(17, 10), [0, 5, 14, 28, 53]),
        ],
    )
    def test_table(self, first: int, growth: Any, starts: list[int]) -> None:
        η = schedules.warm_restarts(first, growth)
        assert [η.run(t).start for t in starts] == starts
        for start, following in itertools.pairwise(starts):
            length = following - start
            assert η.run(start) == η.run(following - 1) == (start, length)
            assert η(start) == 1.0
            if length > 1:
                assert 0.0 < η(following - 1) < η(start + 1) < 1.0

    def test_epoch_12100(self) -> None:
        """TRAPS 8: with T_0 = 100, T_mult = 3 torch gives the minimum at this exact restart."""
        p = parameter()
        broken = torch.optim.SGD([p], lr=1.0)
        cosine = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(broken, T_0=100, T_mult=3)
        broken.step()
        cosine.step(12100)
        assert broken.param_groups[0]["lr"] < 1e-6
        assert schedules.warm_restarts(100, 3)(12100) == 1.0

    @pytest.mark.parametrize("growth", [2, 3, 10])
    @pytest.mark.parametrize("first", [1, 7, 100])
    def test_exact_at_restarts_far_out(self, first: int, growth: int) -> None:
        η = schedules.warm_restarts(first, growth)
        start = 0
        for i in range(30):
            assert η(start) == 1.0
            assert η.run(start) == (start, first * growth**i)
            if start:
                assert η.run(start - 1).start < start
            start += first * growth**i

    def test_off_by_one_convention(self) -> None:
        """η_1 = 1, as at each restart; the last update of a run has the smallest η, not 0."""
        η = schedules.warm_restarts(4)
        quarter = 0.5 + 0.5 * 0.5**0.5
        expected = [1.0, quarter, 0.5, 1 - quarter, 1.0]
        assert [η(t) for t in range(5)] == pytest.approx(expected, rel=1e-12)

    def test_solutions_to_keep(self) -> None:
        assert schedules.warm_restarts(100).restarts(1500) == (100, 300, 700, 1500)

    def test_minimum_is_approached_and_never_passed(self) -> None:
        η = schedules.warm_restarts(50, 2, minimum=0.1)
        values = [η(t) for t in range(150)]
        assert max(values) == 1.0
        assert 0.1 < min(values) < 0.101


@pytest.mark.parametrize("updates", range(1, 60))
def test_drops_fall_on_the_written_fraction(updates: int) -> None:
    """Halves are decided on the decimal that was written: 0.575·100 is 57.5, in floats less."""
    for at in (0.3, 0.5, 0.57, 0.6, 0.8):
        ours, expected = (s(updates, at=(at,)) for s in (schedules.step_drops, oracle.step_drops))
        assert [ours(t) for t in range(updates)] == [expected(t) for t in range(updates)]


def test_a_drop_at_a_half_update() -> None:
    ours, expected = (s(100, at=(0.575,)) for s in (schedules.step_drops, oracle.step_drops))
    assert [ours(t) for t in range(100)] == [expected(t) for t in range(100)]


def test_schedules_end_where_their_budget_ends() -> None:
    assert schedules.cosine(10)(10) == schedules.cosine(10)(1000) == 0.0
    assert schedules.step_drops(10)(1000) == pytest.approx(1e-3)
    assert schedules.warmup(5, then=schedules.cosine(10)).budget == 15
    assert schedules.constant().budget is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: schedules.cosine(0),
        lambda: schedules.cosine(-1),
        lambda: schedules.cosine(1.5),
        lambda: schedules.cosine(True),
        lambda: schedules.cosine(float("nan")),
        lambda: schedules.warm_restarts(0),
        lambda: schedules.warm_restarts(10, growth=0.5),
        lambda: schedules.warm_restarts(10, growth=float("nan")),
        lambda: schedules.warm_restarts(10, growth=float("inf")),
        lambda: schedules.warm_restarts(10, minimum=-0.1),
        lambda: schedules.warm_restarts(10, minimum=1.0),
        lambda: schedules.step_drops(0),
        lambda: schedules.step_drops(10, at=(0.8, 0.3)),
        lambda: schedules.step_drops(10, at=(1.5,)),
        lambda: schedules.step_drops(10, factor=-1.0),
        lambda: schedules.warmup(-1, then=schedules.constant()),
        lambda: schedules.warmup(3, then=0.5),
    ],
)
def test_bad_input_is_refused_by_name(make: Any) -> None:
    with pytest.raises(ValueError, match=r"cosine|warm_restarts|step_drops|warmup"):
        make()


@pytest.mark.parametrize("eta", [float("nan"), float("inf"), -1.0])
def test_a_schedule_that_gives_no_rate_is_named_before_anything_moves(eta: float) -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = unyoke.AdamW([weight], schedule=lambda t: eta if t else 1.0)
    weight.grad = torch.ones(2)
    optimizer.step()
    before = weight.detach().clone()
    with pytest.raises(ValueError, match=r"gives .* at t=1.*finite numbers ≥ 0"):
        optimizer.step()
    assert torch.equal(weight, before)


def test_a_rate_that_is_no_number_is_refused_also_if_it_was_written_into_a_group() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = unyoke.AdamW([weight])
    for _ in range(3):  # the third replays
        weight.grad = torch.ones(2)
        optimizer.step()
    before = weight.detach().clone()
    for lr in (float("nan"), float("inf"), -1.0):
        optimizer.param_groups[0]["lr"] = lr
        with pytest.raises(ValueError, match="learning rate"):
            optimizer.step()
    assert torch.equal(weight, before)
