"""The claims: each a question, the number that answers it, and where it must lie to hold.

The regions are part of the question. They were written and committed before any run that decides
them; what was known beforehand is said on the results page. Three sizes recur:

- `NOTABLE`: 5 % of the error. The paper reports 15 %; a third of that is still worth a change of
  optimizer, and less than that is seldom seen behind the noise of seeds.
- `SAME`: 10 % of the error, within which two gains are called the same.
- `TURN`: 1/4 in a slope of log2 against log2: half of what tells λ ∝ 1/√updates from a constant.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from unyoke.study.claims import trends
from unyoke.study.claims.maps import Maps
from unyoke.study.claims.measures import (
    advantage,
    at_equal_training_loss,
    gain_of_decay,
    measured,
    regret_saved,
    tilt_removed,
)
from unyoke.study.claims.propositions import PROPOSITIONS
from unyoke.study.claims.question import Measurement, Question, Region
from unyoke.study.survey import Panel

NOTABLE = 0.05
SAME = 0.1
TURN = 0.25

MORE = "15 % is what the paper reports; a third of it is still notable"
HALF = "half of the 1/2 that tells λ ∝ 1/√updates from a constant λ"

COUPLED = (("Adam", "AdamW"), ("SGD", "SGDW"))
OTHERS = (
    ("AMSGrad", "AMSGradW"),
    ("NAdamW+l2", "NAdamW"),
    ("Adagrad", "AdagradW"),
    ("RMSprop", "RMSpropW"),
    ("Lion+l2", "LionW"),
)
LANGUAGE = ("shakespeare", "shakespeare-lstm")

Pair = Callable[[Panel, Panel, str], Measurement]


def questions(task: str, *, every: bool) -> list[Question]:
    """What is asked of a task: everything, or only what the four optimizers' maps answer."""
    asked = [*_knobs(), *_generalisation(), *_gains(), *_training_loss()]
    if every:
        asked += [*_budgets(), *_schedules(), *_restarts(), *_long_training_loss()]
        asked += [*_others(), *_ablation()]
    if task in LANGUAGE:
        asked += _language()
    return [*PROPOSITIONS, *asked] if every else asked


def names() -> list[str]:
    """The claims, as the command line selects them."""
    rows = [*questions(LANGUAGE[0], every=True)]
    return list(dict.fromkeys(row.claim for row in rows))


def _two(study: str, first: str, second: str, statistic: Pair, maps: Maps) -> Measurement:
    return statistic(maps.panel(study, first), maps.panel(study, second), maps.unit)


def _knobs() -> list[Question]:
    rows = []
    for coupled, decoupled in COUPLED:
        kind = coupled.lower()
        rows += [
            Question(
                f"knobs/{kind}-tilt",
                f"The basin of {coupled} with L2 leans more than that of {decoupled}.",
                "Section 4.2, Figure 2",
                f"|tilt| of {coupled} + L2 less |tilt| of {decoupled}",
                Region(TURN),
                "a quarter of a full coupling, which has tilt −1",
                ("main",),
                partial(_two, "main", coupled, decoupled, tilt_removed),
            ),
            Question(
                f"knobs/{kind}-regret",
                f"Tuning one knob at a time costs more with {coupled} + L2 than with {decoupled}.",
                "Section 4.2, Figure 2",
                f"one-knob regret of {coupled} + L2 less that of {decoupled}, share of best error",
                Region(NOTABLE),
                MORE,
                ("main",),
                partial(_two, "main", coupled, decoupled, regret_saved),
                percent=True,
            ),
        ]
    return rows


def _better(
    name: str, first: str, second: str, sentence: str, place: str, study: str = "main"
) -> Question:
    """The first's best has a notably lower test error than the second's."""
    return Question(
        name,
        sentence,
        place,
        f"(test error of {second} − {first})/{second}, best cells",
        Region(NOTABLE),
        MORE,
        (study,),
        partial(_two, study, first, second, advantage),
        percent=True,
    )


def _generalisation() -> list[Question]:
    return [
        _better(
            "generalisation/adam",
            "AdamW",
            "Adam",
            "Adam generalises better with decoupled weight decay than with L2.",
            "Abstract; Sections 4.2 and 4.3",
        ),
        Question(
            "generalisation/sgd",
            "AdamW competes with SGD with momentum and decoupled decay.",
            "Section 4.3; Abstract",
            "(test error of SGDW − AdamW)/SGDW, best cells",
            Region(low=-NOTABLE),
            "to be worse by less than what is notable is to compete",
            ("main",),
            partial(_two, "main", "AdamW", "SGDW", advantage),
            percent=True,
        ),
    ]


def _gains() -> list[Question]:
    def gain(optimizer: str, maps: Maps) -> Measurement:
        panel = maps.panel("main", optimizer)
        return measured(partial(gain_of_decay, panel), (panel,), unit=maps.unit)

    def difference(maps: Maps) -> Measurement:
        adam, sgd = maps.panel("main", "AdamW"), maps.panel("main", "SGDW")
        return measured(
            lambda seeds: gain_of_decay(adam, seeds) - gain_of_decay(sgd, seeds),
            (adam, sgd),
            unit=maps.unit,
        )

    return [
        *(
            Question(
                f"gain/{optimizer.lower()}",
                f"Decoupled decay lowers the error of {optimizer}.",
                "Section 2: weight decay is equally effective in both SGD and Adam",
                f"(best test error of {optimizer} with λ = 0 − best with any λ)/with λ = 0",
                Region(NOTABLE),
                MORE,
                ("main",),
                partial(gain, optimizer),
                percent=True,
            )
            for optimizer in ("AdamW", "SGDW")
        ),
        Question(
            "gain/equal",
            "Weight decay is equally effective in Adam and in SGD.",
            "Section 2",
            "gain of AdamW over λ = 0 less that of SGDW",
            Region(-SAME, SAME),
            "twice what is notable, since a difference of two gains carries two noises",
            ("main",),
            difference,
            percent=True,
        ),
    ]


def _training_loss() -> list[Question]:
    return [_loss_question("main")]


def _long_training_loss() -> list[Question]:
    return [_loss_question("long")]


def _loss_question(study: str) -> Question:
    def measure(maps: Maps) -> Measurement:
        first, second = (maps.panel(study, name, schedule="cosine") for name in ("AdamW", "Adam"))
        return at_equal_training_loss(first, second, maps.unit)

    return Question(
        f"training-loss/{study}",
        "AdamW often reaches a lower test error at equal training loss than Adam + L2."
        + (" Longer budget." if study == "long" else ""),
        "Section 4.3, Figure 3",
        "mean over eight bins of training loss of (test error of Adam − AdamW)/Adam",
        Region(NOTABLE),
        MORE,
        (study,),
        measure,
        percent=True,
    )


def _budgets() -> list[Question]:
    def moved(optimizer: str, of: str, against: float, maps: Maps) -> Measurement:
        landscape = maps.landscape("budgets")
        panels = [
            maps.panel("budgets", optimizer, updates=budget.updates, batch_size=budget.batch_size)
            for budget in landscape.budgets()
        ]
        return trends.slope(panels, "updates" if of == "updates" else "batch_size", against)

    asked = (
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
        Question(
            f"budgets/{optimizer.lower()}-{part}",
            f"{sentence} {optimizer}.",
            "arXiv 2405.13698" if "timescale" in part else "Section 3, Appendix B.1",
            f"slope of log2 best λ over log2 {of.replace('_', ' ')}, less {against:g}".replace(
                ", less 0", ""
            ),
            region,
            HALF,
            ("budgets",),
            partial(moved, optimizer, of, against),
        )
        for optimizer in ("AdamW", "SGDW")
        for part, of, against, region, sentence in asked
    ]


def _schedules() -> list[Question]:
    def against(schedule: str, optimizer: str, maps: Maps) -> Measurement:
        other = maps.panel("schedules", optimizer, schedule=schedule)
        return advantage(maps.panel("main", optimizer), other, maps.unit)

    def drops(maps: Maps) -> Measurement:
        first = maps.panel("schedules", "AdamW", schedule="step_drops")
        second = maps.panel("schedules", "AdamW", schedule="constant")
        return advantage(first, second, maps.unit)

    place = "Section 4.1, Figure 1"
    rows = [
        Question(
            f"schedules/{optimizer.lower()}-cosine-{schedule.replace('_', '-')}",
            f"{optimizer} gains from a cosine over {words}.",
            place,
            f"(test error with {words} − cosine)/{words}, best cells of {optimizer}",
            Region(NOTABLE),
            MORE,
            ("main", "schedules"),
            partial(against, schedule, optimizer),
            percent=True,
        )
        for optimizer in ("Adam", "AdamW")
        for schedule, words in (("constant", "a fixed rate"), ("step_drops", "step drops"))
    ]
    return [
        *rows,
        Question(
            "schedules/adamw-drops-constant",
            "AdamW gains from step drops over a fixed rate.",
            place,
            "(test error with a fixed rate − step drops)/fixed, best cells of AdamW",
            Region(NOTABLE),
            MORE,
            ("schedules",),
            drops,
            percent=True,
        ),
    ]


def _restarts() -> list[Question]:
    def final(optimizer: str, maps: Maps) -> Measurement:
        first = maps.panel("long", optimizer, schedule="warm_restarts")
        return advantage(first, maps.panel("long", optimizer, schedule="cosine"), maps.unit)

    rows = []
    for optimizer in ("AdamW", "SGDW"):
        name, kind = f"{optimizer[:-1]}WR", optimizer.lower()
        rows += [
            Question(
                f"restarts/{kind}-anytime",
                f"{name} has a lower error at any time than {optimizer}, at equal updates.",
                "Section 4.4, Figure 4",
                "(mean error over the run without restarts − with)/without, best cells",
                Region(NOTABLE),
                MORE,
                ("long",),
                partial(lambda which, maps: trends.restarts_anytime(maps, which), optimizer),
                percent=True,
            ),
            Question(
                f"restarts/{kind}-final",
                f"{name} loses nothing notable against {optimizer} at the end of the budget.",
                "Section 4.4, Figure 4",
                "(final test error without restarts − with)/without, best cells",
                Region(low=-NOTABLE),
                "to be worse by less than what is notable is to lose nothing",
                ("long",),
                partial(final, optimizer),
                percent=True,
            ),
        ]
    return rows


def _others() -> list[Question]:
    place = "Section 5, future work"
    rows = []
    for coupled, decoupled in OTHERS:
        kind = coupled.partition("+")[0].removesuffix("W").lower()
        rows += [
            _better(
                f"others/{kind}",
                decoupled,
                coupled,
                f"{kind.capitalize()} generalises better with decoupled decay than with L2.",
                place,
                "others",
            ),
            Question(
                f"others/{kind}-regret",
                f"Tuning one knob at a time costs more with L2 than with decoupled decay: {kind}.",
                place,
                f"one-knob regret of {coupled} less that of {decoupled}, share of best error",
                Region(NOTABLE),
                MORE,
                ("others",),
                partial(_two, "others", coupled, decoupled, regret_saved),
                percent=True,
            ),
        ]

    def directions(maps: Maps) -> Measurement:
        return advantage(maps.panel("others", "NDAdam"), maps.panel("main", "Adam"), maps.unit)

    rows.append(
        Question(
            "others/nd-adam",
            "Normalized direction-preserving Adam generalises better than Adam + L2.",
            f"{place}; arXiv 1709.04546",
            "(test error of Adam + L2 − NDAdam)/Adam + L2, best cells; there is nothing to decay",
            Region(NOTABLE),
            MORE,
            ("main", "others"),
            directions,
            percent=True,
        )
    )
    return rows


def _ablation() -> list[Question]:
    def against(part: str, maps: Maps) -> Measurement:
        other = maps.panel("ablation", f"Adam+l2_{part}_moment")
        return advantage(other, maps.panel("main", "Adam"), maps.unit)

    def closes(maps: Maps) -> Measurement:
        first = maps.panel("ablation", "Adam+l2_first_moment")
        second = maps.panel("main", "AdamW")
        return advantage(first, second, maps.unit)

    place = "Bjorck et al. 2021"
    rows = [
        Question(
            f"ablation/{part}",
            f"L2 in the {part} moment only is better than L2 in both.",
            place,
            f"(test error of L2 in both − in the {part} only)/both, best cells",
            Region(NOTABLE),
            MORE,
            ("main", "ablation"),
            partial(against, part),
            percent=True,
        )
        for part in ("first", "second")
    ]
    return [
        *rows,
        Question(
            "ablation/first-decoupled",
            "L2 in the first moment only is as good as decoupled decay.",
            place,
            "(test error of AdamW − L2 in the first moment)/AdamW, best cells",
            Region(low=-NOTABLE),
            "to be worse by less than what is notable is to be as good",
            ("main", "ablation"),
            closes,
            percent=True,
        ),
    ]


def _language() -> list[Question]:
    return [
        Question(
            "language/little",
            "In language models decoupling matters little for the error reached.",
            "D'Angelo et al., arXiv 2310.04415",
            "(test error of Adam − AdamW)/Adam, best cells",
            Region(-0.02, 0.02),
            "2 % of the loss is more than such models differ by from seed to seed",
            ("main",),
            partial(_two, "main", "AdamW", "Adam", advantage),
            percent=True,
        )
    ]
