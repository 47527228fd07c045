"""What a kernel does with one element, whatever compiles it: read, decode, update, round, encode.

A kernel's text is what surrounds this: loops and addresses, which are the compiler's own. Inside
stand the assignments of :func:`stages`, in their order, and every name in them is one of
:func:`functions`. Where a state is kept in blocks, the largest magnitude of a block gives its
scale, and only then can the block be encoded.

Names: ``old_x`` and ``new_x`` are a column's numbers in the dtype of the computation, ``code_x``
what is kept of them in memory, ``scale_x`` the scale of their block, ``c_x`` a coefficient and
``word0`` a random word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import torch

from unyoke.backends.base import Work
from unyoke.equation import Rule
from unyoke.storage import encodings, formats, random_words
from unyoke.storage.formats import COMPENSATION, PLAIN, Format, scale_name
from unyoke.storage.rounding import WeightRounding, rounding_of


@dataclass(frozen=True)
class Column:
    """A tensor with a number for each element.

    Attributes:
        name: ``weight``, ``grad``, ``compensation`` or that of a state.
        dtype: of the tensor.
        kind: how a state is kept.
    """

    name: str
    dtype: torch.dtype
    kind: Format = PLAIN

    @property
    def is_coded(self) -> bool:
        """Whether memory holds whole numbers that stand for others."""
        return not self.dtype.is_floating_point or self.dtype == torch.bfloat16

    @property
    def is_narrow(self) -> bool:
        """Whether it is decoded and encoded in stages of its own."""
        return self.kind.encode is not None

    def loaded(self, raw: str) -> str:
        """The expression of ``old_x``, of what was read from memory; codes as an int32."""
        return f"number(decode_bfloat16({raw}))" if self.is_coded else f"number({raw})"

    def stored(self) -> str:
        """The expression of what is written to memory; codes as an int32."""
        if self.is_narrow:
            return f"code_{self.name}"
        return f"nearest_bfloat16(new_{self.name})" if self.is_coded else f"new_{self.name}"


@dataclass(frozen=True)
class Stage:
    """An assignment.

    Attributes:
        line: its text.
        reads: the names in it that belong to the element.
        makes: what it assigns.
    """

    line: str
    reads: tuple[str, ...]
    makes: tuple[str, ...]

    @property
    def words(self) -> list[int]:
        """The random words that it takes."""
        return [int(name.removeprefix("word")) for name in self.reads if name.startswith("word")]


@dataclass(frozen=True)
class Recipe:
    """What a kernel is made for; tensors that agree in this share one.

    Attributes:
        rule: direction and decay.
        weight: dtype of the weights.
        grad: dtype of the gradients.
        states: dtypes of the states, in the rule's order.
        kinds: how these are kept.
        rounding: of the weights.
        maximize: the gradient counts with its sign turned.
        in_runs: random bits are drawn, and the elements stand in the whole parameter in runs with
            gaps between them. Other kernels need not ask.
    """

    rule: Rule
    weight: torch.dtype
    grad: torch.dtype
    states: tuple[torch.dtype, ...]
    kinds: tuple[Format, ...]
    rounding: WeightRounding
    maximize: bool = False
    in_runs: bool = False

    @classmethod
    def of(cls, work: Work, index: int, **more: Any) -> Self:
        """The recipe of a work's parameter; complex numbers count as pairs of real ones."""
        rule, state = work.rule, work.states[index]
        weight = real(work.weights[index].dtype)
        recipe = cls(
            rule,
            weight,
            real(work.grads[index].dtype),
            tuple(real(state[name].dtype) for name in rule.state),
            tuple(formats.format_of(rule, state, name) for name in rule.state),
            rounding_of(work.rounding, weight),
            work.maximize,
            **more,
        )
        has_gaps = work.place_of(index).gap > 0
        return replace(recipe, in_runs=True) if has_gaps and recipe.words else recipe

    @property
    def computation(self) -> torch.dtype:
        """What the formula computes in."""
        return torch.promote_types(self.weight, torch.float32)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """What is read and written for each element."""
        states = map(Column, self.rule.state, self.states, self.kinds)
        kept = [Column(COMPENSATION, self.weight)] * self.rounding.compensated
        return (Column("weight", self.weight), Column("grad", self.grad), *states, *kept)

    @cached_property
    def narrow(self) -> list[Column]:
        """The states that are kept in codes."""
        return [column for column in self.columns if column.is_narrow]

    @cached_property
    def blocked(self) -> list[Column]:
        """The states whose elements share scales."""
        return [column for column in self.columns if column.kind.block]

    @cached_property
    def words(self) -> list[int]:
        """The random words that an element takes."""
        return sorted({word for stage in stages(self) for word in stage.words})

    def tensors(self, work: Work, index: int) -> list[torch.Tensor]:
        """A parameter's tensors: one for each column, then the scales."""
        state = work.states[index]
        kept = map(state.__getitem__, self._kept)
        return [work.weights[index], work.grads[index], *kept]

    def tensor_columns(self, work: Work, indices: Sequence[int]) -> list[list[Any]]:
        """The same of several parameters, column by column; None where a state is missing."""
        grads, states = work.grads, [work.states[index] for index in indices]
        return [
            [work.weights[index] for index in indices],
            [grads[index] for index in indices],
            *([state.get(name) for state in states] for name in self._kept),
        ]

    @cached_property
    def _kept(self) -> list[str]:
        scales = [scale_name(column.name) for column in self.blocked]
        return [*(column.name for column in self.columns[2:]), *scales]


def real(dtype: torch.dtype) -> torch.dtype:
    """The dtype of a complex number's two parts; of a real number its own."""
    return dtype.to_real() if dtype.is_complex else dtype


def stages(recipe: Recipe) -> Iterator[Stage]:
    """What happens to an element between memory and memory."""
    for column in recipe.narrow:
        yield decode(column)
    yield update(recipe)
    yield subtract(recipe)
    for column in recipe.narrow:
        yield _encode(recipe, column)


def decode(column: Column) -> Stage:
    """A narrow column's code, as a number."""
    assert column.kind.decode is not None, "what is encoded is decoded"
    old, code = f"old_{column.name}", f"code_{column.name}"
    given = code + f", scale_{column.name}" * bool(column.kind.block)
    return Stage(f"{old} = number({column.kind.decode.__name__}({given}))", (code,), (old,))


def update(recipe: Recipe) -> Stage:
    """The formula."""
    rule = recipe.rule
    old = ("old_weight", "old_grad", *(f"old_{name}" for name in rule.state))
    grad = "-old_grad" if recipe.maximize else "old_grad"
    given = (old[0], grad, *old[2:], *(f"c_{name}" for name in rule.coefficient_names))
    new = ("delta", *(f"new_{name}" for name in rule.state))
    return Stage(f"{', '.join(new)}, = update({', '.join(given)})", old, new)


def subtract(recipe: Recipe) -> Stage:
    """θ − delta, rounded once."""
    names = ["weight", *[COMPENSATION] * recipe.rounding.compensated]
    old, new = ([f"{age}_{name}" for name in names] for age in ("old", "new"))
    given, words = [*old, "delta"], []
    if recipe.rounding.random:
        words = [f"word{word}" for word in random_words.of_weight(len(recipe.kinds))]
        given.append(f"chance({', '.join(words)})")
    line = f"{', '.join(new)}, = {recipe.rounding.subtract.__name__}({', '.join(given)})"
    return Stage(line, (*old, "delta", *words), tuple(new))


def _encode(recipe: Recipe, column: Column) -> Stage:
    kind, new, code = column.kind, f"new_{column.name}", f"code_{column.name}"
    assert kind.encode is not None, "it is narrow"
    take, word = random_words.of_state(recipe.rule.state.index(column.name))
    given = [f"float32({new})"]
    given += [f"inverse(scale_{column.name})"] * bool(kind.block)
    given += [f"{take.__name__}(word{word}, {kind.random})"]
    line = f"{code} = {kind.encode.__name__}({', '.join(given)})"
    return Stage(line, (new, f"word{word}"), (code,))


def magnitude_of(column: Column) -> str:
    """The expression of what the largest of a block is found by."""
    return f"magnitude(float32(new_{column.name}))"


def scale_of(largest: str) -> str:
    """The expression of a block's scale, by its largest magnitude."""
    return f"block_scale(float_of({largest}))"


def functions(recipe: Recipe) -> Mapping[str, Callable[..., Any]]:
    """The formulas that a kernel's text calls, beside ``update`` and the primitives."""
    codes = [each for kind in recipe.kinds for each in (kind.encode, kind.decode)]
    own = [each for each in codes if each is not None]
    return {each.__name__: each for each in (*_COMMON, recipe.rounding.subtract, *own)}


_COMMON: tuple[Callable[..., Any], ...] = (
    *(encodings.decode_bfloat16, encodings.nearest_bfloat16),
    *(encodings.magnitude, encodings.block_scale, encodings.inverse),
    *(random_words.update_key, random_words.tensor_key, random_words.word_key),
    *(random_words.among_runs, random_words.place, random_words.next_place),
    *(random_words.scrambled, random_words.noise, random_words.chance),
    *(random_words.upper_bits, random_words.lower_bits),
)
