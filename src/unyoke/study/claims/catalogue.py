"""The claims: each a claim, the number that answers it, and where it must lie to hold.

The regions are part of the claim and stand with it in `topics`; they were written and
committed before any run that decides them.
"""

from __future__ import annotations

from unyoke.study.claims.claim import Claim
from unyoke.study.claims.topics import basins, budgets, others
from unyoke.study.claims.topics.propositions import PROPOSITIONS

LANGUAGE = ("shakespeare", "shakespeare-longer", "shakespeare-lstm")


def claims(task: str) -> list[Claim]:
    """All that can be tested on a task, and what is about none."""
    rows = [*PROPOSITIONS, *basins.coupling(), *basins.generalisation(), *basins.gains()]
    rows += [*basins.training_loss(), *budgets.budgets(), *budgets.law(), *budgets.schedules()]
    rows += [*budgets.restarts(), *basins.long_training_loss(), *others.others()]
    rows += others.ablation()
    return [*rows, *others.language()] if task in LANGUAGE else rows


def every_claim() -> list[Claim]:
    """All that is tested on any task."""
    return claims(LANGUAGE[0])


def names() -> list[str]:
    """The claims, as the command line selects them."""
    return list(dict.fromkeys(row.group for row in every_claim()))
