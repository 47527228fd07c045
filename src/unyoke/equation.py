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
import inspect
import linecache
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

import torch

Hyperparameters: TypeAlias = Mapping[str, Any]
Formula: TypeAlias = Callable[..., Any]
Strength: TypeAlias = Callable[[Any, Any, Any], Any]
Scope: TypeAlias = Literal["element", "tensor"]
Kind: TypeAlias = Literal["pull", "penalty", "moment_penalty", "projection", "none"]


def no_coefficients() -> dict[str, Any]:
    """For formulas that need nothing but tensors."""
    return {}


def nothing_to_check(hyperparameters: Hyperparameters) -> None:
    """For parts whose hyperparameters are free."""


def no_objection(weight: torch.Tensor) -> str | None:
    """For parts that take weights of any shape."""
    return None


def zeros(name: str, weight: torch.Tensor, hyperparameters: Hyperparameters) -> torch.Tensor:
    """The initial state of most directions: zeros in the layout of the weight."""
    return torch.zeros_like(weight, memory_format=torch.preserve_format)


def per_update(weight_decay: Any, eta: Any, lr: Any) -> Any:
    """η_t·λ: the paper's decay, untouched by the learning rate."""
    return eta * weight_decay


def per_learning_rate(weight_decay: Any, eta: Any, lr: Any) -> Any:
    """α·η_t·λ: the decay of torch, optax, Keras and timm."""
    return lr * weight_decay


def per_squared_rate(weight_decay: Any, eta: Any, lr: Any) -> Any:
    """α·η_t²·λ, which is lr_t²/lr_max·λ: the decay of AdamC."""
    return lr * eta * weight_decay


def in_gradient(weight_decay: Any, eta: Any, lr: Any) -> Any:
    """λ′: the strength of an L2 penalty, which the direction then scales as it scales g."""
    return weight_decay


@dataclass(frozen=True, eq=False)
class Part:
    """What a direction and a decay have in common.

    Attributes:
        name: the word users write.
        formula: a pure function of one element (of one tensor, if ``scope`` says so). Its
            arguments are taken by name: tensors of the update (``weight``, ``grad``, ``grad_v``,
            ``step``), then the state, then the coefficients.
        state: names of the per-element state, torch's own where torch has the algorithm.
        coefficients: ``(t, lr, eta, …hyperparameters)``, any of them, by name → the formula's
            coefficients by name. Runs on the host in float64, or on tensors if lr is one.
        defaults: hyperparameters, which become entries of each parameter group.
        check: raises ValueError for hyperparameters out of range.
        scope: ``"element"`` runs on every backend. ``"tensor"`` needs norms or matrices: eager
            and compile only.
        scalars: names of per-parameter numbers that ``coefficients`` reads and renews.
        initial: makes the initial state, ``(name, weight, hyperparameters) → tensor``.
        objection: why a weight cannot take part, ``weight → str | None``; asked at construction.
        nonnegative: names of state that is never negative, such as second moments. In 8 bits they
            need no sign, and what is not zero is never stored as zero.
    """

    name: str
    formula: Formula
    state: tuple[str, ...] = ()
    coefficients: Callable[..., dict[str, Any]] = no_coefficients
    defaults: Hyperparameters = field(default_factory=dict)
    check: Callable[[Hyperparameters], None] = nothing_to_check
    scope: Scope = "element"
    scalars: tuple[str, ...] = ()
    initial: Callable[[str, torch.Tensor, Hyperparameters], torch.Tensor] = zeros
    objection: Callable[[torch.Tensor], str | None] = no_objection
    nonnegative: tuple[str, ...] = ()

    @property
    def arguments(self) -> tuple[str, ...]:
        """The formula's arguments, in its own order."""
        return _arguments(self.formula)

    @property
    def summary(self) -> str:
        """The first line of the documentation."""
        return (self.__doc__ or "").strip().split("\n")[0]

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} {self.name}>"

    def __reduce__(self) -> str:
        return self.name  # pickled by reference, as functions are


@dataclass(frozen=True, repr=False, eq=False)
class Direction(Part):
    """Turns gradients into the step that is subtracted from the weights.

    The formula takes ``grad`` (and ``grad_v``, the gradient as the second moment sees it; the two
    differ only under the L2 ablations) and returns ``step`` followed by the new state. It receives
    the learning rate α·η_t and returns the whole step, because the paper's SGDW keeps the rate
    inside its momentum buffer.

    Attributes:
        skips_zeros: a zero gradient changes neither the weight nor the state, so that a sparse
            gradient says all that there is to do.
        no_decay: why no decay goes with it; empty if every decay does.
    """

    skips_zeros: bool = False
    no_decay: str = ""

    def __post_init__(self) -> None:
        _check_part(self, inputs={"weight", "grad", "grad_v"})


@dataclass(frozen=True, repr=False, eq=False)
class Decay(Part):
    """Pulls the weights towards the origin, or towards an anchor.

    Attributes:
        kind: ``"pull"``: the formula gives what ``strength`` multiplies, followed by new state.
            ``"penalty"``: it gives the gradient with the penalty's own gradient in it.
            ``"moment_penalty"``: it gives two gradients, for the first moment and for the second.
            ``"projection"``: it gives what is subtracted after the step, ``strength`` included,
            followed by new state. ``"none"``: it is never called.
        strength: ``(weight_decay, eta, lr)`` → the number in front.
    """

    kind: Kind = "pull"
    strength: Strength = per_update

    def __post_init__(self) -> None:
        _check_part(self, inputs=_DECAY_INPUTS[self.kind])


def direction(**options: Any) -> Callable[[Formula], Direction]:
    """Make a :class:`Direction` of a formula; its name and documentation are the function's."""

    def make(formula: Formula) -> Direction:
        return _documented(Direction(name=formula.__name__, formula=formula, **options), formula)

    return make


def decay(**options: Any) -> Callable[[Formula], Decay]:
    """Make a :class:`Decay` of a formula; its name and documentation are the function's."""

    def make(formula: Formula) -> Decay:
        return _documented(Decay(name=formula.__name__, formula=formula, **options), formula)

    return make


P = TypeVar("P", bound=Part)


def _documented(part: P, formula: Formula) -> P:
    object.__setattr__(part, "__doc__", inspect.getdoc(formula))
    object.__setattr__(part, "__module__", formula.__module__)
    return part


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
    def scalars(self) -> tuple[str, ...]:
        return self.direction.scalars + self.decay.scalars

    @property
    def nonnegative(self) -> tuple[str, ...]:
        return self.direction.nonnegative + self.decay.nonnegative

    @property
    def defaults(self) -> dict[str, Any]:
        return {**self.direction.defaults, **self.decay.defaults}

    def check(self, hyperparameters: Hyperparameters) -> None:
        """Raise ValueError if a hyperparameter is out of its range."""
        self.direction.check(hyperparameters)
        self.decay.check(hyperparameters)

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
    coefficients = (*_coefficients(direction), *_coefficients(decay), "strength")
    names = (*state, *coefficients)
    hyperparameters = (*direction.defaults, *decay.defaults)
    clash = {name for used in (names, hyperparameters) for name in used if used.count(name) > 1}
    if clash:
        raise ValueError(
            f"direction {direction.name!r} and decay {decay.name!r} both use the names "
            f"{sorted(clash)}: rename one"
        )
    source = _source(direction, decay, state, coefficients)
    names_of = {"direction": direction.formula, "decay": decay.formula}
    function = _compile("update", source, names_of, direction, decay)
    forms = {
        "direction": direction.coefficients,
        "decay": decay.coefficients,
        "strength": decay.strength,
    }
    form = _compile("coefficients", _forming(direction, decay), forms, direction, decay)
    return Rule(direction, decay, function, source, state, coefficients, form)


@functools.lru_cache(maxsize=256)
def _arguments(function: Formula) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)


_INPUTS = frozenset({"weight", "grad", "grad_v", "step", "strength"})
_DECAY_INPUTS: Mapping[Kind, set[str]] = {
    "pull": {"weight", "step"},
    "penalty": {"weight", "grad", "strength"},
    "moment_penalty": {"weight", "grad", "strength"},
    "projection": {"weight", "step", "strength"},
    "none": set(),
}


def _coefficients(part: Part) -> tuple[str, ...]:
    return tuple(name for name in part.arguments if name not in _INPUTS | set(part.state))


def _check_part(part: Part, inputs: set[str]) -> None:
    """A part that cannot work is refused when it is made, not in the middle of a training."""
    if not part.name.isidentifier():
        raise ValueError(f"a part's name must be an identifier, not {part.name!r}")
    unknown = (set(part.arguments) & _INPUTS) - inputs
    if unknown:
        raise ValueError(
            f"the formula of {part.name!r} asks for {sorted(unknown)}; "
            f"a {type(part).__name__.lower()} can have {sorted(inputs)}"
        )
    missing = set(part.state) - set(part.arguments)
    if missing:
        raise ValueError(f"the formula of {part.name!r} does not take its state {sorted(missing)}")


def _source(
    direction: Direction, decay: Decay, state: tuple[str, ...], coefficients: tuple[str, ...]
) -> str:
    """The text of the combined update; what a reader would write by hand."""
    lines = [f"def update({', '.join(('weight', 'grad', *state, *coefficients))}):"]
    call = f"decay({', '.join(decay.arguments)})"
    if decay.kind == "moment_penalty":
        lines.append(f"    grad, grad_v = {call}")
    else:
        if decay.kind == "penalty":
            lines.append(f"    grad = {call}")
        if "grad_v" in direction.arguments:
            lines.append("    grad_v = grad")
    step = ", ".join(("step", *direction.state))
    lines.append(f"    {step} = direction({', '.join(direction.arguments)})")
    if decay.kind == "pull":
        pull = ", ".join(("pull", *decay.state))
        lines.append(f"    {pull} = {call}")
        lines.append("    delta = step + strength * pull")
    elif decay.kind == "projection":
        lines.append(f"    {', '.join(('projection', *decay.state))} = {call}")
        lines.append("    delta = step + projection")
    else:
        lines.append("    delta = step")
    lines.append(f"    return ({', '.join(('delta', *state))},)")
    return "\n".join(lines) + "\n"


def _forming(direction: Direction, decay: Decay) -> str:
    """The text of the function that forms all coefficients of an update."""
    scalars = (*direction.scalars, *decay.scalars)
    given = ("t", "eta", "lr", *scalars)
    lines = [f"def coefficients({', '.join(('t', 'eta', 'lr', 'group', *scalars))}):"]
    lines.append('    result = {"strength": strength(group["weight_decay"], eta, lr)}')
    for name, part in (("direction", direction), ("decay", decay)):
        if part.coefficients is not no_coefficients:
            names = _arguments(part.coefficients)
            values = [each if each in given else f'group["{each}"]' for each in names]
            lines.append(f"    result |= {name}({', '.join(values)})")
    return "\n".join((*lines, "    return result")) + "\n"


def _compile(
    name: str, source: str, names: Mapping[str, Any], direction: Direction, decay: Decay
) -> Formula:
    """The function of this name, from a text in which the other names stand for these objects."""
    own = f"{id(direction):x} {id(decay):x}"  # names may repeat, and the text is read by file name
    filename = f"<unyoke {name} of {direction.name} with {decay.name} {own}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    namespace = dict(names)
    exec(compile(source, filename, "exec"), namespace)  # the text above, from checked names
    function: Formula = namespace[name]
    return function
