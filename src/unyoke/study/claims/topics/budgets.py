"""How answers change with budgets, batch sizes, schedules and restarts."""

from __future__ import annotations

from functools import partial

from unyoke.study.claims import ridges, trends
from unyoke.study.claims.claim import Claim, Measurement, Prediction, Region
from unyoke.study.claims.maps import Maps
from unyoke.study.claims.measures import advantage
from unyoke.study.claims.topics.sizes import BEST, HALF, MORE, NOTABLE, TURN, TWO
from unyoke.study.report.survey import Panel


def budgets() -> list[Claim]:
    """How the best λ moves with the number of updates and with the batch size."""
    norm = "Section 3, Appendix B.1"
    parts = (
        (
            "shrinks",
            "updates",
            Region(high=0.0, negligible=TURN),
            "The best raw λ shrinks with the budget.",
            norm,
        ),
        (
            "norm",
            "updates",
            Prediction(-0.5, rival=0.0),
            "The best λ is proportional to 1/√updates, as λ_norm has it.",
            norm,
        ),
        (
            "norm-batch",
            "batch_size",
            Prediction(0.0, rival=1.0),
            "At equal updates the best λ does not depend on the batch size, as λ_norm has it.",
            norm,
        ),
        (
            "timescale",
            "updates",
            Prediction(0.0, rival=-0.5),
            "The best λ does not depend on the budget, as a constant timescale in epochs has it.",
            TIMESCALE,
        ),
        (
            "timescale-batch",
            "batch_size",
            Prediction(1.0, rival=0.0),
            "The best λ is proportional to the batch size, as a constant timescale has it.",
            TIMESCALE,
        ),
    )
    return [
        Claim(
            f"budgets/{optimizer.lower()}-{part}",
            f"{sentence} {optimizer}.",
            place,
            f"slope of log2 best λ over log2 {of.replace('_', ' ')} at one α, from one plane "
            "through the best λ of every α and budget",
            region,
            HALF if isinstance(region, Region) else TWO,
            ("budgets" if of == "updates" else "batches",),
            (optimizer,),
            partial(_moved, optimizer, of),
            of_paper=place == norm,
        )
        for optimizer in ("AdamW", "SGDW")
        for part, of, region, sentence, place in parts
    ]


TIMESCALE = "arXiv 2405.13698"


def _of(study: str, optimizer: str, maps: Maps) -> list[Panel]:
    return [
        maps.panel(study, optimizer, updates=budget.updates, batch_size=budget.batch_size)
        for budget in maps.landscape(study).budgets()
    ]


def _moved(optimizer: str, of: str, maps: Maps) -> Measurement:
    return ridges.exponent(_of("budgets" if of == "updates" else "batches", optimizer, maps), maps)


def law() -> list[Claim]:
    """Whether the exponents of the best λ in α and in the budget belong together."""

    def measure(optimizer: str, maps: Maps) -> Measurement:
        return ridges.law(_of("budgets", optimizer, maps), maps)

    return [
        Claim(
            f"law/{optimizer.lower()}",
            "The best λ is α times a function of α·updates, so that p = 1 + q: "
            f"λ ∝ α^p at one budget and ∝ updates^q at one α. {optimizer}.",
            "gradient flow",
            "p − q, from one plane through the best λ of every α and budget",
            Prediction(1.0, rival=0.0),
            "gradient flow says 1; a best λ that heeds neither α nor the budget says 0",
            ("budgets",),
            (optimizer,),
            partial(measure, optimizer),
            of_paper=False,
        )
        for optimizer in ("AdamW", "SGDW")
    ]


def schedules() -> list[Claim]:
    """What a scheduled multiplier gains."""

    def against(schedule: str, optimizer: str, maps: Maps) -> Measurement:
        other = maps.best("schedules", optimizer, schedule=schedule)
        return advantage(maps.best("main", optimizer), other, maps)

    def drops(maps: Maps) -> Measurement:
        first = maps.best("schedules", "AdamW", schedule="step_drops")
        second = maps.best("schedules", "AdamW", schedule="constant")
        return advantage(first, second, maps)

    place = "Section 4.1, Figure 1"
    rows = [
        Claim(
            f"schedules/{optimizer.lower()}-cosine-{schedule.replace('_', '-')}",
            f"{optimizer} gains from a cosine over {words}.",
            place,
            f"(test error of {optimizer} with {words} − cosine)/{words}, {BEST}",
            Region(NOTABLE),
            MORE,
            ("main", "schedules", "main-best", "schedules-best"),
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
            f"(test error of AdamW with a fixed rate − step drops)/fixed, {BEST}",
            Region(NOTABLE),
            MORE,
            ("schedules", "schedules-best"),
            ("AdamW",),
            drops,
            percent=True,
        ),
    ]


def restarts() -> list[Claim]:
    """What warm restarts gain along the run, and lose at its end."""

    def final(optimizer: str, maps: Maps) -> Measurement:
        first = maps.best("restarts", optimizer, schedule="warm_restarts")
        return advantage(first, maps.best("restarts", optimizer, schedule="cosine"), maps)

    rows = []
    for optimizer in ("AdamW", "SGDW"):
        name, kind = f"{optimizer[:-1]}WR", optimizer.lower()
        rows += [
            Claim(
                f"restarts/{kind}-anytime",
                f"{name}, with normalized decay, has a lower error at any time than {optimizer}, "
                "at equal updates.",
                "Section 4.4, Figure 4",
                f"(mean error over the run without restarts − with)/without, {BEST}",
                Region(NOTABLE),
                MORE,
                ("restarts", "restarts-best"),
                (optimizer,),
                partial(lambda which, maps: trends.restarts_anytime(maps, which), optimizer),
                percent=True,
            ),
            Claim(
                f"restarts/{kind}-final",
                f"{name}, with normalized decay, loses nothing notable against {optimizer} at the "
                "end of the budget.",
                "Section 4.4, Figure 4",
                f"(final test error without restarts − with)/without, {BEST}",
                Region(low=-NOTABLE),
                "to be worse by less than what is notable is to lose nothing",
                ("restarts", "restarts-best"),
                (optimizer,),
                partial(final, optimizer),
                percent=True,
            ),
        ]
    return rows
