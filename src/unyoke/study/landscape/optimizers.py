"""The optimizers that a study can run: by name, with hyperparameters, or from a user's own file.

`AdamW` and every other name of `unyoke.optimizers`; `AdamW(betas=(0.9, 0.95), eps=1e-6)` has other
hyperparameters than the defaults, `Adam+l2_first_moment` another rule of `unyoke.decays`. `SGD` and
`Adam` are here what the paper calls so, Algorithm 1 and 2 with L2; torch's SGD has no momentum, and
the rate outside its buffer. `my_file.py:make` is a class of optimizers in a user's file, or a
function of params, lr and weight_decay that makes one, and `AdamW+my_file.py:lasso` has a decay
rule of a user's file.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from types import MappingProxyType
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

import unyoke
from unyoke import decays, directions, optimizers
from unyoke.equation import Decay, combine
from unyoke.population import UnstackableError
from unyoke.study.errors import StudyError, in_one_line
from unyoke.study.landscape import calls, own_parts
from unyoke.study.landscape.calls import Call
from unyoke.study.landscape.schedules import Own
from unyoke.study.landscape.task_reference import OwnCode

PAPER = {"SGD": unyoke.SGDW, "Adam": unyoke.AdamW}
"""Algorithm 1 and 2 of the paper, which have an L2 penalty under these names."""


OWN = "own"
"""A decay that is a rule of a user's file, or not known; and a direction that is not known."""

TORCHS = ("lr_coupled", "corrected")
"""Decay rules whose λ is torch's number as it stands."""

NOT_TORCHS = (OWN, "constrained")
"""Those of which torch has no number: of a user's own, and where λ is the rate of a multiplier."""

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
    if call.own is None:
        _known(call.name, optimizers.ALL, "optimizer")
    if call.rule and call.own_rule is None:
        _known(call.rule, decays.ALL, "decay rule")
        if call.own is None and call.rule == _own_decay(call.name):
            call = replace(call, rule="")
    if (call.arguments or call.rule) and not call.own_parts:
        _try(call, {})
    return str(call)


def composition(name: str, own: Own) -> optimizers.Composition | None:
    """What an optimizer with parts of a user's files is made of; None of ours, and of functions.

    Args:
        own: what the files have, by `file.py:name`.

    Raises:
        StudyError: a part is no optimizer or no decay rule, or it cannot be trained.
    """
    call = calls.parse(name)
    if not call.own_parts:
        return None
    own_parts.check(call, own)
    cls = own[call.own] if call.own is not None else _class(call.name)
    if not own_parts.is_named(cls):
        return None
    _try(call, own)
    made = cls.composition
    return made._replace(decay=_rule(call, own)) if call.rule else made


def _rule(call: Call, own: Own) -> Decay:
    """The decay rule that a call has behind its `+`."""
    rule: Decay = decays.get(call.rule) if call.own_rule is None else own[call.own_rule]
    return rule


def _try(call: Call, own: Own) -> None:
    """Raise StudyError if there can be no such optimizer."""
    for name, value in call.arguments.items():
        if name in _GIVEN or isinstance(value, Call):
            hint = " (write NAME+RULE)" if name == "decay" else ""
            raise StudyError(f"{str(call)!r}: {name} is no hyperparameter of a map's{hint}")
    try:
        if call.rule:
            cls = own[call.own] if call.own is not None else _class(call.name)
            combine(cls.composition.direction, _rule(call, own))
        factory(str(call), own)([nn.Parameter(torch.zeros(2, 2))], lr=1e-3, weight_decay=0.0)
    except (ValueError, TypeError) as error:
        raise StudyError(f"{str(call)!r} cannot be trained: {error}") from error
    except StudyError:
        raise
    except Exception as error:  # a constructor of a user's file raises whatever it likes
        raise StudyError(f"{call} cannot be made: {in_one_line(error)}") from error


@cache
def direction(name: str, own: tuple[OwnCode, ...] = ()) -> str:
    """The direction of the optimizer of this name, as `OwnCode` has it; `OWN` where not known.

    Args:
        own: of a landscape's task: what is known of a user's files.
    """
    call = calls.parse(name)
    if call.own is None:
        return _class(call.name).composition.direction.name
    return _code(call.own, own).direction or OWN


@cache
def decay(name: str, own: tuple[OwnCode, ...] = ()) -> str:
    """The decay rule of the optimizer of this name; `OWN` of a user's own, and where not known."""
    rule = _named_decay(calls.parse(name), own)
    return OWN if rule is None or ":" in rule else rule


@cache
def takes_matrices_only(name: str, own: tuple[OwnCode, ...] = ()) -> bool:
    """Whether the optimizer takes weights of two dimensions and no others, as MuonW does.

    Args:
        own: of a landscape's task: what is known of a user's files.
    """
    call = calls.parse(name)
    answer = None if call.own is None else _code(call.own, own).for_matrices
    if answer is not None:
        return answer
    try:
        return own_parts.is_for_matrices(directions.get(direction(name, own)))
    except ValueError:  # a direction of a user's file, in a ledger that says no more of it
        return False


def _named_decay(call: Call, own: Iterable[OwnCode]) -> str | None:
    if call.own_rule is not None:
        return _code(call.own_rule, own).decay or call.own_rule
    if call.rule or call.own is None:
        return call.rule or _own_decay(call.name)
    return _code(call.own, own).decay


def _code(name: str, own: Iterable[OwnCode]) -> OwnCode:
    return next((code for code in own if code.name == name), OwnCode(name, "", ""))


def known(name: str, own: tuple[OwnCode, ...]) -> str | None:
    """What is known of an optimizer with parts of a user's files, in words; None of ours."""
    call = calls.parse(name)
    if not call.own_parts:
        return None
    moves, rule = direction(name, own), _named_decay(call, own)
    unknown = "" if decay(name, own) != OWN else ", so what torch would call its λ is not known"
    if moves == OWN and rule is None:
        return f"{name}: neither its direction nor its decay is known{unknown}"
    parts = [_in_words("direction", None if moves == OWN else moves), _in_words("decay", rule)]
    return f"{name}: {', '.join(parts)}{unknown}"


def _in_words(slot: str, part: str | None) -> str:
    if part is None:
        return f"{slot} not known"
    file, separator, word = part.rpartition(":")
    return f"{slot} {word} of {file}" if separator else f"{slot} {word}"


def title(name: str, own: tuple[OwnCode, ...] = ()) -> str:
    """The optimizer, with its kind of decay where the name does not tell it."""
    is_told = bool(calls.parse(name).rule) or decay(name, own) != "l2"
    return name if is_told else f"{name} + L2"


def _class(name: str) -> type[optimizers.Named]:
    return PAPER.get(name) or optimizers.ALL[name]


def _own_decay(name: str) -> str:
    return "l2" if name in PAPER else _class(name).composition.decay.name


def factory(
    name: str,
    own: Own = MappingProxyType({}),
    decaying: Sequence[bool] | None = None,
    hidden: Sequence[bool] | None = None,
) -> Callable[..., unyoke.Optimizer]:
    """A function `(params, lr=, weight_decay=)` that makes the optimizer.

    Parameters that its direction does not take, such as the biases beside Muon's matrices, are
    given to Adam with the same decay rule, α and λ. An optimizer without decay ignores λ.

    Args:
        own: what a user's files have, by `file.py:name`.
        decaying: whether weight decay applies, for each parameter; to all by default.
        hidden: whether each parameter is a matrix of a hidden layer; where it is given, Adam gets
            all others too.
    """
    call = calls.parse(name)
    main: Callable[..., unyoke.Optimizer]
    if call.own is None:
        main, made = _class(call.name), directions.get(direction(name))
        if "weight_decay" not in inspect.signature(main).parameters:  # one without decay ignores λ
            main = partial(unyoke.Optimizer, direction=direction(name))
        main = partial(main, decay=_rule(call, own) if call.rule else _own_decay(call.name))
    elif own_parts.is_named(main := own[call.own]):
        made = main.composition.direction
        main = partial(main, decay=_rule(call, own)) if call.rule else main
    else:
        return partial(_of_a_file, call, main, decaying)
    objection = made.objection
    main = partial(main, **call.arguments)

    def make(params: Sequence[Tensor], lr: Any, weight_decay: Any, **more: Any) -> unyoke.Optimizer:
        stacked = isinstance(lr, Tensor) and lr.dim() == 1
        allowed = hidden or [True] * len(params)
        taken = [
            mine and objection(weight[0] if stacked else weight) is None
            for weight, mine in zip(params, allowed, strict=True)
        ]
        groups = [
            {"params": [w for w, take in zip(params, taken, strict=True) if take is mine], **others}
            for mine, others in ((True, {}), (False, {"direction": "adam"}))
        ]
        free = _free(params, decaying, weight_decay)
        filled = [part for group in groups for part in _divided(group, free)]
        return main(filled, lr=lr, weight_decay=weight_decay, **more)

    return make


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
