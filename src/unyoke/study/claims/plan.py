"""The landscapes from which the claims are answered: which, for which task, at which scale.

A study is one landscape with one ledger, OUT/TASK/STUDY. Claims about the same trainings
share a study, so that nothing is trained twice. `STUDIES` says what each trains, the tables of
`SCALES` how much of it for which task.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from unyoke.study.claims.set_aside import SET_ASIDE
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
        unit: of its weight decays, as `Axes` has it.
        of: the study whose best cells are trained again; see `unyoke.study.claims.chosen`.
    """

    optimizers: tuple[str, ...]
    schedules: tuple[str, ...] = ("cosine",)
    budgets: tuple[float, ...] = (1.0,)
    batches: tuple[float, ...] = (1.0,)
    curves: bool = False
    unit: str | None = None
    of: str | None = None


OTHERS: Mapping[str, tuple[str, str]] = {
    "amsgrad": ("AMSGrad", "AMSGradW"),
    "nadam": ("NAdamW+l2", "NAdamW"),
    "adagrad": ("Adagrad", "AdagradW"),
    "rmsprop": ("RMSprop", "RMSpropW"),
    "lion": ("Lion+l2", "LionW"),
}
"""Other directions, each with an L2 penalty and with decoupled decay."""

_MAPS: Mapping[str, Study] = {
    "main": Study(("Adam", "AdamW", "SGD", "SGDW")),
    "schedules": Study(("Adam", "AdamW"), ("constant", "step_drops")),
    "ablation": Study(("Adam+l2_first_moment", "Adam+l2_second_moment")),
    **{name: Study(pair) for name, pair in OTHERS.items()},
    "nd-adam": Study(("NDAdam",)),
    "restarts": Study(("AdamW", "SGDW"), ("cosine", "warm_restarts"), curves=True, unit="norm"),
}
"""Maps whose best cells are compared."""


def again(study: str) -> str:
    """The name of the study that trains the best cells of a study again."""
    return f"{study}-best"


STUDIES: Mapping[str, Study] = {
    **_MAPS,
    "long": Study(("Adam", "AdamW"), curves=True),
    "long-fixed": Study(("Adam", "AdamW"), ("constant",)),
    "budgets": Study(("AdamW", "SGDW"), budgets=(0.5, 1.0, 4.0)),
    "batches": Study(("AdamW", "SGDW"), batches=(0.5, 1.0, 2.0)),
    **{again(name): replace(study, of=name) for name, study in _MAPS.items()},
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
        first: the first of its seeds; `FRESH` comes on top where best cells are trained again.
    """

    seeds: int
    times: float = 1.0
    rates: int = 1
    decays: int = 1
    network: str | None = None
    optimizers: tuple[str, ...] = ()
    first: int = 0


Sizes = Mapping[str, Size]


@dataclass(frozen=True)
class Scale:
    """How much of each study is trained for each task.

    Attributes:
        tasks: those that are trained where none is named, each with its studies. What is named
            besides, a task or a study, has the sizes of the first task.
        set_aside: by task, the rows that are asked only where they are named, with how many seeds
            each would need; see `unyoke.study.claims.set_aside`. So is a row whose studies have
            fewer seeds than any verdict needs.
        rehearses: whether it only shows that everything works; then every row is asked.
    """

    tasks: Mapping[str, Sizes]
    set_aside: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    rehearses: bool = False

    def studies(self, task: str) -> Sizes:
        """The studies of a task that are run where none is named."""
        return self.tasks.get(task) or self._first()

    def with_first(self, task: str) -> Sizes:
        """The studies of a task, and those of the first one that it has not."""
        return {**self._first(), **self.studies(task)}

    def size(self, task: str, study: str) -> Size:
        """How much of a study is trained for a task."""
        return self.with_first(task)[study]

    def seeds(self, task: str, studies: Collection[str]) -> float:
        """How many seeds decide a row of these studies, none of them (∞) if it has no studies.

        Where best cells were trained again their seeds decide, and the maps only choose.
        """
        deciding = [study for study in studies if STUDIES[study].of is not None] or studies
        return min((self.size(task, study).seeds for study in deciding), default=math.inf)

    def _first(self) -> Sizes:
        sizes = next(iter(self.tasks.values()))
        return {study: replace(size, network=None) for study, size in sizes.items()}


FRESH = 1_000
"""The first seed that chooses nothing; maps have those from 0 on."""


def _with_best(seeds: int, studies: Sizes) -> Sizes:
    """These studies, and the best cells of those that are compared again with so many seeds."""
    best = {again(name): replace(size, seeds=seeds) for name, size in studies.items()}
    return {**studies, **{name: size for name, size in best.items() if name in STUDIES}}


def _others(size: Size) -> Sizes:
    return dict.fromkeys((*OTHERS, "nd-adam"), size)


_SMOKE = Size(2, times=0.1, rates=4, decays=4)
_64D, _96D = "cifar10-26-2x64d", "cifar10-26-2x96d"

SECOND = 100
"""The first seed of studies that are asked again: those below were seen when the rules changed."""

# Ridges and regrets need whole maps of many seeds; of what is only compared by its best cells a
# coarse map chooses, and the trainings of the second call decide. How many seeds a row needs is in
# the power table of docs/verdicts.md.
_COARSE = Size(4, rates=2, decays=2)


def _on_digits(main: int, budgets: int) -> Sizes:
    """The studies of one network on the digits, with the seeds of those that differ."""
    maps: Sizes = {
        "main": Size(main, first=SECOND),
        "schedules": replace(_COARSE, seeds=5),
        "ablation": _COARSE,
        **_others(_COARSE),
        "long": Size(6, times=4, rates=2, decays=2),
        "restarts": Size(6, times=4, rates=2, decays=2),
        "long-fixed": Size(3, times=4, rates=2, decays=2),
        "budgets": Size(budgets, rates=2, first=SECOND),
        "batches": Size(6, rates=2, first=SECOND),
    }
    # Those that are compared with `main-best` need its seeds.
    seeds = {"main": 300, "schedules": 300, "restarts": 60, "ablation": 60, "nd-adam": 60}
    fresh = {
        again(name): replace(maps[name], seeds=count, first=SECOND) for name, count in seeds.items()
    }
    return {**_with_best(60, maps), **fresh}


SCALES: Mapping[str, Scale] = {
    "smoke": Scale(
        {
            "digits-plain": {
                **dict.fromkeys(STUDIES, _SMOKE),
                **dict.fromkeys(
                    ("long", "restarts", "restarts-best", "long-fixed"), replace(_SMOKE, times=0.4)
                ),
                **dict.fromkeys(("budgets", "batches"), replace(_SMOKE, rates=8)),
            }
        },
        rehearses=True,
    ),
    "laptop": Scale(
        {
            "digits": _on_digits(main=8, budgets=16),
            "digits-plain": _on_digits(main=24, budgets=12),
            "digits-noisy": {
                "main": Size(4, rates=2),
                "budgets": Size(4, times=0.5, rates=2, first=SECOND),
            },
            "fashion-patches": _with_best(60, {"main": Size(10, first=SECOND)}),
            "fashion-patches-plain": _with_best(60, {"main": Size(10)}),
            "fashion-mnist": _with_best(
                20,
                {
                    "main": Size(8),
                    "schedules": Size(4, rates=2, decays=2),
                    **_others(Size(4, rates=2, decays=2)),
                    "long": Size(4, times=4, rates=2, decays=2),
                    "restarts": Size(4, times=4, rates=2, decays=2),
                    "budgets": Size(5, rates=2),
                    "batches": Size(5, rates=2),
                },
            ),
            "shakespeare-longer": _with_best(8, {"main": Size(2)}),
            "breast-cancer": _with_best(100, {"main": Size(20)}),
        },
        SET_ASIDE,
    ),
    "cpu-night": Scale({"cifar10-patches": _with_best(8, {"main": Size(5)})}),
    "gpu": Scale(
        {
            "cifar10": _with_best(
                10,
                {
                    "main": Size(5),
                    "schedules": Size(5),
                    "ablation": Size(5),
                    **_others(Size(5)),
                    "long": Size(3, times=4),
                    "restarts": Size(3, times=4),
                    "long-fixed": Size(3, times=4, rates=2),
                    "budgets": Size(3, rates=2),
                    "batches": Size(3, rates=2),
                },
            )
        }
    ),
    "paper": Scale(
        {
            "cifar10": _with_best(
                5,
                {
                    "main": Size(3, network=_64D),
                    "schedules": Size(3, network=_64D),
                    "ablation": Size(3, network=_64D),
                    **_others(Size(3, network=_64D)),
                    "long": Size(1, times=18, network=_96D),
                    "restarts": Size(3, network=_64D),
                    "long-fixed": Size(1, times=18, network=_96D),
                    "budgets": Size(1, rates=2, network=_64D),
                    "batches": Size(1, rates=2, network=_64D),
                },
            )
        }
    ),
}
"""`smoke` shows that everything works and decides nothing."""

LION = 1 / 8
"""How Lion's learning rates compare with Adam's: its steps have full size in every weight."""


def trained(task: str, study: str, scale: Scale) -> str:
    """The name of the task whose network is trained for a study."""
    return scale.size(task, study).network or task


def landscape(
    study: str,
    reference: TaskReference,
    size: Size,
    batch_sizes: tuple[int | None, ...] | None = None,
) -> Landscape:
    """The landscape of one study of that size for a task.

    Args:
        batch_sizes: where they are known; else the task is built to learn its own, which needs
            its data.

    Raises:
        StudyError: an optimizer has no usual axes for the task.
    """
    what = STUDIES[study]
    usual = max(8, round(defaults.full(reference.name).updates * size.times))
    sizes: tuple[int | None, ...] = batch_sizes or (None,)
    if batch_sizes is None and what.batches != (1.0,):
        samples, own = tasks.training_size(replace(reference, device=None))
        sizes = tuple(max(1, min(samples, round(own * part))) for part in what.batches)
    first = size.first + (FRESH if what.of else 0)
    return Landscape(
        task=reference,
        axes={
            optimizer: _axes(optimizer, reference.name, size, what)
            for optimizer in size.optimizers or what.optimizers
        },
        schedules=what.schedules,
        updates=tuple(round(usual * part) for part in what.budgets),
        seeds=tuple(range(first, first + size.seeds)),
        batch_sizes=sizes,
        evaluations=None if what.curves else 1,
    )


def folder(out: Path, task: str, study: str) -> Path:
    """Where the ledger of a study lies."""
    return out / task.rpartition("/")[2].replace(":", "-") / study


def _axes(name: str, task: str, size: Size, study: Study) -> Axes:
    """Its usual axes in the study's unit; of best cells that are not known yet, as many."""
    usual = defaults.full(task).usual(_relative(name))
    if usual is None:
        raise StudyError(f"{name} has no usual axes for the task {task}")
    part = LION if name.startswith("Lion") else 1.0
    zero = tuple(value for value in usual.weight_decay if value == 0)
    positive = tuple(value for value in usual.weight_decay if value > 0)
    rates = tuple(value * part for value in usual.lr[:: size.rates])
    decays = positive[:: size.decays]
    if study.of is not None:
        return Axes(rates[:2], zero + decays[:1])
    if study.unit == "norm":
        # λ_norm = λ·√T at the usual budget, to a power of two.
        times = 2.0 ** round(math.log2(defaults.full(task).updates) / 2)
        return Axes(rates, zero + tuple(value * times for value in decays), study.unit)
    return Axes(rates, zero + decays)


def _relative(name: str) -> str:
    """Whose axes an optimizer without usual ones begins with; edges extend them."""
    base, _, decay = name.partition("+")
    if base.startswith(("Lion", "RMSprop", "Adagrad")):
        return "Adam" if decay == "l2" or not base.endswith("W") else "AdamW"
    return name
