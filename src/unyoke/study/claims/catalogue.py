"""The claims: each a question, the number that answers it, and where it must lie to hold.

The regions are part of the question and stand with it in `questions`; they were written and
committed before any run that decides them.
"""

from __future__ import annotations

from unyoke.study.claims.question import Question
from unyoke.study.claims.questions import basins, budgets, others
from unyoke.study.claims.questions.propositions import PROPOSITIONS

LANGUAGE = ("shakespeare", "shakespeare-lstm")


def questions(task: str) -> list[Question]:
    """All that can be asked of a task, and what is about none."""
    rows = [*PROPOSITIONS, *basins.knobs(), *basins.generalisation(), *basins.gains()]
    rows += [*basins.training_loss(), *budgets.budgets(), *budgets.schedules()]
    rows += [*budgets.restarts(), *basins.long_training_loss(), *others.others()]
    rows += others.ablation()
    return [*rows, *others.language()] if task in LANGUAGE else rows


def every_question() -> list[Question]:
    """All that is asked of any task."""
    return questions(LANGUAGE[0])


def names() -> list[str]:
    """The claims, as the command line selects them."""
    return list(dict.fromkeys(row.claim for row in every_question()))
