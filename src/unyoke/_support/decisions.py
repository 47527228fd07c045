"""What `unyoke.groups.split` decides of each parameter, and the table that it prints as."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any


@dataclass(frozen=True)
class Decision:
    """What was decided about one parameter, and why.

    Attributes:
        names: where it stands in the model; tied weights have several names.
        shape: its shape.
        module: the type of the module that owns it.
        decays: whether weight decay applies; None for a frozen parameter, which is in no group.
        why: the reason, for people.
        lr: its learning rate α, if ``split`` was given one.
        direction: the name of its direction; empty if it has the optimizer's.
    """

    names: tuple[str, ...]
    shape: tuple[int, ...]
    module: str
    decays: bool | None
    why: str
    lr: float | None = None
    direction: str = ""

    @property
    def row(self) -> tuple[str, ...]:
        """Its line in the table; what no parameter has is left out there."""
        answer = {True: "yes", False: "no", None: "frozen"}[self.decays]
        lr = "" if self.lr is None else f"{self.lr:.4g}"
        name = " = ".join(self.names)
        return (name, str(self.shape), self.module, self.direction, answer, lr, self.why)


class Groups(list[dict[str, Any]]):
    """Parameter groups for an optimizer; prints as the table of the decisions.

    Attributes:
        decisions: one per distinct parameter of the model, in the model's order.
        notes: what else was found, a line each.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        decisions: Sequence[Decision],
        notes: Sequence[str] = (),
    ) -> None:
        super().__init__(groups)
        self.decisions = tuple(decisions)
        self.notes = tuple(notes)

    def __repr__(self) -> str:
        heading = ("parameter", "shape", "module", "direction", "decays", "lr", "why")
        rows = [decision.row for decision in self.decisions]
        there = [any(column) for column in zip(*rows, strict=True)]
        rows = [tuple(compress(row, there)) for row in (heading, *rows)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, self._total(), *self.notes])

    def _total(self) -> str:
        decaying = sum(decision.decays is True for decision in self.decisions)
        frozen = sum(decision.decays is None for decision in self.decisions)
        free = len(self.decisions) - decaying - frozen
        total = f"{len(self)} group(s): {decaying} parameter(s) decay, {free} do not"
        return total + (f"; {frozen} frozen, in no group" if frozen else "")
