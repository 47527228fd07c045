"""Which maps stand side by side, and where their columns stand."""

from __future__ import annotations

import numpy as np
import pytest

from unyoke.study.landscape.axes import parse_axis
from unyoke.study.landscape.landscape import Axes
from unyoke.study.report.arrangement import common_decays, rows_of, shear
from unyoke.study.report.survey import Panel


def panel(
    optimizer: str, decays: str = "0,2^-3:2^0", lr: str = "2^-2:2^0", updates: int = 9
) -> Panel:
    axes = Axes(parse_axis(lr, "lr"), parse_axis(decays, "weight decay"))
    nothing = np.zeros((1, len(axes.weight_decay), len(axes.lr)), dtype=bool)
    return Panel(optimizer, "cosine", updates, None, axes, {}, nothing, nothing)


def titles(rows: list[list[Panel]]) -> list[list[str]]:
    return [[each.title for each in row] for row in rows]


def test_a_penalty_stands_left_of_its_decoupled_relative() -> None:
    rows = rows_of([panel(name) for name in ("Adam", "AdamW", "SGD", "SGDW")])
    assert titles(rows) == [["Adam + L2", "AdamW"], ["SGD + L2", "SGDW"]]


@pytest.mark.parametrize("names", [("AdamW", "Adam"), ("Adam", "SGDW"), ("Adam", "AdamW", "SGD")])
def test_what_is_not_pairs_stands_in_one_row(names: tuple[str, ...]) -> None:
    assert len(rows_of([panel(name) for name in names])) == 1


def test_a_row_has_every_column_of_its_maps_unless_most_would_be_empty() -> None:
    wide, narrow = panel("Adam", "0,2^-6:2^0"), panel("AdamW", "0,2^-4:2^-2")
    assert common_decays([wide, narrow]) == wide.axes.weight_decay
    other = panel("AdamW", "0.3,0.03,0.003,0.0003,0.00003,0.7,0.07,0.007")
    assert common_decays([wide, other]) is None


def test_the_shear_puts_every_cell_at_its_own_ratio() -> None:
    decoupled = panel("SGDW", "0,2^-3:2^0", "2^-4:2^0:4")
    found = shear(decoupled)
    assert found is not None
    for column, lr in enumerate(decoupled.axes.lr):
        for place, decay in enumerate(decoupled.axes.weight_decay[1:]):
            assert found.decays[place + found.shift[column]] == pytest.approx(decay / lr)
    assert len(found.decays) == 4 + 2 * 2


@pytest.mark.parametrize(
    "other",
    [
        panel("SGD"),
        panel("Adam+lr_coupled"),
        panel("AdamW+corrected"),
        panel("AdamW+constrained"),
        panel("NDAdam", "0"),
        panel("AdamW", "0,0.1,0.2,0.9"),
        panel("AdamW", "0,2^-4:2^0:4"),  # no column for every other α
    ],
)
def test_what_is_torchs_number_already_or_falls_between_columns_is_not_sheared(
    other: Panel,
) -> None:
    assert shear(other) is None
