"""A formula as torch operations in place, written down once for each rule.

As it stands, a formula leaves a new tensor at every operation; for tensors of some size most of the
time goes into that memory. So the formula is run once on symbols, and what it does is written as
the text of a function that puts each result where nobody needs the old one any more. The operations
are the same in the same order, and so are the bits.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch

from unyoke.backends.symbols import NAMES, PLAIN, Operation, Writer
from unyoke.equation import Rule
from unyoke.stages import from_text

Update: TypeAlias = Callable[..., None]
"""``(weight, grad, *state, *coefficients)``: writes the weight and the state, never the gradient;
all are tensors of one shape in the dtype of the computation, but for the coefficients."""

IN_PLACE = {
    "add": "_torch.add({0}, {1}, out={out})",
    "sub": "_torch.sub({0}, {1}, out={out})",
    "mul": "_torch.mul({0}, {1}, out={out})",
    "div": "_torch.div({0}, {1}, out={out})",
    "neg": "_torch.neg({0}, out={out})",
    "abs": "_torch.abs({0}, out={out})",
}
"""The same with a place for the result; the first operand must be a tensor."""

COMMUTATIVE = ("add", "mul")


@functools.lru_cache(maxsize=256)
def in_place(rule: Rule) -> Update:
    """The update of a rule, in place."""
    try:
        source = text(rule)
    except Exception:  # Unwritable, or what the formula itself says to symbols
        return functools.partial(_as_it_stands, rule)
    filename = f"<unyoke {rule.name} in place {id(rule):x}>"
    return from_text("update", source, filename, {"_torch": torch, **NAMES})


@functools.lru_cache(maxsize=256)
def beside_elements(rule: Rule) -> frozenset[str]:
    """The coefficients that may be 0-d tensors in float64: torch takes these faster than floats.

    They stand beside elements only, and in operations in which torch would make such a tensor of
    the number itself. A number over an element, for example, it multiplies by the reciprocal.
    """
    try:
        writer, _ = _written(rule)
    except Exception:  # as above
        return frozenset()
    names = set(rule.coefficient_names)
    for each in writer.operations:
        either = each.operands if each.word in COMMUTATIVE else each.operands[:1]
        if each.word not in IN_PLACE or not writer.elements & set(either):
            names -= set(each.operands)
    return frozenset(names)


def text(rule: Rule) -> str:
    """The source of a rule's update in place.

    Raises:
        Unwritable: the formula does more than :data:`PLAIN` has words for.
    """
    lines = _Allocation(*_written(rule)).lines()
    arguments = ("weight", "grad", *rule.state, *rule.coefficient_names)
    return "\n    ".join([f"def update({', '.join(arguments)}):", *lines]) + "\n"


def _written(rule: Rule) -> tuple[Writer, dict[str, Any]]:
    """A rule's operations, and the names of the new weight and state."""
    tensors = ("weight", "grad", *rule.state)
    arguments = (*tensors, *rule.coefficient_names)
    writer = Writer(tensors, rule.coefficient_names)
    delta, *new = map(writer.named, rule.function(*map(writer.symbol, arguments)))
    finals = dict(zip(rule.state, new, strict=True))
    for name, value in finals.items():
        if value in tensors and value != name:  # read before it is written
            finals[name] = writer.write("clone", [writer.symbol(value)]).label
    moved = writer.symbol(delta) if isinstance(delta, str) else delta
    finals["weight"] = writer.write("sub", [writer.symbol("weight"), moved]).label
    return writer, finals


class _Allocation:
    """Decides where each result is put.

    A place is a variable that holds a tensor: an argument, or the result of an operation that made
    new memory. It can be used again as soon as its value has been read for the last time; that of
    an argument only for what has been read when the argument's own new value is formed.
    """

    def __init__(self, writer: Writer, finals: dict[str, Any]) -> None:
        self._writer, self._finals = writer, finals
        self._formed = {each.result: k for k, each in enumerate(writer.operations)}
        self._last = self._last_reads()
        self._place = {name: name for name in writer.elements - set(self._formed)}
        self._holds = {place: place for place in self._place if place != "grad"}

    def lines(self) -> list[str]:
        """The body of the function."""
        operations = enumerate(self._writer.operations)
        lines = [line for k, each in operations for line in self._lines(k, each)]
        for name, value in self._finals.items():
            place = self._place.get(value, value)
            if place != name:
                lines.append(f"{name}.copy_({place})")
        return lines

    def _last_reads(self) -> dict[str, int]:
        operations = self._writer.operations
        end = len(operations)
        last = {each.result: k for k, each in enumerate(operations)}
        for k, each in enumerate(operations):
            last |= {name: k for name in each.operands if isinstance(name, str)}
        for value in self._finals.values():
            if value in last and not (value in self._formed and value in self._writer.elements):
                last[value] = end  # stays, or is copied when all is formed
        for each in reversed(operations):
            if each.word == "where" and each.operands[0] not in self._writer.masks:
                for name in each.operands:  # the result may be one of them, and not a copy
                    if isinstance(name, str):
                        last[name] = max(last[name], last[each.result])
        return last

    def _lines(self, k: int, operation: Operation) -> list[str]:
        word, operands, elements = operation.word, operation.operands, self._writer.elements
        if word in COMMUTATIVE and operands[0] not in elements:
            operands = operands[::-1]
        names = [self._place.get(name, name) for name in operands]
        result = operation.result
        own = self._own_place(k, result)
        if any(value == result and name != own for name, value in self._finals.items()):
            self._last[result] = len(self._formed)  # is copied to that argument in the end
        place = None
        if word in IN_PLACE and operands[0] in elements:
            place = own or self._free_place(k, result, names)
        if place is not None:
            lines = [IN_PLACE[word].format(*names, out=place)]
        else:
            place = own or result
            lines = [f"{result} = {PLAIN[word].format(*names)}"]
            lines += [f"{own}.copy_({result})"] if own else []
        self._place[result] = place
        if result in elements or own:
            self._holds[place] = result
        return lines

    def _own_place(self, k: int, result: str) -> str | None:
        """The argument whose new value the result is, if the old one has been read."""
        for name, value in self._finals.items():
            if value == result and self._last.get(self._holds[name], -1) <= k:
                return name
        return None

    def _free_place(self, k: int, result: str, operands: Sequence[Any]) -> str | None:
        """A place whose value is not read after operation ``k``."""
        free = [place for place, value in self._holds.items() if self._last.get(value, -1) <= k]
        allowed = [place for place in free if self._last[result] <= self._end_of(place)]
        # In the cache already, if it has just been read
        return min(allowed, key=lambda place: place not in operands, default=None)

    def _end_of(self, place: str) -> float:
        """Until when a place may be used for other values."""
        if place not in self._finals:
            return math.inf
        return self._formed.get(self._finals[place], -1)


def _as_it_stands(rule: Rule, *arguments: Any) -> None:
    """The formula itself, and then its results copied."""
    weight, _, *state = arguments[: 2 + len(rule.state)]
    delta, *new = rule.function(*arguments)
    for kept, value in zip(state, apart(new, (weight, *state)), strict=True):
        if value is not kept:
            kept.copy_(value)
    weight.copy_(weight - delta)


def apart(results: Sequence[Any], given: Sequence[Any]) -> list[Any]:
    """A formula's new state, copied where it is what was given: that will be written over."""
    return [
        value.clone() if any(value is each for k, each in enumerate(given) if k != own) else value
        for own, value in enumerate(results, start=len(given) - len(results))
    ]


def lent(weight: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
    """The gradient, copied where it lies in the weight's memory.

    A direction may keep it, and the weight is written first.
    """
    shares = grad.untyped_storage()._cdata == weight.untyped_storage()._cdata
    return grad.clone() if shares else grad
