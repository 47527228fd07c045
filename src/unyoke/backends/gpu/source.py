"""The text of a kernel: what surrounds the stages of an element when a program updates one chunk.

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

from unyoke.backends import element
from unyoke.storage.encodings import BLOCK

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
class Recipe(element.Recipe):
    """What a kernel is made for; tensors that agree in this share a launch.

    Attributes:
        scaled: GradScaler's scale and verdict are read on the device.
        by_value: there is one set of coefficients, and a launch takes its numbers along; else they
            are in a table on the device.
    """

    scaled: bool = False
    by_value: bool = False

    @property
    def coefficients(self) -> list[str]:
        """What the rule's coefficients are called."""
        return [f"c_{name}" for name in self.rule.coefficient_names]

    @property
    def arguments(self) -> tuple[str, ...]:
        """The kernel's pointers, then its numbers, in order."""
        random = bool(self.words)
        names = ["addresses", "chunks"]
        if not self.by_value:
            names += ["coefficients"] + ["keys"] * random
        if self.scaled:
            names += ["grad_scale", "found_inf"]
        if self.by_value:
            names += self.coefficients + ["key"] * random
        return tuple(names)

    @property
    def row(self) -> int:
        """Length of a row of the table of addresses: columns, scales, then number and place."""
        return len(self.columns) + len(self.blocked) + 4 * bool(self.words)


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
    step = BLOCK if recipe.blocked else STEP
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
    for index, column in enumerate(recipe.columns):
        yield f"at_{column.name} = tl.load(row + {index}) + {column.dtype.itemsize} * start"
    for index, column in enumerate(recipe.blocked, start=len(recipe.columns)):
        yield f"at_scale_{column.name} = tl.load(row + {index}) + 4 * (start // {BLOCK})"
    if recipe.words:
        update = "key" if recipe.by_value else "tl.load(keys + own)"
        # Not `number`: that name stands for the conversion to the computation's dtype
        at = recipe.row - 4
        yield f"key = tensor_key({update}, tl.load(row + {at}).to(tl.int32))"
        yield f"first = tl.load(row + {at + 1})"
    if recipe.in_runs:
        yield f"run, gap = tl.load(row + {at + 2}), tl.load(row + {at + 3})"
    names = () if recipe.by_value else recipe.coefficients
    for index, name in enumerate(names):
        yield f"{name} = tl.load(coefficients + {len(names)} * own + {index})"
    if recipe.scaled:
        yield "unscale = 1.0 / tl.load(grad_scale)"
        yield "count = tl.where(tl.load(found_inf) != 0, 0, count)"
    together = " | ".join(f"at_{column.name}" for column in recipe.columns)
    yield f"whole = tl.where((({together}) & 15) == 0, count // STEP * STEP, 0)"


def _block(recipe: Recipe, lanes: str, end: str, wide: bool) -> Iterator[str]:
    """Load, compute and store ``lanes`` elements."""
    yield from _indices(recipe, lanes, end)
    yield from _load(recipe, wide)
    drawn: set[int] = set()
    index = "among_runs(start + i, run, gap)" if recipe.in_runs else "start + i"
    for stage in element.stages(recipe):
        for word in stage.words:  # when it is needed, and not before: registers are few
            if word not in drawn:
                yield f"word{word} = noise(word_key(key, {word}), (first + {index}).to(tl.int32))"
        drawn.update(stage.words)
        for column in recipe.blocked:
            if f"code_{column.name}" in stage.makes:
                yield from _rescale(column)
        yield stage.line
    for column in recipe.columns:
        if column.name != "grad":
            kept = f"({column.stored()}).to(tl.{TYPES[column.dtype]})"
            yield f"tl.store(to_{column.name}, {kept}, mask=inside)"


def _indices(recipe: Recipe, lanes: str, end: str) -> Iterator[str]:
    """Which elements; with shared scales as rows, one to a scale."""
    if recipe.blocked:
        yield f"rows = tl.arange(0, {lanes} // {BLOCK})[:, None]"
        yield f"block = offset // {BLOCK} + rows"
        yield f"i = offset + ({BLOCK} * rows + tl.arange(0, {BLOCK})[None, :])"
        yield f"any_inside = {BLOCK} * block < {end}"
    else:
        yield f"i = offset + tl.arange(0, {lanes})"
    yield f"inside = i < {end}"


def _load(recipe: Recipe, wide: bool) -> Iterator[str]:
    """What is in memory: codes as they are, the rest in the dtype of the computation."""
    for column in recipe.columns:
        name = column.name
        pointer = f"at_{name}.to(tl.pointer_type(tl.{TYPES[column.dtype]}))"
        yield f"to_{name} = {f'tl.multiple_of({pointer}, 16)' if wide else pointer} + i"
        yield f"code_{name} = tl.load(to_{name}, mask=inside)"
    for column in recipe.blocked:
        name = f"scale_{column.name}"
        yield f"to_{name} = at_{name}.to(tl.pointer_type(tl.float32)) + block"
        yield f"{name} = tl.load(to_{name}, mask=any_inside)"
    for column in recipe.columns:
        raw = f"code_{column.name}"
        if column.is_coded:
            yield f"{raw} = {raw}.to(tl.int32)"
        if not column.is_narrow:
            yield f"old_{column.name} = {column.loaded(raw)}"
    if recipe.scaled:
        yield "old_grad = old_grad * unscale"


def _rescale(column: element.Column) -> Iterator[str]:
    """The scales of the new values."""
    name = f"scale_{column.name}"
    yield f"magnitudes = tl.where(inside, {element.magnitude_of(column)}, 0)"
    yield f"{name} = {element.scale_of('largest(magnitudes)')}"
    yield f"tl.store(to_{name}, {name}, mask=any_inside)"
