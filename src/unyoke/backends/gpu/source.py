"""The text of a kernel: what surrounds a formula when one program updates one chunk.

A program reads its chunk (tensor, first element, number of elements, set of coefficients) and the
tensor's addresses from tables. Addresses from a table say nothing about their alignment, and
without it the compiler moves one element at a time. So each program looks at its own addresses: if
all are multiples of 16 bytes, it says so to the compiler and takes the part of its chunk that is a
multiple of `STEP` elements in wide blocks, 16 bytes per load; whatever is left goes one element
per thread.

Coefficients that all chunks share come with the launch itself, without a copy to the device.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from unyoke.equation import Rule
from unyoke.storage import encodings
from unyoke.storage.formats import COMPENSATION, Format, scale_name

STEP = 16
"""Elements that fill 16 bytes in the narrowest format."""

TYPES = {
    torch.float64: "float64",
    torch.float32: "float32",
    torch.float16: "float16",
    torch.bfloat16: "int16",  # its bits: unyoke.storage.encodings knows how to round to them
    torch.int8: "int8",
    torch.uint8: "uint8",
}


@dataclass(frozen=True)
class Recipe:
    """What a kernel is made for; tensors that agree in this share a launch.

    Attributes:
        rule: direction and decay.
        weight: dtype of the weights.
        grad: dtype of the gradients.
        states: dtypes of the state tensors, in the rule's order.
        formats: how these keep their numbers.
        rounding: how θ − delta is rounded.
        maximize: the gradient counts with its sign turned.
        scaled: GradScaler's scale and verdict are read on the device.
        by_value: there is one set of coefficients, and a launch takes its numbers along; else they
            are in a table on the device.
    """

    rule: Rule
    weight: torch.dtype
    grad: torch.dtype
    states: tuple[torch.dtype, ...]
    formats: tuple[Format, ...]
    rounding: str = "nearest"
    maximize: bool = False
    scaled: bool = False
    by_value: bool = False

    @property
    def computation(self) -> torch.dtype:
        """What the formula computes in."""
        return torch.promote_types(self.weight, torch.float32)

    @property
    def blocks(self) -> bool:
        """Whether elements share scales."""
        return any(kind.block for kind in self.formats)

    @property
    def random(self) -> bool:
        """Whether random bits are drawn."""
        return any(kind.random for kind in self.formats) or self.draws_for_weight

    @property
    def draws_for_weight(self) -> bool:
        return self.rounding == "stochastic" or (
            self.rounding == "kahan" and self.weight == torch.bfloat16
        )

    @property
    def streams(self) -> tuple[tuple[str, torch.dtype], ...]:
        """What is read and written for each element: names as in a state, and dtypes."""
        kahan = [(COMPENSATION, self.weight)] if self.rounding == "kahan" else []
        states = zip(self.rule.state, self.states, strict=True)
        return (("weight", self.weight), ("grad", self.grad), *states, *kahan)

    @property
    def scales(self) -> tuple[str, ...]:
        """Names of the companions that hold the blocks' scales."""
        pairs = zip(self.rule.state, self.formats, strict=True)
        return tuple(scale_name(name) for name, kind in pairs if kind.block)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The kernel's pointers, then its numbers, in order."""
        names = ["addresses", "chunks"]
        if not self.by_value:
            names += ["coefficients"] + ["keys"] * self.random
        if self.scaled:
            names += ["grad_scale", "found_inf"]
        if self.by_value:
            names += [*self.rule.coefficient_names] + ["key"] * self.random
        return tuple(names)

    @property
    def row(self) -> int:
        """Length of a row of the table of addresses: streams, scales and the tensor's number."""
        return len(self.streams) + len(self.scales) + self.random


def kernel(recipe: Recipe) -> str:
    """The text of the function ``kernel``, for :meth:`Language.define`."""
    lines = [
        f"def kernel({', '.join(recipe.arguments)}, BLOCK: tl.constexpr, LANES: tl.constexpr):",
        *_indented(_prologue(recipe)),
        "    for offset in range(0, whole, BLOCK):",
        *_indented(_block(recipe, "BLOCK", "whole", wide=True), 2),
        "    for offset in range(whole, count, LANES):",
        *_indented(_block(recipe, "LANES", "count", wide=False), 2),
    ]
    step = encodings.BLOCK if recipe.blocks else STEP
    return "\n".join(lines).replace("STEP", str(step)) + "\n"


def _indented(lines: Iterable[str], depth: int = 1) -> Iterator[str]:
    return ("    " * depth + line for line in lines)


def _prologue(recipe: Recipe) -> Iterator[str]:
    """From the number of the program to addresses, coefficients and the wide part's length."""
    yield "chunk = chunks + 4 * tl.program_id(0)"
    yield "start = tl.load(chunk + 1)"
    yield "count = tl.load(chunk + 2).to(tl.int32)"
    yield "own = tl.load(chunk + 3)"
    yield f"row = addresses + {recipe.row} * tl.load(chunk)"
    names = [name for name, _ in recipe.streams]
    for index, (name, dtype) in enumerate(recipe.streams):
        yield f"at_{name} = tl.load(row + {index}) + {dtype.itemsize} * start"
    for index, name in enumerate(recipe.scales, start=len(names)):
        yield f"at_{name} = tl.load(row + {index}) + 4 * (start // {encodings.BLOCK})"
    if recipe.random:
        update = "key" if recipe.by_value else "tl.load(keys + own)"
        yield f"key = mixed({update}, tl.load(row + {recipe.row - 1}).to(tl.int32))"
    coefficients = () if recipe.by_value else recipe.rule.coefficient_names
    for index, name in enumerate(coefficients):
        yield f"{name} = tl.load(coefficients + {len(coefficients)} * own + {index})"
    if recipe.scaled:
        yield "unscale = 1.0 / tl.load(grad_scale)"
        yield "count = tl.where(tl.load(found_inf) != 0, 0, count)"
    together = " | ".join(f"at_{name}" for name in names)
    yield f"whole = tl.where((({together}) & 15) == 0, count // STEP * STEP, 0)"


def _block(recipe: Recipe, lanes: str, end: str, wide: bool) -> Iterator[str]:
    """Load, compute and store ``lanes`` elements."""
    yield from _indices(recipe, lanes, end)
    for name, dtype in recipe.streams:
        pointer = f"at_{name}.to(tl.pointer_type(tl.{TYPES[dtype]}))"
        yield f"to_{name} = {f'tl.multiple_of({pointer}, 16)' if wide else pointer} + i"
        yield f"old_{name} = tl.load(to_{name}, mask=inside)"
    yield from _decode(recipe)
    state = [f"old_{name}" for name in recipe.rule.state]
    arguments = ", ".join(("old_weight", "old_grad", *state, *recipe.rule.coefficient_names))
    results = "".join(f"new_{name}, " for name in recipe.rule.state)
    yield f"delta, {results}= update({arguments})"
    yield from _subtract(recipe)
    yield from _encode(recipe)
    for name, dtype in recipe.streams:
        if name != "grad":
            yield f"tl.store(to_{name}, new_{name}.to(tl.{TYPES[dtype]}), mask=inside)"


def _indices(recipe: Recipe, lanes: str, end: str) -> Iterator[str]:
    """Which elements; with shared scales as rows, one to a scale."""
    if recipe.blocks:
        size = encodings.BLOCK
        yield f"rows = tl.arange(0, {lanes} // {size})[:, None]"
        yield f"scale = offset // {size} + rows"
        yield f"i = offset + ({size} * rows + tl.arange(0, {size})[None, :])"
        yield f"any_inside = {size} * scale < {end}"
    else:
        yield f"i = offset + tl.arange(0, {lanes})"
    yield f"inside = i < {end}"


def _decode(recipe: Recipe) -> Iterator[str]:
    """What was loaded, in the computation's dtype."""
    dtype = TYPES[recipe.computation]
    kinds = dict(zip(recipe.rule.state, recipe.formats, strict=True))
    for name, kept in recipe.streams:
        old, kind = f"old_{name}", kinds.get(name)
        if kind is not None and kind.decode is not None and kind.block:
            pointer = f"at_{scale_name(name)}.to(tl.pointer_type(tl.float32))"
            yield f"to_{scale_name(name)} = {pointer} + scale"
            yield f"scale_of_{name} = tl.load(to_{scale_name(name)}, mask=any_inside)"
            yield f"{old} = {kind.decode.__name__}({old}.to(tl.int32), scale_of_{name})"
        elif kept == torch.bfloat16:
            yield f"{old} = decode_bfloat16({old}.to(tl.int32))"
        if kept != recipe.computation:
            yield f"{old} = {old}.to(tl.{dtype})"
    if recipe.scaled:
        yield "old_grad = old_grad * unscale"
    if recipe.maximize:
        yield "old_grad = -old_grad"


def _word(number: int) -> str:
    """A random word: one for each two states, then two for the weight; drawn when it is needed."""
    return f"word{number} = noise(mixed(key, {number}), (start + i).to(tl.int32))"


def _subtract(recipe: Recipe) -> Iterator[str]:
    """θ − delta, rounded once, as unyoke.storage.formats.subtract does it."""
    narrow = recipe.weight == torch.bfloat16
    if recipe.draws_for_weight:
        first = (len(recipe.formats) + 1) // 2
        yield from (_word(first), _word(first + 1))
        yield f"uniform = chance(word{first}, word{first + 1})"
    if recipe.rounding == "stochastic":
        unit = 0x10000 if narrow else 1
        yield f"new_weight = subtract_stochastic(old_weight, delta, {unit}, uniform)"
    elif recipe.rounding == "nearest":
        yield "new_weight = old_weight - delta"
    elif narrow:
        arguments = f"old_weight, old_{COMPENSATION}, delta, uniform"
        yield f"new_weight, new_{COMPENSATION} = subtract_kahan_bfloat16({arguments})"
    else:
        arguments = f"old_weight, old_{COMPENSATION}, delta"
        yield f"new_weight, new_{COMPENSATION} = subtract_kahan({arguments})"
        if recipe.weight == torch.float16:
            yield "kept = new_weight.to(tl.float16)"
            rest = f"(new_weight - kept.to(tl.float32)) + new_{COMPENSATION}"
            yield f"new_{COMPENSATION} = {rest}"
            yield "new_weight = kept"


def _encode(recipe: Recipe) -> Iterator[str]:
    """The new values as they are kept."""
    for name, dtype in recipe.streams:
        if dtype == torch.bfloat16 and name in ("weight", COMPENSATION):
            yield f"new_{name} = encode_bfloat16(new_{name}, to_nearest(new_{name}))"
    for position, (name, kind) in enumerate(zip(recipe.rule.state, recipe.formats, strict=True)):
        if kind.encode is None:
            continue
        if position % 2 == 0 or recipe.formats[position - 1].encode is None:
            yield _word(position // 2)
        half = "lower_bits" if position % 2 else "upper_bits"
        bits = f"{half}(word{position // 2}, {kind.random})"
        encode = kind.encode.__name__
        if kind.block:
            yield f"magnitude = tl.where(inside, bits_of(absolute(new_{name})), 0)"
            yield f"scale_of_{name} = block_scale(float_of(largest(magnitude)))"
            yield f"tl.store(to_{scale_name(name)}, scale_of_{name}, mask=any_inside)"
            yield f"new_{name} = {encode}(new_{name}, 1.0 / scale_of_{name}, {bits})"
        else:
            yield f"new_{name} = {encode}(new_{name}, {bits})"
