"""A progress bar for a run: cells done, time left, and how many diverged."""

from __future__ import annotations

from typing import Any

from unyoke.study.landscape.axes import label
from unyoke.study.landscape.landscape import Cell
from unyoke.study.landscape.outcome import Outcome
from unyoke.study.ledger.ledger import Count
from unyoke.study.wording import error_text


class ProgressBar:
    """A `Watcher` that draws with tqdm on standard error."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._diverged = 0

    def begin(self, count: Count) -> None:
        from tqdm import tqdm

        self._diverged = count.diverged
        self._bar = tqdm(
            total=count.total, initial=count.done, unit="cell", dynamic_ncols=True, mininterval=0.2
        )
        self._bar.set_postfix_str(f"{self._diverged} diverged", refresh=True)

    def advance(self, cell: Cell, outcome: Outcome) -> None:
        if outcome.test_error is None:
            self._diverged += 1
            last = "diverged"
        else:
            last = error_text(outcome.test_error, outcome.error_unit)
        place = f"{cell.optimizer} α={label(cell.lr)} λ={label(cell.weight_decay)}"
        self._bar.set_postfix_str(f"{self._diverged} diverged, last {place}: {last}", refresh=False)
        self._bar.update()

    def end(self) -> None:
        self._bar.close()
