"""What wrappers keep in groups and state is kept, left alone, and comes back from a checkpoint."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from following import parameter

import unyoke

pytestmark = pytest.mark.usefixtures("definition")


class TestKeysOfGroups:
    def test_sam_s_are_kept_though_another_direction_has_one_of_that_name(self) -> None:
        plain, wrapped = parameter(), parameter()
        theirs = {"rho": 0.05, "adaptive": False, "alpha": 2.0, "batch_size": 8}
        one = unyoke.AdamW([plain], lr=0.1)
        other = unyoke.AdamW([{"params": [wrapped], **theirs}], lr=0.1)
        for weight, optimizer in ((plain, one), (wrapped, other)):
            weight.grad = torch.ones_like(weight)
            optimizer.step()
        assert {name: other.param_groups[0][name] for name in theirs} == theirs
        assert torch.equal(plain, wrapped)

    def test_a_group_written_for_a_direction_with_a_number_of_another_warns(self) -> None:
        group = {"params": [parameter()], "direction": "muon", "rho": 0.5}
        with pytest.warns(UserWarning, match=r"'muon' gives rho=0.5.*adadelta.*left alone"):
            unyoke.AdamW([group])

    def test_a_constructor_s_argument_is_still_an_error(self) -> None:
        with pytest.raises(TypeError, match="no hyperparameter 'rho'"):
            unyoke.AdamW([parameter()], rho=0.5)  # type: ignore[call-arg]


class TestState:
    def made(self, slow: Any) -> tuple[unyoke.AdamW, torch.Tensor]:
        weight = parameter()
        optimizer = unyoke.AdamW([weight], lr=0.1)
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        if slow is not None:
            optimizer.state[weight]["lookahead_slow_buff"] = slow
            optimizer.state["lookahead"] = {"every": 6}  # type: ignore[index]
        return optimizer, weight

    @pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16, "number", "text"])
    def test_slow_weights_come_back_and_the_next_step_is_the_same(self, kind: Any) -> None:
        dtype = kind if isinstance(kind, torch.dtype) else None
        slow = {"number": 3, "text": "slow"}.get(kind, torch.arange(4).to(dtype))
        one, first = self.made(slow)
        saved = copy.deepcopy(one.state_dict())
        other, second = self.made(None)
        other.load_state_dict(saved)
        kept = other.state[second]["lookahead_slow_buff"]
        assert type(kept) is type(slow)
        if isinstance(slow, torch.Tensor):
            assert kept.dtype == slow.dtype
            assert torch.equal(kept, slow)
            assert kept is not saved["state"][0]["lookahead_slow_buff"]
        else:
            assert kept == slow
        assert other.state["lookahead"] == {"every": 6}  # type: ignore[index]
        one.step()
        other.load_state_dict(other.state_dict())
        second.grad = torch.ones_like(second)
        other.step()
        assert torch.equal(first, second)

    def test_slow_weights_without_a_step_are_no_state_of_ours(self) -> None:
        one, _ = self.made(None)
        saved = one.state_dict()
        saved["state"][0] = {"lookahead_slow_buff": torch.ones(4)}
        other, weight = self.made(None)
        other.load_state_dict(saved)
        assert set(other.state[weight]) == {"lookahead_slow_buff"}

    @pytest.mark.parametrize("name", ["max_exp_avg_sq", "momentum_buffer", "step_size", "prev"])
    def test_that_of_another_optimizer_is_refused(self, name: str) -> None:
        optimizer, weight = self.made(None)
        saved = optimizer.state_dict()
        saved["state"][0] = {**saved["state"][0], name: torch.ones_like(weight)}
        with pytest.raises(ValueError, match=f"another optimizer's state.*{name}"):
            optimizer.load_state_dict(saved)
