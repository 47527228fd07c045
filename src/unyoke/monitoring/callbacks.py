"""monitor() as a callback of Lightning and of Hugging Face's Trainer.

Both libraries load when a callback is made, and their base classes are mixed in then.
"""

from __future__ import annotations

import importlib
from typing import Any

from unyoke.monitoring.watching import Monitor, monitor
from unyoke.monitoring.writers import Loggers


def lightning_callback(**options: Any) -> Any:
    """A callback for ``lightning.pytorch.Trainer(callbacks=[…])``.

    It watches every optimizer from ``on_train_start`` on; numbers go to the trainer's loggers
    unless ``writers`` are given; the budget is the trainer's estimate.

    Args:
        options: of :func:`unyoke.monitor`.

    Raises:
        ImportError: neither lightning nor pytorch_lightning is installed.
    """
    base = _first("lightning.pytorch", "pytorch_lightning", "lightning").Callback
    return type("MonitorCallback", (_Lightning, base), {})(options)


def hugging_face_callback(**options: Any) -> Any:
    """A callback for ``transformers.Trainer(callbacks=[…])``.

    It watches the optimizer from ``on_train_begin`` on; warnings are printed, and the numbers join
    the logs that the trainer prints. What it reports to (``report_to=``) is asked before callbacks
    of the user's: give ``writers`` for it, such as ``writers.WandB()``.

    Args:
        options: of :func:`unyoke.monitor`.

    Raises:
        ImportError: transformers is not installed.
    """
    base = _first("transformers", "", "transformers").TrainerCallback
    return type("MonitorCallback", (_HuggingFace, base), {})(options)


def _first(name: str, other: str, package: str) -> Any:
    for each in filter(None, (name, other)):
        try:
            return importlib.import_module(each)
        except ImportError as error:
            missing = error
    raise ImportError(f"this callback needs {package}: pip install {package}") from missing


class _Lightning:
    """What the callback does; the library's base class comes after it."""

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__()
        self.options = options
        self.monitors: list[Monitor] = []

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Watch the trainer's optimizers."""
        budget = trainer.estimated_stepping_batches
        options = {
            "writers": Loggers(trainer.loggers),
            "model": module,
            "updates": int(budget) if 0 < budget < float("inf") else None,
            "say": print,
            **self.options,
        }
        self.monitors = [monitor(optimizer, **options) for optimizer in trainer.optimizers]

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """Watch no longer."""
        for each in self.monitors:
            each.close()


class _HuggingFace:
    """What the callback does; the library's base class comes after it."""

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__()
        self.options = options
        self.monitor: Monitor | None = None
        self._logged = -1

    def on_train_begin(self, args: Any, state: Any, control: Any, **words: Any) -> None:
        """Watch the trainer's optimizer."""
        options = {
            "model": words.get("model"),
            "updates": state.max_steps if state.max_steps > 0 else None,
            "say": print,
            **self.options,
        }
        self.monitor = monitor(words["optimizer"], **options)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **words: Any) -> None:
        """Add the latest numbers to what the trainer logs."""
        reading = None if self.monitor is None else self.monitor.last
        if logs is not None and reading is not None and reading.update != self._logged:
            self._logged = reading.update
            logs.update(reading.scalars())

    def on_train_end(self, args: Any, state: Any, control: Any, **words: Any) -> None:
        """Watch no longer."""
        if self.monitor is not None:
            self.monitor.close()
