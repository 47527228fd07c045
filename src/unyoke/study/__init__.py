"""Landscapes: how error depends on learning rate × weight decay.

A task is trained over a grid of α × λ for several optimizers and seeds. A ledger keeps every
training, and a report shows where the basins lie and whether the two hyperparameters are coupled.
The commands are `unyoke map` and `unyoke report`; `figures` and `table` are for notebooks. A user's
own task is a function `seed -> Task`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unyoke.study.errors import StudyError
from unyoke.study.tasks.task import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NOTEBOOK = "unyoke.study.report.notebook"
"""Imported when it is needed: it draws."""


def figures(folder: str | Path, optimizers: Sequence[str] = ()) -> dict[str, Figure]:
    """The pictures of a report as figures of matplotlib's, to be changed or saved in any form.

    Args:
        folder: of the ledger; a run may go on meanwhile.
        optimizers: which, and in which order; all by default.

    Returns:
        By name, those that there are of `landscape` (the heat maps), `torch` (those with decoupled
        decay over torch's weight_decay), `hyperparameters` and `sweep`.

    Raises:
        StudyError: there is no ledger, it has no such optimizer, or matplotlib is missing.
    """
    found: dict[str, Figure] = import_module(_NOTEBOOK).figures(Path(folder), optimizers)
    return found


def table(folder: str | Path) -> Any:
    """A pandas DataFrame with a row for each finished training, with the columns of cells.csv.

    Args:
        folder: of the ledger; a run may go on meanwhile.

    Raises:
        StudyError: there is no ledger, or pandas is missing.
    """
    return import_module(_NOTEBOOK).table(Path(folder))


__all__ = ["StudyError", "Task", "figures", "table"]
