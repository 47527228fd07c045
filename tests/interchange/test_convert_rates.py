"""from_torch where rates move: schedulers, rates in tensors, and what lr stood at."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from continuing import assert_close, from_torch, make, moved, parameters, walk, weights
from torch.optim import lr_scheduler

import unyoke
from unyoke import schedules


class TestRates:
    """What α is; and that nothing but the number shown depends on it."""

    def test_lambda_is_lr_times_weight_decay(self) -> None:
        group = from_torch(torch.optim.AdamW(parameters(), lr=3e-3)).param_groups[0]
        assert group["weight_decay"] == pytest.approx(3e-5)
        assert group["decay"] == "decoupled"
        coupled = from_torch(torch.optim.AdamW(parameters()), decay="lr_coupled")
        assert coupled.param_groups[0]["weight_decay"] == 0.01

    def test_a_large_lambda_from_torch_is_no_mistake(self) -> None:
        """No warning: warnings are errors here."""
        ours = from_torch(torch.optim.AdamW(parameters(), lr=0.5, weight_decay=0.1))
        assert ours.param_groups[0]["weight_decay"] == pytest.approx(0.05)

    @pytest.mark.parametrize("decay", ["decoupled", "lr_coupled"])
    @pytest.mark.parametrize("base_lr", [None, 0.02, 7.0])
    def test_any_alpha_makes_the_same_run(self, decay: Any, base_lr: float | None) -> None:
        whole, first = make("AdamW"), make("AdamW")
        walk(whole, 1, 30, moved(whole, 0.9))
        walk(first, 1, 10, moved(first, 0.9))
        ours = from_torch(first, base_lr=base_lr, decay=decay)
        expected = 0.02 * 0.9**10 if base_lr is None else base_lr
        assert ours.param_groups[0]["base_lr"] == pytest.approx(expected)
        walk(ours, 11, 30, moved(ours, 0.9))
        assert_close(weights(ours), weights(whole), 1e-12)

    def test_a_scheduler_s_initial_lr_is_alpha(self) -> None:
        first = make("AdamW")
        scheduler = lr_scheduler.ExponentialLR(first, 0.5)
        walk(first, 1, 3, scheduler.step)
        group = from_torch(first).param_groups[0]
        assert (group["lr"], group["base_lr"]) == (0.02 / 8, 0.02)
        assert group["weight_decay"] == pytest.approx(0.002)

    @pytest.mark.parametrize(
        "build",
        [
            lambda o, k: lr_scheduler.LambdaLR(o, schedules.cosine(40), last_epoch=k),
            lambda o, k: lr_scheduler.StepLR(o, 7, last_epoch=k),
            lambda o, k: lr_scheduler.OneCycleLR(
                o, max_lr=0.1, total_steps=60, cycle_momentum=False, last_epoch=k
            ),
        ],
        ids=["LambdaLR", "StepLR", "OneCycleLR"],
    )
    def test_a_scheduler_is_built_again_and_goes_on(self, build: Any) -> None:
        whole, first = make("AdamW"), make("AdamW")
        walk(whole, 1, 30, build(whole, -1).step)
        old = build(first, -1)
        walk(first, 1, 10, old.step)
        ours = from_torch(first)
        new = build(ours, 9)
        new.load_state_dict(old.state_dict())
        ours.param_groups[0]["lr"] = first.param_groups[0]["lr"]
        walk(ours, 11, 30, new.step)
        assert_close(weights(ours), weights(whole), 1e-12)

    def test_a_schedule_takes_the_place_of_the_scheduler(self) -> None:
        whole, first = make("AdamW"), make("AdamW")
        walk(whole, 1, 30, lr_scheduler.LambdaLR(whole, schedules.cosine(40)).step)
        walk(first, 1, 10, lr_scheduler.LambdaLR(first, schedules.cosine(40)).step)
        ours = from_torch(first, schedule=schedules.cosine(40))
        walk(ours, 11, 20)
        theirs = unyoke.to_torch(ours)
        after = lr_scheduler.LambdaLR(theirs, schedules.cosine(40), last_epoch=19)
        walk(theirs, 21, 30, after.step)
        assert_close(weights(theirs), weights(whole), 1e-12)

    def test_a_schedule_that_stands_elsewhere_is_refused(self) -> None:
        first = make("AdamW")
        walk(first, 1, 10)
        with pytest.raises(ValueError, match=r"lr=0\.02.*cosine.*10 updates.*base_lr="):
            from_torch(first, schedule=schedules.cosine(40))
        assert from_torch(first, schedule=schedules.cosine(40), updates=0)

    def test_torch_s_sgd_does_not_count(self) -> None:
        first = make("SGD momentum")
        scheduler = lr_scheduler.LambdaLR(first, schedules.cosine(40))
        walk(first, 1, 10, scheduler.step)
        with pytest.raises(ValueError, match="give updates="):
            from_torch(first, schedule=schedules.cosine(40))
        whole = make("SGD momentum")
        walk(whole, 1, 30, lr_scheduler.LambdaLR(whole, schedules.cosine(40)).step)
        ours = from_torch(first, schedule=schedules.cosine(40), updates=10)
        walk(ours, 11, 30)
        assert_close(weights(ours), weights(whole), 1e-12)

    def test_a_rate_of_zero_says_nothing_about_its_peak(self) -> None:
        first = make("AdamW", lr=0.0)
        with pytest.raises(ValueError, match="give base_lr="):
            from_torch(first)
        ours = from_torch(first, base_lr=0.02)
        assert (ours.param_groups[0]["lr"], ours.param_groups[0]["base_lr"]) == (0.0, 0.02)
        assert ours.param_groups[0]["weight_decay"] == pytest.approx(0.002)

    def test_base_lr_for_each_group(self) -> None:
        p, q = parameters()
        first = torch.optim.AdamW([{"params": [p]}, {"params": [q], "lr": 1.0}])
        ours = from_torch(first, base_lr=[0.1, 2.0])
        assert [group["base_lr"] for group in ours.param_groups] == [0.1, 2.0]
        with pytest.raises(ValueError, match="3 values"):
            from_torch(first, base_lr=[0.1, 2.0, 3.0])

    def test_tensor_rates_stay_the_tensors_they_are(self) -> None:
        def make() -> tuple[torch.Tensor, torch.optim.Optimizer]:
            lr = torch.tensor(0.02, dtype=torch.float64)
            return lr, torch.optim.AdamW(parameters(), lr=lr, weight_decay=0.1, foreach=False)

        (rate, whole), (own, first) = make(), make()
        walk(whole, 1, 30, lambda: rate.mul_(0.9))
        walk(first, 1, 10, lambda: own.mul_(0.9))
        ours = from_torch(first)
        assert ours.param_groups[0]["lr"] is own
        walk(ours, 11, 20, lambda: own.mul_(0.9))
        theirs = unyoke.to_torch(ours)
        walk(theirs, 21, 30, lambda: own.mul_(0.9))
        assert_close(weights(theirs), weights(whole), 1e-12)
