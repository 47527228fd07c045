"""Which maps stand side by side, and where their columns stand, so that basins can be compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from unyoke.study.landscape.axes import label
from unyoke.study.landscape.optimizers import NOT_TORCHS, OWN, TORCHS
from unyoke.study.report.survey import Panel

WIDER = 1.5
"""Times as many columns as its longest map has, that a row of maps may have in common."""


def rows_of(panels: Sequence[Panel]) -> list[list[Panel]]:
    """The maps of each row: an L2 penalty left and its decoupled relative right, in pairs.

    Maps of one setting that are not pairs throughout, in the order of the landscape, stand in a row
    of their own.
    """
    pairs = [list(panels[start : start + 2]) for start in range(0, len(panels), 2)]
    if all(len(pair) == 2 and _is_pair(*pair) for pair in pairs):
        return pairs
    return [list(panels)]


def _is_pair(first: Panel, second: Panel) -> bool:
    """Whether they differ in the decay rule alone, L2 first."""
    return (
        first.direction == second.direction != OWN
        and first.decay.startswith("l2")
        and not second.decay.startswith("l2")
        and first.setting == second.setting
    )


def common_decays(panels: Sequence[Panel]) -> tuple[float, ...] | None:
    """One axis of λ for a row of maps: every value that one of them has.

    None where their grids have so little in common that most columns would be empty.
    """
    longest = max((len(panel.axes.weight_decay) for panel in panels), default=0)
    every = tuple(sorted({value for panel in panels for value in panel.axes.weight_decay}))
    return every if len(every) <= WIDER * longest + 1 else None


@dataclass(frozen=True)
class Shear:
    """Where the cells of a map stand over α and torch's weight_decay = λ/α.

    Attributes:
        shift: of each learning rate, how many columns its cells move to the right.
        decays: λ/α of each column, without that of λ = 0.
    """

    shift: tuple[int, ...]
    decays: tuple[float, ...]

    @property
    def labels(self) -> list[str]:
        """`decays` as axes show them."""
        return [label(value) for value in self.decays]


def shear(panel: Panel) -> Shear | None:
    """The map of a decoupled decay in torch's number; None of others, and of uneven axes.

    The axes must have one factor between their values, so that cells fall on columns again.
    """
    rule = panel.decay
    if rule in ("none", *TORCHS, *NOT_TORCHS) or rule.startswith("l2"):
        return None
    decays = [value for value in panel.axes.weight_decay if value > 0]
    rates = panel.axes.lr
    if len(decays) < 2 or len(rates) < 2:
        return None
    step, rate_step = _even(decays), _even(rates)
    if step is None or rate_step is None:
        return None
    columns = round(rate_step / step)
    if columns < 1 or not math.isclose(columns * step, rate_step, rel_tol=1e-6):
        return None
    most = len(rates) - 1
    smallest = panel.decay_in_units(panel.axes.weight_decay.index(decays[0]))
    if smallest is None and panel.axes.decay_unit is not None:
        return None
    first = (smallest.per_update if smallest is not None else decays[0]) / rates[-1]
    return Shear(
        shift=tuple(columns * (most - index) for index in range(len(rates))),
        decays=tuple(
            first * 2.0 ** (step * index) for index in range(len(decays) + columns * most)
        ),
    )


def _even(values: Sequence[float]) -> float | None:
    """The step between the values' log2, or None where it is not always the same."""
    logs = [math.log2(value) for value in values]
    step = (logs[-1] - logs[0]) / (len(logs) - 1)
    even = all(math.isclose(b - a, step, rel_tol=1e-6) for a, b in pairwise(logs))
    return step if even else None
