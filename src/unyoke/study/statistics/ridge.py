"""How the best weight decay moves with the learning rate, and what it costs to keep it.

Errors are [..., weight decays, learning rates], as in `basin`; leading dimensions are a batch.
"""

from __future__ import annotations

import numpy as np

from unyoke.study.statistics.basin import (
    TIE,
    Array,
    Axis,
    error_of_the_best,
    first_lowest,
    quotient,
)

FEWEST = 3
"""Learning rates whose best λ must be known for a line through them."""
CONDITION = 1e8
"""Of the normal equations, beyond which the points are taken not to determine a fit."""


def best_decays(weight_decay: Axis, error: Array) -> Array:
    """log2 of the best λ > 0 at each learning rate, [..., learning rates].

    The lowest point of the parabola through the lowest error of a column and its two neighbours.
    NaN where it is not known: the lowest error of the column lies at the smallest or the largest
    λ > 0, so that a better λ may lie beyond, or λ = 0 is as good, or nothing has an error.
    """
    decays = np.asarray(weight_decay, dtype=np.float64)
    rows = decays > 0
    if rows.sum() < 3:
        return np.full((*error.shape[:-2], error.shape[-1]), np.nan)
    place = np.log2(decays[rows])
    filled = np.where(np.isfinite(error), error, np.inf)
    positive = filled[..., rows, :]
    lowest = first_lowest(positive, axis=-2)[..., None, :]
    inside = np.clip(lowest, 1, len(place) - 2)

    def at(shift: int) -> Array:
        return np.take_along_axis(positive, inside + shift, axis=-2)[..., 0, :]

    below, centre, above = at(-1), at(0), at(1)
    known = (lowest == inside)[..., 0, :] & np.isfinite(centre)
    if not rows.all():
        known &= centre < (1 - TIE) * filled[..., ~rows, :].min(axis=-2)
    index = inside[..., 0, :]
    moved = _lowest_of_parabola(
        place[index] - place[index - 1], place[index + 1] - place[index], below, centre, above
    )
    return np.where(known, place[index] + moved, np.nan)


def _lowest_of_parabola(
    left: Array, right: Array, below: Array, centre: Array, above: Array
) -> Array:
    """How far from the middle one of three points their parabola is lowest.

    `left` and `right` are the distances to the points beside it, of which none is lower. 0 where
    one of them has no error, or all three are alike.
    """
    there = np.isfinite(below) & np.isfinite(above) & np.isfinite(centre)
    zero = np.zeros_like(centre)
    down = np.where(there, np.subtract(below, centre, out=zero.copy(), where=there), 0.0) / left
    up = np.where(there, np.subtract(above, centre, out=zero.copy(), where=there), 0.0) / right
    return np.nan_to_num(quotient(down * right - up * left, 2 * (down + up), down + up > 0))


def ridge(lr: Axis, weight_decay: Axis, error: Array) -> Array:
    """d log λ*/d log α: the slope of a line through the best λ of each learning rate; shape [...].

        l_j = log2 of the best λ at α_j (`best_decays`) ;  E_j the lowest error there
        w_j = exp(−(E_j − E_min)/s) ;  s = lower quartile of the map's errors − E_min
        slope = Σ w (a − ā)(l − l̄) / Σ w (a − ā)² ;  a = log2 α

    Learning rates at which nothing works have next to no weight, and those whose best λ is not
    known have none. 0: the best λ is the same for every α. 1: λ/α is. −1: α·λ is. NaN where fewer
    than `FEWEST` learning rates are left.
    """
    found = best_decays(weight_decay, error)
    a = np.broadcast_to(np.log2(np.asarray(lr, dtype=np.float64)), found.shape)
    known = np.isfinite(found)
    weights = np.where(known, _shares(error), 0.0)
    total = weights.sum(axis=-1, keepdims=True)
    weights = np.nan_to_num(quotient(weights, total, total > 0))
    l = np.where(known, found, 0.0)  # noqa: E741
    a_centred = a - (weights * a).sum(axis=-1, keepdims=True)
    l_centred = l - (weights * l).sum(axis=-1, keepdims=True)
    variance = (weights * a_centred**2).sum(axis=-1)
    there = (known.sum(axis=-1) >= FEWEST) & (variance > 1e-9)
    return quotient((weights * a_centred * l_centred).sum(axis=-1), variance, there)


def plane(lr: Axis, weight_decay: Axis, moved: Array, errors: Array) -> Array:
    """Exponents of the best λ in α and in what else differs between maps; shape [..., 1 + others].

        log2 λ* = c + p·log2 α + Σ_k q_k·m_k   by weighted least squares

    over all learning rates of all maps whose best λ is known (`best_decays`), each with the weight
    that it has in its map's `ridge`. So q is at one α, unlike the exponent of the best cells.

    Args:
        moved: m, [maps, others]: for instance log2 of the updates of each map.
        errors: [..., maps, weight decays, learning rates].

    Returns:
        p and then each q; NaN where the points do not determine them.
    """
    found = best_decays(weight_decay, errors)
    known = np.isfinite(found)
    weights = np.where(known, _shares(errors), 0.0)
    a = np.log2(np.asarray(lr, dtype=np.float64))
    others = [np.broadcast_to(column[:, None], found.shape[-2:]) for column in moved.T]
    columns = [np.broadcast_to(a, found.shape[-2:]), *others]
    centred = [column - column.mean() for column in columns]  # else the matrix is ill-conditioned
    design = np.stack([np.ones(found.shape[-2:]), *centred], axis=-1)
    flat = (*found.shape[:-2], -1)
    through = design.reshape(-1, design.shape[-1])
    return least_squares(through, found.reshape(flat), weights.reshape(flat))[..., 1:]


def best_decay(weight_decay: Axis, error: Array) -> Array:
    """log2 of the best λ > 0 with α tuned for each λ; shape [...], NaN where it is not known.

    `best_decays` of the profile E_i = min_j C_ij.
    """
    profile = np.where(np.isfinite(error), error, np.inf).min(axis=-1)
    return best_decays(weight_decay, profile[..., None])[..., 0]


def least_squares(design: Array, target: Array, weights: Array | None = None) -> Array:
    """The coefficients of a fit, [..., columns]; NaN where the known points do not determine them.

    Args:
        design: [points, columns].
        target: [..., points]; NaN where a point is not known, which then has no part.
        weights: of each point, the same shape; all alike where none are given.
    """
    known = np.isfinite(target)
    shares = np.where(known, 1.0 if weights is None else weights, 0.0)
    matrix = np.einsum("...n,ni,nj->...ij", shares, design, design)
    vector = np.einsum("...n,ni,...n->...i", shares, design, np.where(known, target, 0.0))
    there = np.linalg.cond(matrix) < CONDITION
    safe = np.where(there[..., None, None], matrix, np.eye(matrix.shape[-1]))
    solution = np.linalg.solve(safe, vector[..., None])[..., 0]
    return np.asarray(np.where(there[..., None], solution, np.nan))


def _shares(error: Array) -> Array:
    """w_j of each learning rate, before it is known whether its best λ is."""
    flat = np.where(np.isfinite(error), error, np.inf).reshape(*error.shape[:-2], -1)
    lowest = flat.min(axis=-1)
    ranked = np.sort(flat, axis=-1)
    count = np.isfinite(flat).sum(axis=-1)
    quarter = np.take_along_axis(ranked, (np.maximum(count, 1) // 4)[..., None], axis=-1)[..., 0]
    best = np.where(np.isfinite(error), error, np.inf).min(axis=-2)
    finite = np.isfinite(best)
    height = np.where(finite, best, 0.0) - np.where(count > 0, lowest, 0.0)[..., None]
    spread = (np.where(count > 0, quarter, 0.0) - np.where(count > 0, lowest, 0.0))[..., None]
    share = np.exp(-np.nan_to_num(quotient(height, spread, spread > 0)))
    return np.where(finite, share, 0.0)


def lr_sensitivity(choice: Array, report: Array) -> Array:
    """What it costs to keep the best λ at every learning rate of the grid; shape [...].

        (i*, j*) = argmin C ;  mean over all j of R(i*, j) − R(i*, j*)

    C chooses (validation), R is reported (test). A cell that diverged should be given the worst
    error of its map. NaN where none has an error.
    """
    filled = np.where(np.isfinite(choice), choice, np.inf)
    flat = filled.reshape(*filled.shape[:-2], -1)
    row = (first_lowest(flat) // choice.shape[-1])[..., None, None]
    kept = np.take_along_axis(report, row, axis=-2)[..., 0, :]
    known = np.isfinite(kept)
    count = known.sum(axis=-1)
    mean = quotient(np.where(known, kept, 0.0).sum(axis=-1), count, count > 0)
    return mean - error_of_the_best(choice, report)


def exponent_class(low: float, high: float) -> tuple[int, int] | None:
    """Between which of the exponents −1, 0 and 1 of λ* ∝ α^p an interval lies; None if undecided.

    (k, k) where the whole interval is within a third of k, and (k, k + 1) where it is in the middle
    third between the two: the basin is then upright in neither α^−k·λ nor α^−(k+1)·λ.
    """
    for exponent in (-1, 0, 1):
        if exponent - 1 / 3 <= low and high <= exponent + 1 / 3:
            return exponent, exponent
    for exponent in (-1, 0):
        if exponent + 1 / 3 <= low and high <= exponent + 2 / 3:
            return exponent, exponent + 1
    return None
