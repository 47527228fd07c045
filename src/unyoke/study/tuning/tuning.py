"""A tuning from beginning to end: its grid, its budget, its trainings and its answer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from unyoke.study.errors import StudyError
from unyoke.study.landscape.axes import parse_axis
from unyoke.study.landscape.landscape import Cell, Landscape
from unyoke.study.landscape.outcome import Outcome
from unyoke.study.ledger.ledger import FILE_NAME, Ledger
from unyoke.study.planning import defaults, request
from unyoke.study.planning.words import AxisWord
from unyoke.study.running import driver
from unyoke.study.running import workers as worker_processes
from unyoke.study.running.dispatch import Watcher
from unyoke.study.tuning.answer import PASTED, Tuned, answer
from unyoke.study.tuning.search import FRACTIONS, Search

RUNS = 16
"""The usual budget, in trainings of the whole run."""

SHORTEST = 10
"""Updates of the shortest trainings: fewer say nothing of a longer run."""

LR = {"AdamW": "2^-14:2^-1", "SGDW": "2^-10:2^2", "LionW": "2^-17:2^-4"}
"""Learning rates that are searched, of large transformers to small networks."""

TOTAL = "0,2^-5:2^4"
"""Total decays: from one that does nothing to more than the 5 to 20 of published recipes allow at
the short lengths; λ = Σηλ/Ση stays below 1 there."""


@dataclass(frozen=True)
class Timed:
    """A search whose budget is a time: as many updates as that time pays for, as measured.

    Attributes:
        seconds: for the whole tuning, that before an interruption included.
        workers: trainings at the same time.
        clock: seconds, for tests.
    """

    seconds: float
    workers: int
    clock: Callable[[], float] = time.monotonic
    _began: list[float] = field(default_factory=list)

    def next_cells(self, landscape: Landscape, done: Iterable[tuple[Cell, Outcome]]) -> list[Cell]:
        """The next round; empty when the time is over."""
        done = list(done)
        self._began.append(self.clock())
        if self.clock() - self._began[0] >= self.seconds:
            return []
        took = sum(outcome.seconds for _, outcome in done)
        made = sum(cell.updates for cell, _ in done)
        if not took:  # a first round tells how fast this is
            return Search(10**12).next_cells(landscape, done)
        budget = int(self.seconds * self.workers * made / took)
        return Search(budget).next_cells(landscape, done)


def plan(
    task: str,
    *,
    length: int | None = None,
    optimizer: str = "AdamW",
    schedule: str = "cosine",
    seed: int = 0,
    lr: str | None = None,
    batch_size: int | None = None,
    data: str | None = None,
    device: str | None = None,
) -> Landscape:
    """The grid of a tuning: α × Σηλ at four lengths.

    Raises:
        StudyError: any of it cannot be used.
    """
    if optimizer not in PASTED:
        raise StudyError(
            f"{optimizer} cannot be tuned; there are {', '.join(PASTED)}. For others: unyoke map "
            f"--optimizers {optimizer} --refine"
        )
    whole = length or defaults.full(task).updates
    if whole < SHORTEST:
        raise StudyError(f"a run of {whole} updates is too short to tune; give --length {SHORTEST}")
    lengths = sorted({-(-whole // part) for part in FRACTIONS if whole >= SHORTEST * part})
    rates = parse_axis(lr or LR[optimizer], "learning rate")
    if len(rates) < 3:
        raise StudyError(f"--lr {lr} has {len(rates)} values; give a range such as 2^-12:2^-4")
    return request.landscape(
        task=task,
        data=data,
        optimizers=(optimizer,),
        lr=(AxisWord(None, rates),),
        weight_decay=(AxisWord(None, parse_axis(TOTAL, "weight decay"), "total"),),
        schedule=(schedule,),
        updates=lengths,
        batch_size=() if batch_size is None else (batch_size,),
        seeds=(seed,),
        evaluations=1,
        device=device,
    )


def rounds(
    landscape: Landscape, *, updates: int | None, minutes: float | None, workers: int
) -> Search | Timed:
    """Who decides what is trained, by the budget; `RUNS` whole runs if none is given.

    Raises:
        StudyError: both are given, or the budget does not pay for the first cells.
    """
    if updates is not None and minutes is not None:
        raise StudyError(
            f"--updates {updates} and --minutes {minutes:g} are both budgets; give one of the two"
        )
    if minutes is not None and not 0 < minutes < math.inf:
        raise StudyError(f"--minutes {minutes:g} is not a finite time above 0")
    if minutes is not None:
        return Timed(60.0 * minutes, workers)
    length = max(landscape.updates)
    search = Search(RUNS * length if updates is None else updates)
    first = Search(10**12).next_cells(landscape, ())
    needed = sum(cell.updates for cell in first)
    if len(search.next_cells(landscape, ())) < len(first):
        least = 2 * needed
        raise StudyError(
            f"a budget of {search.budget:,} updates is too small for a run of {length:,}: give "
            f"--updates {least} or more, or a shorter run with --length"
        )
    return search


def tune(
    task: str,
    *,
    updates: int | None = None,
    minutes: float | None = None,
    out: str | Path = "unyoke-tune",
    workers: int | None = None,
    watcher: Watcher | None = None,
    accept_code: bool = False,
    **grid: object,
) -> Tuned:
    """Find a learning rate and a weight decay for a task; the same call goes on after a break.

    Args:
        task: a built-in task's name, or ``file.py:function``, a function ``seed -> Task``.
        updates: the budget of all trainings together; by default 16 runs' worth.
        minutes: the budget as a time.
        out: folder of the ledger.
        workers: processes; by default one per core, on a device one.
        watcher: is told of every training.
        accept_code: go on with a ledger that other code has begun.
        **grid: as `plan` has it: ``length`` (updates of the run that the numbers are for),
            ``optimizer``, ``schedule``, ``seed``, ``lr``, ``batch_size``, ``data``, ``device``.

    Raises:
        StudyError: any of these cannot be used, or nothing that was trained has a finite error.
    """
    landscape = plan(task, **grid)  # type: ignore[arg-type] # checked there
    folder = Path(out)
    if workers is None:
        workers = worker_processes.available_cores() if landscape.task.device is None else 1
    search = rounds(landscape, updates=updates, minutes=minutes, workers=workers)
    driver.run(
        landscape,
        folder,
        watcher or Silent(),
        workers=workers,
        refine=search,
        accept_code=accept_code,
    )
    return read(folder)


def read(folder: Path) -> Tuned:
    """The answer of a tuning's ledger.

    Raises:
        StudyError: there is none, or nothing in it has a finite error.
    """
    if not (folder / FILE_NAME).exists():
        raise StudyError(f"{folder} has no ledger; run: unyoke tune TASK --out {folder}")
    with Ledger.open_to_read(folder) as ledger:
        return answer(ledger.landscape, list(ledger.records()))


class Silent:
    """A watcher that shows nothing."""

    def begin(self, count: object) -> None:
        """Nothing."""

    def advance(self, cell: Cell, outcome: Outcome) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""
