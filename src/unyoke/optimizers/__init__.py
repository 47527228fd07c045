"""The named optimizers: each is a direction and a decay, with defaults.

A name with W has the paper's decay, η_t·λ, not multiplied by the learning rate. A name without it
means what it means where it comes from: an L2 penalty for torch's and ADOPT, the decay multiplied
by the learning rate for AdaBelief, Adan, AdEMAMix, Lion, MARS, Muon and Signum. ``decay=`` gives
any of them any other rule.

A class is known by its name as soon as it stands in a file of this folder (see
:mod:`unyoke.optimizers.named`). ``make names`` writes it out for type checkers, and into the
tables of the README and docs/optimizers.md.

>>> from unyoke import optimizers
>>> optimizers.names()["RAdamW"]
'Rectified Adam with decoupled weight decay.'
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from unyoke.discovery import Registry
from unyoke.optimizers.named import Composition as Composition
from unyoke.optimizers.named import Named as Named
from unyoke.optimizers.named import Options as Options

if TYPE_CHECKING:
    from unyoke.optimizers._names import *  # noqa: F403 - written by `make names`

ALL: Mapping[str, type[Named]] = Registry(
    "optimizer",
    (__name__,),
    lambda value: isinstance(value, type) and "composition" in vars(value),
    first=("sgd", "adam"),  # the paper's
)
"""Every named optimizer by its name."""


class Row(NamedTuple):
    """One line of the table of optimizers."""

    name: str
    direction: str
    decay: str
    summary: str


def row(name: str, cls: type[Named]) -> Row:
    """What the table says of an optimizer, somebody's own included."""
    parts = cls.composition
    summary = (cls.__doc__ or "").strip().split("\n")[0]
    return Row(name, parts.direction.name, parts.decay.name, summary)


def rows() -> tuple[Row, ...]:
    """What there is, for tables: name, direction, decay and one line about it."""
    return tuple(row(name, cls) for name, cls in ALL.items())


def names() -> dict[str, str]:
    """Every optimizer's name, with one line about it."""
    return {each.name: each.summary for each in rows()}


def table() -> str:
    """The Markdown table of docs/optimizers.md."""
    lines = ["| optimizer | direction | decay | |", "| --- | --- | --- | --- |"]
    lines += [f"| `{r.name}` | `{r.direction}` | `{r.decay}` | {r.summary} |" for r in rows()]
    return "\n".join(lines) + "\n"


def __getattr__(name: str) -> Any:
    """An optimizer as an attribute: ``optimizers.AdamW``."""
    if name.startswith("_") or name not in ALL:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return ALL[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *ALL})
