"""Every direction with every decay rule under every schedule, against the oracle in float64.

Runs over the registries: a new direction or rule is tested by existing, and fails here as long as
the oracle has no entry for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import oracle
import pytest
import torch
from following import assert_same_path, follow, noisy_quadratic, parameter, weights
from pairs import ALL, PAIRS, reason_against, some_decay

import unyoke
from unyoke import decays, directions, schedules
from unyoke.equation import Part

pytestmark = pytest.mark.usefixtures("definition")

UPDATES = 200
# Where a share of the default is no sensible value.
OTHER: dict[str, Any] = {"eps": 1e-2, "bound_factor": 0.2, "ns_steps": 3}
MUON = {"ns_coefficients", "eps", "adjust_lr_fn", "ns_dtype"}
KEPT = {
    "muon": MUON,
    "muon_momentum": MUON,
    "normuon": MUON - {"eps"},
}  # compared with torch's own, elsewhere
SCHEDULES: dict[str, tuple[Any, oracle.Schedule]] = {
    "constant": (schedules.constant(), oracle.constant()),
    "drops": (schedules.step_drops(UPDATES), oracle.step_drops(UPDATES)),
    "cosine": (schedules.cosine(UPDATES), oracle.cosine(UPDATES)),
    "restarts": (schedules.warm_restarts(30, 1.5), oracle.warm_restarts(30, 1.5)),
    "warmup": (
        schedules.warmup(20, then=schedules.warm_restarts(50, 2, 0.1)),
        oracle.warmup(20, oracle.warm_restarts(50, 2, 0.1)),
    ),
}
LR, WEIGHT_DECAY = 0.02, 0.004


def other_than(name: str, default: Any) -> Any:
    """A value that is not the default, so that the hyperparameter is seen to matter."""
    if name in OTHER:
        return OTHER[name]
    if isinstance(default, tuple):
        return tuple(other_than("", value) for value in default)
    if isinstance(default, int):
        return default + 2
    return 0.8 * default if default else 0.1


def other_settings(*parts: Part) -> dict[str, Any]:
    return {
        name: other_than(name, default)
        for part in parts
        for name, default in part.defaults.items()
        if name not in KEPT.get(part.name, set())
    }


@pytest.mark.parametrize("name", directions.ALL)
def test_oracle_has_every_direction(name: str) -> None:
    assert name in oracle.DIRECTIONS, f"write {name} into tests/oracle.py first"


@pytest.mark.parametrize("name", decays.ALL)
def test_oracle_has_every_decay_rule(name: str) -> None:
    assert name in oracle.DECAYS, f"write {name} into tests/oracle.py first"


def test_refusals_are_few_and_say_what_to_do() -> None:
    refused = set(ALL) - set(PAIRS)
    for direction, decay in refused:
        assert "use decay=" in str(reason_against(direction, decay))
    plain = {"none", "l2", "decoupled", "lr_coupled"}
    assert {direction for direction, decay in refused if decay in plain} <= {"nd_adam"}
    assert not [direction for direction, decay in refused if decay == "none"]


def assert_eager_is_the_oracle(
    direction: str, decay: str, schedule: str, updates: int, settings: dict[str, Any]
) -> None:
    """Every iterate, to 1e-12 of the largest weight."""
    ours, expected_schedule = SCHEDULES[schedule]
    shared = {"direction": direction, "decay": decay, "lr": LR, "weight_decay": WEIGHT_DECAY}
    optimizer = unyoke.Optimizer(
        [parameter()], schedule=ours, backend="eager", **shared, **settings
    )
    found = follow(optimizer, noisy_quadratic, updates)
    expected = oracle.trajectory(
        weights(),
        noisy_quadratic,
        schedule=expected_schedule,
        updates=updates,
        **shared,
        **settings,
    )
    assert_same_path(found, expected)


@pytest.mark.parametrize(("direction", "decay"), PAIRS)
def test_any_direction_with_any_decay(direction: str, decay: str) -> None:
    """Under a schedule that warms up and restarts, with every hyperparameter off its default."""
    settings = other_settings(directions.get(direction), decays.get(decay))
    assert_eager_is_the_oracle(direction, decay, "warmup", 80, settings)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("direction", directions.ALL)
def test_any_direction_under_any_schedule(direction: str, schedule: str) -> None:
    """With the defaults, which are the oracle's too."""
    assert_eager_is_the_oracle(direction, some_decay(direction), schedule, UPDATES, {})


@pytest.mark.parametrize("decay", [name for name in decays.ALL if name != "none"])
def test_the_comparison_would_see_a_missing_decay(decay: str) -> None:
    """The tolerance above is 1e-12; each rule moves the path by more than 1e-6."""
    paths = [
        oracle.trajectory(
            weights(),
            noisy_quadratic,
            direction="adam",
            decay=rule,
            lr=LR,
            weight_decay=WEIGHT_DECAY,
            updates=UPDATES,
            **other_settings(decays.get(rule)),
        )
        for rule in (decay, "none")
    ]
    assert abs(paths[0] - paths[1]).max() > 1e-6


class TestWeightDecayOfTime:
    """λ as normalized() and as any function of t, against the oracle."""

    @pytest.mark.parametrize("direction", ["heavy_ball", "adam"])
    def test_normalized_under_restarts(self, direction: str) -> None:
        optimizer = unyoke.Optimizer(
            [parameter()],
            lr=LR,
            weight_decay=unyoke.normalized(0.05),
            direction=direction,
            schedule=schedules.warm_restarts(30),
        )
        found = follow(optimizer, noisy_quadratic, UPDATES)
        expected = oracle.trajectory(
            weights(),
            noisy_quadratic,
            direction=direction,
            decay="decoupled",
            lr=LR,
            weight_decay=oracle.normalized_over_runs(0.05, 30),
            schedule=oracle.warm_restarts(30),
            updates=UPDATES,
        )
        assert_same_path(found, expected)

    def test_a_function_of_t(self) -> None:
        """Told the number of updates made, and read before the first update."""

        def λ(t: int) -> float:
            return 0.009 / (1 + t)

        found = follow(unyoke.AdamW([parameter()], lr=LR, weight_decay=λ), noisy_quadratic, UPDATES)
        expected = oracle.trajectory(
            weights(),
            noisy_quadratic,
            direction="adam",
            decay="decoupled",
            lr=LR,
            weight_decay=λ,
            updates=UPDATES,
        )
        assert_same_path(found, expected)


@pytest.mark.parametrize("direction", directions.ALL)
def test_state_is_named_as_declared_and_shaped_as_the_weight(direction: str) -> None:
    p = parameter()
    optimizer = unyoke.Optimizer([p], direction=direction, decay=some_decay(direction))
    part = directions.ALL[direction]
    optimizer.init_state()
    assert set(optimizer.state[p]) == {"step", *part.state, *part.scalars}
    follow(optimizer, noisy_quadratic, 2)
    for name in part.state:
        assert torch.isfinite(optimizer.state[p][name]).all()


@pytest.mark.parametrize("direction", directions.ALL)
def test_gradients_are_never_written(direction: str) -> None:
    p = parameter()
    decay = "none" if reason_against(direction, "l2") else "l2"
    optimizer = unyoke.Optimizer([p], direction=direction, decay=decay, weight_decay=0.1)
    p.grad = torch.from_numpy(weights(1))
    optimizer.step()
    np.testing.assert_array_equal(p.grad.numpy(), weights(1))


@pytest.mark.parametrize("part", [*directions.ALL.values(), *decays.ALL.values()], ids=repr)
def test_every_part_documents_itself(part: Any) -> None:
    assert part.summary
    assert part.summary.endswith((".", ":", ";")) or len(part.summary) < 100
    assert part.name in (*directions.ALL, *decays.ALL)


@pytest.mark.parametrize(
    ("registry", "near", "right"),
    [(directions, "adma", "adam"), (decays, "decopled", "decoupled"), (decays, "L2", "l2")],
)
def test_a_wrong_name_lists_the_near_ones(registry: Any, near: str, right: str) -> None:
    with pytest.raises(ValueError, match=right):
        registry.get(near)


class TestBayesianLimits:
    """Section 3 of the paper: decoupled decay is the filter's state transition."""

    def test_a_wide_prior_is_adamw(self) -> None:
        """σ → ∞ with the prior (1 − λ)θ: AdamW, but for where its ε stands."""
        settings = {"lr": 1e-3, "weight_decay": 0.004, "betas": (0.8, 0.95)}
        bayes = unyoke.Optimizer(
            [parameter()], direction="adabayes_fp", lr_sgd=1e9, eps=1e-30, **settings
        )
        adamw = unyoke.AdamW([parameter()], eps=1e-15, **settings)
        assert_same_path(
            follow(bayes, noisy_quadratic, UPDATES), follow(adamw, noisy_quadratic, UPDATES), 1e-8
        )

    def test_a_narrow_prior_is_sgdw(self) -> None:
        """σ → 0: SGD with the first moment as its momentum, at the learning rate lr_sgd."""
        λ, lr_sgd = 0.004, 1e-3
        bayes = unyoke.Optimizer(
            [parameter()],
            direction="adabayes_fp",
            lr=1e3,
            lr_sgd=lr_sgd,
            eps=1e-30,
            betas=(0.0, 0.95),
            weight_decay=λ,
        )
        sgdw = unyoke.SGDW([parameter()], lr=lr_sgd, momentum=0.0, weight_decay=λ)
        assert_same_path(
            follow(bayes, noisy_quadratic, UPDATES), follow(sgdw, noisy_quadratic, UPDATES), 1e-8
        )
