"""The named optimizers: each is a direction and a decay, with defaults.

A name with W has the paper's decay, η_t·λ, not multiplied by the learning rate. A name without it
means what it means where it comes from: an L2 penalty for torch's and ADOPT, the decay multiplied
by the learning rate for AdaBelief, Adan, AdEMAMix, Lion, MARS, Muon, NorMuon and Signum.
``decay=`` gives any of them any other rule.

A class is known by its name as soon as it stands in a file of this folder (see
:mod:`unyoke.optimizers.named`). ``make names`` writes it out for type checkers, and into the
tables of docs/optimizers.md.

>>> from unyoke import optimizers
>>> optimizers.names()["RAdamW"]
'Rectified Adam with decoupled weight decay.'
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from unyoke import decays
from unyoke._support.discovery import Registry
from unyoke.equation import Decay, Direction, combine
from unyoke.optimizers.named import Composition as Composition
from unyoke.optimizers.named import Named as Named
from unyoke.optimizers.named import Options as Options

if TYPE_CHECKING:
    from unyoke.optimizers._names import *  # noqa: F403 - written by `make names`

ALL: Mapping[str, type[Named]] = Registry(
    (__name__,),
    lambda value: isinstance(value, type) and "composition" in vars(value),
    first=("sgd", "adam"),  # the paper's
)
"""Every named optimizer by its name."""


class Row(NamedTuple):
    """One line of the table of optimizers.

    Attributes:
        name: of the class.
        direction: by name.
        decay: by name, the one that it has if no other is given.
        summary: one line about it.
        state: numbers that it keeps for each weight of a square matrix, in float32 4 bytes each.
        backends: which of them run it.
        goes_with: decay rules, and what its parameters or gradients may be.
        source: of the method.
    """

    name: str
    direction: str
    decay: str
    summary: str
    state: float
    backends: str
    goes_with: str
    source: str


SIDE = 64
"""Of the matrix that ``Row.state`` counts the state of."""


def row(name: str, cls: type[Named]) -> Row:
    """What the table says of an optimizer, somebody's own included."""
    direction, decay = cls.composition
    own = cls.__mro__[: cls.__mro__.index(Named)]  # Named's documentation is of no optimizer
    text = inspect.cleandoc(next((each.__doc__ for each in own if each.__doc__), ""))
    weight = torch.zeros(SIDE, SIDE, device="meta")
    kept = [direction.initial(each, weight, direction.defaults) for each in direction.state]
    return Row(
        name,
        direction.name,
        decay.name,
        text.split("\n")[0],
        sum(each.numel() for each in kept) / weight.numel(),
        _backends(direction),
        "; ".join(_goes_with(direction)),
        _source(text),
    )


def _backends(direction: Direction) -> str:
    """Where a direction runs with a decay of elements."""
    if direction.scope == "element":
        return "every"
    has_passes = direction.stage is not None or direction.norms is not None
    return "cpu, eager, compile" if has_passes else "eager, compile"


def _goes_with(direction: Direction) -> Iterator[str]:
    """What a direction takes, read off itself."""
    refused = [part for part in decays.ALL.values() if not _combine(direction, part)]
    if len(refused) == len(decays.ALL) - 1:
        yield "no decay"
    elif refused:
        one_moment = all(part.kind == "moment_penalty" for part in refused)
        names = "L2 in one moment" if one_moment else ", ".join(part.name for part in refused)
        yield f"every decay but {names}"
    else:
        yield "every decay"
    if direction.objection(torch.zeros(2, 2, 2)) is not None:
        yield "matrices only"
    elif direction.objection(torch.zeros(2)) is not None:
        yield "two dimensions or more"
    if direction.skips_zeros:
        yield "sparse gradients"


def _combine(direction: Direction, decay: Decay) -> bool:
    try:
        combine(direction, decay)
    except ValueError:
        return False
    return True


def _source(text: str) -> str:
    """Whose method it is, of a class's documentation: authors and where they published it."""
    found = re.search(r"^Source: (.*?)(?:\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    words = " ".join(found[1].split()) if found else ""
    return re.split(
        r";|\.(?: |$)|, (?:Algorithm|Figure|section|appendix|equation|table|with|and the)",
        words,
    )[0]


def rows() -> tuple[Row, ...]:
    """What there is, for tables: a line for each optimizer."""
    return tuple(row(name, cls) for name, cls in ALL.items())


def names() -> dict[str, str]:
    """Every optimizer's name, with one line about it."""
    return {name: (cls.__doc__ or "").strip().split("\n")[0] for name, cls in ALL.items()}


def table() -> str:
    """The Markdown table of docs/optimizers.md."""
    heading = ("optimizer", "direction", "decay", "", "state", "backends", "goes with", "source")
    lines = [heading, ("---",) * len(heading)]
    lines += [
        (f"`{r.name}`", f"`{r.direction}`", f"`{r.decay}`", r.summary, f"{r.state:.2g}", *r[5:])
        for r in rows()
    ]
    return "".join(f"| {' | '.join(cells)} |\n".replace("|  |", "| |") for cells in lines)


def __getattr__(name: str) -> Any:
    """An optimizer as an attribute: ``optimizers.AdamW``."""
    if name.startswith("_") or name not in ALL:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return ALL[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *ALL})
