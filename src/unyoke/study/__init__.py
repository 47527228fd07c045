"""Landscapes: how error depends on learning rate × weight decay.

A task is trained over a grid of α × λ for several optimizers and seeds. A ledger keeps every
training, and a report shows where the basins lie and whether the two hyperparameters are coupled.
The commands are `unyoke map` and `unyoke report`; `figures` and `table` are for notebooks. A user's
own task is a function `seed -> Task`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unyoke.study.errors import StudyError
from unyoke.study.tasks.task import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from unyoke.study.tuning.answer import Tuned

_NOTEBOOK = "unyoke.study.report.notebook"
"""Imported when it is needed: it draws."""
_TUNING = "unyoke.study.tuning.tuning"
"""Imported when it is needed: it trains."""


def figures(
    folder: str | Path,
    optimizers: Sequence[str] = (),
    *,
    titles: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> dict[str, Figure]:
    """The pictures of a report as figures of matplotlib's, to be changed or saved in any form.

    Args:
        folder: of the ledger; a run may go on meanwhile.
        optimizers: which, and in which order; all by default.
        titles: by a figure's name, the title over it, ``{"landscape": "Our network"}``.
        labels: what to write in the place of an optimizer's name, or of other words that a figure
            shows, ``{"Adam + L2": "Adam, L2", "test error, %": "top-1 error (%)"}``.

    Returns:
        By name, those that there are of `landscape` (the heat maps), `torch` (those with decoupled
        decay over torch's weight_decay), `hyperparameters` and `sweep`.

    Raises:
        StudyError: there is no ledger, it has no such optimizer, no figure has such a name or
            shows such a text, or matplotlib is missing.
    """
    found: dict[str, Figure] = import_module(_NOTEBOOK).figures(
        Path(folder), optimizers, titles or {}, labels or {}
    )
    return found


def table(folder: str | Path) -> Any:
    """A pandas DataFrame with a row for each finished training, with the columns of cells.csv.

    Args:
        folder: of the ledger; a run may go on meanwhile.

    Raises:
        StudyError: there is no ledger, or pandas is missing.
    """
    return import_module(_NOTEBOOK).table(Path(folder))


def tune(task: str, **how: Any) -> Tuned:
    """Find a learning rate and a weight decay for a task; the same call goes on after a break.

    Args:
        task: a built-in task's name, or ``file.py:function``, a function ``seed -> Task``.
        **how: as `unyoke.study.tuning.tuning.tune` has it: ``length`` (updates of the run that the
            numbers are for), ``updates`` or ``minutes`` (the budget), ``out``, ``optimizer``,
            ``schedule``, ``lr``, ``batch_size``, ``seed``, ``data``, ``device``, ``workers``.

    Returns:
        The numbers, how far they are known, how they move, and code to paste.

    Raises:
        StudyError: any of these cannot be used, or nothing that was trained has a finite error.
    """
    found: Tuned = import_module(_TUNING).tune(task, **how)
    return found


__all__ = ["StudyError", "Task", "figures", "table", "tune"]
