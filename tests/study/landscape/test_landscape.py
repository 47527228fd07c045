from __future__ import annotations

from dataclasses import replace

import pytest

from unyoke.study.landscape.landscape import Axes, Cell, Landscape, TaskReference


def test_cells_are_all_different_and_come_seed_by_seed(landscape: Landscape) -> None:
    cells = list(landscape.cells())
    assert len(cells) == len({cell.key for cell in cells}) == 2 * 3 * 3 * 2
    assert [cell.seed for cell in cells] == [0] * 18 + [1] * 18


def test_every_number_of_updates_comes_with_every_batch_size(landscape: Landscape) -> None:
    larger = replace(landscape, updates=(10, 20), batch_sizes=(None, 4))
    assert larger.budgets() == ((10, None), (10, 4), (20, None), (20, 4))
    assert {cell.budget for cell in larger.cells()} == set(larger.budgets())
    assert len(list(larger.cells())) == 4 * len(list(landscape.cells()))
    assert landscape.is_part_of(larger)
    assert Landscape.from_json(larger.to_json()) == larger


def test_a_cell_of_the_tasks_own_batch_size_has_the_key_of_old(landscape: Landscape) -> None:
    """Ledgers made before there were batch sizes keep their keys."""
    cell = next(landscape.cells())
    assert "batch_size" not in cell.to_json()
    assert cell.key == "47c4acfe2d8748fee6f8ea7fec9d93fa"


def test_landscape_and_cell_survive_json(landscape: Landscape) -> None:
    assert Landscape.from_json(landscape.to_json()) == landscape
    for cell in landscape.cells():
        assert Cell.from_json(cell.to_json()) == cell


@pytest.mark.parametrize(
    "change",
    [
        {"task": "other"},
        {"task_digest": "4567"},
        {"optimizer": "Adam"},
        {"schedule": "constant"},
        {"updates": 11},
        {"batch_size": 4},
        {"lr": 0.3},
        {"weight_decay": 1e-9},
        {"seed": 7},
    ],
)
def test_a_cell_that_differs_in_anything_has_another_key(
    landscape: Landscape, change: dict[str, object]
) -> None:
    cell = next(landscape.cells())
    assert replace(cell, **change).key != cell.key  # type: ignore[arg-type]


def changed(landscape: Landscape) -> list[tuple[Landscape, str]]:
    axes = landscape.axes
    wider = Axes((*axes["SGD"].lr, 2.0), axes["SGD"].weight_decay)
    return [
        (replace(landscape, task=TaskReference("other", "0123")), "task made up, not other"),
        (replace(landscape, task=TaskReference("made up", "9")), "other code of the task made up"),
        (
            replace(landscape, task=replace(landscape.task, trainer="9", digest="9")),
            "filled by other code of unyoke: older, not 9",
        ),
        (
            replace(landscape, task=replace(landscape.task, data_digest="9")),
            "other data of the task made up",
        ),
        (replace(landscape, updates=(20,)), "updates 10, not 20"),
        (replace(landscape, batch_sizes=(8,)), "batch sizes the task's own, not 8"),
        (replace(landscape, seeds=(0,)), "seeds 0,1, not 0"),
        (replace(landscape, evaluations=1), "evaluations as usual, not 1"),
        (replace(landscape, schedules=("constant",)), "schedules cosine, not constant"),
        (replace(landscape, axes={"SGD": axes["SGD"]}), "optimizers AdamW,SGD, not SGD"),
        (replace(landscape, axes={**axes, "SGD": wider}), "SGD's lr 2^-2:2^0, not 2^-2:2^1"),
    ]


@pytest.mark.parametrize("case", range(11))
def test_differences_are_named(landscape: Landscape, case: int) -> None:
    other, text = changed(landscape)[case]
    difference = landscape.difference(other)
    assert difference is not None
    assert text in difference


def test_order_of_optimizers_and_place_of_the_file_make_no_difference(
    landscape: Landscape,
) -> None:
    other = replace(
        landscape,
        task=replace(landscape.task, file="/elsewhere/made_up.py"),
        axes=dict(reversed(landscape.axes.items())),
    )
    assert landscape.difference(other) is None


def test_a_part_of_a_larger_landscape(landscape: Landscape) -> None:
    axes = landscape.axes
    wider = Axes((*axes["SGD"].lr, 2.0), axes["SGD"].weight_decay)
    larger = replace(landscape, axes={**axes, "SGD": wider}, seeds=(0, 1, 2))
    assert landscape.is_part_of(larger)
    assert not larger.is_part_of(landscape)
    assert not landscape.is_part_of(replace(larger, updates=(20,)))
    assert not landscape.is_part_of(replace(larger, evaluations=1))
    assert not landscape.is_part_of(replace(larger, task=TaskReference("made up", "9")))
