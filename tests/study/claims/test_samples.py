"""How far other test samples would move a claim's number: paired, bounded, or drawn by the seed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from planted import fill, made_up, valley

from unyoke.study.claims import plan, run
from unyoke.study.claims.maps import Maps
from unyoke.study.claims.request import Request
from unyoke.study.claims.verdicts import Answer
from unyoke.study.landscape.landscape import Cell
from unyoke.study.landscape.outcome import Outcome
from unyoke.study.ledger.ledger import Ledger
from unyoke.study.report.comparisons import comparisons
from unyoke.study.report.findings import find
from unyoke.study.report.samples import Samples
from unyoke.study.tasks import built_in

TASK, SAMPLES, SEEDS = "digits-plain", 400, 4
ORDER = np.random.default_rng(0).permutation(SAMPLES)


def wrong(cell: Cell) -> NDArray[np.bool_]:
    """The hardest samples, as many as the planted error has, and a few of the cell's own."""
    error = valley(cell, 0.0, best=0.1 if cell.optimizer.endswith("W") else 0.12)
    found = np.zeros(SAMPLES, dtype=bool)
    found[ORDER[: round(error * SAMPLES)]] = True
    who = [cell.seed, len(cell.optimizer), round(1e6 * cell.weight_decay), round(1e6 * cell.lr)]
    found[np.random.default_rng(who).choice(SAMPLES, 6, replace=False)] ^= True
    return found


def with_mistakes(cell: Cell) -> Outcome:
    mistakes = wrong(cell)
    error = float(mistakes.mean())
    return replace(
        made_up(cell, error),
        test_error=error,
        validation_error=error,
        test_standard_error=math.sqrt(error * (1 - error) / SAMPLES),
        test_samples=SAMPLES,
        mistakes=np.packbits(mistakes).tobytes(),
    )


@pytest.fixture
def answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[dict[str, Answer], Maps]]:
    """Rows of ledgers with or without mistakes, of a task whose seeds draw the split or not."""

    def answer(*, kept: bool, split_by_seed: bool) -> tuple[dict[str, Answer], Maps]:
        task = replace(built_in.BUILT_IN[TASK], split_by_seed=split_by_seed)
        monkeypatch.setitem(built_in.BUILT_IN, TASK, task)  # type: ignore[arg-type]
        smoke = plan.SCALES["smoke"].tasks[TASK]
        sizes = {name: replace(smoke[name], seeds=SEEDS) for name in ("main", "main-best")}
        monkeypatch.setattr(plan, "SCALES", {"smoke": plan.Scale({TASK: sizes})})
        request = Request(tmp_path, "smoke", (TASK,), ("generalisation", "gain", "coupling"))
        if kept:
            for (task_name, study), planned in request.landscapes().items():
                landscape = request.on_best_cells(task_name, study, planned) or planned
                with Ledger.open_to_write(request.folder(task_name, study), landscape) as ledger:
                    for cell in iter(ledger.claim, None):
                        ledger.record(cell, with_mistakes(cell), '{"unyoke": "0"}')
        else:
            fill(request, lambda cell: valley(cell, 0.0))
        maps = run.read(request, request.needed())
        return {row.claim.name: row for row in run.answer(request, maps)}, maps[TASK]

    return answer


def test_from_the_errors_of_single_samples(
    answered: Callable[..., tuple[dict[str, Answer], Maps]],
) -> None:
    """By hand: (E_SGDW − E_AdamW)/E_SGDW over samples, each the mean over seeds."""
    rows, maps = answered(kept=True, split_by_seed=False)
    measurement = rows["generalisation/sgd"].measurement
    assert measurement is not None
    assert measurement.sampling == "paired"
    means, errors = [], []
    for optimizer in ("AdamW", "SGDW"):
        panel = maps.best("main", optimizer)
        place = np.unravel_index(np.argmin(np.round(panel.choice, 9)), panel.choice.shape)
        at = int(place[0]), int(place[1])
        landscape = maps.landscape("main-best")
        kept = [wrong(panel.cell(landscape, seed, at)) for seed in range(SEEDS)]
        means.append(np.mean(kept, axis=0))
        errors.append(float(np.mean(kept)))
    linear = means[1] * errors[0] / errors[1] ** 2 - means[0] / errors[1]
    assert measurement.sampling_error == pytest.approx(np.std(linear, ddof=1) / math.sqrt(SAMPLES))


def test_a_map_s_report_pairs_them_too(
    answered: Callable[..., tuple[dict[str, Answer], Maps]],
) -> None:
    """The interval of a difference with other test samples, by hand."""
    _, maps = answered(kept=True, split_by_seed=False)
    source = maps.sources["main"]
    panels = {panel.optimizer: panel for panel in source.survey.panels}
    landscape = source.survey.landscape
    with Ledger.open_to_read(source.folder) as ledger:
        samples = Samples(landscape, ledger.sample_errors)
        findings = [find(panels[name], samples) for name in ("AdamW", "SGDW")]
        first, *_ = comparisons(findings, samples)
    kept = [
        np.mean([wrong(each.panel.cell(landscape, seed, each.best)) for seed in range(SEEDS)], 0)
        for each in findings
        if each.best is not None
    ]
    reach = [
        each.high - each.value
        for each in (first.comparison.difference, first.comparison.any_samples)
    ]
    error = np.std(kept[0] - kept[1], ddof=1) / math.sqrt(SAMPLES)
    assert math.sqrt(reach[1] ** 2 - reach[0] ** 2) == pytest.approx(1.959964 * error, rel=1e-6)


def test_a_map_of_a_split_by_seed_has_one_interval(
    answered: Callable[..., tuple[dict[str, Answer], Maps]],
) -> None:
    _, maps = answered(kept=True, split_by_seed=True)
    source = maps.sources["main"]
    samples = Samples(source.survey.landscape, lambda cell: None)
    found = find(source.survey.panels[0], samples)
    assert found.any_samples == found.error


def test_it_is_less_than_the_bound_because_both_err_on_the_same(
    answered: Callable[..., tuple[dict[str, Answer], Maps]],
) -> None:
    rows, maps = answered(kept=True, split_by_seed=False)
    for name in ("generalisation/adam", "generalisation/sgd", "gain/adamw"):
        measurement = rows[name].measurement
        assert measurement is not None
        without = Maps(maps.sources, {}, {})
        without.sample_errors = lambda *_: None  # type: ignore[method-assign]
        bound = rows[name].claim.measure(without)
        assert bound.sampling == "bound"
        assert measurement.number == bound.number
        assert 0 < measurement.sampling_error < 0.5 * bound.sampling_error
    unknown = rows["coupling/adam-regret"].measurement
    assert unknown is not None
    assert unknown.sampling == "unknown"


def test_ledgers_without_them_give_the_bound(
    answered: Callable[..., tuple[dict[str, Answer], Maps]],
) -> None:
    rows, _ = answered(kept=False, split_by_seed=False)
    measurement = rows["generalisation/sgd"].measurement
    assert measurement is not None
    assert measurement.sampling == "bound"


def test_where_the_seed_draws_the_split_its_interval_covers_them(
    answered: Callable[..., tuple[dict[str, Answer], Maps]],
) -> None:
    rows, _ = answered(kept=True, split_by_seed=True)
    for row in rows.values():
        assert row.measurement is not None
        assert row.measurement.sampling == "drawn by the seed"
    number = rows["generalisation/sgd"]
    assert number.measurement is not None
    ends = (number.measurement.number.low, number.measurement.number.high)
    assert number.any_samples == pytest.approx(ends)
