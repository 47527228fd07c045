"""What a transfer found: plain data, as text, as JSON, and as code to paste."""

from __future__ import annotations

import math
import textwrap
from dataclasses import asdict, dataclass
from typing import Any

from unyoke.transfer.measured import Measured
from unyoke.transfer.rules import Rule
from unyoke.transfer.run import EQUILIBRIUM, Run, left_of_the_beginning, rotation

WIDTH = 100


@dataclass(frozen=True)
class Outcome:
    """One rule's numbers for the new run, and what they amount to there.

    Attributes:
        rule: its name.
        says: what it keeps.
        lr: α′, the peak learning rate.
        weight_decay: λ′, ours.
        torch_weight_decay: λ′/α′.
        total_decay: Σηλ of the new run.
        left: e^−Σηλ, what is left of the initial weights.
        window: τ = 1/λ in updates; None without decay.
        window_epochs: in passes over the data; None if not known.
        window_share: as a part of the run.
        rotation: radians per update in equilibrium, at the peak learning rate; None for Lion.
        equilibrium: whether the run is long enough to reach it.
        source: of the rule.
        valid: where it holds.
        verified: whether its formula was compared with the source itself, not with quotations.
    """

    rule: str
    says: str
    lr: float
    weight_decay: float
    torch_weight_decay: float
    total_decay: float
    left: float
    window: float | None
    window_epochs: float | None
    window_share: float | None
    rotation: float | None
    equilibrium: bool
    source: str
    valid: str
    verified: bool


def outcome(rule: Rule, run: Run) -> Outcome:
    """What decay does in `run`, under a rule's name.

    τ = 1/λ is of η = 1: Wang & Aitchison (arXiv 2405.13698), weights are an average of updates over
    1/(lr·wd).
    """
    tau = 1.0 / run.weight_decay if run.weight_decay else None
    epochs = None
    if tau is not None and run.batch_size is not None and run.samples is not None:
        epochs = tau * run.batch_size / run.samples
    return Outcome(
        rule=rule.name,
        says=rule.says,
        lr=run.lr,
        weight_decay=run.weight_decay,
        torch_weight_decay=run.torch_weight_decay,
        total_decay=run.total_decay,
        left=left_of_the_beginning(run),
        window=tau,
        window_epochs=epochs,
        window_share=None if tau is None else tau / run.length,
        rotation=None if run.optimizer == "lion" else rotation(run.weight_decay, run.beta1),
        equilibrium=run.total_decay >= EQUILIBRIUM,
        source=rule.source,
        valid=rule.valid,
        verified=rule.verified,
    )


@dataclass(frozen=True)
class Recommendation:
    """The one to take.

    Attributes:
        outcome: its numbers.
        reason: why this rule and not another.
        check: the measurement that decides where rules differ by more than 2×; empty if not.
    """

    outcome: Outcome
    reason: str
    check: str


@dataclass(frozen=True)
class Transfer:
    """From one run to another.

    Attributes:
        tuned: what decay did in the tuned run.
        to: the new run, with the recommended numbers.
        rules: what each rule says that speaks of this change.
        silent: the others, with the reason.
        recommended: one of them.
        spread: largest over smallest λ′ of the rules.
        lr_rules: α′ by each rule for it.
        measured: exponents from maps; None without.
        code: to paste, by library.
    """

    tuned: Outcome
    to: Run
    rules: tuple[Outcome, ...]
    silent: tuple[tuple[str, str], ...]
    recommended: Recommendation
    spread: float
    lr_rules: tuple[tuple[str, float, str], ...]
    measured: Measured | None
    code: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """Everything, in JSON's types; infinite numbers are null."""
        best = self.recommended
        return {
            "rules": [_plain(row) for row in self.rules],
            "recommended": {**_plain(best.outcome), "reason": best.reason, "check": best.check},
            "tuned": _plain(self.tuned),
            "to": asdict(self.to),
            "spread": self.spread,
            "silent": [{"rule": rule, "why": why} for rule, why in self.silent],
            "lr_rules": [
                {"rule": rule, "lr": lr, "source": source} for rule, lr, source in self.lr_rules
            ],
            "measured": None if self.measured is None else self.measured.as_json(),
            "code": dict(self.code),
        }

    def __str__(self) -> str:
        return page(self)


def _plain(row: Outcome) -> dict[str, Any]:
    plain = asdict(row)
    return {name: None if value == math.inf else value for name, value in plain.items()}


# As a page of text


def page(answer: Transfer) -> str:
    """What was tuned, every rule, the recommendation, and code to paste."""
    best = answer.recommended
    lines = [
        "tuned",
        *_facts(answer.tuned),
        "",
        f"what each rule says for {answer.to.length:,.0f} updates ({answer.to.schedule})",
        *_table(answer.rules),
        "",
        *[line for row in answer.rules for line in _source(row)],
        *[f"  lr by {rule!r}: {rate:.3g} ({source})" for rule, rate, source in answer.lr_rules],
        *_wrapped("silent: " + "; ".join(f"'{rule}' {why}" for rule, why in answer.silent)),
        "",
        f"recommended: lr {best.outcome.lr:.3g}, weight decay {best.outcome.weight_decay:.3g} "
        f"(torch's {best.outcome.torch_weight_decay:.3g}), by '{best.outcome.rule}'",
        *_facts(best.outcome),
        *_wrapped("why: " + best.reason),
        *(_wrapped("to decide: " + best.check) if best.check else []),
        "",
        *[f"{name + ':':<8}{code}" for name, code in answer.code.items()],
    ]
    return "\n".join(lines)


def _facts(row: Outcome) -> list[str]:
    window = "none"
    if row.window is not None:
        parts = [f"{row.window:,.0f} updates"]
        if row.window_epochs is not None:
            parts.append(f"{row.window_epochs:,.3g} epochs")
        if row.window_share is not None:
            parts.append(f"{row.window_share:.3g} of the run")
        window = ", ".join(parts)
    facts = [
        f"  lr {row.lr:.3g}, weight decay {row.weight_decay:.3g} per update "
        f"(torch's {row.torch_weight_decay:.3g})",
        f"  total decay Σηλ {row.total_decay:.3g}: e^−Σηλ = {100 * row.left:.3g} % of the initial "
        "weights are left",
        f"  averaging window τ: {window}",
    ]
    if row.rotation is not None:
        reached = "reached" if row.equilibrium else "not reached in this run"
        facts.append(
            f"  rotation in equilibrium {row.rotation:.3g} rad per update before a norm: {reached}"
        )
    return facts


def _table(rows: tuple[Outcome, ...]) -> list[str]:
    return [
        f"  {'rule':<16}{'lr':>10}{'decay':>11}{'torch':>10}{'Σηλ':>10}{'left':>11}  says",
        *(
            f"  {row.rule + ('' if row.verified else '°'):<16}{row.lr:>10.3g}"
            f"{row.weight_decay:>11.3g}{row.torch_weight_decay:>10.3g}"
            f"{row.total_decay:>10.3g}{100 * row.left:>9.3g} %  {row.says}"
            for row in rows
        ),
    ]


def _source(row: Outcome) -> list[str]:
    unverified = "" if row.verified else "; ° compared with what others quote of it"
    return _wrapped(f"{row.rule}: {row.source}{unverified}. Holds for: {row.valid}")


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False
    )
