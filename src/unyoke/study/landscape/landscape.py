"""A landscape: one task over a grid of α × λ for several optimizers, schedules, budgets, seeds.

A budget is a number of updates at a batch size.

`Landscape` is the whole plan, frozen; `Cell` is one training of it. Both are plain data, so
that a ledger can keep them and any worker can receive them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from typing import Any, NamedTuple

from unyoke.study.landscape.axes import describe_axis
from unyoke.study.landscape.task_reference import TaskReference as TaskReference


@dataclass(frozen=True)
class Axes:
    """The learning rates and weight decays of one optimizer, both ascending.

    Attributes:
        decay_unit: what a weight decay is: λ (None), or "norm" or "total", as
            `unyoke.study.landscape.decay_units` has them.
        matrices: "hidden" where a direction for matrices alone gets those of hidden layers and Adam
            the rest, as `unyoke.groups.hidden_matrices` has it; None where it gets every matrix,
            and of all other directions.
    """

    lr: tuple[float, ...]
    weight_decay: tuple[float, ...]
    decay_unit: str | None = None
    matrices: str | None = None

    def to_plain(self) -> dict[str, Any]:
        """As JSON knows it; axes in λ are written as they were before there were other units."""
        return {name: value for name, value in vars(self).items() if value is not None}


class Budget(NamedTuple):
    """How long one training is.

    Attributes:
        updates: how many it makes.
        batch_size: samples per update; None is the task's own.
    """

    updates: int
    batch_size: int | None = None


@dataclass(frozen=True)
class Cell:
    """One training: everything that decides its result.

    Attributes:
        optimizer: a name as `unyoke.study.landscape.optimizers` reads it.
        updates, batch_size: the budget.
        lr: α.
        weight_decay: λ, or λ′ of an L2 penalty.
        seed: of the initial weights and of the order of the batches.
        clip: the largest norm of the whole gradient, or None.
        groups: "split" where biases, norms and embeddings do not decay, as `unyoke.groups.split`
            has it; None where everything decays.
        decay_unit, matrices: of the optimizer, as `Axes` has them.
    """

    task: str
    task_digest: str
    optimizer: str
    schedule: str
    updates: int
    lr: float
    weight_decay: float
    seed: int
    batch_size: int | None = None
    clip: float | None = None
    groups: str | None = None
    decay_unit: str | None = None
    matrices: str | None = None

    @property
    def budget(self) -> Budget:
        """Its number of updates and its batch size."""
        return Budget(self.updates, self.batch_size)

    def to_json(self) -> str:
        """The cell as JSON, the same text for the same cell; what is None is left out.

        So a cell has the key that it had before there were batch sizes, clipping and groups.
        """
        plain = {name: value for name, value in vars(self).items() if value is not None}
        return json.dumps(plain, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Cell:
        """The cell that `to_json` wrote."""
        return cls(**json.loads(text))

    @property
    def key(self) -> str:
        """A short name that differs as soon as anything in the cell differs."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Landscape:
    """The whole plan that one ledger fills.

    Attributes:
        axes: of each optimizer, by its name.
        updates: of one training.
        batch_sizes: samples per update; None is the task's own.
        epochs: where given, budgets are so many passes over the training samples, which are
            another number of updates for each batch size; `updates` then lists them all.
        samples: how many training samples the task has, where `epochs` are given.
        evaluations: of each model during its training, at most; None is as many as the time of
            training pays for, see `unyoke.study.training.training.evaluation_updates`. No part of
            what a training is.
        clip, groups: of every cell.
    """

    task: TaskReference
    axes: Mapping[str, Axes]
    schedules: tuple[str, ...]
    updates: tuple[int, ...]
    seeds: tuple[int, ...]
    batch_sizes: tuple[int | None, ...] = (None,)
    epochs: tuple[int, ...] = ()
    samples: int | None = None
    evaluations: int | None = None
    clip: float | None = None
    groups: str | None = None

    def budgets(self) -> tuple[Budget, ...]:
        """Every number of updates, or of epochs, with every batch size."""
        if self.samples is not None:
            return tuple(
                Budget(updates_of(epochs, self.samples, size), size)
                for epochs, size in product(self.epochs, self.batch_sizes)
                if size is not None
            )
        return tuple(Budget(*pair) for pair in product(self.updates, self.batch_sizes))

    def cells(self) -> Iterator[Cell]:
        """Every cell, a whole map of one seed before the next seed begins."""
        for seed in self.seeds:
            for schedule in self.schedules:
                for budget in self.budgets():
                    for optimizer, axes in self.axes.items():
                        maker = self.cell_maker(optimizer, schedule, budget)
                        for weight_decay in axes.weight_decay:
                            for lr in axes.lr:
                                yield maker(lr=lr, weight_decay=weight_decay, seed=seed)

    def cell_maker(self, optimizer: str, schedule: str, budget: Budget) -> Callable[..., Cell]:
        """Makes the cells of one map from `lr`, `weight_decay` and `seed`."""
        return partial(
            Cell,
            task=self.task.name,
            task_digest=self.task.version_with(optimizer, schedule),
            optimizer=optimizer,
            schedule=schedule,
            updates=budget.updates,
            batch_size=budget.batch_size,
            clip=self.clip,
            groups=self.groups,
            decay_unit=self.axes[optimizer].decay_unit,
            matrices=self.axes[optimizer].matrices,
        )

    def summary(self) -> str:
        """The landscape in one line."""
        from unyoke.study.landscape.optimizers import title

        cells = sum(len(axes.lr) * len(axes.weight_decay) for axes in self.axes.values())
        trainings = cells * len(self.schedules) * len(self.budgets()) * len(self.seeds)
        batches = ""
        if self.batch_sizes != (None,):
            batches = f" of {_listed(self.batch_sizes)} samples"
        length = (
            f"{_listed(self.epochs)} epochs" if self.epochs else f"{_listed(self.updates)} updates"
        )
        names = ", ".join(title(name, self.task.own) for name in self.axes)
        return (
            f"{self.task.name}: {names}; {_listed(self.schedules)} schedule, "
            f"{length}{batches}, seeds: {len(self.seeds)}; {trainings} trainings"
        )

    @property
    def decaying(self) -> str:
        """Which weights decay, what Adam gets beside Muon, and the clipping, in words."""
        which = (
            "Biases, norms and embeddings do not decay (--groups split)"
            if self.groups == "split"
            else "Every weight decays, biases and norms too (--groups all)"
        )
        which = which if self.clip is None else f"{which}; gradients clipped at {self.clip:g}"
        return "; ".join((which, *self._matrices()))

    def _matrices(self) -> Iterator[str]:
        """What directions for matrices alone get, in words."""
        from unyoke.study.landscape.optimizers import takes_matrices_only

        own = self.task.own
        hidden = [name for name, axes in self.axes.items() if axes.matrices == "hidden"]
        every = [name for name in self.axes if takes_matrices_only(name, own)]
        every = [name for name in every if name not in hidden]
        if hidden:
            yield (
                f"{', '.join(hidden)}: the matrices of hidden layers, and Adam everything else "
                "(--matrices hidden)"
            )
        if every:
            yield f"{', '.join(every)}: every matrix, and Adam everything else (--matrices all)"

    def to_json(self) -> str:
        """The landscape as JSON, the same text for the same landscape."""
        axes = {name: axes.to_plain() for name, axes in self.axes.items()}
        return json.dumps(asdict(self) | {"axes": axes})

    @classmethod
    def from_json(cls, text: str) -> Landscape:
        """The landscape that `to_json` wrote."""
        plain: dict[str, Any] = json.loads(text)
        return cls(
            task=TaskReference.of(plain["task"]),
            axes={
                name: Axes(
                    tuple(axes["lr"]),
                    tuple(axes["weight_decay"]),
                    axes.get("decay_unit"),
                    axes.get("matrices"),
                )
                for name, axes in plain["axes"].items()
            },
            schedules=tuple(plain["schedules"]),
            updates=tuple(plain["updates"]),
            seeds=tuple(plain["seeds"]),
            batch_sizes=tuple(plain.get("batch_sizes", (None,))),
            epochs=tuple(plain.get("epochs", ())),
            samples=plain.get("samples"),
            # Ledgers up to version 2 call them looks.
            evaluations=plain.get("evaluations", plain.get("looks")),
            clip=plain.get("clip"),
            groups=plain.get("groups"),
        )

    def difference(self, other: Landscape) -> str | None:
        """What `other` has otherwise, in words, or None if both are the same.

        Where a task's file and data lie and the order in which optimizers are named do not matter.
        """
        if (difference := self.task.difference(other.task)) is not None:
            return difference
        for name in ("schedules", "epochs", "updates", "batch_sizes", "seeds"):
            mine, yours = getattr(self, name), getattr(other, name)
            if set(mine) != set(yours):
                return f"{name.replace('_', ' ')} {_listed(mine)}, not {_listed(yours)}"
        if self.evaluations != other.evaluations:
            mine, yours = (each.evaluations or "as usual" for each in (self, other))
            return f"evaluations {mine}, not {yours}"
        if self.clip != other.clip:
            return f"gradients clipped at {self.clip}, not {other.clip}"
        if self.groups != other.groups:
            return f"groups {self.groups or 'all'}, not {other.groups or 'all'}"
        if set(self.axes) != set(other.axes):
            return f"optimizers {_listed(self.axes)}, not {_listed(other.axes)}"
        for optimizer, axes in self.axes.items():
            theirs = other.axes[optimizer]
            if axes.matrices != theirs.matrices:
                here, there = (each.matrices or "all" for each in (axes, theirs))
                return f"{optimizer} with matrices {here}, not {there} (--matrices {here})"
            if axes.decay_unit != theirs.decay_unit:
                units = (each.decay_unit or "λ" for each in (axes, theirs))
                return "{}'s weight decay in {}, not in {}".format(optimizer, *units)
            for flag, mine, yours in (
                ("lr", axes.lr, theirs.lr),
                ("weight decay", axes.weight_decay, theirs.weight_decay),
            ):
                if set(mine) != set(yours):
                    return f"{optimizer}'s {flag} {describe_axis(mine)}, not {describe_axis(yours)}"
        return None

    def is_part_of(self, larger: Landscape) -> bool:
        """Whether `larger` trains the same task in the same way on a grid that covers this one."""
        return (
            self.task.difference(larger.task) is None
            and self.evaluations == larger.evaluations
            and (self.clip, self.groups) == (larger.clip, larger.groups)
            and set(self.schedules) <= set(larger.schedules)
            and set(self.budgets()) <= set(larger.budgets())
            and set(self.seeds) <= set(larger.seeds)
            and all(
                name in larger.axes
                and axes.decay_unit == larger.axes[name].decay_unit
                and axes.matrices == larger.axes[name].matrices
                and set(axes.lr) <= set(larger.axes[name].lr)
                and set(axes.weight_decay) <= set(larger.axes[name].weight_decay)
                for name, axes in self.axes.items()
            )
        )


def updates_of(epochs: int, samples: int, batch_size: int) -> int:
    """Updates in so many passes over the samples; what does not fill a batch is left out."""
    return epochs * max(1, samples // batch_size)


def _listed(values: Any) -> str:
    return ",".join("the task's own" if value is None else str(value) for value in values)
