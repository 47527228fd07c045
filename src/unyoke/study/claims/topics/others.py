"""Other optimizers, other ways to couple, and other kinds of task."""

from __future__ import annotations

from functools import partial

from unyoke.study.claims.claim import Claim, Measurement, Region
from unyoke.study.claims.maps import Maps
from unyoke.study.claims.measures import advantage, regret_saved
from unyoke.study.claims.plan import OTHERS
from unyoke.study.claims.topics.basins import better, two
from unyoke.study.claims.topics.sizes import MORE, NOTABLE


def others() -> list[Claim]:
    """The paper's claims about other directions than Adam's and SGD's."""
    place = "Section 5, future work"
    rows = []
    for kind, (coupled, decoupled) in OTHERS.items():
        rows += [
            better(
                f"others/{kind}",
                decoupled,
                coupled,
                f"{decoupled[:-1]} generalises better with decoupled decay than with L2.",
                place,
                kind,
            ),
            Claim(
                f"others/{kind}-regret",
                "Tuning one hyperparameter at a time costs more with L2 than decoupled: "
                f"{decoupled[:-1]}.",
                place,
                f"one-at-a-time regret of {coupled} less that of {decoupled}, share of best error",
                Region(NOTABLE),
                MORE,
                (kind,),
                (coupled, decoupled),
                partial(two, kind, coupled, decoupled, regret_saved),
                percent=True,
            ),
        ]

    def directions(maps: Maps) -> Measurement:
        return advantage(maps.panel("nd-adam", "NDAdam"), maps.panel("main", "Adam"), maps.unit)

    rows.append(
        Claim(
            "others/nd-adam",
            "Normalized direction-preserving Adam generalises better than Adam + L2.",
            f"{place}; arXiv 1709.04546",
            "(test error of Adam + L2 − NDAdam)/Adam + L2, best cells; there is nothing to decay",
            Region(NOTABLE),
            MORE,
            ("main", "nd-adam"),
            ("Adam", "NDAdam"),
            directions,
            percent=True,
        )
    )
    return rows


def ablation() -> list[Claim]:
    """L2 in one of Adam's two moments only."""

    def against(part: str, maps: Maps) -> Measurement:
        other = maps.panel("ablation", f"Adam+l2_{part}_moment")
        return advantage(other, maps.panel("main", "Adam"), maps.unit)

    def closes(maps: Maps) -> Measurement:
        first = maps.panel("ablation", "Adam+l2_first_moment")
        second = maps.panel("main", "AdamW")
        return advantage(first, second, maps.unit)

    place = "Bjorck et al. 2021"
    rows = [
        Claim(
            f"ablation/{part}",
            f"L2 in the {part} moment only is better than L2 in both.",
            place,
            f"(test error of L2 in both − in the {part} only)/both, best cells",
            Region(NOTABLE),
            MORE,
            ("main", "ablation"),
            ("Adam", f"Adam+l2_{part}_moment"),
            partial(against, part),
            percent=True,
        )
        for part in ("first", "second")
    ]
    return [
        *rows,
        Claim(
            "ablation/first-decoupled",
            "L2 in the first moment only is as good as decoupled decay.",
            place,
            "(test error of AdamW − L2 in the first moment)/AdamW, best cells",
            Region(low=-NOTABLE),
            "to be worse by less than what is notable is to be as good",
            ("main", "ablation"),
            ("AdamW", "Adam+l2_first_moment"),
            closes,
            percent=True,
        ),
    ]


def language() -> list[Claim]:
    """What others found about language models."""
    return [
        Claim(
            "language/little",
            "In language models decoupling matters little for the error reached.",
            "D'Angelo et al., arXiv 2310.04415",
            "(test error of Adam − AdamW)/Adam, best cells",
            Region(-0.02, 0.02),
            "2 % of the loss is more than such models differ by from seed to seed",
            ("main",),
            ("Adam", "AdamW"),
            partial(two, "main", "AdamW", "Adam", advantage),
            percent=True,
        )
    ]
