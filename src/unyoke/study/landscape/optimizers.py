"""The optimizers that a study can run: by name, with hyperparameters, or from a user's own file.

`AdamW` and every other name of `unyoke.optimizers`; `AdamW(betas=(0.9, 0.95), eps=1e-6)` has other
hyperparameters than the defaults, `Adam+l2_first_moment` another rule of `unyoke.decays`. `SGD` and
`Adam` are here what the paper calls so, Algorithm 1 and 2 with L2; torch's SGD has no momentum, and
the rate outside its buffer. `my_file.py:make` is a class of optimizers in a user's file, or a
function of params, lr and weight_decay that makes one.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from types import MappingProxyType
from typing import Any, NamedTuple, TypeGuard, cast

import torch
from torch import Tensor, nn

import unyoke
from unyoke import decays, directions, optimizers
from unyoke.equation import combine
from unyoke.population import UnstackableError
from unyoke.study.errors import StudyError
from unyoke.study.landscape import calls
from unyoke.study.landscape.calls import Call
from unyoke.study.landscape.schedules import Own

PAPER = {"SGD": unyoke.SGDW, "Adam": unyoke.AdamW}
"""Algorithm 1 and 2 of the paper, which have an L2 penalty under these names."""


OWN = "own"
"""The direction and the decay of an optimizer of a user's own file: nobody knows them."""

_GIVEN = ("params", "lr", "weight_decay", "decay", "schedule", "direction", "backend")
"""Arguments of an optimizer that are no hyperparameters of a map's."""


def canonical(text: str) -> str:
    """The name of the optimizer that `text` names, always the same for the same optimizer.

    Raises:
        StudyError: there is no such optimizer, decay rule or hyperparameter, or they do not go
            together.

    >>> canonical("Adam+l2")
    'Adam'
    >>> canonical("AdamW(eps=1e-6, betas=(0.9, 0.95))")
    'AdamW(betas=(0.9, 0.95), eps=1e-06)'
    """
    call = calls.parse(text)
    if call.own is not None:
        if call.rule:
            raise StudyError(f"{call}: an optimizer of a file of yours has its own decay")
        return str(call)
    _known(call.name, optimizers.ALL, "optimizer")
    if call.rule:
        _known(call.rule, decays.ALL, "decay rule")
        if call.rule == _own_decay(call.name):
            call = replace(call, rule="")
    if call.arguments or call.rule:
        _try(call, text)
    return str(call)


def _try(call: Call, text: str) -> None:
    """Raise StudyError if there can be no such optimizer."""
    for name, value in call.arguments.items():
        if name in _GIVEN or isinstance(value, Call):
            hint = " (write NAME+RULE)" if name == "decay" else ""
            raise StudyError(f"{text.strip()!r}: {name} is no hyperparameter of a map's{hint}")
    try:
        if call.rule:
            combine(directions.get(direction(str(call))), decays.get(call.rule))
        factory(str(call))([nn.Parameter(torch.zeros(2, 2))], lr=1e-3, weight_decay=0.0)
    except (ValueError, TypeError) as error:
        raise StudyError(f"{text.strip()!r} cannot be trained: {error}") from error


@cache
def direction(name: str) -> str:
    """The direction of the optimizer of this name; `OWN` of a user's own."""
    call = calls.parse(name)
    return OWN if call.own else _class(call.name).composition.direction.name


@cache
def decay(name: str) -> str:
    """The decay rule of the optimizer of this name; `OWN` of a user's own."""
    call = calls.parse(name)
    return OWN if call.own else call.rule or _own_decay(call.name)


def title(name: str) -> str:
    """The optimizer, with its kind of decay where the name does not tell it."""
    return f"{name} + L2" if decay(name) == "l2" else name


def _class(name: str) -> type[optimizers.Named]:
    return PAPER.get(name) or optimizers.ALL[name]


def _own_decay(name: str) -> str:
    return "l2" if name in PAPER else _class(name).composition.decay.name


def factory(
    name: str, own: Own = MappingProxyType({}), decaying: Sequence[bool] | None = None
) -> Callable[..., unyoke.Optimizer]:
    """A function `(params, lr=, weight_decay=)` that makes the optimizer.

    Parameters that its direction does not take, such as the biases beside Muon's matrices, are
    given to Adam with the same decay rule, α and λ. An optimizer without decay ignores λ.

    Args:
        own: what a user's files have, by `file.py:function`.
        decaying: whether weight decay applies, for each parameter; to all by default.
    """
    call = calls.parse(name)
    main: Callable[..., unyoke.Optimizer]
    if call.own is None:
        main, made = _class(call.name), directions.get(direction(name))
        if "weight_decay" not in inspect.signature(main).parameters:  # one without decay ignores λ
            main = partial(unyoke.Optimizer, direction=direction(name))
        main = partial(main, decay=decay(name))
    elif is_named(main := own[call.own]):
        made = main.composition.direction
    else:
        return partial(_of_a_file, call, main, decaying)
    objection = made.objection
    main = partial(main, **call.arguments)

    def make(params: Sequence[Tensor], lr: Any, weight_decay: Any, **more: Any) -> unyoke.Optimizer:
        stacked = isinstance(lr, Tensor) and lr.dim() == 1
        taken = [objection(weight[0] if stacked else weight) is None for weight in params]
        groups = [
            {"params": [w for w, take in zip(params, taken, strict=True) if take is mine], **others}
            for mine, others in ((True, {}), (False, {"direction": "adam"}))
        ]
        free = _free(params, decaying, weight_decay)
        filled = [part for group in groups for part in _divided(group, free)]
        return main(filled, lr=lr, weight_decay=weight_decay, **more)

    return make


def is_named(function: object) -> TypeGuard[type[optimizers.Named]]:
    """Whether what a user's file has is a class of unyoke's kind, with direction and decay."""
    is_class = isinstance(function, type) and issubclass(function, optimizers.Named)
    return is_class and hasattr(function, "composition")


class _Free(NamedTuple):
    """Parameters without weight decay, and the 0 that their group has in its place."""

    params: frozenset[int]
    zero: Any


def _free(params: Sequence[Tensor], decaying: Sequence[bool] | None, weight_decay: Any) -> _Free:
    flags = decaying or [True] * len(params)
    free = frozenset(id(w) for w, decays in zip(params, flags, strict=True) if not decays)
    return _Free(free, 0.0 * weight_decay)


def _divided(group: dict[str, Any], free: _Free) -> list[dict[str, Any]]:
    """A group as up to two: of what decays, and of what does not, which says so to populations."""
    parts = [
        {**group, "params": [w for w in group["params"] if id(w) not in free.params]},
        {
            **group,
            "params": [w for w in group["params"] if id(w) in free.params],
            "weight_decay": free.zero,
            "decays": False,
        },
    ]
    return [part for part in parts if part["params"]]


def _of_a_file(
    call: Call,
    function: Callable[..., Any],
    decaying: Sequence[bool] | None,
    params: Sequence[Tensor],
    lr: Any,
    weight_decay: Any,
) -> unyoke.Optimizer:
    if isinstance(lr, Tensor):
        raise UnstackableError(f"{call} is an optimizer of a user's file, made for one model")
    given: list[Any] = list(params)
    if decaying is not None:
        given = _divided({"params": given}, _free(params, decaying, weight_decay))
    made = function(given, lr=lr, weight_decay=weight_decay, **call.arguments)
    missing = [name for name in ("param_groups", "step", "zero_grad") if not hasattr(made, name)]
    if missing:
        raise StudyError(
            f"{call} returned {type(made).__name__}, which has no {', '.join(missing)}; it must "
            "return an optimizer of torch's kind"
        )
    return cast(unyoke.Optimizer, made)


def _known(name: str, known: Mapping[str, Any], kind: str) -> None:
    if name not in known:
        same = [each for each in known if each.lower() == name.lower()]
        near = same or difflib.get_close_matches(name, known, n=2)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise StudyError(f"unknown {kind} {name!r}; {hint}known: {', '.join(known)}")
