"""The published rules by which weight decay goes from one run to another, each once.

A rule is a pure function ``(tuned, to) → λ′``; ``to`` has its learning rate α′ already. Symbols: b
batch size, B samples, E epochs, T updates, α learning rate, w = λ/α, D tokens, N weights, m width.
``verified`` says whether the rule was compared with its paper's text or its authors' code; where
it was compared with what others quote of the paper, the output says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from unyoke.transfer.run import Run

Formula = Callable[[Any, Any], float]  # of two runs; objections see that no size is missing
Objection = Callable[[Run, Run], str | None]


def always(tuned: Run, to: Run) -> str | None:
    """No objection."""
    return None


@dataclass(frozen=True)
class Rule:
    """One way to choose λ for the new run.

    Attributes:
        name: short, for tables.
        says: what stays constant, or what λ is proportional to.
        formula: λ′ of the new run.
        source: the paper.
        valid: where it was found to hold.
        verified: whether the formula was compared with the source itself, not with quotations.
        objection: why it says nothing about this change; None if it does.
    """

    name: str
    says: str
    formula: Formula
    source: str
    valid: str
    verified: bool = True
    objection: Objection = always


def keep_ratio(tuned: Run, to: Run) -> float:
    """λ′ = w·α′: torch's number stays."""
    return tuned.weight_decay * to.lr / tuned.lr


def needs_batches(tuned: Run, to: Run) -> str | None:
    is_known = None not in (tuned.batch_size, tuned.samples, to.batch_size, to.samples)
    return None if is_known else "needs batch size and samples"


def needs_same_data_seen(tuned: Run, to: Run) -> str | None:
    if tuned.seen is None or to.seen is None:
        return "needs the batch sizes"
    if tuned.batch_size == to.batch_size:
        return "is about another batch size, which stays"
    if not 0.98 < to.seen / tuned.seen < 1.02:
        return f"holds at as many samples seen, and these change {to.seen / tuned.seen:.3g}-fold"
    return None


def needs_tokens(tuned: Run, to: Run) -> str | None:
    if None in (tuned.tokens, to.tokens, tuned.weights, to.weights):
        return "is for language models: needs tokens and the number of weights"
    if to.epochs is not None and to.epochs > 1.5:
        return "is for one pass over the tokens"
    return None


def needs_width(tuned: Run, to: Run) -> str | None:
    if tuned.width is None or to.width is None or tuned.width == to.width:
        return "is about another width"
    if not 0.98 < to.length / tuned.length < 1.02:
        return "says nothing of another number of updates"
    return None


def needs_repetition(tuned: Run, to: Run) -> str | None:
    if tuned.tokens is None or to.epochs is None or to.epochs < 2:
        return "is for tokens seen many times"
    if tuned.epochs is not None and tuned.epochs > 1.5:
        return "starts from a weight decay that was tuned for one pass"
    return None


RULES = (
    Rule(
        "keep λ",
        "λ stays",
        lambda tuned, to: tuned.weight_decay,
        "Loshchilov & Hutter, arXiv 1711.05101, Figures 1 and 2",
        "another learning rate, weights that a norm follows",
    ),
    Rule(
        "keep λ/α",
        "torch's weight_decay stays",
        keep_ratio,
        "usual practice; exact for the minimum of f + (w/2)‖θ‖² (1711.05101, Proposition 1)",
        "no norms, trained until the weights rest",
    ),
    Rule(
        "normalized",
        "λ ∝ √(b/(B·E)) = 1/√T",
        lambda tuned, to: tuned.weight_decay * (tuned.length / to.length) ** 0.5,
        "Loshchilov & Hutter, arXiv 1711.05101, Appendix B.1",
        "CIFAR-10, ImageNet32; −½ was rejected in the four small cases measured here",
    ),
    Rule(
        "τ in epochs",
        "λ ∝ b/B, whatever E and α",
        lambda tuned, to: (
            tuned.weight_decay * (to.batch_size / tuned.batch_size) / (to.samples / tuned.samples)
        ),
        "Wang & Aitchison, arXiv 2405.13698",
        "AdamW: ResNet-18, ViT, NanoGPT; λ ∝ b was rejected in the four small cases measured here",
        objection=needs_batches,
    ),
    Rule(
        "total decay",
        "Σηλ stays, so τ is the same share of the run",
        lambda tuned, to: tuned.weight_decay * tuned.total_eta / to.total_eta,
        "gradient flow: while nothing rests, the end depends on Σηλ (docs/choosing.md)",
        "runs that forget little of their beginning, Σηλ below about 1",
    ),
    Rule(
        "power lines",
        "τ/T ∝ (D/N)^−0.527",
        lambda tuned, to: (
            tuned.weight_decay
            * tuned.length
            / to.length
            * ((to.tokens / tuned.tokens) / (to.weights / tuned.weights)) ** 0.527
        ),
        "Bergsma et al., arXiv 2505.13738",
        "language models of 111 M to 3.3 B weights, one pass, linear to zero",
        verified=False,
        objection=needs_tokens,
    ),
    Rule(
        "noise scale",
        "w ∝ √b and α ∝ √b, so λ ∝ b",
        lambda tuned, to: tuned.weight_decay * (to.batch_size / tuned.batch_size),
        "Malladi et al., arXiv 2205.10287 (α); Mlodozeniec et al., arXiv 2512.22382 (w)",
        "Adam below the critical batch size, as many samples seen",
        verified=False,
        objection=needs_same_data_seen,
    ),
    Rule(
        "width",
        "λ stays while α ∝ 1/m",
        lambda tuned, to: tuned.weight_decay,
        "Kosson et al., arXiv 2510.19093; CompleteP, arXiv 2505.01618 (its code)",
        "transformers with norms, total decay above 1",
        objection=needs_width,
    ),
    Rule(
        "root of width",
        "w ∝ √m while α ∝ 1/m, so λ ∝ 1/√m",
        lambda tuned, to: tuned.weight_decay * (tuned.width / to.width) ** 0.5,
        "Fan et al., arXiv 2510.15262",
        "LLaMA-like models in the steady state; contradicts 'width'",
        objection=needs_width,
    ),
    Rule(
        "repeated data",
        "w about 30 times the usual",
        lambda tuned, to: 30.0 * keep_ratio(tuned, to),
        "Kim et al., arXiv 2509.14786",
        "200 M tokens seen many times",
        objection=needs_repetition,
    ),
)
"""Every rule; the order is that of the output."""


# The learning rate


@dataclass(frozen=True)
class LrRule:
    """One way to choose α for another batch size.

    Attributes:
        exponent: α ∝ b^exponent.
        source: the paper.
    """

    exponent: float
    source: str

    def lr(self, tuned: Run, to: Run) -> float:
        """α′ = α·(b′/b)^exponent·(m/m′); a quantity that is not known does not change."""
        lr = tuned.lr
        if to.batch_size is not None and tuned.batch_size is not None:
            lr *= (to.batch_size / tuned.batch_size) ** self.exponent
        if to.width is not None and tuned.width is not None:
            lr *= tuned.width / to.width
        return float(lr)


LR_RULES = {
    "sqrt": LrRule(0.5, "Malladi et al., arXiv 2205.10287"),  # Adam and its relatives
    "linear": LrRule(1.0, "Goyal et al., arXiv 1706.02677"),  # SGD with momentum
    "same": LrRule(0.0, "no change"),  # batch sizes above the critical one
}
"""Rules for α; all divide by the width as µP does for hidden matrices (Yang et al., 2203.03466)."""
