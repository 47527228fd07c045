"""The text of a kernel that forms norms: the sums of squares of a formula's terms, chunk by chunk.

It reads what a kernel of :mod:`.source` reads, writes nothing but its sums, and is told the same,
so that both share their tables. Each of the 128 places of a block has a sum of its own: a loop over
them is vectors without reordering any sum, and the result is one for any number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch

from unyoke.backends import element
from unyoke.backends.cpu.source import begin, loaded
from unyoke.backends.element import Column, Recipe
from unyoke.storage.encodings import BLOCK


def text(recipe: Recipe, count: int) -> str:
    """The whole text; its function ``run`` leaves sums of chunks first … last − 1 in the job."""
    rule, columns = recipe.rule, recipe.columns[: 2 + len(recipe.kinds)]
    lines = [f"# norms of {rule.name}"]
    lines += [f"# {each.name}: {str(each.dtype).removeprefix('torch.')}" for each in columns]
    lines += [f"# coefficients: {', '.join(rule.coefficient_names)}", "", "@compiled"]
    return "\n".join([*lines, *_run(recipe, columns, count), ""])


def lanes(recipe: Recipe, count: int) -> Mapping[str, torch.dtype]:
    """What loops leave to each other and to Python: a column's name, and its dtype."""
    sums = {f"lane_{k}": recipe.computation for k in range(count)}
    return {**sums, "total": torch.float64}


def _run(recipe: Recipe, columns: Sequence[Column], count: int) -> Iterator[str]:
    terms, each_lane = [f"term_{k}" for k in range(count)], range(count)
    yield "def run(job, first, last):"
    yield "    sums = word_at(job, 5)"
    for k in each_lane:
        yield f"    lanes_{k} = room({BLOCK * recipe.computation.itemsize})"
    yield from begin(recipe)
    yield f"        for i in range({BLOCK}):"
    yield from (f"            put_lane_{k}(lanes_{k}, i, number(0))" for k in each_lane)
    yield f"        for block in range(0, size, {BLOCK}):"
    for column in columns:
        size = column.dtype.itemsize
        yield f"            at_{column.name} = begin_{column.name} + {size} * (start + block)"
    for column in recipe.blocked:
        name = f"scale_{column.name}"
        place = f"begin_{name} + 4 * ((start + block) // {BLOCK})"
        yield f"            {name} = get_{name}({place}, 0)"
    yield f"            for i in range(min({BLOCK}, size - block)):"
    old = ["old_weight", "-old_grad" if recipe.maximize else "old_grad"]
    old += [f"old_{name}" for name in recipe.rule.state]
    for column in columns:
        name = f"{'code' if column.is_narrow else 'old'}_{column.name}"
        yield f"                {name} = {loaded(recipe, name)}"
        if column.is_narrow:
            yield f"                {element.decode(column).line}"
    given = (*old, *(f"c_{name}" for name in recipe.rule.coefficient_names))
    yield f"                {', '.join(terms)}, = terms({', '.join(given)})"
    for k in each_lane:
        square = f"get_lane_{k}(lanes_{k}, i) + term_{k} * term_{k}"
        yield f"                put_lane_{k}(lanes_{k}, i, {square})"
    for k in each_lane:
        yield "        total = float64(0)"
        yield f"        for i in range({BLOCK}):"
        yield f"            total += float64(get_lane_{k}(lanes_{k}, i))"
        yield f"        put_total(sums, {count} * chunk + {k}, total)"
    yield "    return 0"
