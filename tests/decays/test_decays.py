"""The decay itself: closed forms under zero gradients, in every dtype, with power.

Under zero gradients the paper's decay leaves θ_T = Π(1 − η_t λ) θ_0 and nothing else. Each
tolerance here is far below the decay, so that a missing, doubled or misplaced one fails.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import oracle
import pytest
import torch
from following import Array, follow, no_gradient, parameter, weights
from pairs import reason_against

import unyoke
from unyoke import decays, schedules

pytestmark = [
    pytest.mark.usefixtures("definition"),
    pytest.mark.filterwarnings("ignore:weight_decay=.* is per update"),
]

DECOUPLED = [unyoke.SGDW, unyoke.AdamW]
MANY = 4000  # weights, so that rounding averages out: each has another mantissa


def many_weights(dtype: torch.dtype) -> torch.nn.Parameter:
    return parameter(np.random.default_rng(3).uniform(1, 2, MANY), dtype)


def kept(path: Array) -> Array:
    return path[-1].astype(np.float64) / path[0].astype(np.float64)


@pytest.mark.parametrize("cls", DECOUPLED)
@pytest.mark.parametrize("λ", np.geomspace(1e-12, 0.5, 14))
def test_closed_form_in_float64(cls: Any, λ: float) -> None:
    """What 50 updates take away, to 1 in 1e3 even where it is 5e-11 of the weight."""
    updates = 50
    path = follow(cls([parameter()], weight_decay=λ), no_gradient, updates)
    taken, expected = 1 - kept(path), -math.expm1(updates * math.log1p(-λ))
    # Rounding to nearest: half a unit in the last place per update.
    rounding = updates * 2.0**-53
    assert rounding < 0.01 * expected + 1e-12 * (λ > 1e-11) or λ < 1e-11
    np.testing.assert_allclose(taken, expected, rtol=1e-12, atol=rounding)


@pytest.mark.parametrize("cls", DECOUPLED)
@pytest.mark.parametrize("λ", [3e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.5])
def test_mean_decay_in_float32(cls: Any, λ: float) -> None:
    """Down to ηλ = 3e-7 the mean over many weights is right within 3 %."""
    updates = min(1000, round(0.5 / λ) + 1)
    path = follow(cls([many_weights(torch.float32)], weight_decay=λ), no_gradient, updates)
    taken = 1 - kept(path).mean()
    expected = -math.expm1(updates * math.log1p(-λ))
    assert taken == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
def test_what_rounding_to_nearest_loses(dtype: torch.dtype) -> None:
    """A decay below half a unit in the last place vanishes: by how much, in every dtype.

    θ − ηλθ rounds back to θ where ηλθ < ulp(θ)/2: for weights in [1, 2) from ηλ = eps/2 down to
    eps/4 for more and more of them, and below eps/4 for all. A step that is not zero dithers this
    away; compensated summation or stochastic rounding is what a zero step needs.
    """
    eps = torch.finfo(dtype).eps
    shares = []
    for λ in (eps / 5, eps / 2.5, 4 * eps):
        p = many_weights(dtype)
        start = p.detach().double()
        optimizer = unyoke.AdamW([p], weight_decay=λ)
        for _ in range(4):
            p.grad = torch.zeros_like(p)
            optimizer.step()
        taken = float((1 - p.detach().double() / start).mean())
        shares.append(taken / -math.expm1(4 * math.log1p(-λ)))
    lost, partial, right = shares
    assert lost == 0.0
    assert 0.5 < partial < 1.5
    assert abs(partial - 1) > 0.05
    assert right == pytest.approx(1.0, abs=0.03)


def test_a_small_step_dithers_the_decay_back() -> None:
    """Gradients of either sign carry even ηλ = eps/5 into float32 weights, in the mean."""
    λ, updates, lr = torch.finfo(torch.float32).eps / 5, 400, 1e-6
    rng = np.random.default_rng(0)
    p, q = (parameter(rng.uniform(1, 2, 50_000), torch.float32) for _ in range(2))
    q.data.copy_(p.data)
    start = p.detach().double()
    ours = unyoke.SGDW([p], lr=lr, momentum=0.0, weight_decay=λ)
    without = unyoke.SGDW([q], lr=lr, momentum=0.0, weight_decay=0.0)
    generator = torch.Generator().manual_seed(1)
    for _ in range(updates):
        p.grad = q.grad = torch.randn(p.shape, generator=generator)
        ours.step()
        without.step()
    taken = ((q.detach().double() - p.detach().double()) / start).mean()
    assert float(taken) == pytest.approx(updates * λ, rel=0.1)


@pytest.mark.parametrize("cls", DECOUPLED)
@pytest.mark.parametrize(
    ("schedule", "η"),
    [
        (schedules.cosine(80), oracle.cosine(80)),
        (schedules.step_drops(80), oracle.step_drops(80)),
        (schedules.warm_restarts(20), oracle.warm_restarts(20)),
    ],
    ids=["cosine", "step_drops", "warm_restarts"],
)
def test_decay_follows_the_schedule_and_not_the_learning_rate(
    cls: Any, schedule: Any, η: oracle.Schedule
) -> None:
    λ = 0.003
    expected = math.prod(1 - η(t) * λ for t in range(80))
    assert expected < 0.95
    for lr in (1e-6, 10.0):
        path = follow(cls([parameter()], lr=lr, weight_decay=λ, schedule=schedule), no_gradient, 80)
        np.testing.assert_allclose(kept(path), expected, rtol=1e-12)


@pytest.mark.parametrize("decay", decays.ALL)
@pytest.mark.parametrize("lr", [1e-3, 0.3])
def test_what_one_update_takes(decay: str, lr: float) -> None:
    """Every rule's own multiple of θ, from the oracle; for plain gradient descent if it can."""
    direction = "adam" if reason_against("gradient", decay) else "gradient"
    arguments = {"direction": direction, "decay": decay, "lr": lr, "weight_decay": 0.01}
    path = follow(unyoke.Optimizer([parameter()], **arguments), no_gradient, 3)
    expected = oracle.trajectory(weights(), no_gradient, updates=3, **arguments)
    np.testing.assert_allclose(path, expected, rtol=1e-12)


class TestNormalized:
    """λ = λ_norm √(b/(B T)), Appendix B.1."""

    @pytest.mark.parametrize(
        ("epochs", "printed"), [(25, 2.53e-4), (100, 1.265e-4), (400, 6.3e-5), (1800, 2.98e-5)]
    )
    def test_the_paper_s_numbers(self, epochs: int, printed: float) -> None:
        λ = unyoke.normalized(0.025, batch_size=128, samples=50000, epochs=epochs)
        optimizer = unyoke.AdamW([parameter()], weight_decay=λ)
        # 6.3e-5 is printed with two digits.
        assert optimizer.param_groups[0]["weight_decay"] == pytest.approx(printed, rel=6e-3)

    def test_both_forms_agree(self) -> None:
        found = [
            unyoke.AdamW([parameter()], weight_decay=λ).param_groups[0]["weight_decay"]
            for λ in (
                unyoke.normalized(0.05, updates=400),
                unyoke.normalized(0.05, batch_size=100, samples=4000, epochs=10),
            )
        ]
        assert found == [pytest.approx(0.0025, rel=1e-14)] * 2

    @pytest.mark.parametrize("given", [None, 10_000])
    def test_restarts_divide_it_by_root_growth(self, given: int | None) -> None:
        """The current run's length counts, whatever length was given."""
        p = parameter()
        optimizer = unyoke.SGDW(
            [p],
            weight_decay=unyoke.normalized(0.05, updates=given),
            schedule=schedules.warm_restarts(10, growth=2),
        )
        seen = []
        for _ in range(75):
            seen.append(optimizer.param_groups[0]["weight_decay"])
            p.grad = torch.zeros_like(p)
            optimizer.step()
        expected = [0.05 / math.sqrt(n) for n in (10, 20, 40, 80) for _ in range(n)][:75]
        np.testing.assert_allclose(seen, expected, rtol=1e-14)
        eta = oracle.warm_restarts(10)
        product = math.prod(1 - eta(t) * λ for t, λ in enumerate(expected))
        np.testing.assert_allclose(p.detach().numpy(), product * weights(), rtol=1e-12)

    def test_length_is_the_schedule_s_where_none_is_given(self) -> None:
        optimizer = unyoke.AdamW(
            [parameter()],
            weight_decay=unyoke.normalized(0.05),
            schedule=schedules.cosine(625),
        )
        assert optimizer.param_groups[0]["weight_decay"] == pytest.approx(0.002)

    def test_without_any_length_it_says_what_to_give(self) -> None:
        with pytest.raises(ValueError, match=r"updates="):
            unyoke.AdamW([parameter()], weight_decay=unyoke.normalized(0.05))

    @pytest.mark.parametrize(
        "arguments",
        [
            {"updates": 0},
            {"updates": -3},
            {"updates": float("nan")},
            {"batch_size": 128},
            {"batch_size": 128, "samples": 50000},
            {"batch_size": 0, "samples": 50000, "epochs": 3},
            {"updates": 10, "batch_size": 128, "samples": 50000, "epochs": 1},
        ],
    )
    def test_bad_input(self, arguments: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="normalized"):
            unyoke.normalized(0.05, **arguments)

    @pytest.mark.parametrize("lambda_norm", [-0.1, float("nan"), float("inf")])
    def test_bad_lambda(self, lambda_norm: float) -> None:
        with pytest.raises(ValueError, match="lambda_norm"):
            unyoke.normalized(lambda_norm, updates=10)


class TestWarning:
    """λ ≥ 1e-2 per update is almost always a number from torch: said once, with the right one."""

    pytestmark = pytest.mark.filterwarnings("error")

    def test_names_the_number_that_was_meant(self) -> None:
        with pytest.warns(UserWarning, match=r"weight_decay=3e-05.*lr_coupled") as caught:
            unyoke.AdamW([parameter()], lr=3e-3, weight_decay=1e-2)
        assert len(caught) == 1
        assert caught[0].filename == __file__

    def test_is_given_once_for_all_groups(self) -> None:
        groups = [{"params": [parameter()]}, {"params": [parameter()], "weight_decay": 0.5}]
        with pytest.warns(UserWarning, match="per update") as caught:
            optimizer = unyoke.SGDW(groups, weight_decay=0.1)
        assert len(caught) == 1
        optimizer.add_param_group({"params": [parameter()], "weight_decay": 0.2})

    @pytest.mark.parametrize(
        "make",
        [
            lambda p: unyoke.AdamW([p], weight_decay=9.9e-3),
            lambda p: unyoke.AdamW([p], weight_decay=0.1, decay="lr_coupled"),
            lambda p: unyoke.Adam([p], weight_decay=0.1),
            lambda p: unyoke.AdamW([p], weight_decay=0.1, decay="none"),
            lambda p: unyoke.AdamW([p], weight_decay=unyoke.normalized(0.05, updates=4)),
        ],
    )
    def test_is_not_given_where_the_number_means_something_else(self, make: Any) -> None:
        make(parameter())
