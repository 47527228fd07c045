"""A progress bar for a run: cells done, time left, and how many diverged or failed."""

from __future__ import annotations

from typing import Any

from unyoke.study.landscape.axes import tick
from unyoke.study.landscape.landscape import Cell
from unyoke.study.landscape.outcome import Outcome
from unyoke.study.ledger.ledger import Count
from unyoke.study.wording import error_text


class ProgressBar:
    """A `Watcher` that draws with tqdm on standard error."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._diverged = 0
        self._failed = 0

    def begin(self, count: Count) -> None:
        from tqdm import tqdm

        self._diverged, self._failed = count.diverged, count.failed
        self._bar = tqdm(
            total=count.total, initial=count.done, unit="cell", dynamic_ncols=True, mininterval=0.2
        )
        self._bar.set_postfix_str(self._lost(), refresh=True)

    def advance(self, cell: Cell, outcome: Outcome) -> None:
        self._diverged += outcome.status == "diverged"
        self._failed += outcome.status == "failed"
        if outcome.test_error is None:
            last: str = outcome.status
        else:
            last = error_text(outcome.test_error, outcome.error_unit)
        place = f"{cell.optimizer} α={tick(cell.lr)} λ={tick(cell.weight_decay)}"
        self._bar.set_postfix_str(f"{self._lost()}, last {place}: {last}", refresh=False)
        self._bar.update()

    def _lost(self) -> str:
        failed = f", {self._failed} failed" if self._failed else ""
        return f"{self._diverged} diverged{failed}"

    def end(self) -> None:
        self._bar.close()
