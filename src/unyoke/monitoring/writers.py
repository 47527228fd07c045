"""Where readings go: CSV, TensorBoard, MLflow, Weights & Biases. Their libraries load on use."""

from __future__ import annotations

import csv
import importlib
from pathlib import Path
from typing import Any, Protocol, TextIO

from unyoke.monitoring.reading import Reading


class Writer(Protocol):
    """Where readings go."""

    def write(self, reading: Reading) -> None: ...
    def close(self) -> None: ...


class Borrowing:
    """A writer to what is somebody else's, who closes it."""

    def close(self) -> None:
        """Nothing happens."""


def library(package: str, who: str, *names: str) -> Any:
    """The first of a package's modules that is there; ``who`` needs it, for the message."""
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError as error:
            missing = error
    raise ImportError(f"{who} needs {package}: pip install {package}") from missing


class CSV:
    """One line per number: update, name, value. It grows, and a resumed run goes on in it.

    Args:
        path: of the file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file: TextIO | None = None

    def write(self, reading: Reading) -> None:
        """Append the reading's numbers, and leave them on the disk."""
        if self._file is None:
            fresh = not self.path.exists() or self.path.stat().st_size == 0
            self._file = self.path.open("a", newline="", encoding="utf-8")
            if fresh:
                csv.writer(self._file).writerow(("update", "name", "value"))
        rows = ((reading.update, name, value) for name, value in reading.scalars().items())
        csv.writer(self._file).writerows(rows)
        self._file.flush()

    def close(self) -> None:
        """Close the file; a further reading opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None


class TensorBoard:
    """Scalars for TensorBoard.

    Args:
        target: a folder for ``torch.utils.tensorboard``'s SummaryWriter, or such a writer.
    """

    def __init__(self, target: Any) -> None:
        if isinstance(target, str | Path):
            module = library("tensorboard", "TensorBoard", "torch.utils.tensorboard")
            self._own, self._writer = True, module.SummaryWriter(str(target))
        else:
            self._own, self._writer = False, target

    def write(self, reading: Reading) -> None:
        """Add each number, and the warnings as text."""
        for name, value in reading.scalars().items():
            self._writer.add_scalar(name, value, reading.update)
        if reading.warnings:
            self._writer.add_text("decay/warnings", "\n\n".join(reading.warnings), reading.update)

    def close(self) -> None:
        """Close the writer if it was made here."""
        if self._own:
            self._writer.close()


class MLflow(Borrowing):
    """Metrics of MLflow's active run."""

    def __init__(self) -> None:
        self._mlflow = library("mlflow", "MLflow", "mlflow")

    def write(self, reading: Reading) -> None:
        """Log all numbers at once."""
        self._mlflow.log_metrics(reading.scalars(), step=reading.update)


class WandB(Borrowing):
    """Metrics of a Weights & Biases run.

    Args:
        run: as ``wandb.init`` returns it; the current one if left out.
    """

    def __init__(self, run: Any = None) -> None:
        self._run = run if run is not None else library("wandb", "WandB", "wandb")

    def write(self, reading: Reading) -> None:
        """Log all numbers at once.

        With the update among them and not as wandb's own step, which must never go back.
        """
        self._run.log({**reading.scalars(), "decay/update": reading.update})


class Loggers(Borrowing):
    """The loggers of a Lightning trainer: whatever has ``log_metrics(metrics, step)``.

    Args:
        loggers: the trainer's.
    """

    def __init__(self, loggers: Any) -> None:
        self._loggers = list(loggers)

    def write(self, reading: Reading) -> None:
        """Log all numbers with each logger."""
        for logger in self._loggers:
            logger.log_metrics(reading.scalars(), step=reading.update)
