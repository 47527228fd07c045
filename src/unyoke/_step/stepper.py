"""How an optimizer's updates are made, and what is kept from one to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from unyoke._step import state
from unyoke._step.commit import whole
from unyoke._step.device import Clock, DevicePlan, OnDevice, scale, verdict
from unyoke._step.evaluation import check_step
from unyoke._step.groups import show
from unyoke._step.hyperparameters import Group, is_rehearsal
from unyoke._step.owner import Stepped
from unyoke._step.plan import Plan, random_numbers
from unyoke._step.replay import Replay
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
        self._known_params: list[Held] = []
        self._made: list[Captured | None] = []

    def replayed(self, optimizer: Stepped) -> bool:
        """Make the update as a replay of the last one; False: nothing was done."""
        replay = self.replay
        # GradScaler's verdict holds for one update only, so a step that has one is captured
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
        check_step(optimizer.param_groups)
        optimizer.groups.check(optimizer.param_groups)
        optimizer.groups.check_numbers(optimizer.param_groups)
        if self._known_states.holder is not optimizer.state or not self._known_states.holds():
            self.plans.clear()  # somebody has put other dictionaries into the state
        if self._is_rehearsed(optimizer):
            state.make_all(optimizer)
            return
        self._look_at_params(optimizer)
        # Before any state follows a weight that was cast or moved. And all groups are prepared, and
        # what they will show is formed, before the first is updated: a refusal, or an error in a
        # function of the user's, leaves every group as it was
        rates = [
            (None, None) if group["capturable"] else optimizer.groups.rate(index, group)
            for index, group in enumerate(optimizer.param_groups)
        ]
        found = [self._prepared(optimizer, index, *each) for index, each in enumerate(rates)]
        plans = [(index, plan) for index, plan in enumerate(found) if plan is not None]
        shown = optimizer.groups.shown(optimizer.param_groups, 1)

        def make() -> None:
            for _, plan in plans:
                plan.run()
            self.count(optimizer, shown)

        whole(make, all(plan.resumes for _, plan in plans))
        for _, plan in plans:
            state.after_update(optimizer, plan.weights)
        # The same captures twice in a row: the program's steps are alike, so a replay will pay
        made = [plan.captured() for _, plan in plans]
        if same_objects(made, self._made):
            self.replay = Replay.of(optimizer, plans)
        self._made = made

    def _look_at_params(self, optimizer: Stepped) -> None:
        """Drop what belongs to parameters that have left; plan anew what was refused too early."""
        params = [group["params"] for group in optimizer.param_groups]
        known = self._known_params
        if not same_objects(params, [each.holder for each in known]) or not all(
            each.holds() for each in known
        ):
            self.drop_departed(optimizer)
            self._known_params = [Held.of(each) for each in params]
        if early := optimizer.groups.early_anchors:
            for index, plan in list(self.plans.items()):
                if any(weight in early for weight in plan.members):
                    del self.plans[index]

    def drop_departed(self, optimizer: Stepped) -> None:
        """Let go of all that belongs to parameters which are in no group any more."""
        if state.drop_departed(optimizer):
            self.plans.clear()
            self.replay, self._made = None, []

    @staticmethod
    def _is_rehearsed(optimizer: Stepped) -> bool:
        """Whether this step shall only make the state."""
        if optimizer.state:
            return False
        is_recorded = torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()
        return not is_recorded and is_rehearsal(optimizer.param_groups)

    def count(self, optimizer: Stepped, shown: Sequence[Group]) -> None:
        """Count an update, and show what the groups hold of the coming one."""
        show(optimizer.param_groups, shown)
        self.on_device.advance(optimizer.param_groups, verdict(optimizer))

    def _prepared(self, optimizer: Stepped, index: int, lr: Any, eta: Any) -> Plan | None:
        """The group's plan with everything for this update in it; None without gradients."""
        group, on_device = optimizer.param_groups[index], self.on_device
        rule = optimizer.groups.rule(group)
        plan = self.plans.get(index)
        if plan is None or not plan.holds(rule, group):
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                return None
            on_device.check(group, weights, None)
            if plan is not None and not plan.holds_but_for_gradients(rule, group):
                plan = None
            if plan is None or not plan.choose(weights):
                members = [] if plan is None else plan.members
                plan = self._new_plan(optimizer, index, group, rule, weights, members)
                self.plans[index] = plan
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
        earlier: Sequence[torch.Tensor],
    ) -> Plan:
        """A plan of these weights' update, with parameters that took part earlier as members."""
        params, words = group["params"], optimizer.groups.words
        group["direction"] = rule.direction.name  # entries of the group may have chosen another
        own = state.before_updates(optimizer, rule, weights, group)
        made = dict(zip(map(id, weights), own, strict=True))
        made |= {id(each): optimizer.state[each] for each in earlier if id(each) not in made}
        members = [each for each in params if id(each) in made]
        states = [made[id(each)] for each in members]
        drawn_by = random_numbers(optimizer.param_groups, index)
        numbers = [k for each, k in zip(params, drawn_by, strict=True) if id(each) in made]
        if not group["capturable"]:
            plan = Plan(rule, group, params, members, states, numbers, words)
            if len(members) == len(weights) or (plan.can_choose and plan.choose(weights)):
                return plan
            return self._new_plan(optimizer, index, group, rule, weights, ())
        clocks, device = self.on_device.clocks, weights[0].device
        if index not in clocks:
            given = optimizer.groups.function(index)
            clocks[index] = Clock(index, group, optimizer.groups.schedule, given, device)
        return DevicePlan(rule, group, params, weights, states, numbers, words, clocks[index])
