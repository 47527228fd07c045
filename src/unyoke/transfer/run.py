"""A training run in the numbers that transfer rules are about, and what decay does in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

from unyoke import schedules
from unyoke.schedules import Schedule
from unyoke.timescales import total_eta


class TransferError(ValueError):
    """A number or name that cannot be used; the message is one line and says what to do."""


@dataclass(frozen=True)
class Linear(Schedule):
    """η = 1 − t/updates: straight to zero, as Hugging Face's default is."""

    updates: int

    def __call__(self, t: int) -> float:
        return max(0.0, 1.0 - t / self.updates)

    @property
    def budget(self) -> int:
        return self.updates


SCHEDULES: Mapping[str, Callable[[int], Schedule]] = MappingProxyType(
    {
        "constant": lambda updates: schedules.constant(),
        "cosine": schedules.cosine,
        "linear": Linear,
        "step_drops": schedules.step_drops,
    }
)
"""Schedules by name, each laid out over a number of updates."""


POSITIVE = ("lr", "batch_size", "samples", "epochs", "updates", "width", "tokens", "weights")
"""Numbers of a run that are above 0 where they are known."""


@dataclass(frozen=True)
class Run:
    """What was tuned, or what will be run.

    Attributes:
        lr: α, the peak learning rate.
        weight_decay: λ, the paper's: per update at η = 1, not multiplied by the learning rate.
        batch_size: b, samples per update.
        samples: B, training samples in a pass over the data.
        epochs: E, passes. The run has ``updates`` = B·E/b; give any two of ``samples``, ``epochs``
            and ``updates``, or ``updates`` alone.
        updates: T.
        schedule: ``"cosine"``, ``"linear"``, ``"constant"`` or ``"step_drops"``.
        optimizer: ``"adamw"``, ``"sgdw"`` or ``"lion"``.
        beta1: the first momentum (for SGD its momentum).
        width: m, of the layers; None if it does not change.
        tokens: D, tokens seen in the run; None for other data.
        weights: N, the size of the model.
    """

    lr: float
    weight_decay: float
    batch_size: float | None = None
    samples: float | None = None
    epochs: float | None = None
    updates: float | None = None
    schedule: str = "cosine"
    optimizer: str = "adamw"
    beta1: float = 0.9
    width: float | None = None
    tokens: float | None = None
    weights: float | None = None

    def __post_init__(self) -> None:
        for name in POSITIVE:
            _check_positive(name, getattr(self, name))
        if not 0.0 <= self.weight_decay < 1.0:
            raise TransferError(
                f"weight decay {self.weight_decay:g} per update: it must lie in [0, 1); was it "
                "torch's number? Give --convention torch"
            )
        if not 0.0 <= self.beta1 < 1.0:
            raise TransferError(f"beta1 {self.beta1!r}: it must lie in [0, 1)")
        if self.schedule not in SCHEDULES:
            raise TransferError(
                f"unknown schedule {self.schedule!r}: there are {', '.join(SCHEDULES)}"
            )
        if self.optimizer not in ("adamw", "sgdw", "lion"):
            raise TransferError(
                f"unknown optimizer {self.optimizer!r}: there are adamw, sgdw and lion"
            )
        self._complete()

    def _complete(self) -> None:
        """Work out the length of the run, and refuse sizes that contradict each other."""
        by_epochs = None
        if self.batch_size is not None and self.samples is not None and self.epochs is not None:
            by_epochs = self.samples * self.epochs / self.batch_size
        if (self.batch_size or 0.0) > (self.samples or math.inf):
            raise TransferError(
                f"batch size {self.batch_size:g} is larger than the {self.samples:g} samples of "
                "the data: give --samples as training samples, not batches"
            )
        if self.updates is None:
            if by_epochs is None:
                raise TransferError(
                    "the length of the run is not known: give updates, or batch size, samples and "
                    "epochs"
                )
            object.__setattr__(self, "updates", by_epochs)
        elif by_epochs is not None and not 0.95 < self.updates / by_epochs < 1.05:
            raise TransferError(
                f"{self.epochs:g} epochs of {self.samples:g} samples in batches of "
                f"{self.batch_size:g} are {by_epochs:,.0f} updates, not {self.updates:,.0f}: leave "
                "one of these out"
            )
        elif self.epochs is None and self.batch_size is not None and self.samples is not None:
            object.__setattr__(self, "epochs", self.updates * self.batch_size / self.samples)
        if self.length < 1:
            raise TransferError(f"a run of {self.length:g} updates: it must have at least one")

    @property
    def length(self) -> float:
        """T, the number of updates."""
        assert self.updates is not None
        return self.updates

    @property
    def torch_weight_decay(self) -> float:
        """w = λ/α: what torch's AdamW calls this decay at this learning rate."""
        return self.weight_decay / self.lr

    @property
    def seen(self) -> float | None:
        """Samples seen in the whole run, b·T."""
        return None if self.batch_size is None else self.batch_size * self.length

    @property
    def steps(self) -> int:
        """The updates as a whole number."""
        return max(1, round(self.length))

    @property
    def total_eta(self) -> float:
        """Ση of the schedule, laid out over the run."""
        return total_eta(SCHEDULES[self.schedule](self.steps), self.steps)

    @property
    def total_decay(self) -> float:
        """Σηλ: what all updates take together."""
        return self.weight_decay * self.total_eta

    def changed(self, **changes: Any) -> Run:
        """This run with other numbers; its length follows from them."""
        unknown = set(changes) - {field.name for field in fields(self)}
        if unknown:
            raise TransferError(f"a run has no {', '.join(sorted(unknown))}")
        if "updates" in changes and "epochs" not in changes:
            changes["epochs"] = None
        elif "updates" not in changes and self.samples is not None and self.batch_size is not None:
            changes["updates"] = None
        elif "updates" not in changes and "batch_size" in changes and self.batch_size is not None:
            # As many samples are seen as before
            changes["updates"] = self.length * self.batch_size / changes["batch_size"]
        return replace(self, **changes)


def _check_positive(name: str, value: float | None) -> None:
    if value is not None and not 0.0 < value < math.inf:
        raise TransferError(f"{name.replace('_', ' ')} {value!r}: it must be a finite number > 0")


# What decay does in a run


def left_of_the_beginning(run: Run) -> float:
    """e^−Σηλ: the part of the initial weights that is left at the end, if nothing else moved."""
    return math.exp(-run.total_decay)


def rotation(decay: float, momentum: float) -> float:
    """Radians per update in equilibrium, √(2·Λ·(1 − μ)/(1 + μ)), of weights that a norm follows.

    Λ is what one update takes of a weight. AdamW: Λ = η·λ and μ = β1. SGD with L2 takes
    lr·wd/(1 − μ) in the steady state, so this is √(2·lr·wd/(1 + μ)).

    Source: Kosson, Messmer & Jaggi, arXiv 2305.17212; a random walk in the tests agrees.
    """
    return math.sqrt(2.0 * decay * (1.0 - momentum) / (1.0 + momentum))


EQUILIBRIUM = 1.5
"""Σηλ after which weights before a norm have come to rest, within some per cent.

Their squared norm approaches its equilibrium by e^−2Σηλ (arXiv 2305.17212): e^−3 of the excess is
left."""
