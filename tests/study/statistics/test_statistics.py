"""The statistics on basins whose tilt and regret are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from unyoke.study.statistics import (
    Edge,
    best_cell,
    best_cells,
    best_decays,
    edges,
    error_of_the_best,
    exponent_class,
    lr_sensitivity,
    one_at_a_time_regret,
    ridge,
    sensitivity,
    tilt,
)

LR = 2.0 ** np.arange(-10, 1)
DECAY = np.array([0.0, *2.0 ** np.arange(-10, 1)])


def basin(slope: float, *, sharpness: float = 0.05, centre: float = -5.0) -> NDArray[np.float64]:
    """A quadratic basin whose best λ moves by `slope` powers of two when α doubles."""
    a = np.log2(LR)[None, :] - centre
    l = np.concatenate([[-30.0], np.log2(DECAY[1:])])[:, None] - centre  # noqa: E741
    return np.asarray(0.1 + sharpness * ((l - slope * a) ** 2 + 0.5 * a**2))


@pytest.mark.parametrize("slope", [-1.0, -0.5, 0.0, 0.5, 1.0])
def test_tilt_of_a_quadratic_basin_is_its_slope(slope: float) -> None:
    # The ten best cells of a grid of whole powers know a slope to a few hundredths.
    assert tilt(LR, DECAY, basin(slope)) == pytest.approx(slope, abs=0.04)


def test_tilt_of_a_basin_that_runs_along_a_diagonal() -> None:
    a, l = np.log2(LR)[None, :], np.log2(DECAY[1:])[:, None]  # noqa: E741
    valley = np.vstack([np.full((1, len(LR)), 9.0), (a + l + 10) ** 2])
    assert tilt(LR, DECAY, valley) == pytest.approx(-1, abs=1e-9)


def test_tilt_knows_no_scale_origin_or_zero_row() -> None:
    error = basin(-0.5)
    expected = tilt(LR, DECAY, error)
    assert tilt(LR, DECAY, 7 * error + 3) == pytest.approx(expected, rel=1e-9)
    assert tilt(LR, DECAY[1:], error[1:]) == pytest.approx(expected, rel=1e-12)


def test_tilt_weighs_cells_by_their_height_in_the_basin() -> None:
    """Against the definition, on a map that no quadratic fits."""
    lr = decay = np.array([1.0, 2.0, 4.0, 8.0])
    error = np.random.default_rng(5).uniform(0.1, 0.3, (4, 4))
    a, l = np.meshgrid(range(4), range(4))  # noqa: E741
    spread = np.sort(error.ravel())[9] - error.min()
    weights = np.exp(-(error - error.min()) / spread)
    covariance = np.cov(a.ravel(), l.ravel(), aweights=weights.ravel())
    assert tilt(lr, decay, error) == pytest.approx(covariance[0, 1] / covariance[0, 0])


def test_tilt_leaves_diverged_cells_out() -> None:
    error = basin(-0.5)
    expected = tilt(LR, DECAY, error)
    error[np.isclose(error, np.nanmax(error))] = np.nan
    error[:, -1] = np.nan
    assert tilt(LR, DECAY, error) == pytest.approx(expected, abs=0.01)


def test_tilt_is_unknown_with_one_learning_rate() -> None:
    assert math.isnan(tilt(LR[:1], DECAY, basin(0)[:, :1]))
    assert math.isnan(tilt(LR, DECAY, np.full((len(DECAY), len(LR)), np.nan)))


def test_regret_of_independent_hyperparameters_is_zero() -> None:
    separable = np.add.outer([0.3, 0.1, 0.2], [0.5, 0.4, 0.0, 0.7])
    assert one_at_a_time_regret(separable, separable) == 0


def test_regret_by_hand() -> None:
    error = np.array([[5.0, 4.0, 9.0], [3.0, 8.0, 2.0], [7.0, 6.0, 1.0]])
    # From the rows: 4 (row 0 chooses column 1, whose best is 4), 1 and 1; from the columns:
    # row 1 (3) leads to 2, row 0 (4) stays at 4, row 2 stays at 1. The best cell is 1.
    assert one_at_a_time_regret(error, error) == pytest.approx(
        ((4 + 1 + 1) / 3 + (2 + 4 + 1) / 3) / 2 - 1
    )


def test_regret_is_chosen_by_one_error_and_told_by_the_other() -> None:
    choice = np.array([[1.0, 2.0], [3.0, 0.0]])
    report = np.array([[0.9, 0.7], [0.8, 0.5]])
    # Row 0 and column 0 stay at 1.0, row 1 and column 1 reach 0.0, in both directions.
    assert one_at_a_time_regret(choice, report) == pytest.approx((0.9 + 0.5) / 2 - 0.5)


def test_a_coupled_basin_has_regret_and_an_uncoupled_one_has_none() -> None:
    assert one_at_a_time_regret(basin(0), basin(0)) == pytest.approx(0, abs=1e-12)
    assert one_at_a_time_regret(basin(-1), basin(-1)) > 0.1


def test_regret_starts_from_no_row_without_an_error() -> None:
    error = np.array([[1.0, 2.0], [np.nan, np.nan], [3.0, 4.0]])
    assert one_at_a_time_regret(error, error) == 0
    assert math.isnan(one_at_a_time_regret(error[1:2], error[1:2]))


def test_best_cells_are_in_order_and_never_diverged() -> None:
    error = np.array([[0.3, np.nan], [0.1, 0.2]])
    assert best_cells(error) == [(1, 0), (1, 1), (0, 0)]
    assert best_cells(error, 2) == [(1, 0), (1, 1)]
    assert best_cell(np.full((2, 2), np.nan)) is None


def test_cells_of_the_same_counts_are_tied_however_they_were_added_up() -> None:
    """Three seeds with 1, 2 and 3 wrong samples of ten, in either order."""
    up, down = 0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1
    assert up > down  # by the last bit
    choice = np.array([[0.9, up], [down, down]]) / 3
    report = np.array([[0.9, 0.1], [0.2, 0.3]])
    assert best_cells(choice) == [(0, 1), (1, 0), (1, 1), (0, 0)]
    assert error_of_the_best(choice, report) == 0.1
    assert lr_sensitivity(choice, report) == pytest.approx((0.9 - 0.1) / 2)
    # The first column's best row is 1, the second's 0; from either row the descent ends at (0, 1).
    assert one_at_a_time_regret(choice, report) == pytest.approx(
        ((0.1 + 0.2) / 2 + (0.2 + 0.1) / 2) / 2 - 0.1
    )


def test_ten_best_cells_of_the_same_counts_share_the_tilt_alike() -> None:
    up, down = (0.1 + 0.2 + 0.3) / 3, (0.3 + 0.2 + 0.1) / 3
    error = np.full((4, 4), 0.9)
    diagonal = [(i, j) for i in range(4) for j in range(4) if abs(i - j) <= 1]
    for place, cell in enumerate(diagonal):
        error[cell] = (up, down)[place % 2]
    assert len(diagonal) == 10
    exact = np.where(error < 0.5, 0.2, 0.9)
    axis = [1.0, 2.0, 4.0, 8.0]
    assert tilt(axis, axis, error) == pytest.approx(float(tilt(axis, axis, exact)))


def test_a_decay_that_is_as_good_as_none_is_no_best_decay() -> None:
    up, down = (0.1 + 0.2 + 0.3) / 3, (0.3 + 0.2 + 0.1) / 3
    error = np.array([[up], [0.4], [down], [0.4]])
    assert math.isnan(best_decays([0.0, 0.25, 0.5, 1.0], error)[0])


@pytest.mark.parametrize(
    ("position", "found"),
    [
        ((2, 2), []),
        ((2, 0), [Edge("lr", "low")]),
        ((2, 4), [Edge("lr", "high")]),
        ((0, 2), [Edge("weight_decay", "zero")]),
        ((1, 2), []),  # between λ = 0 and the next one
        ((4, 2), [Edge("weight_decay", "high")]),
        ((4, 4), [Edge("lr", "high"), Edge("weight_decay", "high")]),
    ],
)
def test_edges(position: tuple[int, int], found: list[Edge]) -> None:
    error = np.ones((5, 5))
    error[position] = 0
    assert edges(error, (0.0, 1.0, 2.0, 4.0, 8.0)) == found


def test_the_smallest_decay_is_an_edge_without_zero_beside_it() -> None:
    error = np.ones((3, 3))
    error[0, 1] = 0
    assert edges(error, (1.0, 2.0, 4.0)) == [Edge("weight_decay", "low")]


@pytest.mark.parametrize("slope", [-1.0, 0.0, 0.5])
def test_a_batch_of_maps_gives_what_each_map_gives(slope: float) -> None:
    generator = np.random.default_rng(3)
    maps = basin(slope) + generator.normal(0, 0.02, (5, len(DECAY), len(LR)))
    maps[1, :, 3:5] = np.nan
    maps[2] = np.nan
    report = maps + generator.normal(0, 0.01, maps.shape)
    for batch, single in (
        (tilt(LR, DECAY, maps), lambda i: tilt(LR, DECAY, maps[i])),
        (one_at_a_time_regret(maps, report), lambda i: one_at_a_time_regret(maps[i], report[i])),
        (error_of_the_best(maps, report), lambda i: error_of_the_best(maps[i], report[i])),
        (
            sensitivity(LR, maps, report, 2).decay_retuned,
            lambda i: sensitivity(LR, maps[i], report[i], 2).decay_retuned,
        ),
    ):
        assert batch == pytest.approx([float(single(i)) for i in range(5)], nan_ok=True)


def test_sensitivity_of_a_quadratic_basin() -> None:
    # E = E* + c((l − s·a)² + a²/2): one step of α costs c(s² + 1/2) with λ kept and c/2 retuned.
    error = basin(1.0, sharpness=0.1)
    off = sensitivity(LR, error, error, 2)
    assert float(off.decay_kept) == pytest.approx(0.1 * 1.5)
    assert float(off.decay_retuned) == pytest.approx(0.1 * 0.5)
    far = sensitivity(LR, error, error, 4)
    assert float(far.decay_kept) == pytest.approx(0.1 * 6)
    assert float(far.decay_retuned) == pytest.approx(0.1 * 2)


def test_sensitivity_is_chosen_by_one_error_and_told_by_the_other() -> None:
    lr = np.array([1.0, 2.0, 4.0])
    choice = np.array([[3.0, 1.0, 2.5], [2.0, 5.0, 4.0]])
    report = np.array([[0.7, 0.5, 0.8], [0.6, 0.9, 0.95]])
    off = sensitivity(lr, choice, report, 2)
    assert float(off.decay_kept) == pytest.approx(((0.7 - 0.5) + (0.8 - 0.5)) / 2)
    assert float(off.decay_retuned) == pytest.approx(((0.6 - 0.5) + (0.8 - 0.5)) / 2)


def test_sensitivity_at_an_edge_uses_the_side_that_is_there() -> None:
    lr, error = np.array([1.0, 2.0, 6.0]), np.array([[0.1, 0.4, 0.9]])
    assert float(sensitivity(lr, error, error, 2).decay_kept) == pytest.approx(0.3)
    assert math.isnan(sensitivity(lr, error, error, 4).decay_kept)
    nothing = np.full((1, 3), np.nan)
    assert math.isnan(sensitivity(lr, nothing, nothing, 2).decay_kept)


@pytest.mark.parametrize("slope", [-1.0, -0.5, 0.0, 0.5, 1.0])
@pytest.mark.parametrize("every", [1, 2])
def test_the_ridge_of_a_quadratic_basin_is_its_slope_on_any_grid(slope: float, every: int) -> None:
    """Exactly, whichever values of the axes were tried, unlike the ten best cells."""
    lr, decay = LR[::every], np.array([0.0, *DECAY[1::every]])
    error = np.vstack([basin(slope)[:1], basin(slope)[1::every]])[:, ::every]
    assert ridge(lr, decay, error) == pytest.approx(slope, abs=1e-9)


def test_best_decays_lie_between_the_values_that_were_tried() -> None:
    found = best_decays(DECAY, basin(0.5, centre=-5.3))
    middle = np.abs(np.log2(LR) + 5) <= 3
    expected = -5.3 + 0.5 * (np.log2(LR) + 5.3)
    np.testing.assert_allclose(found[middle], expected[middle], atol=1e-9)


def test_where_the_best_decay_is_not_known() -> None:
    error = np.array(
        [
            [0.5, 0.5, 0.1, 0.5, np.nan],  # λ = 0, the best of the third α
            [0.1, 0.4, 0.4, 0.4, np.nan],  # the smallest λ is the best of the first
            [0.2, 0.2, 0.2, 0.3, np.nan],
            [
                0.3,
                0.4,
                0.3,
                0.1,
                np.nan,
            ],  # and the largest of the fourth; nothing works at the last
        ]
    )
    found = best_decays([0.0, 0.25, 0.5, 1.0], error)
    assert found.tolist() == pytest.approx([np.nan, -1.0, np.nan, np.nan, np.nan], nan_ok=True)
    assert math.isnan(ridge(2.0 ** np.arange(5), [0.0, 0.25, 0.5, 1.0], error))


def test_the_ridge_does_not_mind_learning_rates_at_which_nothing_works() -> None:
    rng = np.random.default_rng(0)
    error = basin(-1.0)
    error[:, :2] = 3.0 + 0.001 * rng.normal(size=(len(DECAY), 2))
    assert ridge(LR, DECAY, error) == pytest.approx(-1.0, abs=0.01)


def test_the_ridge_of_many_maps_is_that_of_each() -> None:
    maps = np.stack([basin(slope) for slope in (-1.0, 0.0, 0.7)])
    assert ridge(LR, DECAY, maps) == pytest.approx([-1.0, 0.0, 0.7], abs=1e-9)
    assert math.isnan(ridge(LR, DECAY, np.full((len(DECAY), len(LR)), np.nan)))
    assert math.isnan(ridge(LR, DECAY[:2], basin(0.0)[:2]))


def test_lr_sensitivity_is_the_mean_over_all_learning_rates_at_the_best_decay() -> None:
    choice = np.array([[0.3, 0.1, 0.4], [0.2, 0.15, 0.2]])
    report = np.array([[0.5, 0.2, 0.8], [0.1, 0.1, 0.1]])
    assert lr_sensitivity(choice, report) == pytest.approx(0.5 - 0.2)
    upright, diagonal = basin(0.0), basin(-1.0)
    assert lr_sensitivity(diagonal, diagonal) > 2 * lr_sensitivity(upright, upright)


@pytest.mark.parametrize(
    ("interval", "found"),
    [
        ((-0.1, 0.3), (0, 0)),
        ((0.7, 1.2), (1, 1)),
        ((-1.3, -0.7), (-1, -1)),
        ((0.4, 0.6), (0, 1)),
        ((-0.6, -0.4), (-1, 0)),
        ((0.1, 0.5), None),
        ((-2.0, -0.9), None),
        ((math.nan, math.nan), None),
    ],
)
def test_exponents_are_called_by_their_whole_interval(
    interval: tuple[float, float], found: tuple[int, int] | None
) -> None:
    assert exponent_class(*interval) == found
