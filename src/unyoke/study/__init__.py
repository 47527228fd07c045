"""Landscapes: how error depends on learning rate × weight decay.

A task is trained over a grid of α × λ for several optimizers and seeds. A ledger keeps every
training, and a report shows where the basins lie and whether the two hyperparameters are coupled.
The commands are `unyoke map` and `unyoke report`. A user's own task is a function `seed -> Task`.
"""

from unyoke.study.errors import StudyError
from unyoke.study.tasks.task import Task

__all__ = ["StudyError", "Task"]
