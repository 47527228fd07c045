"""The landscapes from which the claims are answered, at each scale.

A study is one landscape with one ledger, OUT/TASK/STUDY. Claims that ask about the same trainings
share a study, so that nothing is trained twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from unyoke.study import defaults, tasks
from unyoke.study.errors import StudyError
from unyoke.study.landscape import Axes, Landscape


@dataclass(frozen=True)
class Scale:
    """How much is trained.

    Attributes:
        tasks: asked where no task is named.
        seeds: of the maps, and of the studies of longer or many budgets.
        stride: every how manieth value of the task's usual axes is taken.
        budget: what the task's usual number of updates is multiplied by.
        longest: how many times longer the long studies are; the paper's are 1800 epochs to 100.
    """

    tasks: tuple[str, ...]
    seeds: int
    long_seeds: int
    stride: int = 1
    budget: float = 1.0
    longest: int = 4


SCALES: Mapping[str, Scale] = {
    "smoke": Scale(("digits",), seeds=2, long_seeds=2, stride=4, budget=0.1),
    "laptop": Scale(("digits", "breast-cancer", "diabetes"), seeds=10, long_seeds=5),
    "gpu": Scale(("cifar10",), seeds=5, long_seeds=3),
    "paper": Scale(("cifar10-26-2x64d",), seeds=3, long_seeds=1, longest=18),
}
"""`smoke` shows that everything works and decides nothing."""


@dataclass(frozen=True)
class Study:
    """One landscape, before a task and a scale are chosen.

    Attributes:
        optimizers: names as `unyoke.study.optimizers` reads them.
        budgets: multiples of the task's usual number of updates; "long" is the scale's longest.
        batches: multiples of the task's usual batch size.
        coarse_lr: whether every second learning rate is enough.
    """

    optimizers: tuple[str, ...]
    schedules: tuple[str, ...] = ("cosine",)
    budgets: tuple[float, ...] | str = (1.0,)
    batches: tuple[float, ...] = (1.0,)
    coarse_lr: bool = False


STUDIES: Mapping[str, Study] = {
    "main": Study(("Adam", "AdamW", "SGD", "SGDW")),
    "schedules": Study(("Adam", "AdamW"), ("constant", "step_drops")),
    "ablation": Study(("Adam+l2_first_moment", "Adam+l2_second_moment")),
    "others": Study(
        (
            "AMSGrad",
            "AMSGradW",
            "NAdamW+l2",
            "NAdamW",
            "Adagrad",
            "AdagradW",
            "RMSprop",
            "RMSpropW",
            "Lion+l2",
            "LionW",
            "NDAdam",
        )
    ),
    "long": Study(("Adam", "AdamW", "SGDW"), ("cosine", "warm_restarts"), "long"),
    "long-fixed": Study(("Adam", "AdamW"), ("constant",), "long", coarse_lr=True),
    "budgets": Study(
        ("AdamW", "SGDW"), budgets=(0.5, 1.0, 2.0, 4.0), batches=(0.5, 1.0, 2.0), coarse_lr=True
    ),
}

LION = 1 / 8
"""How Lion's learning rates compare with Adam's: its steps have full size in every weight."""


def landscape(study: str, task: str, scale: Scale, data: str | None = None) -> Landscape:
    """The landscape of one study for a task at a scale.

    Raises:
        StudyError: there is no such task, or no data for it.
    """
    what = STUDIES[study]
    preset = defaults.full(task)
    usual = max(8, round(preset.updates * scale.budget))
    budgets = (float(scale.longest),) if isinstance(what.budgets, str) else what.budgets
    reference = tasks.refer(task, data)
    sizes: tuple[int | None, ...] = (None,)
    if what.batches != (1.0,):
        own = tasks.load(reference)(0).batch_size
        sizes = tuple(max(1, round(own * part)) for part in what.batches)
    many = isinstance(what.budgets, str) or len(budgets) > 1
    return Landscape(
        task=reference,
        axes={name: _axes(name, task, what, scale) for name in what.optimizers},
        schedules=what.schedules,
        updates=tuple(round(usual * part) for part in budgets),
        seeds=tuple(range(scale.long_seeds if many else scale.seeds)),
        batch_sizes=sizes,
    )


def folder(out: Path, task: str, study: str) -> Path:
    """Where the ledger of a study lies."""
    return out / task / study


def _axes(name: str, task: str, study: Study, scale: Scale) -> Axes:
    usual = defaults.full(task).usual(_relative(name))
    if usual is None:
        raise StudyError(f"{name} has no usual axes for the task {task}")
    part = LION if name.startswith("Lion") else 1.0
    lr = usual.lr[:: scale.stride * (2 if study.coarse_lr else 1)]
    zero = tuple(value for value in usual.weight_decay if value == 0)
    positive = tuple(value for value in usual.weight_decay if value > 0)
    return Axes(tuple(value * part for value in lr), zero + positive[:: scale.stride])


def _relative(name: str) -> str:
    """Whose axes an optimizer without usual ones begins with; edges extend them."""
    base, _, decay = name.partition("+")
    if base.startswith(("Lion", "RMSprop", "Adagrad")):
        return "Adam" if decay == "l2" or not base.endswith("W") else "AdamW"
    return name
