"""What one step of a parameter group needs, kept from step to step while it stays true."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any
from zlib import crc32

import torch

from unyoke._step.counters import EXACT, Counters
from unyoke._step.hyperparameters import Group
from unyoke._step.written import SWITCHES
from unyoke.backends import Assignment, Captured, Dispatch, Formation, Work, dispatch
from unyoke.backends.guards import Entries, Guards, Held
from unyoke.backends.shards import Shards
from unyoke.equation import Rule
from unyoke.primitives import int32
from unyoke.ranges import Limits
from unyoke.storage import fit, formats

CHOICES = ("direction", "decay", *SWITCHES)
"""What a group says of a step beside numbers."""


class Plan:
    """A group's work, who does it, and the counters of its parameters.

    Which parameters have a gradient may change from step to step: experts, branches, partial
    freezing. So a plan is for all that have had one, its members, and those with a gradient now
    are chosen among them. What is known of a member is kept until it takes part again.

    Args:
        rule: direction and decay.
        group: the parameter group.
        params: those of its parameters that the plan looks after.
        members: those of them that take part, all of them until some are chosen.
        states: of each of these.
        numbers: that random bits are drawn by, one for each of these.
        words: the group's entries that may choose another direction.

    Attributes:
        group: the parameter group.
        members: those of its parameters that can be chosen.
        states: of each of these.
        weights: those of them that have a gradient.
        shards: what this process holds of sharded parameters.
        work: of the coming update, on what this process holds.
        counters: of the parameters' updates.
    """

    def __init__(
        self,
        rule: Rule,
        group: dict[str, Any],
        params: list[torch.Tensor],
        members: Sequence[torch.Tensor],
        states: Sequence[dict[str, Any]],
        numbers: Sequence[int],
        words: Collection[str] = (),
    ) -> None:
        self.group, self.members, self.states = group, members, states
        self._words = {*words}
        self.weights = members
        self.shards = Shards(rule, group, members, states)
        self.work = self._whole = Work(
            rule,
            self.shards.weights,
            self.shards.states,
            numbers=numbers,
            names=fit.parameter_names(members, group),
            maximize=group["maximize"],
            differentiable=group["differentiable"],
            rounding=group["rounding"],
            seed=group["seed"],
            wholes=self.shards.wholes,
            places=self.shards.places,
        )
        self.counters = self._count(states, ("step", *rule.scalars))
        self._form = rule.coefficients
        self._kinds = _kinds(members)
        self._shapes = self._state_shapes()
        self._places = {id(weight): place for place, weight in enumerate(members)}
        self._params = params
        self._there = self._gradients(members)
        self._standing = self._guards_of(params)
        self._dispatch: Dispatch | None = None  # not in the work: it knows the work
        self._begun = 0  # assignments of the prepared update

    @property
    def assignments(self) -> Sequence[Assignment]:
        """Who does which part of the prepared update."""
        return () if self._dispatch is None else self._dispatch.assignments

    def _count(self, states: Sequence[dict[str, Any]], names: Sequence[str]) -> Any:
        return Counters.of(states, names)

    def _gradients(self, weights: Sequence[torch.Tensor]) -> list[bool]:
        """Which of the parameters have one, if these have."""
        with_gradient = set(map(id, weights))
        return [id(weight) in with_gradient for weight in self._params]

    @property
    def guards(self) -> Guards:
        """What must still be so for the plan to be true, beside what backends look at."""
        gradients = zip(self._params, self._there, strict=True)
        without = [weight for weight, is_there in gradients if not is_there]
        return replace(self._standing, without_gradient=without)

    def _guards_of(self, params: list[torch.Tensor]) -> Guards:
        group, work = self.group, self.work
        own = work.rule.state + formats.extra_names(work.rule)
        names = ("step", *work.rule.scalars, *own)
        choosing = sorted(self._words & group.keys() - {*work.rule.defaults})
        kept = ["params"] if params is group["params"] else []
        entries = [Entries(name, [group], [group[name]]) for name in (*CHOICES, *choosing, *kept)]
        for name in names:
            states = [state for state in self.states if name in state]
            entries.append(Entries(name, states, [state[name] for state in states]))
        return Guards([Held.of(params)], entries, placed=self.counters.placed)

    def holds(self, rule: Rule, group: dict[str, Any]) -> bool:
        """Whether the plan is true for the coming update of this group by this rule.

        The same parameters must have a gradient, the state tensors must live on, and no weight may
        have been cast, moved or given another shape: then its state has to follow.
        """
        there = [weight.grad is not None for weight in self._params]
        return there == self._there and self._holds_otherwise(rule, group) and self.shards.bind()

    def holds_but_for_gradients(self, rule: Rule, group: dict[str, Any]) -> bool:
        """Whether it would be true if others of the group's parameters had a gradient."""
        return self.can_choose and self._holds_otherwise(rule, group)

    @property
    def can_choose(self) -> bool:
        """Whether it may be for some of its members; not with shards or with shared counters."""
        return not self.shards.is_there and bool(self.counters.can_be_replayed)

    def _holds_otherwise(self, rule: Rule, group: dict[str, Any]) -> bool:
        return (
            rule is self.work.rule
            and group is self.group
            and self._standing.holds()
            and self._state_shapes() == self._shapes
            and all(
                type(each) is kind
                and each.dtype is dtype
                and each.device == device
                and each.shape == shape
                for each, (kind, dtype, device, shape) in zip(
                    self.members, self._kinds, strict=True
                )
            )
        )

    def _state_shapes(self) -> list[torch.Size]:
        """Of rules for whole tensors, whose state may have any shape and be given other data.

        That of other rules has the weight's shape, which backends look at.
        """
        rule = self.work.rule
        if rule.scope == "element" and rule.stage is None:
            return []
        return [state[name].shape for state in self.states for name in rule.state]

    def choose(self, weights: Sequence[torch.Tensor]) -> bool:
        """Make the plan one of these weights' update; False: not all of them are members."""
        whole = self._whole
        chosen = [self._places.get(id(weight), -1) for weight in weights]
        if -1 in chosen:
            return False
        self.counters.choose(chosen)
        self.weights, self._there = weights, self._gradients(weights)
        self.work = whole.part(chosen, weights=weights, kept=whole.kept, members=chosen)
        self._dispatch, self._begun = None, 0
        return True

    def prepare(self, lr: Any, eta: Any, backend: str) -> None:
        """Form the coefficients and choose the backend; nothing is changed yet.

        Raises:
            RuntimeError: no backend can do the work.
        """
        self.shards.bind()
        self.form(lr, eta)
        self._dispatch = dispatch(backend, self.work, self._dispatch)

    def form(self, lr: Any, eta: Any) -> None:
        """Form the coefficients of the coming update."""
        self.counters.read()
        self.form_again(lr, eta)

    def form_again(self, lr: Any, eta: Any) -> None:
        """The same, if nobody else has written to the counters."""
        work, form, group = self.work, self._form, self.group
        work.updates, work.coefficients = updates, coefficients = [], []
        for values in self.counters.sets:
            t = int(values[0]) + 1
            updates.append(t)
            coefficients.append(form(t, eta, lr, group, *values[1:]))
        work.which = self.counters.which
        self.counters.form(coefficients)
        self._begun = 0

    def formation(self, row: int | None, limits: Mapping[str, Limits] | None) -> Formation | None:
        """How compiled code may form the coefficients; None if Python has to.

        Args:
            row: where they go; None if the backend has no such place.
            limits: of the group's numbers; None if they are not known.
        """
        rule, counters = self.work.rule, self.counters
        plain = type(self.group) is dict and counters.is_one_step and _is_ours(rule)
        if row is None or limits is None or self.shards.is_there or not plain:
            return None

        def form(t: Any, group: Mapping[str, Any]) -> dict[str, Any]:
            eta = group["lr"] / group["base_lr"]
            return {"eta": eta, **rule.coefficients(t, eta, group["lr"], group)}

        (steps,) = counters.rows
        limits = {**limits, "t": (1.0, EXACT)}
        return Formation(self.group, form, rule.coefficient_names, row, steps[:4], limits)

    def run(self) -> None:
        """Make the prepared update; after an interrupt, go on with it."""
        self._run_assignments()
        self.counters.write()

    @property
    def resumes(self) -> bool:
        """Whether the prepared update can be gone on with after an interrupt."""
        return all(backend.resumes for backend, _ in self.assignments)

    def _run_assignments(self) -> None:
        """A share whose backend cannot go on after an interrupt is not begun twice."""
        for number in range(self._begun, len(self.assignments)):
            backend, work = self.assignments[number]
            if not backend.resumes:
                self._begun = number + 1
            backend.step(work)
            self._begun = number + 1
        self.shards.release()

    def captured(self) -> Captured | None:
        """What the backend has kept of the whole update; None if it cannot replay it."""
        is_whole = len(self.assignments) == 1 and self.assignments[0][1] is self.work
        if not is_whole or not self.counters.can_be_replayed:
            return None
        return self.assignments[0][0].captured(self.work)


def random_numbers(groups: Sequence[Group], index: int) -> list[int]:
    """What each parameter of group number ``index`` draws its random bits by.

    A named parameter's is a hash of its name, so that it is the same in any group and on any rank.
    Another's is its place among all parameters, which is the same however they are grouped.
    """
    group = groups[index]
    if "param_names" in group:
        return [int32(crc32(name.encode())) for name in group["param_names"]]
    first = sum(len(each["params"]) for each in groups[:index])
    return [*range(first, first + len(group["params"]))]


def _is_ours(rule: Rule) -> bool:
    """Whether coefficients depend on nothing but arguments; who knows of somebody else's function?

    That is called at each update.
    """
    functions = (rule.direction.coefficients, rule.decay.coefficients, rule.decay.strength)
    modules = [str(getattr(each, "__module__", None)) for each in functions]
    return all(module.split(".")[0] == "unyoke" for module in modules)


def _kinds(weights: Sequence[torch.Tensor]) -> list[tuple[Any, ...]]:
    """What a state must fit; weights that are alike share it."""
    known: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    kinds = ((type(each), each.dtype, each.device, each.shape) for each in weights)
    return [known.setdefault(kind, kind) for kind in kinds]
