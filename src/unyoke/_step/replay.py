"""Replay: the step that was captured, made again with new numbers.

Between two steps a program may do anything, and nearly always it does nothing but form new
gradients. So a captured step has guards: everything that it depends on but for numbers, looked at
in one call of compiled code. While they hold, a step is that call, the coefficients and the
kernels. At the first change the step is captured again, which relies on nothing of this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from unyoke import backends
from unyoke._step.commit import whole
from unyoke._step.groups import Groups, show
from unyoke._step.hyperparameters import Group, rate
from unyoke._step.owner import Stepped
from unyoke._step.plan import Plan
from unyoke.backends import Captured, Formation
from unyoke.backends.guards import Guards, Held

if TYPE_CHECKING:
    from unyoke.backends import ReplayCall


class Replay:
    """Makes the step that some plans have made again, while its guards hold.

    Args:
        optimizer: whose step it was.
        plans: with the numbers of their groups.
        captured: what each plan's backend has kept of its update.
        call: looks at the guards, and makes the update.
    """

    def __init__(
        self,
        optimizer: Stepped,
        plans: Sequence[tuple[int, Plan]],
        captured: Sequence[Captured],
        call: ReplayCall,
    ) -> None:
        self._groups, self._state = optimizer.param_groups, optimizer.state
        self._direction = optimizer.groups.direction
        self._schedule, self._backend = optimizer.groups.schedule, optimizer.backend
        self._plans = [(k, plan, own) for (k, plan), own in zip(plans, captured, strict=True)]
        self._length = len(self._groups)
        active = {index for index, _ in plans}
        self._idle = [(k, each) for k, each in enumerate(self._groups) if k not in active]
        self._sharded = [plan.shards for _, plan in plans if plan.shards.is_there]
        self._call, self._forms = call, call.can_form
        self._resumes = all(plan.resumes for _, plan in plans)
        self._shown: Sequence[Group] = ()
        self._holds = True

    @classmethod
    def of(cls, optimizer: Stepped, plans: Sequence[tuple[int, Plan]]) -> Replay | None:
        """The replay of the step that these plans have just made; None if that cannot be.

        Args:
            optimizer: whose step it was.
            plans: with the numbers of their groups; the other groups have no gradients.
        """
        captured = [found for _, plan in plans if (found := plan.captured()) is not None]
        if not plans or len(captured) < len(plans) or any(each.checks is None for each in captured):
            return None
        groups = optimizer.param_groups
        idle = set(range(len(groups))) - {index for index, _ in plans}
        guards = Guards.joined(
            [
                Guards([Held.of(groups), Held.of(optimizer.state)]),
                *(plan.guards for _, plan in plans),
                *(_without_gradients(groups[index]) for index in sorted(idle)),
            ]
        )
        counters = [row for _, plan in plans for row in plan.counters.rows]
        formations = _formations(optimizer, plans, captured)
        call = backends.replay_call(guards, captured, counters, formations, groups)
        return None if call is None else cls(optimizer, plans, captured, call)

    def make(self, optimizer: Stepped) -> bool:
        """Make the update and count it, if the guards hold; False: nothing was done.

        Args:
            optimizer: the one whose step it was.

        Raises:
            RuntimeError: a schedule was given and something else moved ``lr``.
        """
        own, groups = optimizer.__dict__, optimizer.groups  # torch's attributes are slow to find
        if (
            own["param_groups"] is not self._groups
            or len(self._groups) != self._length
            or own["state"] is not self._state
            or groups.direction is not self._direction
            or groups.schedule is not self._schedule
            or own["backend"] != self._backend
        ):
            return False
        if self._forms:
            self._call.begin(forms=True)
            if not self._call.make():  # as in C: False where nothing went wrong
                return True
            if not self._call.asks:
                return False
        return self._make_by_python(groups)

    def _make_by_python(self, groups: Groups) -> bool:
        """The same, with numbers that Python forms."""
        if self._schedule is not None:
            for index, group in self._idle:
                rate(self._schedule, index, group)  # says if somebody has moved it
        if self._sharded and not all(shards.bind() for shards in self._sharded):
            return False
        # All numbers first: whatever refuses or interrupts here has changed no weight
        for index, plan, captured in self._plans:
            plan.counters.catch_up()
            plan.form_again(*groups.rate(index, plan.group))
            if not captured.take(plan.work):
                return False
        # Kept here for _commit, which takes no arguments and may be called twice
        self._shown = groups.shown(self._groups, 1)
        self._call.begin(forms=False)
        self._holds = True
        whole(self._commit, self._resumes)
        return self._holds

    def _commit(self) -> None:
        # May be called again after an interrupt: the call knows whether it has updated and counted,
        # and what follows it may be done twice
        if self._call.make():
            self._holds = False
            return
        for _, plan, captured in self._plans:
            captured.finish(plan.work)
            plan.counters.counted()
        for shards in self._sharded:
            shards.release()
        show(self._groups, self._shown)


def _formations(
    optimizer: Stepped, plans: Sequence[tuple[int, Plan]], captured: Sequence[Captured]
) -> list[Formation]:
    """Of all plans, or none: what one group's numbers wait for, all wait for."""
    if not optimizer.groups.are_plain:
        return []
    found = [
        plan.formation(own.row, optimizer.groups.limits(plan.group))
        for (_, plan), own in zip(plans, captured, strict=True)
    ]
    known = [each for each in found if each is not None]
    return known if len(known) == len(found) else []


def _without_gradients(group: Group) -> Guards:
    params = group["params"]
    return Guards([Held.of(params)], without_gradient=params)
