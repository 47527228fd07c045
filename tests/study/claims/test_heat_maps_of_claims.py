"""The paper's heat maps, drawn from maps of different axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from unyoke.study.claims.heat_maps import figure_1, figure_2
from unyoke.study.landscape.landscape import Axes
from unyoke.study.report.survey import Panel

DECAYS = (0.0, *(2.0**power for power in range(-6, 0)))
EXTENDED = {"AdamW": (5, 9), "SGD": (7, 5)}
"""How many λ and α a map has, of all: 7 and 5 where it was not extended."""


class SomeMaps:
    unit = "%"

    def panel(self, study: str, optimizer: str, schedule: str = "cosine") -> Panel:
        decays, rates = EXTENDED.get(optimizer, (6, 5))
        axes = Axes(tuple(2.0**power for power in range(-rates, 0)), DECAYS[:decays])
        shape = (2, decays, rates)
        errors = np.random.default_rng(1).uniform(0.05, 0.2, shape)
        figures = dict.fromkeys(("validation_error", "test_error"), errors)
        nothing = np.zeros(shape, dtype=bool)
        return Panel(optimizer, schedule, 150, None, axes, figures, nothing, ~nothing)


@pytest.mark.parametrize("draw", [figure_1, figure_2])
def test_all_cells_have_one_size(draw: Any) -> None:
    figure = Figure()
    draw(figure, SomeMaps())
    maps = [plot for plot in figure.axes if plot.get_title()]
    spans = {(np.ptp(plot.get_xlim()), np.ptp(plot.get_ylim())) for plot in maps}
    assert len(maps) in (4, 6)
    assert len(spans) == 1
    assert {plot.get_aspect() for plot in maps} == {1.0}


def test_the_maps_of_a_row_have_one_axis_of_decays() -> None:
    figure = Figure()
    figure_2(figure, SomeMaps())  # type: ignore[arg-type]
    maps = [plot for plot in figure.axes if plot.get_title()]
    ticks = [
        [(label.get_text(), label.get_position()[0]) for label in plot.get_xticklabels()]
        for plot in maps
    ]
    assert ticks[0] == ticks[1]
    assert ticks[2] == ticks[3]
    assert ticks[0] != ticks[2]
