"""What the named optimizers have in common."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, ClassVar, TypeAlias, TypedDict

import torch

from unyoke.equation import Decay
from unyoke.optimizer import Optimizer
from unyoke.schedules import Schedule
from unyoke.storage.formats import Rounding, StateDtype

Rate: TypeAlias = float | torch.Tensor
Betas: TypeAlias = tuple[float, float]


class Options(TypedDict, total=False):
    """What every optimizer takes beside its own hyperparameters; see :class:`unyoke.Optimizer`."""

    decay: str | Decay
    schedule: Schedule | None
    backend: str
    state_dtype: StateDtype
    rounding: Rounding
    maximize: bool
    differentiable: bool
    capturable: bool
    average_beta: float
    bound_factor: float


class Named(Optimizer):
    """An optimizer whose class line says which direction and decay it is composed of.

    ``class RAdamW(AdamLike, direction="radam")`` is a whole optimizer. Further keywords of the
    class line are other default values of the constructor's arguments.
    """

    composition: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(
        cls, direction: str | None = None, decay: str = "decoupled", **defaults: Any
    ) -> None:
        super().__init_subclass__()
        if direction is None:
            return  # a family, or somebody's subclass of one of the optimizers
        cls.composition = {"direction": direction, "decay": decay}
        constructor = _with_defaults(cls.__init__, defaults)
        cls.__init__ = constructor  # type: ignore[method-assign]  # the same but for defaults

    def completed(self, options: Mapping[str, Any], **own: Any) -> dict[str, Any]:
        """The options and the optimizer's own arguments, with what the class line says."""
        return {**self.composition, **options, **own}


def _with_defaults(function: Callable[..., None], defaults: Mapping[str, Any]) -> Any:
    """A copy of a constructor with other default values."""
    assert isinstance(function, FunctionType), f"{function!r} is not written in Python"
    parameters = inspect.signature(function).parameters
    unknown = defaults.keys() - parameters.keys()
    if unknown:
        raise TypeError(f"{function.__qualname__} has no arguments {sorted(unknown)}")
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
    return copy
