"""monitor() as a callback of Lightning and of Hugging Face's Trainer.

Both libraries load when a callback is made, and their base classes are mixed in then.
"""

from __future__ import annotations

from typing import Any

from unyoke.monitoring.reading import Reading
from unyoke.monitoring.watching import Monitor, monitor
from unyoke.monitoring.writers import Loggers, library

WHO = "this callback"
"""What needs the libraries, for messages."""


def lightning_callback(**options: Any) -> Any:
    """A callback for ``lightning.pytorch.Trainer(callbacks=[…])``.

    It watches every optimizer from ``on_train_start`` on; numbers go to the trainer's loggers
    unless ``writers`` are given; the budget is the trainer's estimate.

    Args:
        options: of :func:`unyoke.monitor`.

    Raises:
        ImportError: neither lightning nor pytorch_lightning is installed.
    """
    base = library("lightning", WHO, "lightning.pytorch", "pytorch_lightning").Callback
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
    base = library("transformers", WHO, "transformers").TrainerCallback
    return type("MonitorCallback", (_HuggingFace, base), {})(options)


class _Callback:
    """What both do; the library's base class comes after it."""

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__()
        self.options = options
        self.monitors: list[Monitor] = []

    def on_train_end(self, *_: Any, **words: Any) -> None:
        """Watch no longer."""
        for each in self.monitors:
            each.close()


class _Lightning(_Callback):
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


class _HuggingFace(_Callback):
    _logged: Reading | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **words: Any) -> None:
        """Watch the trainer's optimizer."""
        options = {
            "model": words.get("model"),
            "updates": state.max_steps if state.max_steps > 0 else None,
            "say": print,
            **self.options,
        }
        self.monitors = [monitor(words["optimizer"], **options)]

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **words: Any) -> None:
        """Add the latest numbers to what the trainer logs."""
        for reading in (each.last for each in self.monitors):
            if logs is not None and reading is not None and reading is not self._logged:
                self._logged = reading
                logs.update(reading.scalars())
