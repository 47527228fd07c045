"""Every rule on one pair of runs, and which of them to follow."""

from __future__ import annotations

import math
from dataclasses import replace

from unyoke.transfer import paste
from unyoke.transfer.measured import Measured
from unyoke.transfer.result import Outcome, Recommendation, Transfer, outcome
from unyoke.transfer.rules import LR_RULES, RULES, Rule, keep_ratio
from unyoke.transfer.run import Run, TransferError

APART = 2.0
"""Rules that differ by more are told apart by a measurement."""

ASSUMED = (
    ". That a normalization follows most weights is assumed, as in ResNets and transformers: "
    "confirm it with --norms; with --no-norms the answer is 'keep λ/α', {:.3g}"
)
"""What is said where nobody has said whether there are norms."""

MATTERS = 1.0
"""Σηλ below which most of the beginning is kept, so that the end depends on the sum."""


def transfer(
    tuned: Run,
    to: Run,
    *,
    lr: float | None = None,
    lr_rule: str | None = None,
    norms: bool | None = None,
    measured: Measured | None = None,
) -> Transfer:
    """Learning rate and weight decay of ``to``, by every rule that speaks of the change.

    Args:
        tuned: the run whose numbers are known to be good.
        to: the new run; its ``lr`` and ``weight_decay`` are not looked at.
        lr: α′, if it is decided already.
        lr_rule: ``"sqrt"``, ``"linear"`` or ``"same"``; by default sqrt for Adam and Lion, linear
            for SGD.
        norms: whether a normalization follows most weights, as in ResNets and transformers. None
            assumes so, and says where the answer rests on it.
        measured: exponents from maps of the task, which replace the rules.

    Raises:
        TransferError: an unknown name or a number out of its range.
    """
    if tuned.optimizer != to.optimizer:
        raise TransferError(
            f"from {tuned.optimizer} to {to.optimizer}: no rule carries numbers from one optimizer "
            "to another; tune the new one"
        )
    chosen = lr_rule or ("linear" if tuned.optimizer == "sgdw" else "sqrt")
    if chosen not in LR_RULES:
        raise TransferError(f"unknown rule {chosen!r} for lr: there are {', '.join(LR_RULES)}")
    rates = {name: rule.lr(tuned, to) for name, rule in LR_RULES.items()}
    to = replace(to, lr=rates[chosen] if lr is None else lr)
    objections = [(rule, rule.objection(tuned, to)) for rule in RULES]
    rows = [_row(rule, tuned, to) for rule, why in objections if why is None]
    spoken = {row.rule for row in rows}
    values = [row.weight_decay for row in rows]
    spread = max(values) / min(values) if min(values) > 0 else 1.0
    if measured is not None:
        rows.append(_row(_measured_rule(measured, tuned, to), tuned, to))
    name, reason = _choice(tuned, to, norms, spoken, measured)
    best = next(row for row in rows if row.rule == name)
    run = replace(to, weight_decay=best.weight_decay)
    check = _check(tuned, spread, measured, best)
    return Transfer(
        tuned=outcome(Rule("tuned", "what was tuned", RULES[0].formula, "you", "there"), tuned),
        to=run,
        rules=tuple(rows),
        silent=tuple((rule.name, why) for rule, why in objections if why is not None),
        recommended=Recommendation(best, reason, check),
        spread=spread,
        lr_rules=tuple((name, rate, LR_RULES[name].source) for name, rate in rates.items()),
        measured=measured,
        code=paste.blocks(run),
    )


def _row(rule: Rule, tuned: Run, to: Run) -> Outcome:
    weight_decay = rule.formula(tuned, to)
    if not 0.0 <= weight_decay < 1.0:
        raise TransferError(
            f"rule {rule.name!r} gives a decay of {weight_decay:g} per update, more than a whole "
            "weight: these runs are too far apart for rules"
        )
    return outcome(rule, replace(to, weight_decay=weight_decay))


def _measured_rule(measured: Measured, tuned: Run, to: Run) -> Rule:
    change = to.lr / tuned.lr, to.length / tuned.length
    return Rule(
        measured.name,
        measured.says(*change),
        lambda tuned, to: tuned.weight_decay * measured.factor(*change),
        measured.source,
        "this task at the budget measured; at others if q = p − 1, as in gradient flow"
        if measured.q is None
        else "this task, between and near the budgets measured",
    )


def _choice(
    tuned: Run, to: Run, norms: bool | None, spoken: set[str], measured: Measured | None
) -> tuple[str, str]:
    """The rule to follow, of those that have spoken or of what was measured, and why."""
    if measured is None:
        return _rule(tuned, to, norms, spoken)
    if (objection := measured.objection) is not None:
        name, reason = _rule(tuned, to, norms, spoken)
        return name, f"the map does not decide: {objection}. By the rules: {reason}"
    if measured.q is None and to.length != tuned.length:
        return measured.name, (
            "p of this task stands above rules from others. How λ moves with the length of the run "
            "was not measured: q = p − 1 is assumed, as in gradient flow. A map of two budgets "
            "measures it (unyoke map --out "
            f"{measured.folder} --extend --updates N)"
        )
    return measured.name, "exponents of this task stand above rules from others"


def _rule(tuned: Run, to: Run, norms: bool | None, spoken: set[str]) -> tuple[str, str]:
    """The published rule to follow, and why."""
    total = tuned.total_decay
    if "repeated data" in spoken:
        return "repeated data", "tokens that are seen many times need far more decay than one pass"
    if "power lines" in spoken:
        return "power lines", "a language model in one pass, with tokens and weights known"
    if total < MATTERS:
        return (
            "total decay",
            f"the tuned run forgets only {-100 * math.expm1(-total):.2g} % of its beginning "
            f"(Σηλ = {total:.2g}), so what it ends with depends on the sum of its decay",
        )
    if norms is False:
        return (
            "keep λ/α",
            f"without norms, and with Σηλ = {total:.2g}, the weights rest near the minimum of the "
            "loss plus (λ/2α)‖θ‖², which λ/α alone decides",
        )
    told = "" if norms else ASSUMED.format(keep_ratio(tuned, to))
    if "width" in spoken:
        return "width", f"norms follow the weights and the width is all that changes{told}"
    if "τ in epochs" in spoken:
        return (
            "τ in epochs",
            f"norms follow the weights and Σηλ = {total:.2g}: they are an average over τ, and how "
            f"many passes that average covers is what was tuned{told}",
        )
    return "keep λ", (
        f"norms follow the weights and Σηλ = {total:.2g}: they turn by √λ per update{told}"
    )


def _check(tuned: Run, spread: float, measured: Measured | None, best: Outcome) -> str:
    """The measurement that decides, if the rules differ by more than `APART`."""
    if measured is not None and measured.decides:
        doubts = [measured.caution] if measured.caution else []
        if measured.agrees is False:
            doubts.append("p and 1 + q differ by more than their intervals: no one regime")
        advice = "check the answer with λ/3 and 3λ at the new budget"
        return f"{'; '.join(doubts)}: {advice}" if doubts else ""
    caution = f"{measured.caution}. " if measured is not None and measured.caution else ""
    if spread <= APART:
        return caution.removesuffix(". ")
    short = max(1, round(tuned.length / 4))
    words = (
        f"{caution}the rules differ {spread:.2g}-fold. Two budgets at this learning rate decide: "
        f"find the best λ with {short:,} and with {round(tuned.length):,} updates (three values "
        "each, a factor 3 apart). q = log(λ₂/λ₁)/log 4 near 0 keeps λ (τ in epochs), near −½ is "
        "'normalized', near −1 'total decay'"
    )
    if measured is None:
        words += ". A map (unyoke map) measures p = 1 + q as well; give its folder as --map"
    if max(best.total_decay, tuned.total_decay) < MATTERS / 3:
        words += (
            f". But first see whether decay matters here: with Σηλ = {best.total_decay:.2g} it "
            "takes little of any weight. Try λ = 0, and Σηλ = 3 "
            f"(λ = {3 / best.total_decay * best.weight_decay:.2g})"
            if best.total_decay > 0
            else ". But first see whether decay matters here at all"
        )
    return words
