"""Weight decay in units that carry over: windows, shares of a run, total decay; and back.

λ is per update. What a run does with it depends on how long it is: Σηλ, the decay of all updates
together, and τ = 1/(η·λ), the updates over which decay averages the weights. Each function here
gives λ, and its inverse ``…_of`` gives the unit from a λ that was tuned.

>>> from unyoke import schedules
>>> eta = schedules.cosine(10_000)
>>> f"{total_decay(10, schedule=eta):.4g}"
'0.002'
>>> f"{total_decay_of(0.002, schedule=eta):.4g}"
'10'
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

from unyoke.schedules import Schedule

Multiplier = Callable[[int], float]

EXACT = 200_000
"""Up to so many updates η is summed one by one; beyond, at so many midpoints."""

LARGE = 1e-2
"""A λ from which on it looks like a number from torch, whose default this is."""


class PerUpdate(float):
    """A λ that was worked out from what a run is to do: nobody copied it from torch.

    Optimizers do not ask of it whether torch's number was meant. It is a number like any other, and
    is stored, copied and calculated with as a plain one.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[type[float], tuple[float]]:
        return float, (float(self),)


def total_eta(schedule: Multiplier | None = None, updates: int | None = None) -> float:
    """Ση over a run: ``updates`` times the mean multiplier.

    Args:
        schedule: t → η_t; None is a constant 1.
        updates: the length of the run; may be left out if the schedule has one.

    Raises:
        ValueError: nobody knows the length of the run, or it is not a whole number ≥ 1.
    """
    length = updates if updates is not None else getattr(schedule, "budget", None)
    if length is None:
        raise ValueError(
            "the length of the run is not known: give updates=, or a schedule that has one, such "
            "as unyoke.schedules.cosine(updates)"
        )
    if isinstance(length, bool) or not isinstance(length, int) or length < 1:
        raise ValueError(f"updates must be an integer ≥ 1, not {length!r}")
    if schedule is None:
        return float(length)
    return _sum(schedule, length)


@functools.lru_cache(maxsize=64)
def _sum(schedule: Multiplier, length: int) -> float:
    if length <= EXACT:
        return math.fsum(schedule(t) for t in range(length))
    width = length / EXACT
    return width * math.fsum(schedule(int((k + 0.5) * width)) for k in range(EXACT))


def total_decay(
    total: float, *, schedule: Schedule | None = None, updates: int | None = None
) -> float:
    """The decay λ with which a whole run takes ``total``: Σ η_t·λ = total.

    λ = total/Ση. Of the initial weights e^−total is left: 5 % at 3, nothing at 10.

    Args:
        total: Σηλ ≥ 0.
        schedule: of the run; a constant η = 1 without one.
        updates: length of the run; the schedule's own if left out.

    Raises:
        ValueError: a negative or infinite total, or a run of unknown length.

    >>> total_decay(10, updates=10_000)
    0.001
    """
    if not 0.0 <= total < math.inf:
        raise ValueError(f"total_decay: the total must be finite and ≥ 0, not {total!r}")
    return PerUpdate(total / _positive("total_decay", total_eta(schedule, updates)))


def total_decay_of(
    weight_decay: float, *, schedule: Schedule | None = None, updates: int | None = None
) -> float:
    """Σηλ of a run with this λ: the inverse of :func:`total_decay`."""
    return _decay(weight_decay) * total_eta(schedule, updates)


def timescale(
    updates: float | None = None,
    *,
    epochs: float | None = None,
    share: float | None = None,
    batch_size: float | None = None,
    samples: float | None = None,
    schedule: Schedule | None = None,
    run: float | None = None,
) -> float:
    """The decay λ whose averaging window at η = 1 is as long as you say; in one of three units.

    λ = 1/τ, with τ = updates = epochs·samples/batch_size = share·run

    Keeping τ constant in epochs while the batch size or the amount of data changes is the transfer
    rule of Wang & Aitchison (arXiv 2405.13698); :func:`unyoke.normalized` is the paper's.

    Args:
        updates: τ in updates; or
        epochs: τ in passes over the data, with ``batch_size`` and ``samples``; or
        share: τ as a part of the run, with the run's length: ``run`` updates, or a ``schedule``
            that has one.

    Raises:
        ValueError: not exactly one unit, or what the unit needs is missing or not positive.

    >>> timescale(updates=20_000)
    5e-05
    >>> timescale(epochs=10, batch_size=250, samples=50_000)
    0.0005
    >>> timescale(share=0.1, run=20_000)
    0.0005
    """
    units = {"updates": updates, "epochs": epochs, "share": share}
    given = [name for name, value in units.items() if value is not None]
    if len(given) != 1:
        raise ValueError(
            "timescale: give one of updates=, epochs= and share=, not "
            + (" and ".join(given) or "none of them")
        )
    if updates is not None:
        return PerUpdate(1.0 / _positive("timescale: updates", updates))
    if epochs is not None:
        per_epoch = _updates_per_epoch("timescale", batch_size, samples)
        return PerUpdate(1.0 / (_positive("timescale: epochs", epochs) * per_epoch))
    length = run if run is not None else getattr(schedule, "budget", None)
    if share is None or length is None:
        raise ValueError(
            "timescale: share= is a part of a run: give run=, its updates, or a schedule with a "
            "length"
        )
    window = _positive("timescale: share", share) * _positive("timescale: run", length)
    return PerUpdate(1.0 / window)


@dataclass(frozen=True)
class Window:
    """τ = 1/λ in every unit that is known.

    Attributes:
        updates: τ in updates; infinite without decay.
        epochs: in passes over the data; None if these are not known.
        share: as a part of the run; None if its length is not known.
    """

    updates: float
    epochs: float | None = None
    share: float | None = None


def timescale_of(
    weight_decay: float,
    *,
    batch_size: float | None = None,
    samples: float | None = None,
    schedule: Schedule | None = None,
    run: float | None = None,
) -> Window:
    """The averaging window of a tuned λ: the inverse of :func:`timescale`.

    >>> timescale_of(0.0005, batch_size=250, samples=50_000, run=20_000)
    Window(updates=2000.0, epochs=10.0, share=0.1)
    """
    tau = 1.0 / weight_decay if _decay(weight_decay) else math.inf
    epochs = None
    if batch_size is not None or samples is not None:
        epochs = tau / _updates_per_epoch("timescale_of", batch_size, samples)
    length = run if run is not None else getattr(schedule, "budget", None)
    share = None if length is None else tau / _positive("timescale_of: run", length)
    return Window(tau, epochs, share)


def lambda_norm_of(weight_decay: float, *, updates: float) -> float:
    """λ_norm of a tuned λ, λ·√updates: the inverse of :func:`unyoke.normalized`.

    >>> lambda_norm_of(0.00025, updates=10_000)
    0.025
    """
    return _decay(weight_decay) * math.sqrt(_positive("lambda_norm_of: updates", updates))


def _updates_per_epoch(name: str, batch_size: float | None, samples: float | None) -> float:
    if batch_size is None or samples is None:
        raise ValueError(f"{name}: epochs need batch_size= and samples= as well")
    positive = _positive(f"{name}: batch_size", batch_size)
    return _positive(f"{name}: samples", samples) / positive


def _positive(name: str, value: float) -> float:
    if not 0.0 < value < math.inf:
        raise ValueError(f"{name} must be finite and > 0, not {value!r}")
    return float(value)


def _decay(value: float) -> float:
    if not 0.0 <= value < math.inf:
        raise ValueError(f"weight_decay must be finite and ≥ 0, not {value!r}")
    return float(value)
