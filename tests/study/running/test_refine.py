"""A refined map: where it trains next, and that it finds what the whole grid has."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from unyoke.study.landscape.landscape import Axes, Cell, Landscape
from unyoke.study.landscape.outcome import Outcome
from unyoke.study.running.refine import BREADTH, FIELD, next_cells

AXIS = tuple(2.0**-k for k in range(9, 0, -1))
Error = Callable[[Cell], float | None]


@pytest.fixture
def large(landscape: Landscape) -> Landscape:
    """One optimizer, 9 × 9 cells, three seeds."""
    return replace(landscape, axes={"AdamW": Axes(AXIS, AXIS)}, seeds=(0, 1, 2))


def outcome(error: float | None) -> Outcome:
    status = "diverged" if error is None else "finished"
    return Outcome(status, 10, error, error, error, error, error, 100, "%", 0.5, ())


def bowl(lr: float, weight_decay: float, tilt: float = 0.0) -> Error:
    """A smooth basin with its floor at a place of the grid, the same for all seeds."""

    def error(cell: Cell) -> float:
        a, d = math.log2(cell.lr / lr), math.log2(cell.weight_decay / weight_decay)
        return 0.1 + 0.01 * (a * a + (d - tilt * a) ** 2)

    return error


def run(landscape: Landscape, error: Error, most: int | None = None) -> list[list[Cell]]:
    """The rounds of a refined map, to its end."""
    done: dict[Cell, Outcome] = {}
    rounds = []
    while cells := next_cells(landscape, done.items(), most):
        assert not done.keys() & set(cells)
        assert len(set(cells)) == len(cells)
        rounds.append(cells)
        done |= {cell: outcome(error(cell)) for cell in cells}
        assert len(rounds) < 100
    return rounds


@pytest.mark.parametrize("tilt", [0.0, 1.0, -1.0])
@pytest.mark.parametrize("floor", [(2**-2, 2**-8), (2**-5, 2**-5), (2**-9, 2**-1)])
def test_the_floor_of_a_basin_is_found_wherever_it_lies(
    large: Landscape, floor: tuple[float, float], tilt: float
) -> None:
    error = bowl(*floor, tilt)
    cells = [cell for part in run(large, error) for cell in part]
    assert set(cells) < set(large.cells())
    assert len(cells) < 0.45 * 243
    best = [cell for cell in cells if (cell.lr, cell.weight_decay) == floor]
    assert {cell.seed for cell in best} == {0, 1, 2}


def test_first_coarse_then_the_basin_then_the_seeds(large: Landscape) -> None:
    rounds = run(large, bowl(2**-4, 2**-4))
    assert {cell.seed for cell in rounds[0]} == {0}
    assert len(rounds[0]) == 25
    assert {cell.lr for cell in rounds[0]} == set(AXIS[::2])
    second = [cell for part in rounds[1:] for cell in part if cell.seed == 1]
    third = [cell for part in rounds[1:] for cell in part if cell.seed == 2]
    assert len(second) in range(FIELD, FIELD + BREADTH)
    assert len(third) in range(FIELD // 2, FIELD // 2 + BREADTH)
    order = [seed for part in rounds for seed in sorted({cell.seed for cell in part})]
    assert order == sorted(order)


def test_a_first_seed_that_was_lucky_does_not_decide(large: Landscape) -> None:
    """A cell far better with seed 0 alone gets another seed, and then it is no longer the best."""
    basin = bowl(2**-4, 2**-4)

    def error(cell: Cell) -> float:
        lucky = (cell.lr, cell.weight_decay) == (2**-5, 2**-3)
        return (0.01 if cell.seed == 0 else 0.5) if lucky else basin(cell) or 0.0

    cells = {cell for part in run(large, error) for cell in part}
    for place, seeds in (((2**-5, 2**-3), 2), ((2**-4, 2**-4), 3)):
        assert len([c for c in cells if (c.lr, c.weight_decay) == place]) == seeds


def test_the_best_cell_has_every_seed_whichever_it_is_at_the_end(large: Landscape) -> None:
    """A third seed that is bad for all who get it makes a cell with two seeds the best."""
    basin = bowl(2**-4, 2**-4)
    rounds = run(large, lambda cell: (basin(cell) or 0.0) + 0.3 * (cell.seed == 2))
    cells = [cell for part in rounds for cell in part]
    means = {
        place: sum(
            (basin(c) or 0.0) + 0.3 * (c.seed == 2)
            for c in cells
            if (c.lr, c.weight_decay) == place
        )
        / seeds
        for place, seeds in Counter((c.lr, c.weight_decay) for c in cells).items()
    }
    best = min(means, key=lambda place: means[place])
    assert len([cell for cell in cells if (cell.lr, cell.weight_decay) == best]) == 3


def test_the_ends_of_an_axis_are_tried_first(large: Landscape) -> None:
    even = replace(large, axes={"AdamW": Axes(AXIS[:8], AXIS[:4])})
    coarse = next_cells(even, [])
    assert {cell.lr for cell in coarse} == {*AXIS[:8:2], AXIS[7]}
    assert {cell.weight_decay for cell in coarse} == {AXIS[0], AXIS[2], AXIS[3]}


def test_what_diverges_is_never_the_best(large: Landscape) -> None:
    basin = bowl(2**-2, 2**-5)

    def error(cell: Cell) -> float | None:
        return None if cell.lr > 2**-4 else basin(cell)

    cells = [cell for part in run(large, error) for cell in part]
    assert all(cell.lr <= 2**-4 for cell in cells if cell.seed > 0)
    assert all(len(part) > 0 for part in run(large, lambda cell: None))  # and it ends


def test_a_budget_is_kept_and_taken_from_every_panel(large: Landscape) -> None:
    several = replace(large, axes={"AdamW": Axes(AXIS, AXIS), "SGD": Axes(AXIS, AXIS)})
    for most in (0, 7, 60, 10_000):
        cells = [cell for part in run(several, bowl(2**-4, 2**-4), most) for cell in part]
        assert len(cells) <= most
        shares = [sum(cell.optimizer == name for cell in cells) for name in several.axes]
        assert abs(shares[0] - shares[1]) <= 1
    assert len(run(several, bowl(2**-4, 2**-4), 7)) == 1


def test_interrupted_it_goes_on_as_it_would_have(large: Landscape) -> None:
    error = bowl(2**-3, 2**-6, 1.0)
    whole = {cell for part in run(large, error) for cell in part}
    done: dict[Cell, Outcome] = {}
    while cells := next_cells(large, done.items()):
        done |= {cell: outcome(error(cell)) for cell in cells[: max(1, len(cells) // 2)]}
    assert done.keys() >= {cell for cell in whole if cell.seed == 0 and error(cell) == 0.1}
    assert len(done) <= len(whole) + BREADTH


def test_a_small_grid_and_one_seed(landscape: Landscape) -> None:
    tiny = replace(landscape, axes={"SGD": Axes((0.5,), (0.0, 0.25))}, seeds=(4,))
    assert [cell for part in run(tiny, lambda cell: 0.2) for cell in part] == list(tiny.cells())
