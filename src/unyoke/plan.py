"""What one step of a parameter group needs, kept from step to step while it stays true."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from unyoke import formats
from unyoke.backends import Share, Work, shares, watch_group
from unyoke.backends.watch import Entry
from unyoke.counters import Counters
from unyoke.update import Hyperparameters, Rule


class Plan:
    """A group's work, who does it, and the counters of its parameters.

    Args:
        rule: direction and decay.
        params: the group's parameters.
        weights: those that have a gradient.
        states: of each of them.
        numbers: that random bits are drawn by, one for each of them.
    """

    def __init__(
        self,
        rule: Rule,
        params: Sequence[torch.Tensor],
        weights: Sequence[torch.Tensor],
        states: Sequence[dict[str, Any]],
        numbers: Sequence[int],
    ) -> None:
        self.work = Work(rule, weights, states, numbers=numbers)
        self._counters = self._count(states, ("step", *rule.scalars))
        self._watch = watch_group(params, weights, list(self._entries()))
        self._scalars = rule.scalars
        self._next: list[tuple[float, ...]] = []
        self._shares: Sequence[Share] = ()

    def _count(self, states: Sequence[dict[str, Any]], names: Sequence[str]) -> Any:
        return Counters(states, names)

    def fits(self, rule: Rule, params: list[torch.Tensor]) -> bool:
        """Whether it was made for this rule and these parameters.

        The same ones must have a gradient, and the state tensors must live on.
        """
        return rule is self.work.rule and self._watch.holds(params)

    def _entries(self) -> Iterator[Entry]:
        """Every tensor in the states, and where it is."""
        rule = self.work.rule
        for name in ("step", *rule.scalars, *rule.state, *formats.extra_names(rule)):
            for state in self.work.states:
                if name in state:
                    yield Entry(state, name, state[name])

    def prepare(self, group: Hyperparameters, lr: Any, eta: Any, backend: str) -> None:
        """Form the coefficients and choose the backend; nothing is changed yet.

        Raises:
            RuntimeError: no backend can do the work.
        """
        work, counters = self.work, self._counters
        counters.read()
        work.which = counters.which
        work.maximize, work.differentiable = group["maximize"], group["differentiable"]
        work.rounding, work.seed = group["rounding"], group["seed"]
        work.updates, work.coefficients, self._next = [], [], []
        for step, *values in counters.sets:
            t = int(step) + 1
            scalars = dict(zip(self._scalars, values, strict=True))
            formed = work.rule.coefficients(t, eta, lr, group, **scalars)
            work.updates.append(t)
            work.coefficients.append(formed)
            self._next.append((step + 1, *[formed[name] for name in self._scalars]))
        self._shares = shares(backend, work)

    def run(self) -> None:
        """Make the prepared update."""
        self._counters.write(self._next)
        for backend, work in self._shares:
            backend.step(work)
