"""The best cells of maps, trained again: which they are, and when they are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from planted import basin, fill, made_up

from unyoke.study.claims import plan, run
from unyoke.study.claims.chosen import chosen
from unyoke.study.claims.request import Request
from unyoke.study.landscape.landscape import Axes, Cell
from unyoke.study.ledger.ledger import Ledger

TASK = "digits-plain"


@pytest.fixture
def planned(tmp_path: Path) -> Request:
    return Request(tmp_path, "smoke", (TASK,), ("gain", "generalisation", "schedules"))


def error(cell: Cell) -> float:
    """AdamW's best is at α = 2^-5 with decay and at 2^-9 without, under steps at 2^-1."""
    best = 2.0**-9 if cell.weight_decay == 0 else 2.0**-5
    if cell.schedule == "step_drops":
        best = 2.0**-1
    return basin(cell, 0.06) + (0.0 if cell.lr == best else 0.1)


def test_they_are_the_best_with_decay_and_without(planned: Request) -> None:
    fill(planned, error, spread=0.0)
    landscapes = planned.landscapes()
    axes = landscapes[TASK, "main-best"].axes["AdamW"]
    assert axes == Axes((2.0**-9, 2.0**-5), (0.0, 2.0**-5))
    assert landscapes[TASK, "schedules-best"].axes["AdamW"].lr == (2.0**-9, 2.0**-5, 2.0**-1)
    found = run.read(planned, planned.needed())[TASK].best("main", "AdamW")
    assert found.axes == axes
    assert found.done.all()


def test_maps_that_are_not_whole_choose_nothing(planned: Request) -> None:
    landscape = planned.landscapes()[TASK, "main"]
    folder = planned.folder(TASK, "main")
    again = planned.landscapes()[TASK, "main-best"]
    assert chosen(again, folder) is None
    with Ledger.open_to_write(folder, landscape) as ledger:
        for cell in iter(ledger.claim, None):
            if cell.seed == 0:
                ledger.record(cell, made_up(cell, error(cell)), "{}")
    assert chosen(again, folder) is None
    rows = run.answer(planned, run.read(planned, planned.needed()))
    assert {row.verdict for row in rows} == {"incomplete"}


def test_maps_that_grow_may_choose_others_as_well(planned: Request) -> None:
    """What was chosen before stays in the ledger beside it."""
    fill(planned, error, spread=0.0)
    again = planned.landscapes()[TASK, "main-best"]
    other = replace(again, axes={**again.axes, "AdamW": Axes((2.0**-5,), (0.0, 2.0**-9))})
    joined = run._accepted(planned.folder(TASK, "main-best"), other, run.Workers(1))
    assert joined.axes["AdamW"] == Axes((2.0**-9, 2.0**-5), (0.0, 2.0**-9, 2.0**-5))


def test_every_study_that_is_compared_by_its_best_cells_has_them(tmp_path: Path) -> None:
    for study, what in plan.STUDIES.items():
        if what.of is not None:
            assert (plan.again(what.of), what.optimizers) == (
                study,
                plan.STUDIES[what.of].optimizers,
            )
