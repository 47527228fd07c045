"""What differs between the models of a population: α, λ, seed, schedule and budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import torch
from torch import Tensor

from unyoke._step.hyperparameters import check_lr, check_weight_decay, depends_on_t, weight_decay_at
from unyoke.decays import Normalized
from unyoke.schedules import Schedule

OneWeightDecay = float | Normalized | Callable[[int], float]
T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """The settings of K models, one entry per model.

    Attributes:
        lr: α.
        weight_decay: λ, numbers or functions of t.
        seeds: draw the initial weights, the order of the batches and the dropout masks.
        schedules: t → η_t, or None for η = 1.
        budgets: updates after which the model is finished; None if it never is.
    """

    lr: tuple[float, ...]
    weight_decay: tuple[OneWeightDecay, ...]
    seeds: tuple[int, ...]
    schedules: tuple[Schedule | None, ...]
    budgets: tuple[int | None, ...]

    def __len__(self) -> int:
        return len(self.lr)

    def only(self, rows: Sequence[int]) -> Settings:
        """The settings of some of the models."""
        every = (getattr(self, field.name) for field in fields(self))
        return Settings(*(tuple(values[row] for row in rows) for values in every))

    def begins(self, row: int) -> bool:
        """Whether the model trains at all."""
        return self.lr[row] > 0 and self.budgets[row] != 0


def read(
    lr: float | Tensor | Sequence[float],
    weight_decay: OneWeightDecay | Tensor | Sequence[OneWeightDecay],
    seeds: int | Tensor | Sequence[int],
    schedule: Schedule | Sequence[Schedule | None] | None,
    updates: int | Tensor | Sequence[int | None] | None,
) -> Settings:
    """The settings of each model; what is given once holds for all.

    Raises:
        ValueError: lists of different lengths, or a value out of its range.
    """
    given = {
        "lr": _listed(lr),
        "weight_decay": _listed(weight_decay),
        "seeds": _listed(seeds),
        "schedule": _listed(schedule),
        "updates": _listed(updates),
    }
    lengths = {name: len(values) for name, values in given.items() if isinstance(values, list)}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        described = ", ".join(f"{length} for {name}" for name, length in lengths.items())
        raise ValueError(
            f"a population needs as many values of one setting as of another: there are {described}"
        )
    count = next(iter(lengths.values()), 1)
    each: dict[str, list[Any]] = {
        name: values if isinstance(values, list) else [values] * count
        for name, values in given.items()
    }
    for row in range(count):
        _check(row, {name: values[row] for name, values in each.items()})
    budgets = [
        schedule.budget if updates is None and schedule is not None else updates
        for updates, schedule in zip(each["updates"], each["schedule"], strict=True)
    ]
    return Settings(
        tuple(map(float, each["lr"])),
        tuple(each["weight_decay"]),
        tuple(each["seeds"]),
        tuple(each["schedule"]),
        tuple(budgets),
    )


def _listed(values: Any) -> Any:
    """A list if there is one value per model, else the value that all share."""
    if isinstance(values, Tensor):
        if values.dim() > 1:
            raise ValueError(f"give one number per model, [K], not a {tuple(values.shape)} tensor")
        return values.tolist()
    return list(values) if isinstance(values, Sequence) else values


def _check(row: int, values: dict[str, Any]) -> None:
    try:
        check_lr(values["lr"])
        if not depends_on_t(values["weight_decay"]):
            check_weight_decay(values["weight_decay"])
        weight_decay_at(values["weight_decay"], 0, values["schedule"])
    except ValueError as error:
        raise ValueError(f"model {row}: {error}") from None
    seed, schedule, updates = values["seeds"], values["schedule"], values["updates"]
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ValueError(f"model {row}: the seed must be an integer, not {seed!r}")
    if schedule is not None and not isinstance(schedule, Schedule):
        raise ValueError(f"model {row}: schedule must be from unyoke.schedules, not {schedule!r}")
    if updates is not None and (
        isinstance(updates, bool) or not isinstance(updates, int) or updates < 0
    ):
        raise ValueError(f"model {row}: updates must be an integer ≥ 0, not {updates!r}")


class Rates:
    """(α·η_t, λ_t) of some models as [A] tensors; what is equal is computed once.

    Attributes:
        lr: α, [A] float64.
        weight_decay: λ of the first update, [A] float64.
    """

    def __init__(self, settings: Settings, rows: Sequence[int]) -> None:
        own = settings.only(rows)
        self.lr = torch.tensor(own.lr, dtype=torch.float64)
        self._schedules, self._schedule_of = _distinct(own.schedules)
        pairs = list(zip(own.weight_decay, own.schedules, strict=True))
        self._decays, self._decay_of = _distinct(pairs)
        self._decay_moves = any(depends_on_t(decay) for decay, _ in self._decays)
        self.weight_decay = self._decay_at(0)

    def at(self, t: int) -> tuple[Tensor, Tensor]:
        """(α·η_t, λ_t) of the update that follows t updates.

        Raises:
            ValueError: a function of t gives a number that is negative or not finite.
        """
        etas = [1.0 if schedule is None else schedule(t) for schedule in self._schedules]
        _check_given("schedule", self._schedules, etas, t)
        eta = torch.tensor(etas, dtype=torch.float64)[self._schedule_of]
        return self.lr * eta, self._decay_at(t) if self._decay_moves else self.weight_decay

    def _decay_at(self, t: int) -> Tensor:
        values = [float(weight_decay_at(decay, t, schedule)) for decay, schedule in self._decays]
        _check_given("weight_decay", [decay for decay, _ in self._decays], values, t)
        return torch.tensor(values, dtype=torch.float64)[self._decay_of]


def _check_given(name: str, functions: Sequence[Any], values: Sequence[Any], t: int) -> None:
    for function, value in zip(functions, values, strict=True):
        if not 0.0 <= value < math.inf:
            raise ValueError(
                f"{name}={function!r} gives {value!r} at t={t}: it must give finite numbers ≥ 0. "
                "No model was changed by this update"
            )


def _distinct(values: Sequence[T]) -> tuple[list[T], Tensor]:
    """Each different value once, and which of them belongs to each place."""
    keys = [value if isinstance(value, Hashable) else id(value) for value in values]
    distinct = dict(zip(keys, values, strict=True))
    numbers = {key: number for number, key in enumerate(distinct)}
    which = torch.tensor([numbers[key] for key in keys], dtype=torch.int64)
    return list(distinct.values()), which
