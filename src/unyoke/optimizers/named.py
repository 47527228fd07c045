"""What the named optimizers have in common, and how somebody writes one more.

A class statement is a whole optimizer: its direction, its decay, other default values, and the
documentation. From it follow the constructor, and, in a file of this folder, the public name, the
tables, the command line, the study and the tests over the registry.

>>> from unyoke.equation import direction
>>> @direction(coefficients=lambda lr, scale: {"lr": lr * scale}, defaults={"scale": 1.0})
... def descent(grad, lr):
...     "step = α·η_t·scale·g_t"
...     return lr * grad
>>> class Descent(Named, direction=descent, lr=0.1):
...     "Gradient descent with decoupled weight decay."
>>> import inspect
>>> str(inspect.signature(Descent))
'(params, lr=0.1, scale=1.0, weight_decay=1e-05, **options) -> None'
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from types import FunctionType
from typing import Any, ClassVar, NamedTuple, TypeAlias, TypedDict

import torch

from unyoke import decays, directions
from unyoke._step.groups import Groups
from unyoke._step.hyperparameters import Group
from unyoke.equation import Decay, Direction, combine
from unyoke.optimizer import Optimizer
from unyoke.schedules import Schedule
from unyoke.storage.formats import Rounding, StateDtype

Rate: TypeAlias = float | torch.Tensor
Betas: TypeAlias = tuple[float, float]


class OptionsWithoutSwitches(TypedDict, total=False):
    """What every optimizer takes by name alone; see :class:`unyoke.Optimizer`."""

    decay: str | Decay
    schedule: Schedule | None
    backend: str
    state_dtype: StateDtype
    rounding: Rounding
    seed: int
    fused: bool | None
    average_beta: float
    bound_factor: float


class OptionsWithoutForeach(OptionsWithoutSwitches, total=False):
    """The same with torch's switches, but for ``foreach``, which some take by place."""

    maximize: bool
    differentiable: bool
    capturable: bool


class Options(OptionsWithoutForeach, total=False):
    """What an optimizer takes beside its own hyperparameters; see :class:`unyoke.Optimizer`."""

    foreach: bool | None


class Composition(NamedTuple):
    """What a named optimizer is made of."""

    direction: Direction
    decay: Decay


class Named(Optimizer):
    """An optimizer whose class statement says which direction and decay it is composed of.

    ``class RAdamW(AdamLike, direction="radam")`` is a whole optimizer. ``direction`` and ``decay``
    are names or objects; further keywords of the class line are other default values of the
    constructor's arguments. A class without a constructor gets one: ``lr``, the direction's
    hyperparameters in their order, and ``weight_decay``, by place or by name.

    A subclass without ``direction`` is as its parent, or, with ``decay`` alone, its parent with
    another decay.

    Args:
        params: parameters, named parameters or parameter groups.
        lr: α.
        weight_decay: λ, in the units of the decay.
        direction: another one than the class's.
        foreach: torch's word; accepted, and changes nothing.
        fused: torch's word; accepted, and changes nothing.
        options: the rest of the arguments of :class:`unyoke.Optimizer`.

    Raises:
        TypeError: a base class without direction was called, or as :class:`unyoke.Optimizer`.
        ValueError: as :class:`unyoke.Optimizer`.
    """

    composition: ClassVar[Composition]

    def __init_subclass__(
        cls,
        direction: str | Direction | None = None,
        decay: str | Decay | None = None,
        **defaults: Any,
    ) -> None:
        super().__init_subclass__()
        if direction is None and decay is None and not defaults:
            return  # a family, or somebody's subclass of one of the optimizers
        if direction is None and not hasattr(cls, "composition"):
            raise TypeError(f"class {cls.__name__}: give a direction, by name or as an object")
        own = cls.composition.direction if direction is None else directions.get(direction)
        cls.composition = Composition(own, decays.get("decoupled" if decay is None else decay))
        combine(*cls.composition)  # what cannot work together is refused where it is written
        if cls.__init__ is Named.__init__:
            constructor = _constructor(cls, defaults)
        else:
            constructor = _with_defaults(cls.__init__, defaults)
        cls.__init__ = constructor  # type: ignore[method-assign]  # the same but for defaults

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        weight_decay: Any = 1e-5,
        *,
        direction: str | Direction | None = None,
        decay: str | Decay | None = None,
        foreach: bool | None = None,
        fused: bool | None = None,
        **options: Any,
    ) -> None:
        if not hasattr(self, "composition"):
            raise TypeError(
                f"{type(self).__name__} is a base class: write class Mine({type(self).__name__}, "
                "direction=...), or use unyoke.Optimizer(params, direction=...)"
            )
        own = self.composition
        if direction is not None:
            options = {**options, **self._chosen_words(direction, options)}
        super().__init__(
            params,
            lr,
            weight_decay,
            direction=own.direction if direction is None else direction,
            decay=own.decay if decay is None else decay,
            **options,
        )

    def _chosen_words(self, direction: str | Direction, options: Mapping[str, Any]) -> Group:
        """What to change in words of torch's beside a direction that was given by name."""
        groups = Groups(None, directions.get(direction), self.forms)
        return groups.choosing(directions.get(direction).name, dict(options))


def by_flag(decoupled_weight_decay: bool, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with the decay that torch's ``decoupled_weight_decay=True`` asks for.

    Raises:
        TypeError: another decay is given as well.
    """
    if not decoupled_weight_decay:
        return dict(options)
    if "decay" in options:
        raise TypeError(
            f"decoupled_weight_decay=True means decay='lr_coupled', and decay={options['decay']!r} "
            "is given as well: leave one out"
        )
    return {**options, "decay": "lr_coupled"}


def _constructor(cls: type[Named], defaults: Mapping[str, Any]) -> Callable[..., None]:
    """The constructor of a class that has none: lr, the direction's defaults and weight_decay."""
    direction, decay = cls.composition
    values = {"lr": 1e-3, **direction.defaults}
    values |= {} if decay.kind == "none" else {"weight_decay": 1e-5}
    _check_names(cls.__name__, defaults, values)
    place = Parameter.POSITIONAL_OR_KEYWORD
    signature = Signature(
        [
            Parameter("self", place),
            Parameter("params", place),
            *(Parameter(n, place, default=defaults.get(n, v)) for n, v in values.items()),
            Parameter("options", Parameter.VAR_KEYWORD),
        ],
        return_annotation=None,
    )

    def __init__(self: Named, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        given = {name: value for name, value in bound.arguments.items() if name != "self"}
        super(cls, self).__init__(**given.pop("options"), **given)

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    __init__.__qualname__ = f"{cls.__qualname__}.__init__"
    return __init__


def _with_defaults(function: Callable[..., None], defaults: Mapping[str, Any]) -> Any:
    """A copy of a constructor with other default values."""
    assert isinstance(function, FunctionType), f"{function!r} is not written in Python"
    parameters = inspect.signature(function).parameters
    _check_names(function.__qualname__, defaults, parameters)
    copy = FunctionType(
        function.__code__, function.__globals__, function.__name__, None, function.__closure__
    )
    copy.__defaults__ = tuple(
        defaults.get(name, parameter.default)
        for name, parameter in parameters.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        and parameter.default is not parameter.empty
    )
    copy.__kwdefaults__ = {
        name: defaults.get(name, value) for name, value in (function.__kwdefaults__ or {}).items()
    }
    copy.__annotations__, copy.__doc__ = function.__annotations__, function.__doc__
    copy.__qualname__ = function.__qualname__
    return copy


def _check_names(owner: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    unknown = sorted(given.keys() - known.keys())
    if unknown:
        raise TypeError(
            f"{owner} has no arguments {unknown}: there are "
            f"{', '.join(name for name in known if name not in ('self', 'params', 'options'))}"
        )
