"""The last update over again, with other numbers.

Between two steps a program may do anything, and nearly always it does nothing but form new
gradients. So once a step has come out like the one before it, all that steps look at is put into
one question, which compiled code answers. While nothing has changed, a step is that question, the
coefficients and the kernels. At the first change it is made in the long way again, which relies on
nothing that was asked here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from unyoke import backends
from unyoke._step.commit import whole
from unyoke._step.groups import Owner, show
from unyoke._step.hyperparameters import Group, rate
from unyoke._step.plan import Plan
from unyoke.backends import Repeater
from unyoke.backends.guards import Contents, Scene

if TYPE_CHECKING:
    from unyoke.backends import Question


class Stepped(Owner, Protocol):
    """An optimizer whose updates are made here."""

    @property
    def backend(self) -> str: ...
    @property
    def released(self) -> Callable[[], None] | None: ...


class Repetition:
    """Repeats the step that some plans have made.

    Args:
        optimizer: whose step it was.
        plans: with the numbers of their groups.
        repeaters: of their works, one for each plan.
        question: asks whether anything has changed.
    """

    def __init__(
        self,
        optimizer: Stepped,
        plans: Sequence[tuple[int, Plan]],
        repeaters: Sequence[Repeater],
        question: Question,
    ) -> None:
        self._groups, self._state = optimizer.param_groups, optimizer.state
        self._direction = optimizer.groups.direction
        self._schedule, self._backend = optimizer.groups.schedule, optimizer.backend
        self._plans, self._repeaters = plans, repeaters
        active = {index for index, _ in plans}
        self._idle = [(k, each) for k, each in enumerate(self._groups) if k not in active]
        self._asking = [repeater for repeater in repeaters if repeater.asks_python]
        self._changed, self._question = question.changed, question
        self._resumes = all(plan.resumes for _, plan in plans)
        self._shown: Sequence[Group] = ()

    @classmethod
    def of(cls, optimizer: Stepped, plans: Sequence[tuple[int, Plan]]) -> Repetition | None:
        """How to repeat the step that these plans have just made; None if that cannot be.

        Args:
            optimizer: whose step it was.
            plans: with the numbers of their groups; the other groups have no gradients.
        """
        repeaters = [repeater for _, plan in plans if (repeater := plan.repeater()) is not None]
        asked = [repeater.questions for repeater in repeaters]
        if not plans or len(repeaters) < len(plans) or None in asked:
            return None
        groups = optimizer.param_groups
        idle = set(range(len(groups))) - {index for index, _ in plans}
        scene = Scene.joined(
            [
                Scene([Contents.of(groups), Contents.of(optimizer.state)]),
                *(plan.scene for _, plan in plans),
                *(_without_gradients(groups[index]) for index in sorted(idle)),
            ]
        )
        question = backends.question(scene, repeaters)
        return None if question is None else cls(optimizer, plans, repeaters, question)

    def make(self, optimizer: Stepped) -> bool:
        """Make the update and count it, if only numbers have changed; False: nothing was done.

        Args:
            optimizer: the one whose step it was.

        Raises:
            RuntimeError: a schedule was given and something else moved ``lr``.
        """
        if (
            optimizer.param_groups is not self._groups
            or optimizer.state is not self._state
            or optimizer.groups.direction is not self._direction
            or optimizer.groups.schedule is not self._schedule
            or optimizer.backend != self._backend
        ):
            return False
        if self._schedule is not None:
            for index, group in self._idle:
                rate(self._schedule, index, group)  # says if somebody has moved it
        if self._asking and not all(repeater.readable() for repeater in self._asking):
            return False
        if self._changed():
            return False
        for (index, plan), repeater in zip(self._plans, self._repeaters, strict=True):
            plan.reckon(*rate(self._schedule, index, plan.group))
            if not repeater.take(plan.work):
                return False
        self._shown = optimizer.groups.shown(self._groups, 1)
        whole(self._commit, self._resumes)
        return True

    def _commit(self) -> None:
        for _, plan in self._plans:
            plan.run()
        show(self._groups, self._shown)


def _without_gradients(group: Group) -> Scene:
    params = group["params"]
    return Scene([Contents.of(params)], (), params, [False] * len(params))
