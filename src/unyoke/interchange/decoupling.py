"""Decoupled weight decay for any optimizer: its own update, and then a decay rule of ours.

    θ_t = U(θ_{t−1}, g_t) − η_t·λ·pull(θ_{t−1})

U is the update of a ``torch.optim.Optimizer`` subclass with its weight decay turned off.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch.optim.optimizer import ParamsT

from unyoke import decays
from unyoke._step.groups import Groups, show
from unyoke._step.hyperparameters import (
    Group,
    WeightDecay,
    is_rehearsal,
    largest,
)
from unyoke._step.owner import Owner
from unyoke._step.state import drop_early_anchor, note_early_anchor
from unyoke._support.callers import warn
from unyoke.backends.eager import as_real
from unyoke.checkpoint import opened
from unyoke.equation import Decay
from unyoke.interchange import decoupled_checkpoint
from unyoke.interchange.trial import check_inner
from unyoke.optimizer import Optimizer
from unyoke.schedules import Schedule
from unyoke.stages import arguments_of


def decouple(
    cls: type[torch.optim.Optimizer], *, off: Mapping[str, Any] | None = None
) -> type[Decoupled]:
    """A class whose step is ``cls``'s update without its weight decay, and then decoupled decay.

    θ_t = U(θ_{t−1}, g_t) − η_t·λ·pull(θ_{t−1})

    The class takes the arguments of ``cls`` and, as :class:`unyoke.Optimizer`, ``weight_decay``
    (λ per update, times η_t and **not** times lr; default 1e-5), ``decay`` and ``schedule``. It is
    a subclass of ``cls``: state, hooks, closures, groups and checkpoints are those of ``cls``.
    A closure may be evaluated several times in a step; the decay is that of the weights before it.
    The step keeps a copy of the weights while it runs, and rounds twice: U's result, then the
    decay. Weights in bfloat16 want ``rounding=`` of an optimizer of ours instead.

    Args:
        cls: any subclass of torch.optim.Optimizer, except LBFGS.
        off: hyperparameters and the values at which ``cls`` does not decay, if they are not
            ``weight_decay=0``: ``decouple(torch.optim.ASGD, off={"lambd": 0})``. When it is left
            out, the constructor makes one step of ``cls`` on a weight of its own with a zero
            gradient, and refuses if that weight moves.

    Raises:
        ValueError: not such a class, or one that cannot be decoupled; at construction: a decay
            rule that cannot follow another optimizer, or a ``cls`` that still decays.

    >>> import torch, unyoke
    >>> RpropW = unyoke.decouple(torch.optim.Rprop)
    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> optimizer = RpropW([weight], lr=0.1, weight_decay=1e-3)
    >>> weight.grad = torch.zeros(2)
    >>> optimizer.step()
    >>> weight.data
    tensor([0.9990, 0.9990])
    """
    if not (isinstance(cls, type) and issubclass(cls, torch.optim.Optimizer)):
        raise ValueError(f"decouple: {cls!r} is not a subclass of torch.optim.Optimizer")
    if issubclass(cls, (Optimizer, Decoupled)):
        raise ValueError(f"decouple: {cls.__name__} has decoupled decay already: give it decay=")
    if issubclass(cls, torch.optim.LBFGS):
        raise ValueError(
            f"decouple: {cls.__name__} estimates curvature from its own steps and the gradients at "
            "both ends; a decay in between would make these pairs wrong. Put the penalty into the "
            "loss"
        )
    anything: Any = cls  # mypy does not see that classes have a hash
    return _class(anything, None if off is None else tuple(off.items()))


@functools.cache
def _class(cls: Any, off: tuple[tuple[str, Any], ...] | None) -> type[Decoupled]:
    name = f"Decoupled{cls.__name__}"
    first = (cls.__doc__ or "").strip().split("\n")[0]
    namespace = {
        "inner": cls,
        "off": off,
        "__doc__": f"{cls.__name__} with decoupled weight decay; see unyoke.decouple. {first}",
        "__module__": __name__,
    }
    return type(name, (Decoupled, cls), namespace)


def _remade(cls: Any, off: tuple[tuple[str, Any], ...] | None) -> Decoupled:
    """An empty optimizer for a pickle to fill."""
    made = _class(cls, off)
    return made.__new__(made)


class Decoupled(Owner, torch.optim.Optimizer):
    """What :func:`decouple` puts in front of an optimizer class.

    Attributes:
        inner: the class whose update it makes.
        off: what turns the decay of ``inner`` off, beside ``weight_decay=0``.
    """

    inner: ClassVar[type[torch.optim.Optimizer]]
    off: ClassVar[tuple[tuple[str, Any], ...] | None]

    def __init__(
        self,
        params: ParamsT,
        *args: Any,
        decay: str | Decay = "decoupled",
        schedule: Schedule | None = None,
        **kwargs: Any,
    ) -> None:
        self.groups = Groups(schedule)
        self._warnings: list[str] = []
        part = decays.get(decay)
        self._default_decay = {
            "decay": self.checked_decay(part),
            **{name: kwargs.pop(name, default) for name, default in part.defaults.items()},
        }
        parameters: Any = params if isinstance(params, torch.Tensor) else list(params)
        inner = self._inner_arguments(args, kwargs)
        if self.off is None or self.off:  # off={} takes the class as it is
            check_inner(self.inner, parameters, inner, stays=self.off is None)
        super().__init__(parameters, **inner)
        for warning in self._warnings:
            warn(warning)
        # GradScaler shall skip the whole step on overflow, not leave that to the inner update
        self._step_supports_amp_scaling = False

    def _inner_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments of ``inner``, by name, with its decay off; λ is taken out."""
        known = inspect.signature(self.inner).parameters
        own = {} if "weight_decay" in known else {"weight_decay": kwargs.pop("weight_decay", 1e-5)}
        bound = inspect.signature(self.inner).bind((), *args, **kwargs).arguments
        for name, parameter in known.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                bound |= bound.pop(name, {})
        bound.pop(next(iter(known)))
        self._default_weight_decay: WeightDecay = {"weight_decay": 1e-5, **bound, **own}[
            "weight_decay"
        ]
        off = {**({"weight_decay": 0.0} if "weight_decay" in known else {}), **dict(self.off or ())}
        if bound.get("differentiable"):
            raise ValueError(
                f"{type(self).__name__} cannot be differentiable: it works on a copy of the "
                "weights. An optimizer of ours takes differentiable=True"
            )
        return {**bound, **off}

    def checked_decay(self, decay: str | Decay) -> str:
        """The decay's name in a group, if it can follow another optimizer's update."""
        part = self.groups.decay({"decay": decay}) if isinstance(decay, str) else decays.get(decay)
        if part.kind in ("penalty", "moment_penalty"):
            raise ValueError(
                f"decay {part.name!r} goes into the gradient, where {self.inner.__name__} puts its "
                f"own: use {self.inner.__name__} as it is, with its weight_decay"
            )
        return self.groups.named(part)

    # Groups

    def add_param_group(self, param_group: Group) -> None:
        """Add a group; values it lacks are the constructor's.

        Raises:
            ValueError: a value out of its range; nothing is changed.
        """
        group = {**self._default_decay, **param_group}
        group["decay"] = self.checked_decay(group["decay"])
        weight_decay = group.get("weight_decay", self._default_weight_decay)
        lr = group.get("lr", self.defaults.get("lr"))
        part = self.groups.decay(group)
        group = {**part.defaults, **group}
        part.check_values(group)
        self.groups.hear(weight_decay)
        group |= self.groups.opened(lr, weight_decay, self.param_groups)
        super().add_param_group(group)
        group = self.param_groups[-1]
        warning = self.groups.add(group, weight_decay)
        if warning is not None:
            self._warnings.append(warning)  # said once, by the constructor

    # The step

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Make one update of the inner optimizer, then decay.

        Args:
            closure: evaluates the model again and returns the loss.

        Raises:
            RuntimeError: a schedule was given and something else moved ``lr``; nothing is changed.
        """
        rehearsal = self._is_rehearsal()
        rates = [
            (0.0, 0.0) if rehearsal else self.groups.rate(index, group)
            for index, group in enumerate(self.param_groups)
        ]
        before = [self._copies(group, closure is not None) for group in self.param_groups]
        loss = self._inner_step(closure)
        with torch.no_grad():
            for group, (lr, eta), copies in zip(self.param_groups, rates, before, strict=True):
                for weight, old in copies.items():
                    if weight.grad is not None:
                        drop_early_anchor(self, weight)
                        self._apply(group, lr, eta, weight, old)
                        if rehearsal and self.groups.decay(group).state:
                            note_early_anchor(self, self.groups.decay(group).state, weight)
        if not rehearsal:
            show(self.param_groups, self.groups.shown(self.param_groups, 1))
        return loss

    def _is_rehearsal(self) -> bool:
        """Whether torch.distributed.checkpoint only wants to see the state."""
        return is_rehearsal(self.param_groups) and not any(
            largest(group["base_lr"]) == 0 for group in self.param_groups
        )

    def _copies(self, group: Group, all_of_them: bool) -> dict[torch.Tensor, torch.Tensor]:
        """The weights before the step, of those that may move."""
        if self.groups.decay(group).kind == "none":
            return {}
        return {
            weight: weight.detach().clone(memory_format=torch.preserve_format)
            for weight in group["params"]
            if weight.grad is not None or (all_of_them and weight.requires_grad)
        }

    def _inner_step(self, closure: Callable[[], float] | None) -> float | None:
        """The inner optimizer's step, which sees its own decay turned off."""
        step: Callable[..., float | None] = self.inner.step
        if getattr(step, "hooked", False):  # hooks are run around our step already
            step = step.__wrapped__  # type: ignore[attr-defined]
        off = {"weight_decay": 0.0, **dict(self.off or ())}
        kept = [{name: group[name] for name in off if name in group} for group in self.param_groups]
        try:
            for group in self.param_groups:
                group.update({name: value for name, value in off.items() if name in group})
            return step(self) if closure is None else step(self, closure)
        finally:
            for group, values in zip(self.param_groups, kept, strict=True):
                group.update(values)

    def _apply(
        self, group: Group, lr: Any, eta: Any, weight: torch.Tensor, before: torch.Tensor
    ) -> None:
        """θ − ηλ·pull(before), by the decay's own formula, formed in at least float32."""
        part = self.groups.decay(group)
        state = self.state[weight] if part.state else {}
        for name in part.state:
            if name not in state:
                state[name] = part.initial(name, before, group)
        dtype = torch.promote_types(as_real(weight).dtype, torch.float32)
        old, new = as_real(before).to(dtype), as_real(weight.detach()).to(dtype)
        strength = part.strength(group["weight_decay"], eta, lr)
        known = {"weight": old, "step": old - new, "strength": strength}
        known |= {name: as_real(state[name]).to(dtype) for name in part.state}
        given = {**group, "t": group["updates"] + 1, "eta": eta, "lr": lr}
        names = arguments_of(part.coefficients)
        known |= part.coefficients(**{name: given[name] for name in names})
        found = part.formula(**{name: known[name] for name in part.arguments})
        pull, *kept = found if isinstance(found, tuple) else (found,)
        delta = pull if part.kind == "projection" else strength * pull
        as_real(weight).copy_(new - delta)
        for name, value in zip(part.state, kept, strict=True):
            as_real(state[name]).copy_(value)

    # Checkpoints

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore a checkpoint of this class, or of ``inner`` as it is.

        Of the latter, whose weight decay has other units, groups keep their λ and α; the number of
        updates is that of its counters.

        Raises:
            TypeError: it is not a mapping, such as a path.
            ValueError: other groups or shapes, what is no state, or a number that the constructor
                would not take; nothing is changed.
        """
        saved = opened(state_dict)
        decoupled_checkpoint.check(self, saved, self.checked_decay)
        before = {"state": self.state, "param_groups": self.param_groups}
        try:
            super().load_state_dict(self._with_own_values(saved))
            self.refresh()  # calls the user's functions of t, which may raise
        except BaseException:
            self.__dict__.update(before)  # torch has put others in their place, or none
            raise

    def _with_own_values(self, saved: dict[str, Any]) -> dict[str, Any]:
        groups = saved["param_groups"]
        if len(groups) != len(self.param_groups) or all("base_lr" in group for group in groups):
            return saved
        steps = [int(state["step"]) for state in saved["state"].values() if "step" in state]
        own = ("weight_decay", "base_lr", "decay")
        saved["param_groups"] = [
            {**group, **{name: mine[name] for name in own}, "updates": max(steps, default=0)}
            for group, mine in zip(groups, self.param_groups, strict=True)
        ]
        return saved

    def __getstate__(self) -> dict[str, Any]:
        own = {name: self.__dict__[name] for name in _OWN}
        return {**super().__getstate__(), **own}

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (self.inner, self.off), self.__getstate__()


_OWN = (
    "groups",
    "_default_decay",
    "_warnings",
    "_default_weight_decay",
    "_step_supports_amp_scaling",
)
