"""What one map says about its two hyperparameters, as pure functions of arrays.

Errors are [..., weight decays, learning rates]; leading dimensions are a batch, such as the
resamples of a bootstrap, and stay. A cell that diverged or has not run is NaN, and can be neither
chosen nor counted. Formulas stand here and, with pictures, in docs/study.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Axis = Sequence[float] | NDArray[np.float64]
Position = tuple[int, int]

BEST = 10
"""How many best cells a map circles, as the paper's do."""


@dataclass(frozen=True)
class Edge:
    """An end of an axis at which the best cell lies, so that a better one may lie beyond."""

    axis: Literal["lr", "weight_decay"]
    end: Literal["low", "high", "zero", "flat"]
    """"flat" is λ = 0 where the smallest λ is as good, so that nothing between them can be seen."""


FLAT = 0.1
"""A share of the lower quartile's distance from the best: errors so near are the same."""

TIE = 1e-10
"""Relative distance within which two errors are the same. Means of the same counts, added up in
another order, differ by 1e-16; means that differ by one sample, by 1e-7 at least."""


def first_lowest(error: Array, axis: int = -1) -> NDArray[np.intp]:
    """Where along an axis the lowest error is; of equal ones the first.

    Errors are mostly counts of wrong samples, so that cells often have the same. Maps have their
    rows and columns in ascending order: of equal cells that with the smaller λ is taken, then that
    with the smaller α. Never λ rather than none for nothing.
    """
    filled = _or_infinite(error)
    lowest = filled.min(axis=axis, keepdims=True)
    return np.asarray((filled <= lowest + TIE * np.abs(lowest)).argmax(axis=axis))


def _ranked(values: Array) -> NDArray[np.intp]:
    """Places in ascending order of value, equal ones in the order in which they stand."""
    order = np.argsort(values, kind="stable")
    in_order = values[order]
    with np.errstate(invalid="ignore"):
        steps = np.diff(in_order) > TIE * np.abs(in_order[:-1])
    group = np.concatenate([[0], np.cumsum(steps)])
    return np.asarray(order[np.lexsort((order, group))])


def best_cells(choice: Array, count: int = BEST) -> list[Position]:
    """The `count` cells of lowest error of one map, best first; fewer if fewer have an error."""
    order = _ranked(_or_infinite(choice).ravel())[:count]
    cells = (np.unravel_index(index, choice.shape) for index in order)
    return [(int(row), int(column)) for row, column in cells if math.isfinite(choice[row, column])]


def best_cell(choice: Array) -> Position | None:
    """The cell of lowest error of one map, or None if no cell has one."""
    return next(iter(best_cells(choice, 1)), None)


def _end_at_zero(choice: Array) -> Literal["zero", "flat"]:
    """Whether the smallest λ above 0 is worse than none, so that a smaller one may be better."""
    quartile, smallest = np.nanquantile(choice, 0.25), np.nanmin(choice[1])
    best = np.nanmin(choice)
    return "flat" if smallest - best <= FLAT * (quartile - best) else "zero"


def edges(choice: Array, weight_decay: tuple[float, ...]) -> list[Edge]:
    """The ends of the grid at which the best cell lies.

    λ = 0 counts as an end, because smaller decays than the smallest of the grid were not tried;
    the smallest λ above 0 does not where λ = 0 was tried beside it. An axis of one value was fixed
    and not searched, so it has no ends.
    """
    best = best_cell(choice)
    if best is None:
        return []
    row, column = best
    found: list[Edge] = []
    if choice.shape[1] > 1 and column == 0:
        found.append(Edge("lr", "low"))
    if choice.shape[1] > 1 and column == choice.shape[1] - 1:
        found.append(Edge("lr", "high"))
    if choice.shape[0] == 1:
        return found
    if row == 0:
        found.append(Edge("weight_decay", _end_at_zero(choice) if weight_decay[0] == 0 else "low"))
    if row == choice.shape[0] - 1 and weight_decay[row] > 0:
        found.append(Edge("weight_decay", "high"))
    return found


def tilt(lr: Axis, weight_decay: Axis, error: Array) -> Array:
    """By how many powers of two the best λ moves when α doubles; shape [...].

        w_ij = exp(−(E_ij − E_min)/s) ;  s = E_(10) − E_min, the spread of the ten best cells
        tilt = Σ w (a − ā)(l − l̄) / Σ w (a − ā)² ;  a = log2 α, l = log2 λ, ā and l̄ weighted means

    over the cells with λ > 0. For a quadratic basin E = ½(x − x*)ᵀH(x − x*) that is −H_al/H_ll,
    the slope of the line of the best λ for each α: 0 where the hyperparameters are independent, −1
    where only the product α·λ matters. It is the same for any scale and origin of the error.
    NaN where fewer than two learning rates have a share in the basin, or fewer than two λ > 0 were
    tried.
    """
    decays = np.asarray(weight_decay)
    rows = decays > 0
    if rows.sum() < 2:
        return np.full(error.shape[:-2], np.nan)
    known = error[..., rows, :]
    a, l = np.broadcast_arrays(np.log2(lr)[None, :], np.log2(decays[rows])[:, None])  # noqa: E741
    weights = _share_in_basin(known.reshape(*known.shape[:-2], -1))
    a_centred = a.ravel() - (weights @ a.ravel())[..., None]
    l_centred = l.ravel() - (weights @ l.ravel())[..., None]
    variance = (weights * a_centred**2).sum(axis=-1)
    covariance = (weights * a_centred * l_centred).sum(axis=-1)
    there = (variance > 1e-9) & (np.isfinite(known).sum(axis=(-2, -1)) >= 3)
    return quotient(covariance, variance, there)


def _share_in_basin(error: Array) -> Array:
    """w = exp(−(E − E_min)/s) over the last dimension, of sum 1; s the spread of the ten best.

    Where the ten best are equal they alone have a share; a cell without an error has none.
    """
    ranked = np.sort(np.where(np.isfinite(error), error, np.inf), axis=-1)
    lowest = ranked[..., :1]
    finite = np.isfinite(ranked).sum(axis=-1, keepdims=True)
    tenth = np.take_along_axis(ranked, np.clip(finite, 1, min(BEST, error.shape[-1])) - 1, axis=-1)
    known = np.isfinite(error)
    height = np.where(known, error, 0.0) - np.where(finite > 0, lowest, 0.0)
    spread = np.where(finite > 0, tenth, 0.0) - np.where(finite > 0, lowest, 0.0)
    same = TIE * np.abs(np.where(finite > 0, lowest, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(spread > same, np.exp(-height / spread), height <= same)
    share = np.where(known, share, 0.0)
    return np.asarray(share / np.maximum(share.sum(axis=-1, keepdims=True), 1e-300))


def one_at_a_time_regret(choice: Array, report: Array) -> Array:
    """What tuning one hyperparameter at a time costs, in the error's own units; shape [...].

        from each row i:     j = argmin_j C_ij, then k = argmin_k C_kj ;  regret R_kj − R_best
        from each column j:  i = argmin_i C_ij, then k = argmin_k C_ik ;  regret R_ik − R_best

    averaged over the rows and columns it may start from, half a weight each. C is the error that
    chooses (validation), R the one that is reported (test), best = argmin C over the whole grid.
    """
    lr_first = _descents(choice, report)
    weight_decay_first = _descents(choice.swapaxes(-1, -2), report.swapaxes(-1, -2))
    return np.asarray((lr_first + weight_decay_first) / 2 - error_of_the_best(choice, report))


def error_of_the_best(choice: Array, report: Array) -> Array:
    """R at argmin C, shape [...]; NaN where no cell has an error."""
    flat = _or_infinite(choice).reshape(*choice.shape[:-2], -1)
    at = first_lowest(flat)[..., None]
    reported = np.take_along_axis(report.reshape(flat.shape), at, axis=-1)[..., 0]
    return np.where(np.isfinite(flat).any(axis=-1), reported, np.nan)


def _descents(choice: Array, report: Array) -> Array:
    """Over all rows: the reported error after choosing a row's best column, then its best row.

    Rows without any error are no place to start from and are left out.
    """
    filled = _or_infinite(choice)
    starts = np.isfinite(filled).any(axis=-1)
    columns = first_lowest(filled)
    rows = np.take_along_axis(first_lowest(filled, axis=-2), columns, axis=-1)
    ends = np.take_along_axis(
        report.reshape(*report.shape[:-2], -1), rows * choice.shape[-1] + columns, axis=-1
    )
    total = np.where(starts, ends, 0.0).sum(axis=-1)
    count = starts.sum(axis=-1)
    return quotient(total, count, count > 0)


@dataclass(frozen=True)
class Sensitivity:
    """How much the error rises when α is off by a factor from the best one, in its own units."""

    decay_kept: Array
    decay_retuned: Array


def sensitivity(lr: Axis, choice: Array, report: Array, factor: float) -> Sensitivity:
    """What it costs to have α wrong by `factor`, with λ kept and with λ tuned anew; shape [...].

        (i*, j*) = argmin C ;  j± the columns of α_j*·factor and α_j*/factor
        kept    = mean over ± of R(i*, j±) − R(i*, j*)
        retuned = mean over ± of R(argmin_i C(i, j±), j±) − R(i*, j*)

    The mean is over those of the two learning rates that the grid has and that have an error; NaN
    where it has neither. A cell that diverged should be given the worst error of its map, or a
    learning rate at which nothing works would count for nothing.
    """
    rates = np.asarray(lr)
    steps = [_columns_at(rates, factor), _columns_at(rates, 1 / factor)]
    filled = _or_infinite(choice)
    flat = filled.reshape(*filled.shape[:-2], -1)
    best_row, best_column = np.divmod(first_lowest(flat), choice.shape[-1])
    base = error_of_the_best(choice, report)
    kept, retuned = [], []
    for step in steps:
        column = step[best_column]
        kept.append(_at(report, best_row, column) - base)
        tuned = np.take_along_axis(first_lowest(filled, axis=-2), column[..., None], axis=-1)[
            ..., 0
        ]
        retuned.append(_at(report, tuned, column) - base)
    return Sensitivity(_mean_of_known(kept), _mean_of_known(retuned))


def _columns_at(lr: Array, factor: float) -> NDArray[np.intp]:
    """For each learning rate, where `factor` times it stands; −1 where the grid has no such."""
    same = np.isclose(lr[None, :], factor * lr[:, None], rtol=1e-6, atol=0)
    return np.where(same.any(axis=1), same.argmax(axis=1), -1)


def _at(report: Array, row: NDArray[np.intp], column: NDArray[np.intp]) -> Array:
    """report[..., row, column] for one row and column of each map; NaN where the column is −1."""
    flat = report.reshape(*report.shape[:-2], -1)
    at = row * report.shape[-1] + np.maximum(column, 0)
    return np.where(column >= 0, np.take_along_axis(flat, at[..., None], axis=-1)[..., 0], np.nan)


def _mean_of_known(values: list[Array]) -> Array:
    stacked = np.stack(values)
    known = np.isfinite(stacked)
    total = np.where(known, stacked, 0.0).sum(axis=0)
    count = known.sum(axis=0)
    return quotient(total, count, count > 0)


def _or_infinite(error: Array) -> Array:
    return np.where(np.isfinite(error), error, np.inf)


def quotient(above: Array, below: Array | NDArray[np.intp], there: NDArray[np.bool_]) -> Array:
    """above/below where it is `there`, else NaN."""
    return np.asarray(np.where(there, above, np.nan) / np.where(there, below, 1))
