"""What directions do with whole tensors beside their formula of one element.

:class:`MatrixStage` stands between two passes over elements, :class:`Norms` before one. So what is
element-wise in a direction stays a formula for every backend.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

Formula: TypeAlias = Callable[..., Any]


@functools.lru_cache(maxsize=256)
def arguments_of(function: Formula) -> tuple[str, ...]:
    """The names of a function's arguments, in its own order."""
    return tuple(inspect.signature(function).parameters)


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

    @property
    def coefficient_names(self) -> tuple[str, ...]:
        """What the three functions take beside tensors and sizes."""
        names = [
            *arguments_of(self.function)[1 + len(self.state) :],
            *arguments_of(self.size)[2:],
            *arguments_of(self.dtype)[1:],
        ]
        return tuple(dict.fromkeys(names))

    def turned(self, stack: Any, state: Sequence[Any], given: Mapping[str, Any]) -> tuple[Any, ...]:
        """What becomes of a stack, and the new state.

        Args:
            stack: [K, rows, columns].
            state: in the order of :attr:`state`.
            given: coefficients by name.
        """
        names = arguments_of(self.function)[1 + len(self.state) :]
        found = self.function(stack, *state, *(given[name] for name in names))
        return found if self.state else (found,)

    def size_of(self, shape: Sequence[int], given: Mapping[str, Any]) -> Any:
        """The number in front of the result, for a matrix of this shape."""
        return self.size(*shape, *(given[name] for name in arguments_of(self.size)[2:]))

    def dtype_of(self, wide: torch.dtype, given: Mapping[str, Any]) -> torch.dtype:
        """What a stack is in."""
        return self.dtype(wide, *(given[name] for name in arguments_of(self.dtype)[1:]))

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
        name: of that number among the arguments of the direction's formula.
    """

    terms: Formula
    ratio: Callable[..., Any]
    name: str

    @property
    def count(self) -> int:
        """How many norms there are: arguments of ``ratio`` whose names end in ``_norm``."""
        return sum(name.endswith("_norm") for name in arguments_of(self.ratio))

    @property
    def ratio_coefficients(self) -> tuple[str, ...]:
        """What ``ratio`` takes beside the norms."""
        return arguments_of(self.ratio)[self.count :]

    @property
    def arguments(self) -> tuple[str, ...]:
        """Those of :meth:`of_tensor`, each once."""
        return tuple(dict.fromkeys((*arguments_of(self.terms), *self.ratio_coefficients)))

    def of_tensor(self, *given: Any) -> Any:
        """The number, of a whole tensor; arguments are those of :attr:`arguments`, by place."""
        known = dict(zip(self.arguments, given, strict=True))
        terms = self.terms(*(known[name] for name in arguments_of(self.terms)))
        return self.ratio(
            *(term.norm() for term in terms), *(known[name] for name in self.ratio_coefficients)
        )
