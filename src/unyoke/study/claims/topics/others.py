"""Other optimizers, other ways to couple, and other kinds of task."""

from __future__ import annotations

from functools import partial

from unyoke.study.claims.claim import Claim, Measurement, Region
from unyoke.study.claims.maps import Maps
from unyoke.study.claims.measures import advantage, rule_advantage
from unyoke.study.claims.plan import OTHERS
from unyoke.study.claims.topics.basins import better, two_best
from unyoke.study.claims.topics.sizes import BEST, MORE, NOTABLE, PART, PART_OF_GAIN


def others() -> list[Claim]:
    """The paper's claims about other directions than Adam's and SGD's."""
    place = "Section 5, future work"
    rows = []
    for kind, (coupled, decoupled) in OTHERS.items():
        rows.append(
            better(
                f"others/{kind}",
                decoupled,
                coupled,
                f"{decoupled[:-1]} generalises better with decoupled decay than with L2.",
                place,
                kind,
            ),
        )

    def directions(maps: Maps) -> Measurement:
        return advantage(maps.best("nd-adam", "NDAdam"), maps.best("main", "Adam"), maps)

    rows.append(
        Claim(
            "others/nd-adam",
            "Normalized direction-preserving Adam generalises better than Adam + L2.",
            f"{place}; arXiv 1709.04546",
            f"(test error of Adam + L2 − NDAdam)/Adam + L2, {BEST}; there is nothing to decay",
            Region(NOTABLE),
            MORE,
            ("main", "nd-adam", "main-best", "nd-adam-best"),
            ("Adam", "NDAdam"),
            directions,
            percent=True,
        )
    )
    return rows


def ablation() -> list[Claim]:
    """L2 in one of Adam's two moments only."""

    def against(part: str, maps: Maps) -> Measurement:
        other = maps.best("ablation", f"Adam+l2_{part}_moment")
        return rule_advantage(other, maps.best("main", "Adam"), maps)

    def closes(maps: Maps) -> Measurement:
        first = maps.best("ablation", "Adam+l2_first_moment")
        return rule_advantage(first, maps.best("main", "AdamW"), maps)

    place = "Bjorck et al. 2021"
    rows = [
        Claim(
            f"ablation/{part}",
            f"L2 in the {part} moment only is better than L2 in both.",
            place,
            f"(test error of L2 in both − in the {part} only)/gain of decay, {BEST}, λ > 0",
            Region(PART_OF_GAIN),
            PART,
            ("main", "ablation", "main-best", "ablation-best"),
            ("Adam", f"Adam+l2_{part}_moment"),
            partial(against, part),
            percent=True,
            of_gain=True,
            of_paper=False,
        )
        for part in ("first", "second")
    ]
    return [
        *rows,
        Claim(
            "ablation/first-decoupled",
            "L2 in the first moment only is as good as decoupled decay.",
            place,
            f"(test error of AdamW − L2 in the first moment)/gain of decay, {BEST}, λ > 0",
            Region(low=-PART_OF_GAIN),
            "to lose less than half of what decay gains is to be as good",
            ("main", "ablation", "main-best", "ablation-best"),
            ("AdamW", "Adam+l2_first_moment"),
            closes,
            percent=True,
            of_gain=True,
            of_paper=False,
        ),
    ]


def language() -> list[Claim]:
    """What others found about language models."""
    return [
        Claim(
            "language/little",
            "In language models decoupling matters little for the error reached.",
            "D'Angelo et al., arXiv 2310.04415",
            f"(test error of Adam − AdamW)/gain of decay, {BEST}, λ > 0",
            Region(-PART_OF_GAIN, PART_OF_GAIN),
            "to move the error by less than half of what decay gains is to matter little",
            ("main", "main-best"),
            ("Adam", "AdamW"),
            partial(two_best, "main", "AdamW", "Adam", rule_advantage),
            percent=True,
            of_gain=True,
            of_paper=False,
        )
    ]
