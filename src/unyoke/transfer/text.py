"""A transfer as a page of text."""

from __future__ import annotations

import textwrap

from unyoke.transfer.result import Outcome, Transfer

WIDTH = 100


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
        *_wrapped(f"holds for: {best.outcome.valid} ({best.outcome.source})"),
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
    head = f"  {'rule':<16}{'lr':>10}{'decay':>11}{'torch':>10}{'Σηλ':>9}{'left':>8}  says"
    lines = [head]
    for row in rows:
        name = row.rule + ("" if row.verified else "°")
        lines.append(
            f"  {name:<16}{row.lr:>10.3g}{row.weight_decay:>11.3g}{row.torch_weight_decay:>10.3g}"
            f"{row.total_decay:>9.3g}{100 * row.left:>6.3g} %  {row.says}"
        )
    return lines


def _source(row: Outcome) -> list[str]:
    unverified = "" if row.verified else "; from memory, not compared with the paper"
    return _wrapped(f"{row.rule}: {row.source}{unverified}. Holds for: {row.valid}")


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False
    )
