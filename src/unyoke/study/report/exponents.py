"""What the slope of a map's ridge says: which number keeps its best value when α changes.

A map over α and λ, one over α and torch's weight_decay = λ/α, and one over α and α·λ hold the same
trainings: l ↦ l − a shears one into the other. So one map answers for all three.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from unyoke.study.landscape.optimizers import NOT_TORCHS, TORCHS
from unyoke.study.report.findings import Finding
from unyoke.study.statistics import Interval, exponent_class
from unyoke.study.statistics.basin import TIE
from unyoke.study.statistics.ridge import FEWEST

_NAMES = {-1: "α·λ", 0: "λ", 1: "λ/α"}


def upright(finding: Finding) -> str:
    """In which number the basin is upright, or in between which two of them, or undecided."""
    interval = paper_ridge(finding)
    if not math.isfinite(interval.value):
        return f"unknown: {why_unknown(finding)}"
    found = exponent_class(interval.low, interval.high)
    if found is None:
        return "undecided"
    first, second = (_name(finding, exponent) for exponent in found)
    return f"upright in {first}" if first == second else f"in between {first} and {second}"


def why_unknown(finding: Finding) -> str:
    """Why a map has no line through the best λ of each learning rate."""
    panel, symbol = finding.basis, finding.panel.decay_symbol
    if not panel.whole.any():
        return "no seed has run the whole map"
    decays = np.array(panel.axes.weight_decay)
    if (decays > 0).sum() < FEWEST:
        return f"fewer than {FEWEST} values of {symbol} above 0 were tried"
    finite = np.where(np.isfinite(panel.choice), panel.choice, np.inf)
    best, without = finite[decays > 0].min(axis=0), finite[decays == 0].min(axis=0, initial=np.inf)
    lost = np.isinf(best)
    flat = ~lost & (best >= (1 - TIE) * without)
    inside = np.isfinite(finding.best_decays)
    reasons = {
        f"{symbol} = 0 is as good": flat,
        f"the best {symbol} is the smallest or largest tried": ~(lost | flat | inside),
        "no training succeeded": lost,
    }
    counted = [f"{text} at {where.sum()}" for text, where in reasons.items() if where.any()]
    return f"{', '.join(counted)} of {len(inside)} α" if counted else "all from too few α"


def _name(finding: Finding, exponent: int) -> str:
    prime = "′" if is_penalty(finding) else ""
    return _NAMES[exponent].replace("λ", f"λ{prime}")


def is_penalty(finding: Finding) -> bool:
    """Whether its weight decay is an L2 penalty, which is the same number in torch."""
    return finding.panel.decay.startswith("l2")


def is_torchs(finding: Finding) -> bool:
    """Whether its weight decay is torch's number already, which lr multiplies."""
    return finding.panel.decay in TORCHS


def paper_ridge(finding: Finding) -> Interval:
    """The exponent p of the paper's λ* ∝ α^p; of an L2 penalty that of λ′."""
    return sheared(finding.ridge, 1) if is_torchs(finding) else finding.ridge


def torch_ridge(finding: Finding) -> Interval | None:
    """The same in torch's weight_decay = λ/α, which is p − 1; None where that is not known.

    It is another number than λ for decoupled decay alone.
    """
    is_known = not is_penalty(finding) and finding.panel.decay not in NOT_TORCHS
    return None if not is_known else sheared(paper_ridge(finding), -1)


def sheared(interval: Interval, by: int) -> Interval:
    """An exponent or a tilt after l ↦ l + by·a, which moves it by as much."""
    return replace(
        interval, value=interval.value + by, low=interval.low + by, high=interval.high + by
    )
