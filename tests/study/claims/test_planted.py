"""Ledgers in which a verdict is planted give that verdict, for every kind of claim."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted import basin, fill, valley

from unyoke.study.claims import plan, run
from unyoke.study.claims.request import Request
from unyoke.study.claims.verdicts import Answer
from unyoke.study.landscape.landscape import Cell

TASK = "digits-plain"
PLAIN = 0.10
"""The error without decay, which is the same for every rule."""


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Request]:
    """Requests of some claims: six seeds, every `rates`-th α and every `decays`-th λ."""

    def make(*names: str, rates: int = 4, decays: int = 4) -> Request:
        smoke = plan.SCALES["smoke"].tasks[TASK]
        small = {
            name: replace(size, seeds=6, rates=rates, decays=decays) for name, size in smoke.items()
        }
        monkeypatch.setattr(plan, "SCALES", {"smoke": plan.Scale({TASK: small})})
        return Request(tmp_path, "smoke", (TASK,), names)

    return make


def answers(request: Request, error: Callable[[Cell], float]) -> dict[str, Answer]:
    fill(request, error)
    maps = run.read(request, request.needed())
    return {row.claim.name: row for row in run.answer(request, maps)}


RULES = {
    "held": (0.060, 0.085),
    "smaller than notable": (0.060, 0.063),
    "no difference": (0.070, 0.070),
    "contradicted": (0.075, 0.065),
    "not asked here": (PLAIN, PLAIN),
    "undecided": (0.060, 0.076),
}
"""Best errors of decoupled decay and of L2. The last differ by about half of their mean gain."""


@pytest.mark.slow
@pytest.mark.parametrize("verdict", RULES)
def test_comparisons_of_decay_rules(planned: Callable[..., Request], verdict: str) -> None:
    decoupled, coupled = RULES[verdict]

    def error(cell: Cell) -> float:
        best = decoupled if cell.optimizer.endswith("W") else coupled
        return basin(cell, best, PLAIN - best)

    found = answers(planned("generalisation", "gain", "training-loss/main"), error)
    assert found["generalisation/adam"].verdict == verdict
    assert found["training-loss/main"].verdict == verdict
    gains = "no difference" if verdict == "not asked here" else "held"
    assert found["gain/adamw"].verdict == found["gain/sgdw"].verdict == gains
    equal = "not asked here" if verdict == "not asked here" else "held"
    assert found["gain/equal"].verdict == equal


@pytest.mark.slow
@pytest.mark.parametrize(
    ("slopes", "verdicts"),
    [
        ((0.0, -1.0), ("held", "held", "held")),
        ((0.9, -0.9), ("no difference", "held", "contradicted")),
        ((0.0, -0.15), ("smaller than notable", "smaller than notable", "held")),
        ((0.0, 0.0), ("no difference", "no difference", "held")),
        ((0.8, 0.2), ("contradicted", "contradicted", "contradicted")),
    ],
)
def test_lean_and_uprightness_of_basins(
    planned: Callable[..., Request], slopes: tuple[float, float], verdicts: tuple[str, ...]
) -> None:
    """Slopes of the ridge, of the decoupled map and of that with L2."""

    def error(cell: Cell) -> float:
        slope = slopes[0] if cell.optimizer.endswith("W") else slopes[1]
        return valley(cell, slope * (np.log2(cell.lr) + 5))

    found = answers(planned("coupling", rates=1, decays=1), error)
    names = ("coupling/adam-tilt", "coupling/adam-leans", "coupling/adamw-upright")
    assert tuple(found[name].verdict for name in names) == verdicts
    slope = found["coupling/adamw-upright"].measurement
    assert slope is not None
    assert slope.number.value == pytest.approx(slopes[0], abs=0.05)


def test_without_a_gain_of_decay_no_basin_is_asked_about(
    planned: Callable[..., Request],
) -> None:
    found = answers(planned("coupling", rates=2), lambda cell: basin(cell, PLAIN, 0.0))
    assert {row.verdict for row in found.values()} == {"not asked here"}


@pytest.mark.parametrize(
    ("in_maps", "again", "verdicts"),
    [
        ("noise", 0.04, {"held", "no difference"}),
        (0.04, 0.0, {"not asked here"}),
    ],
)
def test_the_gain_of_decay_is_that_of_the_best_cells_trained_again(
    planned: Callable[..., Request],
    in_maps: float | str,
    again: float,
    verdicts: set[str],
) -> None:
    """Maps that cannot tell a gain from nothing are asked where fresh seeds can, and not else."""

    def error(cell: Cell) -> float:
        gain = again if cell.seed >= plan.FRESH else in_maps
        if gain == "noise":
            gain = 0.002 if cell.seed else 0.9  # one seed of six has nearly all of it
        assert isinstance(gain, float)
        place = replace(cell, weight_decay=cell.weight_decay or 2.0**-5)
        plain = gain if cell.weight_decay == 0 else 0.0
        return valley(place, 0.0, at=-5.0) + plain

    request = planned("coupling/adam-regret", "coupling/adamw-upright", rates=2, decays=2)
    found = answers(request, error)
    assert {row.verdict for row in found.values()} == verdicts
    for row in found.values():
        assert row.measurement is not None
        assert row.measurement.gain is not None
        shown = again / (0.06 + again)
        assert row.measurement.gain.value == pytest.approx(shown, abs=0.01)


@pytest.mark.parametrize(
    ("errors", "verdicts"),
    [
        ((0.060, 0.070), ("held", "held")),
        ((0.070, 0.0705), ("smaller than notable", "held")),
        ((0.070, 0.070), ("no difference", "held")),
        ((0.080, 0.070), ("contradicted", "contradicted")),
    ],
)
def test_restarts(
    planned: Callable[..., Request], errors: tuple[float, float], verdicts: tuple[str, str]
) -> None:
    """Errors with restarts and without, of the best cells trained again; maps say the contrary."""

    def error(cell: Cell) -> float:
        best = errors[(cell.schedule == "cosine") == (cell.seed >= plan.FRESH)]
        return basin(cell, best)

    found = answers(planned("restarts"), error)
    for optimizer in ("adamw", "sgdw"):
        names = (f"restarts/{optimizer}-anytime", f"restarts/{optimizer}-final")
        assert tuple(found[name].verdict for name in names) == verdicts


def test_a_ridge_outside_the_grid_is_undecided_and_says_why(
    planned: Callable[..., Request],
) -> None:
    found = answers(
        planned("coupling/adamw-upright", rates=2, decays=2), lambda cell: valley(cell, 2.5)
    )
    row = found["coupling/adamw-upright"]
    assert row.verdict == "undecided"
    assert "inside the grid at too few learning rates" in row.missing


@pytest.mark.slow
@pytest.mark.parametrize(
    ("exponents", "verdicts"),
    [
        ((0.5, -0.5, 0.0), ("held", "held", "contradicted", "held", "contradicted", "held")),
        (
            (1.0, 0.0, 1.0),
            ("no difference", "contradicted", "held", "contradicted", "held", "held"),
        ),
        ((0.0, 0.6, 0.5), ("contradicted",) * 6),
        (
            (0.0, 0.0, 0.0),
            ("no difference", "contradicted", "held", "held", "contradicted", "contradicted"),
        ),
    ],
)
def test_exponents_of_budgets(
    planned: Callable[..., Request],
    exponents: tuple[float, float, float],
    verdicts: tuple[str, ...],
) -> None:
    """λ* ∝ α^p·updates^q·batch^r; the best cells of every budget share one α."""
    p, q, r = exponents
    request = planned("budgets", "law", rates=2, decays=1)
    updates, batch = request.landscapes()[TASK, "budgets"].updates[1], 50

    def error(cell: Cell) -> float:
        moved = p * (np.log2(cell.lr) + 5) + q * np.log2(cell.updates / updates)
        return valley(cell, moved + r * np.log2((cell.batch_size or batch) / batch), at=-5.5)

    found = answers(request, error)
    parts = ("shrinks", "norm", "timescale", "norm-batch", "timescale-batch")
    names = (*(f"budgets/adamw-{part}" for part in parts), "law/adamw")
    assert tuple(found[name].verdict for name in names) == verdicts
