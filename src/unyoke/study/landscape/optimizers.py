"""The optimizers that a study can run, by name.

`AdamW` and every other name of `unyoke.optimizers`; `Adam+l2_first_moment` is Adam with another
rule of `unyoke.decays`. Hyperparameters are the defaults. `SGD` and `Adam` are here what the paper
calls so, Algorithm 1 and 2 with L2; torch's SGD has no momentum, and the rate outside its buffer.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor

import unyoke
from unyoke import decays, directions, optimizers
from unyoke.equation import combine
from unyoke.study.errors import StudyError

SEPARATOR = "+"
PAPER = {"SGD": unyoke.SGDW, "Adam": unyoke.AdamW}
"""Algorithm 1 and 2 of the paper, which have an L2 penalty under these names."""


def canonical(text: str) -> str:
    """The name of the optimizer that `text` names, always the same for the same optimizer.

    Raises:
        StudyError: there is no such optimizer or decay rule, or the two do not go together.

    >>> canonical("Adam+l2")
    'Adam'
    """
    name, separator, decay = (part.strip() for part in text.partition(SEPARATOR))
    _known(name, optimizers.ALL, "optimizer")
    if not separator:
        return name
    _known(decay, decays.ALL, "decay rule")
    if decay == _own_decay(name):
        return name
    try:
        combine(directions.get(direction(name)), decays.get(decay))
    except ValueError as error:
        raise StudyError(f"{text.strip()!r} cannot be trained: {error}") from error
    return f"{name}{SEPARATOR}{decay}"


def direction(name: str) -> str:
    """The direction of the optimizer of this name."""
    return _class(name.partition(SEPARATOR)[0]).composition.direction.name


def decay(name: str) -> str:
    """The decay rule of the optimizer of this name."""
    base, separator, other = name.partition(SEPARATOR)
    return other if separator else _own_decay(base)


def _class(name: str) -> type[optimizers.Named]:
    return PAPER.get(name) or optimizers.ALL[name]


def _own_decay(name: str) -> str:
    return "l2" if name in PAPER else _class(name).composition.decay.name


def factory(name: str) -> Callable[..., unyoke.Optimizer]:
    """A function `(params, lr=, weight_decay=, schedule=)` that makes the optimizer.

    Parameters that its direction does not take, such as the biases beside Muon's matrices, are
    given to Adam with the same decay rule, α and λ. An optimizer without decay ignores λ.
    """
    base = name.partition(SEPARATOR)[0]
    rule = decay(name)
    objection = directions.get(direction(name)).objection
    main: Callable[..., unyoke.Optimizer] = _class(base)
    if "weight_decay" not in inspect.signature(main).parameters:  # one without decay ignores λ
        main = partial(unyoke.Optimizer, direction=direction(name))

    def make(params: Sequence[Tensor], lr: Any, weight_decay: Any, **more: Any) -> unyoke.Optimizer:
        stacked = isinstance(lr, Tensor) and lr.dim() == 1
        taken = [objection(weight[0] if stacked else weight) is None for weight in params]
        groups: list[dict[str, Any]] = [
            {"params": [w for w, take in zip(params, taken, strict=True) if take is mine], **own}
            for mine, own in ((True, {}), (False, {"direction": "adam"}))
        ]
        filled = [group for group in groups if group["params"]]
        return main(filled, lr=lr, weight_decay=weight_decay, decay=rule, **more)

    return make


def _known(name: str, known: Mapping[str, Any], kind: str) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=2)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise StudyError(f"unknown {kind} {name!r}; {hint}known: {', '.join(known)}")
