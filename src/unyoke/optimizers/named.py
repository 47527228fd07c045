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

import functools
import inspect
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from typing import Any, ClassVar, NamedTuple, TypeAlias, TypedDict

import torch
from torch.optim.optimizer import ParamsT

from unyoke import decays, directions
from unyoke._step.groups import Forms as Forms
from unyoke._step.groups import Groups
from unyoke._step.hyperparameters import Group as Group
from unyoke._step.hyperparameters import WeightDecay as WeightDecay
from unyoke.equation import Decay, Direction, combine
from unyoke.optimizer import Optimizer
from unyoke.schedules import Schedule
from unyoke.storage.formats import Rounding, StateDtype

# What constructors take, beside numbers
Params: TypeAlias = ParamsT
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
        # The same but for defaults
        cls.__init__ = _constructor(cls, defaults)  # type: ignore[method-assign]

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
        own, rule = self.composition
        if direction is not None:  # what it changes in words of torch's that choose between some
            own = directions.get(direction)
            options |= Groups(None, own, self.forms).choosing(own.name, dict(options))
        super().__init__(
            params,
            lr,
            weight_decay,
            direction=own,
            decay=rule if decay is None else decay,
            **options,
        )


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
    """The constructor that a class has or inherits, with these default values.

    A class that has none takes lr, the direction's defaults and weight_decay.
    """
    inner: Callable[..., None] = cls.__init__
    by_name = inner is Named.__init__  # its places are others
    parameters = _parameters(cls) if by_name else [*inspect.signature(inner).parameters.values()]
    known = [parameter.name for parameter in parameters]
    unknown = sorted(defaults.keys() - {*known})
    if unknown:
        raise TypeError(
            f"{cls.__name__} has no arguments {unknown}: there are "
            f"{', '.join(name for name in known if name not in ('self', 'params', 'options'))}"
        )
    signature = Signature(
        [each.replace(default=defaults.get(each.name, each.default)) for each in parameters],
        return_annotation=None,
    )

    @functools.wraps(inner)
    def __init__(self: Named, *args: Any, **kwargs: Any) -> None:
        try:
            bound = signature.bind(self, *args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}: {error}") from None
        bound.apply_defaults()
        if by_name:
            inner(**bound.arguments.pop("options"), **bound.arguments)
        else:
            inner(*bound.args, **bound.kwargs)

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    return __init__


def _parameters(cls: type[Named]) -> list[Parameter]:
    """The usual ones of a named optimizer."""
    direction, decay = cls.composition
    values = {"lr": 1e-3, **direction.defaults}
    values |= {} if decay.kind == "none" else {"weight_decay": 1e-5}
    place = Parameter.POSITIONAL_OR_KEYWORD
    return [
        *(Parameter(name, place) for name in ("self", "params")),
        *(Parameter(name, place, default=value) for name, value in values.items()),
        Parameter("options", Parameter.VAR_KEYWORD),
    ]
