"""Where the basins lie and how deep they are: coupling, generalisation, gains, equal fits."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from unyoke.study.claims.claim import Claim, Measurement, Region
from unyoke.study.claims.maps import Maps
from unyoke.study.claims.measures import (
    advantage,
    at_equal_training_loss,
    gain_of_decay,
    gain_sampling_error,
    mean_gain,
    measured,
    regret_saved,
    tilt_removed,
)
from unyoke.study.claims.topics.sizes import MORE, NOTABLE, SAME, TURN
from unyoke.study.landscape.optimizers import direction
from unyoke.study.report.survey import Panel

COUPLED = (("Adam", "AdamW"), ("SGD", "SGDW"))

Pair = Callable[[Panel, Panel, str], Measurement]


def two(study: str, first: str, second: str, statistic: Pair, maps: Maps) -> Measurement:
    """A statistic of two maps of one study.

    Of two decay rules of one direction it comes with the gain of decay itself.
    """
    panels = maps.panel(study, first), maps.panel(study, second)
    measurement = statistic(*panels, maps.unit)
    if direction(first) != direction(second):
        return measurement
    return replace(measurement, gain=mean_gain(panels))


def coupling() -> list[Claim]:
    """Whether decoupling separates learning rate and weight decay."""
    rows = []
    for coupled, decoupled in COUPLED:
        kind = coupled.lower()
        rows += [
            Claim(
                f"coupling/{kind}-tilt",
                f"The basin of {coupled} with L2 leans more than that of {decoupled}.",
                "Section 4.2, Figure 2",
                f"|tilt| of {coupled} + L2 less |tilt| of {decoupled}",
                Region(TURN),
                "a quarter of a full coupling, which has tilt −1",
                ("main",),
                (coupled, decoupled),
                partial(two, "main", coupled, decoupled, tilt_removed),
            ),
            Claim(
                f"coupling/{kind}-regret",
                f"Tuning one hyperparameter at a time costs more with {coupled} + L2 than with "
                f"{decoupled}.",
                "Section 4.2, Figure 2",
                f"one-at-a-time regret of {coupled} + L2 less that of {decoupled}, share of best "
                "error",
                Region(NOTABLE),
                MORE,
                ("main",),
                (coupled, decoupled),
                partial(two, "main", coupled, decoupled, regret_saved),
                percent=True,
            ),
        ]
    return rows


def better(
    name: str, first: str, second: str, sentence: str, place: str, study: str = "main"
) -> Claim:
    """The first's best has a notably lower test error than the second's."""
    return Claim(
        name,
        sentence,
        place,
        f"(test error of {second} − {first})/{second}, best cells",
        Region(NOTABLE),
        MORE,
        (study,),
        (first, second),
        partial(two, study, first, second, advantage),
        percent=True,
    )


def generalisation() -> list[Claim]:
    """Best against best."""
    return [
        better(
            "generalisation/adam",
            "AdamW",
            "Adam",
            "Adam generalises better with decoupled weight decay than with L2.",
            "Abstract; Sections 4.2 and 4.3",
        ),
        Claim(
            "generalisation/sgd",
            "AdamW competes with SGD with momentum and decoupled decay.",
            "Section 4.3; Abstract",
            "(test error of SGDW − AdamW)/SGDW, best cells",
            Region(low=-NOTABLE),
            "to be worse by less than what is notable is to compete",
            ("main",),
            ("AdamW", "SGDW"),
            partial(two, "main", "AdamW", "SGDW", advantage),
            percent=True,
        ),
    ]


def gains() -> list[Claim]:
    """What decay gains over none."""

    def gain(optimizer: str, maps: Maps) -> Measurement:
        panel = maps.panel("main", optimizer)
        return measured(
            partial(gain_of_decay, panel),
            (panel,),
            sampling_error=gain_sampling_error(panel),
            unit=maps.unit,
        )

    def difference(maps: Maps) -> Measurement:
        adam, sgd = maps.panel("main", "AdamW"), maps.panel("main", "SGDW")
        return measured(
            lambda seeds: gain_of_decay(adam, seeds) - gain_of_decay(sgd, seeds),
            (adam, sgd),
            sampling_error=math.hypot(gain_sampling_error(adam), gain_sampling_error(sgd)),
            unit=maps.unit,
        )

    return [
        *(
            Claim(
                f"gain/{optimizer.lower()}",
                f"Decoupled decay lowers the error of {optimizer}.",
                "Section 2: weight decay is equally effective in both SGD and Adam",
                f"(best test error of {optimizer} with λ = 0 − best with any λ)/with λ = 0",
                Region(NOTABLE),
                MORE,
                ("main",),
                (optimizer,),
                partial(gain, optimizer),
                percent=True,
            )
            for optimizer in ("AdamW", "SGDW")
        ),
        Claim(
            "gain/equal",
            "Weight decay is equally effective in Adam and in SGD.",
            "Section 2",
            "gain of AdamW over λ = 0 less that of SGDW",
            Region(-SAME, SAME),
            "twice what is notable, since a difference of two gains carries two noises",
            ("main",),
            ("AdamW", "SGDW"),
            difference,
            percent=True,
        ),
    ]


def training_loss() -> list[Claim]:
    """Whether less error comes with the same fit."""
    return [_loss_claim("main")]


def long_training_loss() -> list[Claim]:
    """The same on the long budget."""
    return [_loss_claim("long")]


def _loss_claim(study: str) -> Claim:
    def measure(maps: Maps) -> Measurement:
        first, second = (maps.panel(study, name, schedule="cosine") for name in ("AdamW", "Adam"))
        measurement = at_equal_training_loss(first, second, maps.unit)
        return replace(measurement, gain=mean_gain((first, second)))

    return Claim(
        f"training-loss/{study}",
        "AdamW often reaches a lower test error at equal training loss than Adam + L2."
        + (" Longer budget." if study == "long" else ""),
        "Section 4.3, Figure 3",
        "mean over eight bins of training loss of (test error of Adam − AdamW)/Adam",
        Region(NOTABLE),
        MORE,
        (study,),
        ("Adam", "AdamW"),
        measure,
        percent=True,
    )
