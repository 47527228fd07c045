"""to_torch: what torch's optimizer of the same algorithm goes on with."""

from __future__ import annotations

import copy

import pytest
import torch
from continuing import DECAY, assert_close, parameters, walk, weights
from torch.optim import lr_scheduler

import unyoke
from unyoke import directions, schedules


class TestToTorch:
    def test_the_paper_s_sgd_at_a_constant_rate(self) -> None:
        whole = unyoke.SGDW(parameters(), decay="l2", **DECAY)
        first = unyoke.SGDW(parameters(), decay="l2", **DECAY)
        walk(whole, 1, 30)
        walk(first, 1, 10)
        theirs = unyoke.to_torch(first)
        walk(theirs, 11, 30)
        assert_close(weights(theirs), weights(whole), 1e-12)

    def test_a_run_under_a_schedule_goes_on_under_lambda_lr(self) -> None:
        schedule = schedules.cosine(40)
        whole, first = (
            unyoke.AdamW(parameters(), 0.02, weight_decay=0.002, schedule=schedule) for _ in "ab"
        )
        walk(whole, 1, 30)
        walk(first, 1, 10)
        theirs = unyoke.to_torch(first)
        assert theirs.param_groups[0]["initial_lr"] == 0.02
        walk(theirs, 11, 30, lr_scheduler.LambdaLR(theirs, schedule, last_epoch=9).step)
        assert_close(weights(theirs), weights(whole), 1e-12)

    def test_heavy_ball_under_a_schedule_is_refused(self) -> None:
        optimizer = unyoke.SGDW(parameters(), decay="l2", schedule=schedules.cosine(10))
        with pytest.raises(ValueError, match="inside its buffer"):
            unyoke.to_torch(optimizer)

    @pytest.mark.parametrize("direction", ["momentum", "gradient"])
    def test_torch_has_no_sgdw(self, direction: str) -> None:
        optimizer = unyoke.Optimizer(parameters(), direction=direction, decay="decoupled")
        with pytest.raises(ValueError, match=r"SGD.*no decay 'decoupled'.*weight_decay=0"):
            unyoke.to_torch(optimizer)
        optimizer.param_groups[0]["weight_decay"] = 0.0
        unyoke.to_torch(optimizer)

    @pytest.mark.parametrize(
        "decay", sorted({"cautious", "toward_initial"} & set(unyoke.decays.ALL))
    )
    def test_nor_rules_of_ours(self, decay: str) -> None:
        with pytest.raises(ValueError, match=decay):
            unyoke.to_torch(unyoke.AdamW(parameters(), decay=decay))

    @pytest.mark.parametrize(
        "direction",
        sorted(set(directions.ALL) & {"lion", "nesterov_adam", "adabayes", "adabayes_fp", "lamb"}),
    )
    def test_nor_directions(self, direction: str) -> None:
        optimizer = unyoke.Optimizer(parameters(), direction=direction, decay="none")
        with pytest.raises(ValueError, match=direction):
            unyoke.to_torch(optimizer)

    def test_nor_functions_of_t_nor_stacks(self) -> None:
        with pytest.raises(ValueError, match="function"):
            unyoke.to_torch(unyoke.AdamW(parameters(), weight_decay=lambda t: 1e-4))
        stacked = unyoke.AdamW(parameters()[:1], weight_decay=torch.full((4,), 1e-4))
        with pytest.raises(ValueError, match=r"shape \(4,\)"):
            unyoke.to_torch(stacked)
        with pytest.raises(ValueError, match="not an unyoke optimizer"):
            unyoke.to_torch(torch.optim.SGD(parameters()))  # type: ignore[arg-type]

    def test_no_decay_is_weight_decay_zero(self) -> None:
        theirs = unyoke.to_torch(unyoke.Adam(parameters(), decay="none", weight_decay=3.0))
        assert type(theirs) is torch.optim.Adam
        assert theirs.param_groups[0]["weight_decay"] == 0.0

    def test_its_checkpoint_is_torch_s(self) -> None:
        """to_torch(…).state_dict() is how a checkpoint goes to people without unyoke."""
        ours = unyoke.AdamW(parameters(), lr=0.02, weight_decay=0.002)
        walk(ours, 1, 10)
        saved = copy.deepcopy(unyoke.to_torch(ours).state_dict())
        theirs = torch.optim.AdamW(parameters())
        theirs.load_state_dict(saved)
        for p, q in zip(parameters(), weights(ours), strict=True):
            assert not torch.equal(p, q)
        for p, q in zip(theirs.param_groups[0]["params"], weights(ours), strict=True):
            p.data.copy_(q)
        walk(ours, 11, 20)
        walk(theirs, 11, 20)
        assert_close(weights(theirs), weights(ours), 1e-12)
