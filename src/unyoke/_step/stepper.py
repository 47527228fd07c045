"""How an optimizer's updates are made, and what is kept from one to the next."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from unyoke._step import state
from unyoke._step.commit import whole
from unyoke._step.device import DevicePlan, OnDevice, scale, verdict
from unyoke._step.groups import show
from unyoke._step.hyperparameters import Group
from unyoke._step.plan import Plan
from unyoke._step.replay import Replay, Stepped
from unyoke.backends import Captured
from unyoke.backends.guards import Held, same_objects
from unyoke.equation import Rule


class Stepper:
    """Makes the updates of an optimizer.

    The optimizer, whose groups, state and settings are looked at anew for each update, is given to
    each method: if it were kept here, nothing would be freed when it is deleted.

    Attributes:
        plans: by the number of the group, as long as they are true.
        replay: of the last step; None if the coming one has to be captured.
        on_device: the capturable groups.
    """

    def __init__(self) -> None:
        self.plans: dict[int, Plan] = {}
        self.replay: Replay | None = None
        self.on_device = OnDevice()
        self._known_states = Held({}, [])
        self._made: list[Captured | None] = []

    def replayed(self, optimizer: Stepped) -> bool:
        """Make the update as a replay of the last one; False: nothing was done."""
        replay = self.replay
        if replay is None or optimizer.released is not None or verdict(optimizer) is not None:
            return False
        if replay.make(optimizer):
            return True
        self.replay = None
        return False

    def step(self, optimizer: Stepped) -> None:
        """Capture the step and make it; nothing is taken for granted."""
        if optimizer.released is not None:
            optimizer.released()
            return
        self.replay = None  # the backends may be others now
        optimizer.groups.check(optimizer.param_groups)
        if self._known_states.holder is not optimizer.state or not self._known_states.holds():
            self.plans.clear()  # somebody has put other dictionaries into the state
        groups = enumerate(optimizer.param_groups)
        found = [(k, self._prepared(optimizer, k, group)) for k, group in groups]
        plans = [(index, plan) for index, plan in found if plan is not None]
        shown = optimizer.groups.shown(optimizer.param_groups, 1)

        def make() -> None:
            for _, plan in plans:
                plan.run()
            self.count(optimizer, shown)

        whole(make, all(plan.resumes for _, plan in plans))
        made = [plan.captured() for _, plan in plans]
        if same_objects(made, self._made):
            self.replay = Replay.of(optimizer, plans)
        self._made = made

    def count(self, optimizer: Stepped, shown: Sequence[Group]) -> None:
        """Count an update, and show what the groups hold of the coming one."""
        show(optimizer.param_groups, shown)
        self.on_device.advance(optimizer.param_groups, verdict(optimizer))

    def _prepared(self, optimizer: Stepped, index: int, group: Group) -> Plan | None:
        """The group's plan with everything for this update in it; None without gradients."""
        groups, on_device = optimizer.groups, self.on_device
        lr, eta = (None, None) if group["capturable"] else groups.rate(index, group)
        rule = groups.rule(group)
        plan = self.plans.get(index)
        if plan is None or not plan.holds(rule, group):
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                return None
            on_device.check(group, weights, None)
            plan = self.plans[index] = self._new_plan(optimizer, index, group, rule, weights)
            self._known_states = Held.of(optimizer.state)
        else:
            on_device.check(group, plan.work.weights, plan)
        plan.work.grad_scale, plan.work.found_inf = scale(optimizer), verdict(optimizer)
        plan.prepare(lr, eta, optimizer.backend)
        return plan

    def _new_plan(
        self,
        optimizer: Stepped,
        index: int,
        group: Group,
        rule: Rule,
        weights: list[torch.Tensor],
    ) -> Plan:
        params = group["params"]
        group["direction"] = rule.direction.name  # entries of the group may have chosen another
        states = [state.ensure(optimizer.state, rule, weight, group) for weight in weights]
        numbers = [
            (index << 20) + number
            for number, weight in enumerate(params)
            if weight.grad is not None
        ]
        if not group["capturable"]:
            return Plan(rule, group, params, weights, states, numbers)
        schedule, given = optimizer.groups.schedule, optimizer.groups.function(index)
        clock = self.on_device.clock(index, group, schedule, given, weights[0].device)
        return DevicePlan(rule, group, params, weights, states, numbers, clock)
