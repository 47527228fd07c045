"""How answers change with budgets, batch sizes, schedules and restarts."""

from __future__ import annotations

from functools import partial

from unyoke.study.claims import trends
from unyoke.study.claims.claim import Claim, Measurement, Region
from unyoke.study.claims.maps import Maps
from unyoke.study.claims.measures import advantage
from unyoke.study.claims.topics.sizes import HALF, MORE, NOTABLE, TURN


def budgets() -> list[Claim]:
    """How the best λ moves with the number of updates and with the batch size."""

    def moved(optimizer: str, of: str, against: float, maps: Maps) -> Measurement:
        landscape = maps.landscape("budgets")
        panels = [
            maps.panel("budgets", optimizer, updates=budget.updates, batch_size=budget.batch_size)
            for budget in landscape.budgets()
        ]
        return trends.slope(panels, "updates" if of == "updates" else "batch_size", against)

    parts = (
        ("shrinks", "updates", 0.0, Region(high=-TURN), "The best raw λ shrinks with the budget."),
        ("norm", "updates", -0.5, Region(-TURN, TURN), "The best λ_norm stays as updates grow."),
        (
            "norm-batch",
            "batch_size",
            0.0,
            Region(-TURN, TURN),
            "At equal updates the best λ does not depend on the batch size, as λ_norm has it.",
        ),
        (
            "timescale",
            "updates",
            0.0,
            Region(-TURN, TURN),
            "The best λ does not depend on the budget, as a constant timescale in epochs has it.",
        ),
        (
            "timescale-batch",
            "batch_size",
            1.0,
            Region(-TURN, TURN),
            "The best λ is proportional to the batch size, as a constant timescale has it.",
        ),
    )
    return [
        Claim(
            f"budgets/{optimizer.lower()}-{part}",
            f"{sentence} {optimizer}.",
            "arXiv 2405.13698" if "timescale" in part else "Section 3, Appendix B.1",
            f"slope of log2 best λ over log2 {of.replace('_', ' ')}, less {against:g}".replace(
                ", less 0", ""
            ),
            region,
            HALF,
            ("budgets",),
            (optimizer,),
            partial(moved, optimizer, of, against),
        )
        for optimizer in ("AdamW", "SGDW")
        for part, of, against, region, sentence in parts
    ]


def schedules() -> list[Claim]:
    """What a scheduled multiplier gains."""

    def against(schedule: str, optimizer: str, maps: Maps) -> Measurement:
        other = maps.panel("schedules", optimizer, schedule=schedule)
        return advantage(maps.panel("main", optimizer), other, maps.unit)

    def drops(maps: Maps) -> Measurement:
        first = maps.panel("schedules", "AdamW", schedule="step_drops")
        second = maps.panel("schedules", "AdamW", schedule="constant")
        return advantage(first, second, maps.unit)

    place = "Section 4.1, Figure 1"
    rows = [
        Claim(
            f"schedules/{optimizer.lower()}-cosine-{schedule.replace('_', '-')}",
            f"{optimizer} gains from a cosine over {words}.",
            place,
            f"(test error with {words} − cosine)/{words}, best cells of {optimizer}",
            Region(NOTABLE),
            MORE,
            ("main", "schedules"),
            (optimizer,),
            partial(against, schedule, optimizer),
            percent=True,
        )
        for optimizer in ("Adam", "AdamW")
        for schedule, words in (("constant", "a fixed rate"), ("step_drops", "step drops"))
    ]
    return [
        *rows,
        Claim(
            "schedules/adamw-drops-constant",
            "AdamW gains from step drops over a fixed rate.",
            place,
            "(test error with a fixed rate − step drops)/fixed, best cells of AdamW",
            Region(NOTABLE),
            MORE,
            ("schedules",),
            ("AdamW",),
            drops,
            percent=True,
        ),
    ]


def restarts() -> list[Claim]:
    """What warm restarts gain along the run, and lose at its end."""

    def final(optimizer: str, maps: Maps) -> Measurement:
        first = maps.panel("restarts", optimizer, schedule="warm_restarts")
        return advantage(first, maps.panel("restarts", optimizer, schedule="cosine"), maps.unit)

    rows = []
    for optimizer in ("AdamW", "SGDW"):
        name, kind = f"{optimizer[:-1]}WR", optimizer.lower()
        rows += [
            Claim(
                f"restarts/{kind}-anytime",
                f"{name} has a lower error at any time than {optimizer}, at equal updates.",
                "Section 4.4, Figure 4",
                "(mean error over the run without restarts − with)/without, best cells",
                Region(NOTABLE),
                MORE,
                ("restarts",),
                (optimizer,),
                partial(lambda which, maps: trends.restarts_anytime(maps, which), optimizer),
                percent=True,
            ),
            Claim(
                f"restarts/{kind}-final",
                f"{name} loses nothing notable against {optimizer} at the end of the budget.",
                "Section 4.4, Figure 4",
                "(final test error without restarts − with)/without, best cells",
                Region(low=-NOTABLE),
                "to be worse by less than what is notable is to lose nothing",
                ("restarts",),
                (optimizer,),
                partial(final, optimizer),
                percent=True,
            ),
        ]
    return rows
