"""Which cells are trained together, and in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest
from asking import asked

from unyoke.study.landscape.batches import ENOUGH, FIRST, LARGEST, SMALLEST, batches
from unyoke.study.landscape.landscape import Cell, Landscape


@pytest.mark.parametrize("workers", [1, 2, 64])
@pytest.mark.parametrize("seconds", [None, 1e-3, 1.0])
def test_every_cell_is_in_one_batch(workers: int, seconds: float | None) -> None:
    cells = list(asked(updates="5,50", batch_size="10,20").cells())
    parts = batches(cells, workers, seconds)
    assert sorted(cell.key for part in parts for cell in part) == sorted(c.key for c in cells)
    for part in parts:
        assert len({(cell.optimizer, cell.budget) for cell in part}) == 1


def test_no_cells_are_no_batches() -> None:
    assert batches([], 2) == []


def test_the_first_are_small_the_next_large_and_the_last_small() -> None:
    sizes = [len(part) for part in batches(list(asked().cells()), workers=2)]
    assert sizes[:2] == [FIRST, FIRST]
    assert max(sizes) in range(2 * SMALLEST, LARGEST + 1)
    assert sizes[-1] < 2 * SMALLEST
    assert min(sizes[2:]) >= SMALLEST / 2


def test_many_cells_of_one_seed_are_not_joined_by_others() -> None:
    cells = list(asked().cells())
    of_one_seed = sum(
        cell.seed == cells[0].seed and cell.optimizer == cells[0].optimizer for cell in cells
    )
    for part in batches(cells, workers=2):
        seeds = [cell.seed for cell in part]
        assert seeds.count(seeds[0]) <= of_one_seed
        assert len(set(seeds)) == 1 or seeds.count(seeds[0]) < ENOUGH


def test_the_longest_come_first_then_the_ledgers_order(landscape: Landscape) -> None:
    cells = list(replace(landscape, updates=(10, 20)).cells())
    parts = batches(cells, workers=1)
    updates = [part[0].updates for part in parts]
    assert updates == sorted(updates, reverse=True)
    assert parts[0][0] == next(cell for cell in cells if cell.updates == 20)
    default = list(asked().cells())
    begun = {part[0].optimizer for part in batches(default, workers=2)[:6]}
    assert len(begun) == 4  # a seed of every optimizer before another seed of one


def test_what_takes_long_is_trained_in_small_batches(landscape: Landscape) -> None:
    def largest(seconds: float) -> int:
        return max(map(len, batches(cells, workers=1, seconds_per_update=seconds)))

    cells: list[Cell] = list(replace(landscape, seeds=tuple(range(20))).cells())
    assert largest(1e-6) > 50
    assert 10 <= largest(0.2) < 17  # cells of 10 updates, 2 s each, 20 s a batch and its rest
    assert largest(60.0) == 1
