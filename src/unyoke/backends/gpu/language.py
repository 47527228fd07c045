"""Formulas as Triton functions.

A formula is read from its own source, without annotations, and its names are bound anew: the
primitives to the Triton functions below, other functions to themselves, read in the same way. So
there is one formula, and Triton compiles it.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import textwrap
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any, TypeAlias

import triton.language as tl
from triton.runtime.jit import JITFunction

from unyoke import primitives
from unyoke.backends._native.functions import names_in
from unyoke.stages import from_text

Function: TypeAlias = Callable[..., Any]


def sqrt(x):  # type: ignore[no-untyped-def]  # Triton reads these; it knows no annotations
    # tl.sqrt is approximate in float32, and takes a denormal number for zero
    if x.dtype == tl.float64:
        return tl.sqrt(x)
    else:  # noqa: RET505 (what follows a return is compiled as well, unless it is the other branch)
        return tl.sqrt_rn(x)


def exp(x):  # type: ignore[no-untyped-def]
    return tl.exp(x)


def where(condition, yes, no):  # type: ignore[no-untyped-def]
    return tl.where(condition, yes, no)


def absolute(x):  # type: ignore[no-untyped-def]
    return tl.abs(x)


def int32(x):  # type: ignore[no-untyped-def]
    return tl.cast(x, tl.int32)


def float32(x):  # type: ignore[no-untyped-def]
    return tl.cast(x, tl.float32)


def float16(x):  # type: ignore[no-untyped-def]
    return tl.cast(tl.cast(x, tl.float16), tl.float32)


def bits_of(x):  # type: ignore[no-untyped-def]
    return tl.cast(x, tl.int32, bitcast=True)


def float_of(x):  # type: ignore[no-untyped-def]
    return tl.cast(tl.cast(x, tl.int32), tl.float32, bitcast=True)


def largest(x):  # type: ignore[no-untyped-def]
    return tl.max(x, 1, keep_dims=True)


WORDS: dict[Function, Function] = {
    primitives.sqrt: sqrt,
    primitives.exp: exp,
    primitives.where: where,
    primitives.absolute: absolute,
    primitives.int32: int32,
    primitives.float32: float32,
    primitives.float16: float16,
    primitives.bits_of: bits_of,
    primitives.float_of: float_of,
    largest: largest,
}
"""Primitives that are torch's inside; the others are formulas in terms of these. And one word that
only kernels use: the largest number of each row."""


class Language:
    """Makes Triton functions of Python functions, each once.

    Args:
        wrap: makes one of a plain function and the names of arguments whose values a kernel may
            not be made for.
        words: what is bound to something else than its own text.
    """

    def __init__(
        self,
        wrap: Callable[[Function, Sequence[str]], Any],
        words: Mapping[Function, Function],
    ) -> None:
        self._wrap, self._words = wrap, words
        self._numbers = itertools.count()
        self._bound: dict[Function, Any] = {}

    def bound(self, formula: Function) -> Any:
        """The Triton function of a formula."""
        if formula not in self._bound:
            if formula in self._words:
                self._bound[formula] = self._wrap(self._words[formula], ())
            else:
                values = {
                    name: self.bound(v) if isinstance(v, FunctionType) else tl.constexpr(v)
                    for name, v in globals_of(formula).items()
                }
                source = bare_source(formula)
                self._bound[formula] = self.define(formula.__name__, source, values)
        return self._bound[formula]

    def define(
        self, name: str, source: str, values: dict[str, Any], numbers: Sequence[str] = ()
    ) -> Any:
        """The Triton function ``name`` of a text in which ``values`` are known.

        Args:
            name: of the function in the text.
            source: the text.
            values: what other names in it stand for.
            numbers: arguments that are integers; without a word, Triton would make another kernel
                for those that are 1 or multiples of 16.
        """
        filename = f"<unyoke gpu {id(self):x}.{next(self._numbers)} {name}>"
        names = {**values, "tl": tl, "__name__": __name__}
        return self._wrap(from_text(name, source, filename, names), numbers)


@functools.cache
def compiled() -> Language:
    """For a GPU."""
    return Language(lambda f, numbers: JITFunction(f, do_not_specialize=list(numbers)), WORDS)


def globals_of(function: Function) -> dict[str, Any]:
    """The functions and numbers outside a function that its text names."""
    assert isinstance(function, FunctionType), f"{function!r} is not a Python function"
    known = names_in(function)
    return {name: v for name, v in known.items() if isinstance(v, FunctionType | int | float)}


def bare_source(function: Function) -> str:
    """A function's text without decorators, annotations and documentation."""
    definition = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(definition, ast.FunctionDef), f"{function!r} is not a def"
    definition.decorator_list, definition.returns = [], None
    for argument in definition.args.args:
        argument.annotation = None
    if ast.get_docstring(definition) is not None:
        del definition.body[0]
    return ast.unparse(definition) + "\n"
