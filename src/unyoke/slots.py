"""The slots of the equation: what a direction and a decay are, and how a function becomes one.

Formulas are pure and know one element. What depends only on the update's number t is computed
beside them, once per step, on the host and in float64.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar, overload

import numpy as np
import torch

from unyoke.ranges import Limits, check_defaults, limits_of, nothing_to_check, plain
from unyoke.stages import Formula, MatrixStage, Norms, arguments_of

Hyperparameters: TypeAlias = Mapping[str, Any]
Strength: TypeAlias = Callable[[Any, Any, Any], Any]
Scope: TypeAlias = Literal["element", "tensor"]
Kind: TypeAlias = Literal["pull", "penalty", "moment_penalty", "projection", "none"]


def no_coefficients() -> dict[str, Any]:
    """For formulas that need nothing but tensors."""
    return {}


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
        check: raises ValueError for hyperparameters out of a range that is narrower than what
            :func:`unyoke.ranges.check_defaults` asks of every number.
        scope: ``"element"`` runs on every backend. ``"tensor"`` needs norms or matrices: eager
            and compile, and the cpu backend with ``norms`` or ``stage``.
        scalars: names of per-parameter numbers that ``coefficients`` reads and renews; 1 before
            the first update.
        sums: those of them that are 0 before the first update and depend on the learning rate, so
            that each of K stacked models has its own.
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
    sums: tuple[str, ...] = ()
    initial: Callable[[str, torch.Tensor, Hyperparameters], torch.Tensor] = zeros
    objection: Callable[[torch.Tensor], str | None] = no_objection
    nonnegative: tuple[str, ...] = ()

    @property
    def arguments(self) -> tuple[str, ...]:
        """The formula's arguments, in its own order."""
        return arguments_of(self.formula)

    @property
    def coefficient_names(self) -> tuple[str, ...]:
        """Those of the arguments that :attr:`coefficients` forms."""
        return tuple(name for name in self.arguments if name not in _INPUTS | set(self.state))

    def check_values(self, hyperparameters: Hyperparameters) -> None:
        """Raise ValueError if a hyperparameter is out of its range."""
        check_defaults(self.defaults, hyperparameters)
        self.check(hyperparameters)

    @property
    def limits(self) -> Mapping[str, Limits] | None:
        """Between which numbers hyperparameters pass :meth:`check_values`, each by itself.

        None if only ``check`` knows.
        """
        return limits_of(self.defaults, self.check)

    @property
    def summary(self) -> str:
        """The first line of the documentation."""
        return (self.__doc__ or "").strip().split("\n")[0]

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} {self.name}>"

    def __reduce__(self) -> str:
        return self.name  # pickled by reference, as functions are


@dataclass(frozen=True, eq=False)
class Average:
    """Weights that are trained and weights that are evaluated, where these are not the same.

    Attributes:
        formula: ``(weight, delta, *state, *coefficients) → (delta, *state)``, of one element: what
            becomes of the whole update, decay included, before it is subtracted from the weight.
        evaluated: ``(weight, *state, hyperparameters) → tensor``: the weights to evaluate, of those
            that are trained.
        trained: the inverse.
        state: names of state that the formula takes, weights before the first update. It is kept
            as weights are, whatever the format of the rest.
    """

    formula: Formula
    evaluated: Callable[..., torch.Tensor]
    trained: Callable[..., torch.Tensor]
    state: tuple[str, ...]


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
        stage: what is done with whole matrices. The formula is then one of an element, gives what
            the stage gets, and takes the state that is not the stage's; ``scope`` is "tensor".
        norms: norms of the whole tensor that the step depends on. The formula is then one of an
            element and takes ``norms.name``; ``scope`` is "tensor".
        average: if the weights that are trained are not those to evaluate. Its state is the last of
            ``state``, and ``coefficients`` forms its coefficients too.
        averages: the step is an average of gradients, by ``betas[0]`` or ``momentum`` if there is
            such a number, over nothing but second moments that come to rest. So its rotation in
            equilibrium is that of this momentum, which :func:`unyoke.monitor` predicts.
    """

    skips_zeros: bool = False
    no_decay: str = ""
    stage: MatrixStage | None = None
    norms: Norms | None = None
    average: Average | None = None
    averages: bool = False

    def __post_init__(self) -> None:
        _check_part(self, inputs={"weight", "grad", "grad_v"})
        if self.norms is not None:
            taken = set(arguments_of(self.norms.terms)) - {"weight", *self.arguments}
            if taken or self.norms.name not in self.arguments:
                raise ValueError(
                    f"the formula of {self.name!r} takes {', '.join(self.arguments)}: it must take "
                    f"{self.norms.name!r}, which its norms are made into, and what their terms "
                    f"take but for the weight: {', '.join(sorted(taken)) or 'nothing more'}"
                )

    @property
    def moments(self) -> tuple[str, ...]:
        """The state that makes the step: all but that of the average."""
        own = () if self.average is None else self.average.state
        return tuple(name for name in self.state if name not in own)

    @property
    def formula_state(self) -> tuple[str, ...]:
        """The state that the formula takes and gives back."""
        own = () if self.stage is None else self.stage.state
        return tuple(name for name in self.moments if name not in own)

    @property
    def coefficient_names(self) -> tuple[str, ...]:
        names, known = list(self.arguments), _INPUTS | set(self.state)
        if self.stage is not None:
            names += self.stage.coefficient_names
        if self.norms is not None:
            names += self.norms.arguments
            known |= {self.norms.name}
        if self.average is not None:
            names += arguments_of(self.average.formula)
        return tuple(dict.fromkeys(name for name in names if name not in known))

    @property
    def functions(self) -> dict[str, Formula]:
        """What :meth:`lines` call, by name."""
        found = {"direction": self.formula}
        if self.stage is not None:
            found["stage"] = self.stage.step
        if self.norms is not None:
            found["norms"] = self.norms.of_tensor
        return found

    def lines(self) -> Iterator[str]:
        """The lines of a function of whole tensors that form ``step`` and the new state."""
        if self.norms is not None:
            yield f"    {self.norms.name} = norms({', '.join(self.norms.arguments)})"
        results = ", ".join(("step", *self.formula_state))
        yield f"    {results} = direction({', '.join(self.arguments)})"
        if self.stage is not None:
            results = ", ".join(("step", *self.stage.state))
            given = (results, *self.stage.coefficient_names)
            yield f"    {results}, = stage({', '.join(given)})"


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


@overload
def direction(formula: Formula, /) -> Direction: ...
@overload
def direction(**options: Any) -> Callable[[Formula], Direction]: ...
def direction(
    formula: Formula | None = None, /, **options: Any
) -> Direction | Callable[[Formula], Direction]:
    """Make a :class:`Direction` of a formula; its name and documentation are the function's.

    >>> @direction(coefficients=lambda lr: {"lr": lr})
    ... def descent(grad, lr):
    ...     "step = α·η_t·g_t"
    ...     return lr * grad
    >>> descent
    <direction descent>
    """
    return _made(Direction, formula, options)


@overload
def decay(formula: Formula, /) -> Decay: ...
@overload
def decay(**options: Any) -> Callable[[Formula], Decay]: ...
def decay(formula: Formula | None = None, /, **options: Any) -> Decay | Callable[[Formula], Decay]:
    """Make a :class:`Decay` of a formula; its name and documentation are the function's.

    >>> @decay
    ... def toward_one(weight):
    ...     "pull = θ_{t−1} − 1"
    ...     return weight - 1.0
    >>> toward_one
    <decay toward_one>
    """
    return _made(Decay, formula, options)


P = TypeVar("P", bound=Part)


def _made(
    kind: type[P], formula: Formula | None, options: Mapping[str, Any]
) -> P | Callable[[Formula], P]:
    """The part, or, where the decorator was called with options, what makes it."""

    def make(formula: Formula) -> P:
        if not callable(formula):
            raise TypeError(f"@{kind.__name__.lower()} is for a function, not {formula!r}")
        part = kind(name=formula.__name__, formula=formula, **options)
        _check_coefficients(part)
        # it is frozen
        vars(part).update(__doc__=inspect.getdoc(formula), __module__=formula.__module__)
        return part

    return make if formula is None else make(formula)


_INPUTS = frozenset({"weight", "grad", "grad_v", "step", "strength", "delta"})
_DECAY_INPUTS: Mapping[Kind, set[str]] = {
    "pull": {"weight", "step"},
    "penalty": {"weight", "grad", "strength"},
    "moment_penalty": {"weight", "grad", "strength"},
    "projection": {"weight", "step", "strength"},
    "none": set(),
}


def _check_coefficients(part: Part) -> None:
    """A formula takes nothing that is not formed."""
    known = {"t": 1, "lr": 1e-3, "eta": 1.0, "weight_decay": 0.0, **part.defaults}
    known |= dict.fromkeys(part.scalars, 1.0)
    asked = arguments_of(part.coefficients)
    if not known.keys() >= {*asked}:
        return  # it takes other entries of the group, such as the direction's
    try:
        formed = {*part.coefficients(**{name: known[name] for name in asked}), "strength"}
    except Exception:  # it may want other numbers than these; the first step shows
        return
    if isinstance(part, Direction) and part.norms is not None:
        formed.add(part.norms.name)
    if missing := sorted({*part.coefficient_names} - formed):
        raise ValueError(
            f"the formula of {part.name!r} takes {missing}, which nothing forms: give "
            f"coefficients=, a function that returns them by name, such as "
            f"lambda lr: {{{missing[0]!r}: lr}}"
        )


def _check_part(part: Part, inputs: set[str]) -> None:
    """A part that cannot work is refused when it is made, not in the middle of a training.

    Its defaults become plain numbers.
    """
    # frozen: past __setattr__
    vars(part).update(defaults={name: _default(part, name) for name in part.defaults})
    if not part.name.isidentifier():
        raise ValueError(f"a part's name must be an identifier, not {part.name!r}")
    unknown = (set(part.arguments) & _INPUTS) - inputs
    if unknown:
        raise ValueError(
            f"the formula of {part.name!r} asks for {sorted(unknown)}; "
            f"a {type(part).__name__.lower()} can have {sorted(inputs)}"
        )
    own = part.formula_state if isinstance(part, Direction) else part.state
    missing = set(own) - set(part.arguments)
    if missing:
        raise ValueError(f"the formula of {part.name!r} does not take its state {sorted(missing)}")


def _default(part: Part, name: str) -> Any:
    """A hyperparameter's default; its numbers as :func:`check_defaults` knows them."""
    value = plain(part.defaults[name])
    if isinstance(value, torch.Tensor) and value.dim() == 0:
        return value.item()
    if isinstance(value, (torch.Tensor, np.ndarray)):
        raise ValueError(
            f"the default of {name!r} of {part.name!r} is {value!r}: give a number, or several in "
            "a tuple"
        )
    return tuple(value) if isinstance(value, list) else value
