"""Ledgers of claims whose errors a function gives, so that every verdict can be planted."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from unyoke.study.claims.request import Request
from unyoke.study.landscape.landscape import Cell
from unyoke.study.landscape.outcome import CurvePoint, Outcome
from unyoke.study.ledger.ledger import Ledger


def made_up(cell: Cell, error: float, spread: float = 0.0) -> Outcome:
    """An outcome of about this error, on validation and test apart; training loss follows α.

    NaN is a training that diverged.
    """
    if math.isnan(error):
        return Outcome("diverged", 1, None, None, None, None, None, 899, "%", 0.1, ())
    who = f"{cell.optimizer} {cell.lr} {cell.weight_decay} {cell.seed} {cell.schedule}"
    who += f" {cell.updates} {cell.batch_size}"
    noise = np.random.default_rng(zlib.crc32(who.encode())).normal(0, spread, 2)
    validation, test = (error + noise).tolist()
    curve = (CurvePoint(cell.updates, cell.lr, validation, test),)
    figures = (cell.lr, error, validation, test, 0.001)
    return Outcome("finished", cell.updates, *figures, 899, "%", 0.1, curve)


def fill(
    request: Request,
    error: Callable[[Cell], float],
    upto: int = 10**9,
    spread: float = 2e-4,
    evaluations: int | None = None,
) -> None:
    """Ledgers in which each cell has the error that a function gives it, and a little noise.

    Args:
        upto: how many cells of each study are filled.
        evaluations: another number than planned.
    """
    for (task, study), planned in request.landscapes().items():
        landscape = request.on_best_cells(task, study, planned) or planned
        if evaluations is not None:
            landscape = replace(landscape, evaluations=evaluations)
        with Ledger.open_to_write(request.folder(task, study), landscape) as ledger:
            for count, cell in enumerate(iter(ledger.claim, None)):
                if count >= upto:
                    break
                ledger.record(cell, made_up(cell, error(cell), spread), '{"unyoke": "0"}')


def basin(cell: Cell, best: float, gain: float = 0.03) -> float:
    """Lowest inside the grid; λ = 0 is worse by `gain`."""
    decay = 2.0 if cell.weight_decay == 0 else abs(np.log2(cell.weight_decay) + 5) / 4
    return best + gain * min(decay, 1.0) + 0.02 * abs(np.log2(cell.lr) + 5) / 4


def valley(
    cell: Cell, moved: float, *, best: float = 0.06, at: float = -4.0, gain: float = 0.04
) -> float:
    """Lowest along a line: the best λ is 2^(at + moved), wherever α is; λ = 0 is worse by `gain`.

    A quadratic in log2 λ and log2 α, which loses all gain four powers of two beside the line.
    """
    away = (abs(np.log2(cell.lr) + 5) / 4) ** 2
    if cell.weight_decay == 0:
        return best + gain + 0.02 * away
    beside = (np.log2(cell.weight_decay) - at - moved) / 4
    return best + gain * min(beside**2, 1.2) + 0.02 * away
