"""Each decay rule: what it pulls with, by hand, and what it says to what makes no sense."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import unyoke
from unyoke import decays, directions, schedules
from unyoke.equation import combine

pytestmark = pytest.mark.filterwarnings("ignore:weight_decay=.* is per update")
LR, λ = 0.1, 0.05


def weights(*values: float) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor(values, dtype=torch.float64))


def one_update(p: torch.nn.Parameter, grad: list[float], **settings: Any) -> torch.Tensor:
    """What an update subtracts."""
    arguments = {"direction": "gradient", "lr": LR, "weight_decay": λ, **settings}
    optimizer = unyoke.Optimizer([p], backend="eager", **arguments)
    before = p.detach().clone()
    p.grad = torch.tensor(grad, dtype=torch.float64)
    optimizer.step()
    return before - p.detach()


def expect(found: torch.Tensor, *expected: float) -> None:
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-14, atol=1e-16)


class TestCautious:
    def test_decays_where_the_step_goes_towards_0(self) -> None:
        p = weights(2.0, 2.0, -2.0, -2.0)
        found = one_update(p, [1.0, -1.0, 1.0, -1.0], decay="cautious")
        expect(found, 0.1 + λ * 2, -0.1, 0.1, -0.1 - λ * 2)

    def test_a_step_of_0_decays(self) -> None:
        expect(one_update(weights(2.0, -2.0), [0.0, -0.0], decay="cautious"), λ * 2, -λ * 2)

    def test_looks_at_the_step_and_not_at_the_gradient(self) -> None:
        """Momentum from before still pushes the weight away from 0 while the gradient pulls."""
        p = weights(2.0)
        optimizer = unyoke.SGDW([p], lr=LR, weight_decay=λ, decay="cautious", backend="eager")
        p.grad = torch.full_like(p, -10.0)
        optimizer.step()
        before = p.detach().clone()
        p.grad = torch.full_like(p, 1.0)
        optimizer.step()
        expect(before - p.detach(), 0.9 * -1.0 + 0.1)


class TestCorrected:
    def test_is_lr_squared_over_its_peak(self) -> None:
        p = weights(2.0)
        optimizer = unyoke.Optimizer(
            [p],
            LR,
            λ,
            direction="gradient",
            decay="corrected",
            schedule=schedules.cosine(4),
            backend="eager",
        )
        for t in range(4):
            lr, before = optimizer.param_groups[0]["lr"], p.detach().clone()
            assert lr == pytest.approx(LR * schedules.cosine(4)(t))
            p.grad = torch.zeros_like(p)
            optimizer.step()
            expect((before - p.detach()) / before, lr**2 / LR * λ)

    def test_layers_without_normalization_have_lr_coupled(self) -> None:
        """As AdamC: one optimizer, two groups; equal while lr is at its peak."""
        p, q = weights(2.0), weights(2.0)
        optimizer = unyoke.AdamW(
            [{"params": [p]}, {"params": [q], "decay": "lr_coupled"}],
            lr=LR,
            weight_decay=λ,
            decay="corrected",
            schedule=schedules.cosine(2),
            backend="eager",
        )
        taken = []
        for _ in range(2):
            before = [p.detach().clone(), q.detach().clone()]
            p.grad, q.grad = torch.zeros_like(p), torch.zeros_like(q)
            optimizer.step()
            taken.append([float(1 - w.detach() / b) for w, b in zip((p, q), before, strict=True)])
        np.testing.assert_allclose(taken, [[LR * λ] * 2, [LR * λ / 4, LR * λ / 2]], rtol=1e-12)


class TestMomentPenalties:
    def test_each_moment_sees_its_own_gradient(self) -> None:
        for decay, first, second in (
            ("l2", 1 + λ * 2, 1 + λ * 2),
            ("l2_first_moment", 1 + λ * 2, 1.0),
            ("l2_second_moment", 1.0, 1 + λ * 2),
        ):
            p = weights(2.0)
            optimizer = unyoke.Optimizer([p], LR, λ, decay=decay, backend="eager")
            p.grad = torch.ones_like(p)
            optimizer.step()
            state = optimizer.state[p]
            expect(state["exp_avg"], 0.1 * first)
            expect(state["exp_avg_sq"], 0.001 * second**2)

    @pytest.mark.parametrize("direction", directions.names())
    def test_go_with_every_direction_that_divides_by_a_second_moment(self, direction: str) -> None:
        descent = {"gradient", "heavy_ball", "momentum", "nesterov"}
        single = descent | {
            "lion",
            "signum",
            "mars",
            "schedule_free_sgd",
            "muon",
            "muon_momentum",
            "normuon",
            "lars",
        }
        for decay in ("l2_first_moment", "l2_second_moment"):
            parts = directions.get(direction), decays.get(decay)
            if direction in single:
                with pytest.raises(ValueError, match=r"does not have two: use decay='l2'"):
                    combine(*parts)
            elif direction != "nd_adam":
                combine(*parts)


class TestToward:
    def test_initial_is_where_the_first_update_began(self) -> None:
        p = weights(1.0, -2.0)
        optimizer = unyoke.SGDW([p], LR, weight_decay=λ, decay="toward_initial", backend="eager")
        p.grad = torch.zeros_like(p)
        for updates in (1, 300):
            with torch.no_grad():
                p.add_(1.0)
            for _ in range(updates):
                optimizer.step()
        expect(p.detach() - (1 - λ) ** 300, 2.0, -1.0)

    def test_average_follows_the_weights(self) -> None:
        p = weights(2.0)
        optimizer = unyoke.SGDW(
            [p], LR, 0.0, λ, decay="toward_average", average_beta=0.5, backend="eager"
        )
        θ, a = 2.0, 2.0
        for g in (1.0, -3.0, 0.5):
            p.grad = torch.full_like(p, g)
            optimizer.step()
            a = 0.5 * a + 0.5 * θ
            θ = θ - LR * g - λ * (θ - a)
            expect(p.detach(), θ)
            expect(optimizer.state[p]["average_weight"], a)

    def test_anchors_are_kept_as_precisely_as_the_weights(self) -> None:
        p = torch.nn.Parameter(torch.randn(5000))
        optimizer = unyoke.AdamW([p], decay="toward_initial", state_dtype=torch.bfloat16)
        optimizer.init_state()
        assert torch.equal(optimizer.state[p]["initial_weight"], p.detach())

    @pytest.mark.parametrize("beta", [-0.1, 1.0])
    def test_range_of_average_beta(self, beta: float) -> None:
        with pytest.raises(ValueError, match=f"average_beta.*{beta}"):
            unyoke.AdamW([weights(1.0)], decay="toward_average", average_beta=beta)


class TestConstrained:
    def step(self, θ: torch.Tensor, multiplier: float, bound: float, μ: float) -> Any:
        """The authors' l2_update after a step, written out; μ divided by the number of elements."""
        multiplier = max(0.0, multiplier + μ / θ.numel() * (float((θ**2).sum()) - bound))
        return θ - 2 * multiplier * θ, multiplier

    @pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
    def test_is_the_authors_update(self, factor: float) -> None:
        generator = torch.Generator().manual_seed(0)
        p = torch.nn.Parameter(torch.randn(4, 6, dtype=torch.float64, generator=generator))
        θ, multiplier, bound = p.detach().clone(), 0.0, factor * float((p.detach() ** 2).sum())
        optimizer = unyoke.SGDW(
            [p], LR, 0.0, 0.3, decay="constrained", bound_factor=factor, backend="eager"
        )
        for _ in range(20):
            p.grad = torch.randn(4, 6, dtype=torch.float64, generator=generator)
            θ, multiplier = self.step(θ - LR * p.grad, multiplier, bound, 0.3)
            optimizer.step()
        torch.testing.assert_close(p.detach(), θ, rtol=1e-13, atol=0)
        assert float(optimizer.state[p]["multiplier"]) == pytest.approx(multiplier, rel=1e-12)

    def test_keeps_the_norm_that_there_was(self) -> None:
        """Against gradients that push outwards; without them nothing is taken."""
        ends = []
        for decay in ("constrained", "none"):
            p = weights(3.0, 4.0)
            optimizer = unyoke.SGDW([p], 0.01, 0.0, 0.1, decay=decay, backend="eager")
            for _ in range(2000):
                p.grad = -p.detach()
                optimizer.step()
            ends.append(float(p.detach().norm()))
        assert ends[0] == pytest.approx(5.0, rel=0.03)
        assert ends[1] > 1e6
        expect(one_update(weights(3.0, 4.0), [0.0, 0.0], decay="constrained"), 0.0, 0.0)

    def test_each_tensor_has_a_bound_of_its_own(self) -> None:
        p, q = weights(3.0, 4.0), weights(1.0, 1.0)
        optimizer = unyoke.AdamW([p, q], decay="constrained", bound_factor=2.0)
        optimizer.init_state()
        assert [float(optimizer.state[w]["bound"]) for w in (p, q)] == [25.0, 2.0]

    def test_runs_in_eager_only(self) -> None:
        p = weights(1.0)
        optimizer = unyoke.AdamW([p], decay="constrained", backend="cpu")
        p.grad = torch.ones_like(p)
        with pytest.raises(RuntimeError, match="constrained"):
            optimizer.step()


@pytest.mark.parametrize("decay", decays.names())
def test_a_decay_of_0_takes_nothing(decay: str) -> None:
    settings: dict[str, Any] = {"direction": "adam", "weight_decay": 0.0}
    found, expected = (
        one_update(weights(2.0, -1.0), [1.0, -3.0], decay=rule, **settings)
        for rule in (decay, "none")
    )
    assert torch.equal(found, expected)


@pytest.mark.parametrize("decay", decays.names())
def test_every_rule_can_be_one_group_s_own(decay: str) -> None:
    """And the others' state does not change: each group walks as an optimizer of its own."""
    p, q, r = (weights(2.0, -1.0) for _ in range(3))
    shared = {"lr": LR, "weight_decay": 0.004, "backend": "eager"}
    whole = unyoke.AdamW([{"params": [p]}, {"params": [q], "decay": decay}], **shared)
    alone = unyoke.AdamW([r], decay=decay, **shared)
    for _ in range(3):
        for w in (p, q, r):
            w.grad = torch.ones_like(w)
        whole.step()
        alone.step()
    assert torch.equal(q, r)
    assert set(whole.state[p]) == {"step", "exp_avg", "exp_avg_sq"}
