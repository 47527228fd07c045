"""`unyoke tune`: where it looks, what it spends, what it answers."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from unyoke.cli import main
from unyoke.study import StudyError
from unyoke.study.landscape.landscape import Cell, Landscape
from unyoke.study.landscape.outcome import Outcome
from unyoke.study.ledger.ledger import Ledger
from unyoke.study.ledger.records import Record
from unyoke.study.tuning import tuning
from unyoke.study.tuning.answer import answer
from unyoke.study.tuning.search import Search, best, by_length, predicted

LR, TOTAL = 2.0**-6, 2.0  # the best of the whole run of 800 updates
P, Q = 0.5, -0.5


def outcome(cell: Cell) -> Outcome:
    """A basin whose best α falls as T^-½ and whose best Σηλ rises as T^½."""
    octaves = math.log2(cell.updates / 800)
    a = math.log2(cell.lr / LR) + 0.5 * octaves
    total = math.log2(max(cell.weight_decay, 2.0**-8) / TOTAL) - 0.5 * octaves
    error = None if cell.lr > 0.3 else 0.1 + 0.01 * a**2 + 0.01 * (total - P * a) ** 2
    status = "diverged" if error is None else "finished"
    return Outcome(
        status, cell.updates, error, error, error, error, 0.001, 1000, "%", 0.5 * cell.updates, ()
    )


def searched(
    landscape: Landscape, search: tuning.Search | tuning.Timed, rounds: int = 1000
) -> dict[Cell, Outcome]:
    done: dict[Cell, Outcome] = {}
    for _ in range(rounds):
        cells = search.next_cells(landscape, done.items())
        if not cells:
            break
        assert not set(cells) & set(done)
        done |= {cell: outcome(cell) for cell in cells}
    return done


@pytest.fixture(scope="module")
def landscape() -> Landscape:
    return tuning.plan("digits", length=800)


@pytest.mark.parametrize("runs", [5, 8, 16, 40])
def test_the_best_cell_is_found_within_the_budget(landscape: Landscape, runs: int) -> None:
    done = searched(landscape, Search(runs * 800))
    assert sum(cell.updates for cell in done) <= runs * 800
    (axes,) = landscape.axes.values()
    place = best(by_length(landscape, done.items())[800])
    assert place is not None
    assert abs(math.log2(axes.lr[place[0]] / LR)) <= 1
    assert abs(math.log2(axes.weight_decay[place[1]] / TOTAL)) <= 1


def test_an_interrupted_search_goes_on_as_it_would_have(landscape: Landscape) -> None:
    whole = searched(landscape, Search(12_800))
    part = searched(landscape, Search(12_800), rounds=3)
    assert 0 < len(part) < len(whole)
    rest = dict(part)
    while cells := Search(12_800).next_cells(landscape, rest.items()):
        rest |= {cell: outcome(cell) for cell in cells}
    assert rest == whole


def test_longer_trainings_begin_where_shorter_ones_point(landscape: Landscape) -> None:
    found = {100: {(8, 4): 0.1}, 400: {(7, 5): 0.1}}
    # measured -½ and ½ per octave, as expected: one octave moves half a column and half a row
    assert predicted(found, (100, 400), 800) == pytest.approx((6.5, 5.5))
    assert predicted({100: {(8, 4): math.inf}}, (100,), 800) is None


def test_a_run_that_diverges_everywhere_leads_to_smaller_rates(landscape: Landscape) -> None:
    lost = {cell: replace(outcome(cell), validation_error=None) for cell in landscape.cells()}
    found = by_length(landscape, list(lost.items())[:0])
    assert all(not errors for errors in found.values())
    records = [Record(cell, one, "", 0.0) for cell, one in list(lost.items())[:5]]
    with pytest.raises(StudyError, match="smaller learning rates"):
        answer(landscape, records)


def records(done: dict[Cell, Outcome]) -> list[Record]:
    return [Record(cell, one, "versions", 0.0) for cell, one in done.items()]


def test_the_answer_has_the_numbers_and_how_they_move(landscape: Landscape) -> None:
    found = answer(landscape, records(searched(landscape, Search(16 * 800))))
    assert found.trained
    assert found.length == 800
    assert found.total_decay == pytest.approx(found.weight_decay * 400.5)  # a cosine's Ση
    assert found.torch_weight_decay == pytest.approx(found.weight_decay / found.lr)
    assert found.lr_range[0] <= found.lr <= found.lr_range[1]
    assert found.weight_decay_range[0] <= found.weight_decay <= found.weight_decay_range[1]
    assert found.p.value == pytest.approx(P, abs=0.2)
    assert found.q.low is not None
    assert found.q.high is not None
    # Along the path of the best cells λ ∝ T^−½ and α ∝ T^−½: q = −½ + ½·p
    assert found.q.low <= -0.5 + 0.5 * P <= found.q.high
    assert f"{found.lr:.4g}" in found.code["torch"]
    json.dumps(found.as_json())


def test_a_budget_without_a_whole_run_is_carried_over(landscape: Landscape) -> None:
    found = answer(landscape, records(searched(landscape, Search(16 * 800), rounds=4)))
    assert not found.trained
    assert found.test_error is None
    assert 2**-8 <= found.lr <= 2**-4


def test_a_time_is_as_many_updates_as_it_pays_for(landscape: Landscape) -> None:
    now = [0.0]
    timed = tuning.Timed(1600.0, workers=2, clock=lambda: now[0])
    done = searched(landscape, timed)  # half a second each update, two at a time: 6,400 updates
    assert 3_200 < sum(cell.updates for cell in done) <= 6_400
    now[0] = 1600.0
    assert timed.next_cells(landscape, ()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--updates", "50"], "too small for a run of 150"),
        (["--updates", "5000", "--minutes", "1"], "both budgets"),
        (["--optimizer", "Adan"], "Adan cannot be tuned"),
        (["--length", "5"], "too short to tune"),
        (["--lr", "0.1"], "give a range"),
        (["--lr", "fast"], "is not a number"),
        (["--minutes", "0"], "--minutes"),
        (["--minutes", "nan"], "nan is not a finite number above 0"),
        (["--batch-size", "100000"], "batch of 100000"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    found = CliRunner().invoke(main, ["tune", "digits", "--out", str(tmp_path / "t"), *arguments])
    assert found.exit_code == 2, found.output
    assert message in found.output
    assert len(found.output.strip().splitlines()) == 1
    assert not (tmp_path / "t" / "ledger.sqlite").exists()


@pytest.mark.slow
def test_the_command_trains_answers_and_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "tuned"
    command = ["tune", "breast-cancer", "--length", "40", "--out", str(folder), "--workers", "2"]
    first = CliRunner().invoke(main, [*command, "--updates", "400"])
    assert first.exit_code == 0, first.output
    assert "torch.optim.AdamW(model.parameters(), lr=" in first.output
    assert (folder / "report.html").exists()
    with Ledger.open_to_read(folder) as ledger:
        before = ledger.count().done
    more = CliRunner().invoke(main, [*command, "--updates", "640", "--json"])
    assert more.exit_code == 0, more.output
    text = more.output
    document = json.loads(text[text.index("{\n") : text.rindex("}") + 1])
    assert document["trainings"] > before
    assert 400 < document["updates"] <= 640
    assert document["length"] == 40
