"""What stands in a user's own files: optimizers of unyoke's kind or of any other, and decay rules.

`my_file.py:X` is a class that derives from `unyoke.optimizers.Named`, which says what it is made
of, or a function of params, lr and weight_decay that makes an optimizer, of which nothing is known.
`+my_file.py:lasso` is a decay rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeGuard

import torch
from torch import nn

from unyoke import decays, directions, optimizers
from unyoke.equation import Decay, Direction
from unyoke.study.errors import StudyError
from unyoke.study.landscape.calls import Call
from unyoke.study.landscape.task_reference import OwnCode


def is_named(found: object) -> TypeGuard[type[optimizers.Named]]:
    """Whether what a user's file has is a class of unyoke's kind, with direction and decay."""
    is_class = isinstance(found, type) and issubclass(found, optimizers.Named)
    return is_class and hasattr(found, "composition")


def is_for_matrices(direction: Direction) -> bool:
    """Whether it takes weights of two dimensions and no others, as Muon does."""
    return direction.objection(torch.zeros(2, 2, 2)) is not None


def check(call: Call, found: Mapping[str, Any]) -> None:
    """Raise StudyError where a part of an optimizer is something else than it stands for.

    Args:
        call: the optimizer.
        found: what the user's files have, by `file.py:name`.
    """
    if call.own is not None:
        _check_optimizer(call.own, found[call.own])
        if call.rule and not is_named(found[call.own]):
            raise StudyError(
                f"{call}: {call.own} is a function, whose optimizer has a decay of its own; "
                f"+{call.rule} needs a class that derives from unyoke.optimizers.Named"
            )
    if call.own_rule is not None:
        _check_rule(call.own_rule, found[call.own_rule])


def _check_optimizer(name: str, found: object) -> None:
    word = name.rpartition(":")[2]
    if isinstance(found, Direction):
        raise StudyError(
            f"{name} is a direction and no optimizer; write into its file: class Mine("
            f'unyoke.optimizers.Named, direction={word}): "What it is." and map Mine'
        )
    if isinstance(found, Decay):
        raise StudyError(
            f"{name} is a decay rule and no optimizer; give an optimizer this rule: AdamW+{name}"
        )
    if isinstance(found, type) and issubclass(found, optimizers.Named) and not is_named(found):
        raise StudyError(
            f"{name} is a base class without a direction; write into its file: class Mine({word}, "
            'direction="adam"): "What it is." and map Mine'
        )
    if not callable(found):
        raise StudyError(
            f"{name} is of type {type(found).__name__} and no optimizer; name a class that derives "
            "from unyoke.optimizers.Named, or a function of params, lr and weight_decay"
        )


def _check_rule(name: str, found: object) -> None:
    if isinstance(found, Decay):
        return
    if isinstance(found, Direction):
        what = "a direction"
    elif isinstance(found, type):
        what = "a class"
    else:
        what = "a function" if callable(found) else f"of type {type(found).__name__}"
    raise StudyError(
        f"{name} is {what} and no decay rule; name a function that has @unyoke.equation.decay "
        "over it"
    )


def described(code: OwnCode, found: object, asked: Iterable[Call]) -> OwnCode:
    """The code with the direction and the decay of what it names, as far as they are known.

    A class whose constructor makes something else of α, λ or the decay is not what its class
    statement says: of it, as of a function, neither is known.

    Args:
        found: what it names.
        asked: the map's optimizers of this class, whose arguments its constructor may need.
    """
    file = code.name.rpartition(":")[0]
    if isinstance(found, Decay):
        return code._replace(decay=_decay(file, found))
    if not is_named(found):
        return code
    made = found.composition
    code = code._replace(for_matrices=is_for_matrices(made.direction))
    if not all(_keeps_what_it_is_given(found, call.arguments) for call in asked):
        return code
    return code._replace(direction=_direction(file, made.direction), decay=_decay(file, made.decay))


def row(call: Call, found: Mapping[str, Any]) -> optimizers.Row:
    """What the table of optimizers would say of a class of a user's file.

    Raises:
        StudyError: it is no such class, or is named with arguments or a decay rule.
    """
    if call.own is None or call.arguments or call.rule:
        raise StudyError(f"{call} is more than a name; name the class alone: file.py:Class")
    check(call, found)
    cls = found[call.own]
    if not is_named(cls):
        raise StudyError(
            f"{call} is a function: what it makes is known when it is called; only a class that "
            "derives from unyoke.optimizers.Named says it before"
        )
    file, made = call.own.rpartition(":")[0], cls.composition
    return optimizers.row(call.own, cls)._replace(
        direction=_direction(file, made.direction), decay=_decay(file, made.decay)
    )


def _direction(file: str, direction: Direction) -> str:
    try:
        is_ours = directions.get(direction.name) is direction
    except ValueError:
        is_ours = False
    return direction.name if is_ours else f"{file}:{direction.name}"


def _decay(file: str, decay: Decay) -> str:
    return decay.name if decays.ALL.get(decay.name) is decay else f"{file}:{decay.name}"


def _keeps_what_it_is_given(cls: type[optimizers.Named], arguments: Mapping[str, Any]) -> bool:
    given = {"lr": 2.0**-10, "weight_decay": 2.0**-13}
    make: Callable[..., torch.optim.Optimizer] = cls
    try:
        (group,) = make([nn.Parameter(torch.zeros(2, 2))], **given, **arguments).param_groups
    except Exception:  # it makes several groups, or it does not take these numbers
        return False
    return {**given, "decay": cls.composition.decay.name}.items() <= group.items()
