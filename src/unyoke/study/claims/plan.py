"""The landscapes from which the claims are answered: which, for which task, at which scale.

A study is one landscape with one ledger, OUT/TASK/STUDY. Claims about the same trainings
share a study, so that nothing is trained twice. `STUDIES` says what each trains, the tables of
`SCALES` how much of it for which task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from unyoke.study.errors import StudyError
from unyoke.study.landscape.landscape import Axes, Landscape, TaskReference
from unyoke.study.planning import defaults
from unyoke.study.tasks import registry as tasks


@dataclass(frozen=True)
class Study:
    """One landscape, before a task and its size are chosen.

    Attributes:
        optimizers: names as `unyoke.study.landscape.optimizers` reads them.
        budgets: multiples of the size's number of updates.
        batches: multiples of the task's usual batch size.
        curves: whether a claim or a figure needs the learning curves. Without them trainings are
            evaluated only at their end, which takes less time.
    """

    optimizers: tuple[str, ...]
    schedules: tuple[str, ...] = ("cosine",)
    budgets: tuple[float, ...] = (1.0,)
    batches: tuple[float, ...] = (1.0,)
    curves: bool = False


OTHERS: Mapping[str, tuple[str, str]] = {
    "amsgrad": ("AMSGrad", "AMSGradW"),
    "nadam": ("NAdamW+l2", "NAdamW"),
    "adagrad": ("Adagrad", "AdagradW"),
    "rmsprop": ("RMSprop", "RMSpropW"),
    "lion": ("Lion+l2", "LionW"),
}
"""Other directions, each with an L2 penalty and with decoupled decay."""

STUDIES: Mapping[str, Study] = {
    "main": Study(("Adam", "AdamW", "SGD", "SGDW")),
    "schedules": Study(("Adam", "AdamW"), ("constant", "step_drops")),
    "ablation": Study(("Adam+l2_first_moment", "Adam+l2_second_moment")),
    **{name: Study(pair) for name, pair in OTHERS.items()},
    "nd-adam": Study(("NDAdam",)),
    "long": Study(("Adam", "AdamW"), curves=True),
    "restarts": Study(("AdamW", "SGDW"), ("cosine", "warm_restarts"), curves=True),
    "long-fixed": Study(("Adam", "AdamW"), ("constant",)),
    "budgets": Study(("AdamW", "SGDW"), budgets=(0.5, 1.0, 2.0, 4.0), batches=(0.5, 1.0, 2.0)),
}
"""What each study trains."""


@dataclass(frozen=True)
class Size:
    """How much of a study is trained for a task.

    Attributes:
        times: what the task's usual number of updates is multiplied by.
        rates: every how manieth of the task's usual learning rates is taken.
        decays: the same of its weight decays above 0.
        network: the built-in task of the same data that is trained in the task's place.
        optimizers: those of the study that are trained; all where none is named.
    """

    seeds: int
    times: float = 1.0
    rates: int = 1
    decays: int = 1
    network: str | None = None
    optimizers: tuple[str, ...] = ()


Sizes = Mapping[str, Size]


@dataclass(frozen=True)
class Scale:
    """How much of each study is trained for each task.

    Attributes:
        tasks: those that are trained where none is named, each with its studies. What is named
            besides, a task or a study, has the sizes of the first task.
    """

    tasks: Mapping[str, Sizes]

    def studies(self, task: str) -> Sizes:
        """The studies of a task that are run where none is named."""
        return self.tasks.get(task) or self._first()

    def size(self, task: str, study: str) -> Size:
        """How much of a study is trained for a task."""
        return self.studies(task).get(study) or self._first()[study]

    def _first(self) -> Sizes:
        sizes = next(iter(self.tasks.values()))
        return {study: replace(size, network=None) for study, size in sizes.items()}


def _others(size: Size) -> Sizes:
    return dict.fromkeys((*OTHERS, "nd-adam"), size)


_SMOKE = Size(2, times=0.1, rates=4, decays=4)
_64D, _96D = "cifar10-26-2x64d", "cifar10-26-2x96d"

SCALES: Mapping[str, Scale] = {
    "smoke": Scale(
        {
            "digits-plain": {
                **dict.fromkeys(STUDIES, _SMOKE),
                **dict.fromkeys(("long", "restarts", "long-fixed"), replace(_SMOKE, times=0.4)),
                "budgets": replace(_SMOKE, rates=8),
            }
        }
    ),
    "laptop": Scale(
        {
            "digits-plain": {
                "main": Size(20),
                "schedules": Size(20),
                "ablation": Size(20),
                **_others(Size(20)),
                "long": Size(10, times=4),
                "restarts": Size(10, times=4),
                "long-fixed": Size(5, times=4, rates=2),
                "budgets": Size(10, rates=2),
            },
            "fashion-mnist": {
                "main": Size(20),
                "schedules": Size(10),
                "ablation": Size(10),
                **_others(Size(10)),
                "long": Size(8, times=4),
                "restarts": Size(8, times=4),
                "budgets": Size(5, rates=2),
            },
            "shakespeare": {
                "main": Size(8),
                "schedules": Size(4),
                **_others(Size(5)),
                "restarts": Size(4, times=2),
            },
            "breast-cancer": {"main": Size(20), **_others(Size(20))},
            "diabetes": {"main": Size(20), **_others(Size(20))},
        }
    ),
    "gpu": Scale(
        {
            "cifar10": {
                "main": Size(5),
                "schedules": Size(5),
                "ablation": Size(5),
                **_others(Size(5)),
                "long": Size(3, times=4),
                "restarts": Size(3, times=4),
                "long-fixed": Size(3, times=4, rates=2),
                "budgets": Size(3, rates=2),
            }
        }
    ),
    "paper": Scale(
        {
            "cifar10": {
                "main": Size(3, network=_64D),
                "schedules": Size(3, network=_64D),
                "ablation": Size(3, network=_64D),
                **_others(Size(3, network=_64D)),
                "long": Size(1, times=18, network=_96D),
                "restarts": Size(3, network=_64D),
                "long-fixed": Size(1, times=18, network=_96D),
                "budgets": Size(1, rates=2, network=_64D),
            }
        }
    ),
}
"""`smoke` shows that everything works and decides nothing."""

LION = 1 / 8
"""How Lion's learning rates compare with Adam's: its steps have full size in every weight."""


def trained(task: str, study: str, scale: Scale) -> str:
    """The name of the task whose network is trained for a study."""
    return scale.size(task, study).network or task


def landscape(study: str, reference: TaskReference, size: Size) -> Landscape:
    """The landscape of one study of that size for a task.

    Raises:
        StudyError: an optimizer has no usual axes for the task.
    """
    what = STUDIES[study]
    usual = max(8, round(defaults.full(reference.name).updates * size.times))
    sizes: tuple[int | None, ...] = (None,)
    if what.batches != (1.0,):
        samples, own = tasks.training_size(replace(reference, device=None))
        sizes = tuple(max(1, min(samples, round(own * part))) for part in what.batches)
    return Landscape(
        task=reference,
        axes={
            optimizer: _axes(optimizer, reference.name, size)
            for optimizer in size.optimizers or what.optimizers
        },
        schedules=what.schedules,
        updates=tuple(round(usual * part) for part in what.budgets),
        seeds=tuple(range(size.seeds)),
        batch_sizes=sizes,
        evaluations=None if what.curves else 1,
    )


def folder(out: Path, task: str, study: str) -> Path:
    """Where the ledger of a study lies."""
    return out / task.rpartition("/")[2].replace(":", "-") / study


def _axes(name: str, task: str, size: Size) -> Axes:
    usual = defaults.full(task).usual(_relative(name))
    if usual is None:
        raise StudyError(f"{name} has no usual axes for the task {task}")
    part = LION if name.startswith("Lion") else 1.0
    zero = tuple(value for value in usual.weight_decay if value == 0)
    positive = tuple(value for value in usual.weight_decay if value > 0)
    return Axes(
        tuple(value * part for value in usual.lr[:: size.rates]), zero + positive[:: size.decays]
    )


def _relative(name: str) -> str:
    """Whose axes an optimizer without usual ones begins with; edges extend them."""
    base, _, decay = name.partition("+")
    if base.startswith(("Lion", "RMSprop", "Adagrad")):
        return "Adam" if decay == "l2" or not base.endswith("W") else "AdamW"
    return name
