"""The equation: a direction and a decay, combined into the update of one element.

    θ_t = θ_{t−1} − step(g_t; α·η_t) − η_t·λ·pull(θ_{t−1})

Three slots. A :class:`Direction` gives ``step``; a :class:`Decay` gives ``pull`` or, for the L2
family, changes g; a schedule gives η_t (see :mod:`unyoke.schedules`). :func:`combine` writes the
function that joins the two formulas. That function is all that a backend has to run: on tensors,
or compiled. Formulas are pure and know one element; what depends only on the update's number t is
computed beside them, once per step, on the host and in float64.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from unyoke.ranges import Limits
from unyoke.slots import (
    Average,
    Decay,
    Direction,
    Hyperparameters,
    Kind,
    Part,
    Scope,
    Strength,
    decay,
    direction,
    in_gradient,
    no_coefficients,
    per_learning_rate,
    per_squared_rate,
    per_update,
    zeros,
)
from unyoke.stages import Formula, MatrixStage, Norms, arguments_of, from_text


@dataclass(frozen=True, eq=False)
class Rule:
    """One direction with one decay: the update of one element.

    Attributes:
        function: ``(weight, grad, *state, *coefficients) → (delta, *state)``; the new weight is
            ``weight − delta``, formed and rounded once by the backend.
        source: the text of ``function``, which is made by joining the two formulas.
        coefficients: ``(t, eta, lr, group, *scalars)`` → everything that update number t (1 for
            the first) multiplies tensors with, by name, and the renewed scalars. Python floats,
            unless lr or a hyperparameter is a tensor.
    """

    direction: Direction
    decay: Decay
    function: Formula
    source: str
    state: tuple[str, ...]
    coefficient_names: tuple[str, ...]
    coefficients: Callable[..., dict[str, Any]]

    @property
    def name(self) -> str:
        return f"{self.direction.name} with {self.decay.name}"

    @property
    def scope(self) -> Scope:
        return "tensor" if "tensor" in (self.direction.scope, self.decay.scope) else "element"

    @property
    def stage(self) -> MatrixStage | None:
        """What is done with whole matrices; then :func:`passes` are the rest."""
        return self.direction.stage

    @property
    def norms(self) -> Norms | None:
        """The norms that the step depends on; then :func:`with_norms` are its passes."""
        return self.direction.norms

    @property
    def scalars(self) -> tuple[str, ...]:
        return self.direction.scalars + self.decay.scalars

    @property
    def sums(self) -> tuple[str, ...]:
        return self.direction.sums + self.decay.sums

    @property
    def anchors(self) -> tuple[str, ...]:
        """The state that is made of the weight just before its first update."""
        average = self.direction.average
        return (() if average is None else average.state) + self.decay.state

    @property
    def reads_weight(self) -> bool:
        """Whether initial state may depend on the numbers of the weight."""
        return any(part.initial is not zeros for part in (self.direction, self.decay) if part.state)

    @property
    def nonnegative(self) -> tuple[str, ...]:
        return self.direction.nonnegative + self.decay.nonnegative

    @property
    def defaults(self) -> dict[str, Any]:
        return {**self.direction.defaults, **self.decay.defaults}

    def check(self, hyperparameters: Hyperparameters) -> None:
        """Raise ValueError if a hyperparameter is out of its range."""
        self.direction.check_values(hyperparameters)
        self.decay.check_values(hyperparameters)

    @property
    def limits(self) -> Mapping[str, Limits] | None:
        """Between which numbers hyperparameters pass :meth:`check`; None if only it knows."""
        own, decays = self.direction.limits, self.decay.limits
        return None if own is None or decays is None else {**own, **decays}

    def initial(self, weight: torch.Tensor, group: Hyperparameters) -> dict[str, torch.Tensor]:
        """The state before the first update, by name."""
        return {
            name: _initial(part, name, weight, group)
            for part in (self.direction, self.decay)
            for name in part.state
        }

    def objection(self, weight: torch.Tensor, group: Hyperparameters) -> str | None:
        """Why this weight cannot be updated by this rule; None if it can."""
        models = stack_size(group)
        if models is not None:
            if weight.dim() == 0 or weight.shape[0] != models:
                return (
                    f"lr or weight_decay has a number for each of {models} stacked models, and its "
                    "first dimension is another (for one model, give a number or a 0-d tensor)"
                )
            weight = weight[0]
        return self.direction.objection(weight) or self.decay.objection(weight)


def stack_size(group: Hyperparameters) -> int | None:
    """K, if lr or weight_decay has shape [K]: one number for each of K stacked models.

    Raises:
        ValueError: the two have different K.
    """
    numbers = (group["lr"], group["weight_decay"])
    sizes = {len(x) for x in numbers if isinstance(x, torch.Tensor) and x.dim() == 1}
    if len(sizes) > 1:
        raise ValueError(f"lr and weight_decay are given for {sorted(sizes)} stacked models")
    return sizes.pop() if sizes else None


def _initial(part: Part, name: str, weight: torch.Tensor, group: Hyperparameters) -> torch.Tensor:
    """One state; under tensor scope made for each of the stacked models by itself."""
    if part.scope == "tensor" and stack_size(group) is not None:
        return torch.stack([part.initial(name, model, group) for model in weight])
    return part.initial(name, weight, group)


@functools.lru_cache(maxsize=256)
def combine(direction: Direction, decay: Decay) -> Rule:
    """Join a direction's and a decay's formula into one function of one element.

    Raises:
        ValueError: the two cannot work together; the message says why.
    """
    if decay.kind != "none" and direction.no_decay:
        raise ValueError(
            f"decay {decay.name!r} does not go with direction {direction.name!r}: "
            f"{direction.no_decay}: use decay='none'"
        )
    if decay.kind == "moment_penalty" and not {"grad", "grad_v"} <= set(direction.arguments):
        raise ValueError(
            f"decay {decay.name!r} puts the penalty into one of two moments, and direction "
            f"{direction.name!r} does not have two: use decay='l2'"
        )
    state = direction.state + decay.state
    coefficients = (*direction.coefficient_names, *decay.coefficient_names, "strength")
    names = (*state, *coefficients)
    hyperparameters = (*direction.defaults, *decay.defaults)
    clash = {name for used in (names, hyperparameters) for name in used if used.count(name) > 1}
    if clash:
        raise ValueError(
            f"direction {direction.name!r} and decay {decay.name!r} both use the names "
            f"{sorted(clash)}: rename one"
        )
    source = _source(direction, decay, state, coefficients)
    names_of = {**direction.functions, "decay": decay.formula}
    if direction.average is not None:
        names_of["average"] = direction.average.formula
    function = _compile("update", source, names_of, direction, decay)
    forms = {
        "direction": direction.coefficients,
        "decay": decay.coefficients,
        "strength": decay.strength,
    }
    form = _compile("coefficients", _forming(direction, decay), forms, direction, decay)
    return Rule(direction, decay, function, source, state, coefficients, form)


def stage_result(grad: Any, size: Any) -> Any:
    """The step of a direction with a stage, of an element of what the stage has made."""
    return size * grad


_STAGE_RESULT = Direction("stage_result", stage_result)
_NO_DECAY = Decay("none", no_coefficients, kind="none")


@functools.lru_cache(maxsize=256)
def passes(direction: Direction, decay: Decay) -> tuple[Rule, Rule]:
    """The two passes over elements of a direction with a stage: up to it, and from it on.

    The first rule's delta is what the stage gets; a penalty joins its gradient. The second takes
    the stage's result for its gradient, with the stage's size as ``size``; the other decays are in
    it.
    """
    is_penalty = decay.kind in ("penalty", "moment_penalty")
    before = replace(direction, state=direction.formula_state, scope="element", stage=None)
    return (
        combine(before, decay if is_penalty else _NO_DECAY),
        combine(_STAGE_RESULT, _NO_DECAY if is_penalty else decay),
    )


def _source(
    direction: Direction, decay: Decay, state: tuple[str, ...], coefficients: tuple[str, ...]
) -> str:
    """The text of the combined update; what a reader would write by hand."""
    lines = [f"def update({', '.join(('weight', 'grad', *state, *coefficients))}):"]
    lines += _gradients(direction, decay)
    lines += direction.lines()
    taken = {"pull": "strength * pull", "projection": "projection"}.get(decay.kind)
    if taken is not None:
        results = ", ".join((decay.kind, *decay.state))
        lines.append(f"    {results} = decay({', '.join(decay.arguments)})")
    lines.append("    delta = step" + (f" + {taken}" if taken else ""))
    if direction.average is not None:
        averaged = ", ".join(("delta", *direction.average.state))
        lines.append(
            f"    {averaged} = average({', '.join(arguments_of(direction.average.formula))})"
        )
    lines.append(f"    return ({', '.join(('delta', *state))},)")
    return "\n".join(lines) + "\n"


def _gradients(direction: Direction, decay: Decay) -> Iterator[str]:
    """The lines that make of the gradient what the direction is to see."""
    call = f"decay({', '.join(decay.arguments)})"
    if decay.kind == "moment_penalty":
        yield f"    grad, grad_v = {call}"
        return
    if decay.kind == "penalty":
        yield f"    grad = {call}"
    if "grad_v" in direction.arguments:
        yield "    grad_v = grad"


@functools.lru_cache(maxsize=256)
def with_norms(direction: Direction, decay: Decay) -> tuple[Rule, Formula]:
    """A direction with norms as two functions of an element, where its decay is one.

    The rule takes the number that is made of the norms among its coefficients. The formula takes
    the same arguments and gives the terms.
    """
    norms = direction.norms
    assert norms is not None, f"{direction.name} has no norms"
    rule = combine(replace(direction, scope="element", norms=None), decay)
    given = ("weight", "grad", *rule.state, *rule.coefficient_names)
    lines = [f"def terms({', '.join(given)}):", *_gradients(direction, decay)]
    lines.append(f"    return norms({', '.join(arguments_of(norms.terms))})")
    names_of = {"norms": norms.terms, "decay": decay.formula}
    return rule, _compile("terms", "\n".join(lines) + "\n", names_of, direction, decay)


def _forming(direction: Direction, decay: Decay) -> str:
    """The text of the function that forms all coefficients of an update."""
    scalars = (*direction.scalars, *decay.scalars)
    given = ("t", "eta", "lr", *scalars)
    lines = [f"def coefficients({', '.join(('t', 'eta', 'lr', 'group', *scalars))}):"]
    lines.append('    result = {"strength": strength(group["weight_decay"], eta, lr)}')
    for name, part in (("direction", direction), ("decay", decay)):
        if part.coefficients is not no_coefficients:
            names = arguments_of(part.coefficients)
            values = [each if each in given else f'group["{each}"]' for each in names]
            lines.append(f"    result |= {name}({', '.join(values)})")
    return "\n".join((*lines, "    return result")) + "\n"


def _compile(
    name: str, source: str, names: Mapping[str, Any], direction: Direction, decay: Decay
) -> Formula:
    """The function of this name, from a text in which the other names stand for these objects."""
    own = f"{id(direction):x} {id(decay):x}"
    filename = f"<unyoke {name} of {direction.name} with {decay.name} {own}>"
    return from_text(name, source, filename, names)


__all__ = [
    "Average",
    "Decay",
    "Direction",
    "Formula",
    "Hyperparameters",
    "Kind",
    "MatrixStage",
    "Norms",
    "Part",
    "Rule",
    "Scope",
    "Strength",
    "combine",
    "decay",
    "direction",
    "in_gradient",
    "no_coefficients",
    "passes",
    "per_learning_rate",
    "per_squared_rate",
    "per_update",
    "stack_size",
    "with_norms",
]
