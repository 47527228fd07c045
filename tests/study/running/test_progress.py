"""The progress bar names errors in the task's unit."""

from __future__ import annotations

import pytest

from unyoke.study.landscape.landscape import Landscape
from unyoke.study.landscape.outcome import Outcome
from unyoke.study.ledger.ledger import Count
from unyoke.study.running.progress import ProgressBar


@pytest.mark.parametrize(("unit", "text"), [("%", "50.0 %"), ("bits", "0.5 bits")])
def test_the_last_error_has_its_unit(
    landscape: Landscape, unit: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = Outcome("finished", 9, 0.5, 0.5, 0.5, 0.5, 0.1, 20, unit, 1.0, ())
    bar = ProgressBar()
    bar.begin(Count(1, 0, 0))
    bar.advance(next(landscape.cells()), outcome)
    bar.end()
    assert f": {text}" in capsys.readouterr().err
