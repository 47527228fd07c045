"""Where the basins lie and how deep they are: coupling, generalisation, gains, equal fits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from unyoke.study.claims.claim import Claim, Measurement, Region
from unyoke.study.claims.maps import Maps
from unyoke.study.claims.measures import (
    advantage,
    at_equal_training_loss,
    equal_gains,
    gain,
    regret_saved,
    rule_advantage,
)
from unyoke.study.claims.plan import again
from unyoke.study.claims.ridges import leans_more, ridge_of
from unyoke.study.claims.topics.sizes import (
    BEST,
    MIDDLE,
    MORE,
    NEARER,
    NOTABLE,
    PART,
    PART_OF_GAIN,
    TURN,
)
from unyoke.study.report.survey import Panel

COUPLED = (("Adam", "AdamW"), ("SGD", "SGDW"))

Pair = Callable[[Panel, Panel, Maps], Measurement]


def two(study: str, first: str, second: str, statistic: Pair, maps: Maps) -> Measurement:
    """A statistic of two maps of one study."""
    return statistic(maps.panel(study, first), maps.panel(study, second), maps)


def two_best(study: str, first: str, second: str, statistic: Pair, maps: Maps) -> Measurement:
    """A statistic of the best cells of two maps of one study, trained again."""
    return statistic(maps.best(study, first), maps.best(study, second), maps)


def one(study: str, optimizer: str, maps: Maps) -> Measurement:
    """The ridge of one map."""
    return ridge_of(maps.panel(study, optimizer), maps)


def coupling() -> list[Claim]:
    """Whether decoupling separates learning rate and weight decay."""
    rows = []
    for coupled, decoupled in COUPLED:
        kind, place = coupled.lower(), "Section 4.2, Figure 2"
        rows += [
            Claim(
                f"coupling/{kind}-tilt",
                f"The basin of {coupled} with L2 leans more than that of {decoupled}.",
                place,
                f"|slope of the ridge| of {coupled} + L2 less that of {decoupled}",
                Region(TURN),
                "a quarter of a full coupling, whose ridge has slope −1",
                ("main",),
                (coupled, decoupled),
                partial(two, "main", decoupled, coupled, leans_more),
                gain_from="main-best",
            ),
            Claim(
                f"coupling/{kind}-leans",
                f"The basin of {coupled} with L2 is a diagonal: α·λ′ decides.",
                place,
                f"slope of the ridge of {coupled} + L2, d log λ′/d log α",
                Region(high=-NEARER),
                MIDDLE,
                ("main",),
                (coupled,),
                partial(one, "main", coupled),
                gain_from="main-best",
            ),
            Claim(
                f"coupling/{decoupled.lower()}-upright",
                f"The basin of {decoupled} is upright: λ keeps its best value when α changes.",
                place,
                f"slope of the ridge of {decoupled}, d log λ/d log α",
                Region(-NEARER, NEARER),
                MIDDLE,
                ("main",),
                (decoupled,),
                partial(one, "main", decoupled),
                gain_from="main-best",
            ),
            regret(
                f"coupling/{kind}-regret",
                coupled,
                decoupled,
                f"Tuning one hyperparameter at a time costs more with {coupled} + L2 than with "
                f"{decoupled}.",
                place,
            ),
        ]
    return rows


def regret(
    name: str, coupled: str, decoupled: str, sentence: str, place: str, study: str = "main"
) -> Claim:
    """One-at-a-time search loses more with L2 than decoupled."""
    return Claim(
        name,
        sentence,
        place,
        f"one-at-a-time regret of {coupled} with L2 less that of {decoupled}, over decay's gain",
        Region(PART_OF_GAIN),
        PART,
        (study,),
        (coupled, decoupled),
        partial(two, study, decoupled, coupled, regret_saved),
        percent=True,
        of_gain=True,
        gain_from=again(study),
    )


def better(
    name: str, first: str, second: str, sentence: str, place: str, study: str = "main"
) -> Claim:
    """The first's best has a notably lower test error than the second's."""
    return Claim(
        name,
        sentence,
        place,
        f"(test error of {second} − {first})/gain of decay, {BEST}, λ > 0",
        Region(PART_OF_GAIN),
        PART,
        (study, again(study)),
        (first, second),
        partial(two_best, study, first, second, rule_advantage),
        percent=True,
        of_gain=True,
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
            f"(test error of SGDW − AdamW)/SGDW, {BEST}",
            Region(low=-NOTABLE),
            "to be worse by less than what is notable is to compete",
            ("main", "main-best"),
            ("AdamW", "SGDW"),
            partial(two_best, "main", "AdamW", "SGDW", advantage),
            percent=True,
        ),
    ]


def gains() -> list[Claim]:
    """What decay gains over none."""

    return [
        *(
            Claim(
                f"gain/{optimizer.lower()}",
                f"Decoupled decay lowers the error of {optimizer}.",
                "Section 2: weight decay is equally effective in both SGD and Adam",
                f"(test error of {optimizer} with λ = 0 − with λ > 0)/with λ = 0, {BEST}",
                Region(NOTABLE),
                MORE,
                ("main", "main-best"),
                (optimizer,),
                partial(_gain, optimizer),
                percent=True,
            )
            for optimizer in ("AdamW", "SGDW")
        ),
        Claim(
            "gain/equal",
            "Weight decay is equally effective in Adam and in SGD.",
            "Section 2",
            f"gain of AdamW over λ = 0 less that of SGDW, over the mean of both, {BEST}",
            Region(-PART_OF_GAIN, PART_OF_GAIN),
            PART,
            ("main", "main-best"),
            ("AdamW", "SGDW"),
            partial(two_best, "main", "AdamW", "SGDW", equal_gains),
            percent=True,
            of_gain=True,
        ),
    ]


def _gain(optimizer: str, maps: Maps) -> Measurement:
    return gain(maps.best("main", optimizer), maps)


def training_loss() -> list[Claim]:
    """Whether less error comes with the same fit."""
    return [_loss_claim("main")]


def long_training_loss() -> list[Claim]:
    """The same on the long budget."""
    return [_loss_claim("long")]


def _loss_claim(study: str) -> Claim:
    def measure(maps: Maps) -> Measurement:
        first, second = (maps.panel(study, name, schedule="cosine") for name in ("AdamW", "Adam"))
        return at_equal_training_loss(first, second, maps)

    return Claim(
        f"training-loss/{study}",
        "AdamW often reaches a lower test error at equal training loss than Adam + L2."
        + (" Longer budget." if study == "long" else ""),
        "Section 4.3, Figure 3",
        "mean over eight bins of training loss of (test error of Adam − AdamW)/gain of decay, "
        "cells with λ > 0",
        Region(PART_OF_GAIN),
        PART,
        (study,),
        ("Adam", "AdamW"),
        measure,
        percent=True,
        of_gain=True,
        gain_from=again(study),
    )
