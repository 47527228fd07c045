"""The best cells of a study's maps, planned again with seeds that chose nothing.

Best against best of two maps is uncertain by the choice, too: of a hundred cells the best on some
seeds is lucky. So a map with few seeds chooses, and its best cell with decay and its best without
are trained with many other seeds. What is compared is then free of that luck, and known ten times
as well for the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from unyoke.study import statistics
from unyoke.study.errors import StudyError
from unyoke.study.landscape.landscape import Axes, Landscape
from unyoke.study.ledger.ledger import FILE_NAME, Ledger
from unyoke.study.report.survey import Panel, survey


def chosen(planned: Landscape, source: Path) -> Landscape | None:
    """The plan on those cells that the maps in the folder `source` choose.

    Of each map the cell of lowest mean validation error with λ > 0, and that with λ = 0; the grid
    is the smallest that holds them, for each optimizer over all its maps.

    Returns:
        None where the maps are not whole, or have nothing to choose from.
    """
    if not (source / FILE_NAME).exists():
        return None
    try:
        with Ledger.open_to_read(source) as ledger:
            count, landscape = ledger.count(), ledger.landscape
            if count.done < count.total or not planned.axes.keys() <= landscape.axes.keys():
                return None
            panels = survey(landscape, ledger.records()).panels
    except StudyError:
        return None  # who reads it says so
    axes = {}
    for optimizer in planned.axes:
        found = _axes([panel for panel in panels if panel.optimizer == optimizer])
        if found is None:
            return None
        axes[optimizer] = found
    return replace(planned, axes=axes)


def _axes(panels: Sequence[Panel]) -> Axes | None:
    rates, decays = set(), set()
    for panel in panels:
        every = np.array(panel.axes.weight_decay)
        for rows in (every > 0, every == 0):
            best = statistics.best_cell(np.where(rows[:, None], panel.choice, np.nan))
            if best is not None:
                decays.add(panel.axes.weight_decay[best[0]])
                rates.add(panel.axes.lr[best[1]])
    if not rates:
        return None
    return Axes(
        tuple(sorted(rates)),
        tuple(sorted(decays)),
        panels[0].axes.decay_unit,
        panels[0].axes.matrices,
    )
