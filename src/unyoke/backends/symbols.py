"""A formula run once on symbols: what it does, operation by operation.

From that a backend writes a text of its own, in which the operations are the same in the same
order, and so are the bits.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from unyoke import primitives

PLAIN = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "__rsub__": "{1} - {0}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "__rdiv__": "{1} / {0}",
    "pow": "{0} ** {1}",
    "__rpow__": "{1} ** {0}",
    "neg": "-{0}",
    "abs": "abs({0})",
    "sqrt": "_sqrt({0})",
    "exp": "_exp({0})",
    "where": "_where({0}, {1}, {2})",
    "gt": "{0} > {1}",
    "ge": "{0} >= {1}",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "__eq__": "{0} == {1}",
    "ne": "{0} != {1}",
    "__and__": "{0} & {1}",
    "__or__": "{0} | {1}",
    "__invert__": "~{0}",
    "clone": "{0}.clone()",
}
"""torch's names of what formulas do, and how to write it."""

NAMES = {"_sqrt": primitives.sqrt, "_exp": primitives.exp, "_where": primitives.where}
"""What the names in these texts stand for, where Python runs them."""

COMPARISONS = ("gt", "ge", "lt", "le", "__eq__", "ne", "__and__", "__or__", "__invert__")


class Unwritable(Exception):
    """The formula does something that there is no word for here."""


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        word: torch's name of it.
        operands: names of values, or numbers.
        result: the name of what comes out.
    """

    word: str
    operands: tuple[Any, ...]
    result: str


class Symbol(torch.Tensor):
    """Stands for an argument or a result while a formula is written down."""

    writer: Writer
    label: str

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if kwargs:
            raise Unwritable(f"{func} with {sorted(kwargs)}")
        (writer,) = {each.writer for each in args if isinstance(each, Symbol)}
        return writer.write(getattr(func, "__name__", str(func)), args)


class Number(Symbol):
    """Stands for a single number, of which a function may ask where it is: it is on the host.

    An element's symbol has no place: a formula that asks for it runs as it stands.
    """

    device = torch.device("cpu")


class Writer:
    """Collects what is done with symbols.

    Args:
        tensors: names of elements.
        numbers: names of values that are one number for all elements.
        words: what there are words for, as in PLAIN.
        kind: of the symbols.

    Attributes:
        operations: in their order.
        numbers: values that are one number for all elements: coefficients and what is made of them.
        elements: values that are surely tensors of the whole shape, in memory of their own.
        masks: the results of comparisons of elements.
    """

    def __init__(
        self,
        tensors: Iterable[str],
        numbers: Iterable[str],
        words: Container[str] = PLAIN,
        kind: type[Symbol] = Symbol,
    ) -> None:
        self._words, self._kind = words, kind
        self.operations: list[Operation] = []
        self.elements, self.numbers, self.masks = set(tensors), set(numbers), set[str]()

    def symbol(self, name: str) -> Symbol:
        """A symbol of that name."""
        symbol = torch.empty(0).as_subclass(self._kind)
        symbol.writer, symbol.label = self, name
        return symbol

    def write(self, word: str, args: Sequence[Any]) -> Symbol:
        """Add an operation; its result."""
        if word not in self._words:
            raise Unwritable(word)
        operands = tuple(map(self.named, args))
        result = f"_{len(self.operations)}"
        self.operations.append(Operation(word, operands, result))
        if {each for each in operands if isinstance(each, str)} <= self.numbers:
            self.numbers.add(result)
        elif word in COMPARISONS:
            self.masks.add(result)
        elif self.elements & set(operands) and (word != "where" or operands[0] in self.masks):
            self.elements.add(result)
        return self.symbol(result)

    def named(self, value: Any) -> Any:
        """What stands for a value in the text."""
        if isinstance(value, Symbol):
            return value.label
        if isinstance(value, bool | int | float) and math.isfinite(value):
            return value
        raise Unwritable(repr(value))
