"""What directions do with whole tensors beside their formula of one element.

:class:`MatrixStage` stands between two passes over elements, :class:`Norms` before one. So what is
element-wise in a direction stays a formula for every backend.
"""

from __future__ import annotations

import functools
import inspect
import linecache
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch

Formula: TypeAlias = Callable[..., Any]

ELEMENTS = "elements"
"""The argument of :attr:`Norms.ratio` that is the number of a tensor's elements."""


@functools.lru_cache(maxsize=256)
def arguments_of(function: Formula) -> tuple[str, ...]:
    """The names of a function's arguments, in its own order."""
    return tuple(inspect.signature(function).parameters)


def from_text(name: str, source: str, filename: str, names: Mapping[str, Any]) -> Formula:
    """The function ``name`` of a text of our own.

    Args:
        name: of the function in the text.
        source: the text.
        filename: by which compilers and tracebacks read the text again; names may repeat, so it
            says more than the name.
        names: what other names in the text stand for.
    """
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    namespace = dict(names)
    exec(compile(source, filename, "exec"), namespace)
    function: Formula = namespace[name]
    return function


@dataclass(frozen=True, eq=False)
class MatrixStage:
    """What a direction does with whole matrices, between two passes over elements.

    The direction's formula gives an element of a matrix M_t; ``function`` makes another matrix of
    it, and the step is ``size`` times an element of that. Matrices of one shape are stacked, so
    that a few products of stacks take the place of many of small matrices.

    Attributes:
        function: ``(stack, *state, *coefficients) → (stack, *state)`` of [K, rows, columns], each
            of the K matrices by itself; arguments after the first are taken by name. It may not
            write to what it is given.
        size: ``(rows, columns, *coefficients)`` → the number in front of the result.
        dtype: ``(wide, *coefficients)`` → what the stack is in; ``wide`` is the dtype of the
            formula, at least float32.
        state: names of the state that ``function`` reads and renews, [K, …] of it.
    """

    function: Formula
    size: Callable[..., Any]
    dtype: Callable[..., torch.dtype]
    state: tuple[str, ...] = ()

    coefficient_names: tuple[str, ...] = field(init=False)
    """What the three functions take beside tensors and sizes."""
    _taken: tuple[tuple[str, ...], ...] = field(init=False)

    def __post_init__(self) -> None:
        """Found out here: torch.compile would warn of a cache that it meets later."""
        firsts = (self.function, 1 + len(self.state)), (self.size, 2), (self.dtype, 1)
        taken = tuple(arguments_of(function)[first:] for function, first in firsts)
        names = tuple(dict.fromkeys(name for each in taken for name in each))
        vars(self).update(_taken=taken, coefficient_names=names)  # it is frozen

    def turned(self, stack: Any, state: Sequence[Any], given: Mapping[str, Any]) -> tuple[Any, ...]:
        """What becomes of a stack, and the new state.

        Args:
            stack: [K, rows, columns].
            state: in the order of :attr:`state`.
            given: coefficients by name.
        """
        found = self.function(stack, *state, *(given[name] for name in self._taken[0]))
        return found if self.state else (found,)

    def size_of(self, shape: Sequence[int], given: Mapping[str, Any]) -> Any:
        """The number in front of the result, for a matrix of this shape."""
        return self.size(*shape, *(given[name] for name in self._taken[1]))

    def dtype_of(self, wide: torch.dtype, given: Mapping[str, Any]) -> torch.dtype:
        """What a stack is in."""
        return self.dtype(wide, *(given[name] for name in self._taken[2]))

    def step(self, matrix: Any, *rest: Any) -> tuple[Any, ...]:
        """The step of one matrix, and its new state: state and coefficients follow by place."""
        state, numbers = rest[: len(self.state)], rest[len(self.state) :]
        given = dict(zip(self.coefficient_names, numbers, strict=True))
        stack = matrix.to(self.dtype_of(matrix.dtype, given)).unsqueeze(0)
        turned, *new = self.turned(stack, [each.unsqueeze(0) for each in state], given)
        step = self.size_of(matrix.shape, given) * turned[0].to(matrix.dtype)
        return step, *(each[0] for each in new)


@dataclass(frozen=True, eq=False)
class Norms:
    """Norms of a whole tensor that its step depends on, and the one number that is made of them.

    Attributes:
        terms: a formula of an element, as the direction's, which returns several numbers: of each
            the norm over the tensor is formed, the root of the sum of its squares.
        ratio: ``(norm, …, *coefficients)`` → the number, of numbers or of tensors of any shape.
            An argument ``elements`` is how many the tensor has, for means.
        name: of that number among the arguments of the direction's formula.
    """

    terms: Formula
    ratio: Callable[..., Any]
    name: str

    count: int = field(init=False)
    """How many norms there are: arguments of ``ratio`` whose names end in ``_norm``."""
    takes_elements: bool = field(init=False)
    """Whether ``ratio`` takes the number of elements, right after the norms."""
    ratio_coefficients: tuple[str, ...] = field(init=False)
    """What ``ratio`` takes beside the norms and that number."""
    arguments: tuple[str, ...] = field(init=False)
    """Those of :meth:`of_tensor`, each once."""
    _terms: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Found out here: torch.compile would warn of a cache that it meets later."""
        names, terms = arguments_of(self.ratio), arguments_of(self.terms)
        count = sum(name.endswith("_norm") for name in names)
        takes_elements = names[count : count + 1] == (ELEMENTS,)
        rest = names[count + takes_elements :]
        vars(self).update(  # it is frozen
            count=count,
            takes_elements=takes_elements,
            ratio_coefficients=rest,
            arguments=tuple(dict.fromkeys((*terms, *rest))),
            _terms=terms,
        )

    def of_tensor(self, *given: Any) -> Any:
        """The number, of a whole tensor; arguments are those of :attr:`arguments`, by place."""
        known = dict(zip(self.arguments, given, strict=True))
        terms = self.terms(*(known[name] for name in self._terms))
        size = (terms[0].numel(),) if self.takes_elements else ()
        return self.ratio(
            *(term.norm() for term in terms),
            *size,
            *(known[name] for name in self.ratio_coefficients),
        )
