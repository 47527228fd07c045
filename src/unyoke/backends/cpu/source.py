"""The text of a kernel: the stages of an element in loops over memory.

Where state is kept in codes, or the weight is not simply rounded to nearest, the work is divided
into short loops over the 128 elements of a block: draw random words, decode, update, round, encode.
What one leaves to another stays in the nearest cache. One loop for all would be slower by half: the
constants of its formulas are more than a processor has vector registers, and a root, a division and
a code one after the other are more than it looks ahead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch

from unyoke.backends import element
from unyoke.backends.element import Column, Recipe, Stage
from unyoke.storage.encodings import BLOCK

AHEAD = 4 * BLOCK
"""By how many elements fetching from memory precedes computing."""

LINE = 64
"""Bytes that the cache fetches at once; where a machine's are 128, half of the prefetches do
nothing."""


def text(recipe: Recipe) -> str:
    """The whole text; its function ``run`` updates the chunks first … last − 1 of a job."""
    rule, dtypes = recipe.rule, {column.name: column.dtype for column in recipe.columns}
    lines = [f"# {rule.name}, weights rounded: {recipe.rounding.name}"]
    lines += [f"# {name}: {str(dtype).removeprefix('torch.')}" for name, dtype in dtypes.items()]
    lines += [f"# coefficients: {', '.join(rule.coefficient_names)}", "", "@compiled"]
    return "\n".join([*lines, *_run(recipe), ""])


def room(recipe: Recipe) -> dict[str, torch.dtype]:
    """What one loop leaves to another: a number for each element of a block, and its dtype."""
    values = {f"value_{column.name}": torch.float32 for column in recipe.narrow}
    words = {f"word{word}": torch.int32 for word in recipe.words}
    return values | words | ({} if _is_fused(recipe) else {"delta": recipe.computation})


def _is_fused(recipe: Recipe) -> bool:
    """Whether the loop of the formula rounds the weight too."""
    return not (recipe.rounding.random or recipe.rounding.compensated)


def _run(recipe: Recipe) -> Iterator[str]:
    """The loop over chunks."""
    yield "def run(job, first, last):"
    if room(recipe):
        yield "    wide_vectors()"
    yield from _indented(_rooms(recipe))
    yield from begin(recipe)
    width = len(recipe.rule.coefficient_names) + 2
    if recipe.words:
        yield f"        seed, t = number_at(numbers, {width - 2}), number_at(numbers, {width - 1})"
        yield "        of_update = update_key(int32(seed), int32(t))"
        yield "        key = tensor_key(of_update, int32(word_at(own, 4 * tensor)))"
        yield "        first = int32(word_at(own, 4 * tensor + 1))"
        if recipe.in_runs:
            yield "        run, gap = word_at(own, 4 * tensor + 2), word_at(own, 4 * tensor + 3)"
        yield from (f"        key{word} = word_key(key, {word})" for word in recipe.words)
    yield from _indented(_blocks(recipe) if room(recipe) else _plain(recipe), 2)
    yield "    return 0"


def begin(recipe: Recipe) -> Iterator[str]:
    """The head of the loop over chunks: out of the tables what a chunk is about."""
    coefficients = recipe.rule.coefficient_names
    width = len(coefficients) + 2
    yield "    addresses, tensors = word_at(job, 0), word_at(job, 1)"
    yield "    chunks, coefficients, own = word_at(job, 2), word_at(job, 3), word_at(job, 4)"
    yield "    for chunk in range(first, last):"
    yield "        tensor, start = word_at(chunks, 4 * chunk), word_at(chunks, 4 * chunk + 1)"
    yield "        size, row = word_at(chunks, 4 * chunk + 2), word_at(chunks, 4 * chunk + 3)"
    yield f"        numbers = coefficients + {8 * width} * row"
    for k, name in enumerate(coefficients):
        yield f"        c_{name} = number(number_at(numbers, {k}))"
    names = [column.name for column in recipe.columns]
    names += [f"scale_{column.name}" for column in recipe.blocked]
    for k, name in enumerate(names):
        yield f"        begin_{name} = word_at(addresses, {k} * tensors + tensor)"


def _indented(lines: Iterable[str], depth: int = 1) -> Iterator[str]:
    return ("    " * depth + line for line in lines)


def _plain(recipe: Recipe) -> Iterator[str]:
    """A chunk in one loop."""
    for column in recipe.columns:
        yield f"at_{column.name} = begin_{column.name} + {column.dtype.itemsize} * start"
    yield from _loop(recipe, [element.update(recipe), element.subtract(recipe)], "size")


def _blocks(recipe: Recipe) -> Iterator[str]:
    """A chunk in whole blocks; what is left over in the end becomes a block elsewhere."""
    yield "block, end = start, start + size"
    yield "while block < end:"
    yield from _indented(_places(recipe))
    yield f"    if end - block < {BLOCK}:"
    yield from _indented(_stage(recipe), 2)
    yield f"    if end - block >= {AHEAD + BLOCK}:"
    yield from _indented(_prefetch(recipe), 2)
    yield from _indented(_stages(recipe))
    yield f"    if end - block < {BLOCK}:"
    for column in recipe.columns:
        name, size = column.name, column.dtype.itemsize
        if name != "grad":
            place = f"begin_{name} + {size} * block"
            yield f"        copy({place}, at_{name}, {size} * (end - block))"
    yield f"    block += {BLOCK}"


def _rooms(recipe: Recipe) -> Iterator[str]:
    shared = room(recipe)
    for name, dtype in shared.items():
        yield f"at_{name} = room({BLOCK * dtype.itemsize})"
    for column in recipe.columns if shared else ():
        yield f"staged_{column.name} = room({BLOCK * column.dtype.itemsize})"


def _places(recipe: Recipe) -> Iterator[str]:
    """Where a block's numbers are."""
    for column in recipe.columns:
        yield f"at_{column.name} = begin_{column.name} + {column.dtype.itemsize} * block"
    for column in recipe.blocked:
        name = f"scale_{column.name}"
        yield f"at_{name} = begin_{name} + 4 * (block // {BLOCK})"
        yield f"{name} = get_{name}(at_{name}, 0)"


def _stage(recipe: Recipe) -> Iterator[str]:
    """Copies of the last elements, repeated until they fill a block.

    So every loop has the length of a block, which saves 8 % and no loop is compiled twice. Scales
    are the same with an element once or twice.
    """
    for column in recipe.columns:
        name, size = column.name, column.dtype.itemsize
        yield f"repeat(staged_{name}, at_{name}, {size} * (end - block), {size * BLOCK})"
        yield f"at_{name} = staged_{name}"


def _prefetch(recipe: Recipe) -> Iterator[str]:
    """Fetch a later block while this one is computed.

    A block's loops are longer than a processor looks ahead: without this it would wait for memory
    when one begins to read and leave memory idle when it computes. What lies past the end of a
    chunk may be somebody else's, and is left where it is.
    """
    for column in recipe.columns:
        size = column.dtype.itemsize
        yield f"for line in range({BLOCK * size // LINE}):"
        yield f"    prefetch(at_{column.name} + {AHEAD * size} + {LINE} * line)"


def _stages(recipe: Recipe) -> Iterator[str]:
    """Random words, old values, the formula, the new scales, then weights and codes."""
    for word in recipe.words:
        yield from (_draw_in_runs if recipe.in_runs else _draw)(word)
    stages = [*element.stages(recipe)]
    formula = stages.index(element.update(recipe))
    rest = formula + 1 + _is_fused(recipe)
    for stage in stages[:formula]:
        yield from _loop(recipe, [stage], str(BLOCK))
    yield from (f"top_{column.name} = int32(0)" for column in recipe.blocked)
    yield from _loop(recipe, stages[formula:rest], str(BLOCK))
    for column in recipe.blocked:
        name = f"scale_{column.name}"
        yield f"{name} = {element.scale_of(f'top_{column.name}')}"
        yield f"put_{name}(at_{name}, 0, {name})"
    for stage in stages[rest:]:
        yield from _loop(recipe, [stage], str(BLOCK))


def _draw(word: int, first: str = "0", last: str = str(BLOCK), at: str = "block") -> Iterator[str]:
    """A random word for some elements of a block, whose places follow each other."""
    yield f"word = place(key{word}, int32({at} + first))"
    yield f"for i in range({last if first == '0' else f'{first}, {last}'}):"
    yield f"    put_word{word}(at_word{word}, i, scrambled(word))"
    yield "    word = next_place(word)"


def _draw_in_runs(word: int) -> Iterator[str]:
    """A random word for each element of a block, in which runs may end and begin."""
    yield "begin = 0"
    yield f"while begin < {BLOCK}:"
    yield "    index = block + begin"
    yield f"    end_of_run = min({BLOCK}, begin + run - index % run)"
    yield from _indented(_draw(word, "begin", "end_of_run", "among_runs(index, run, gap)"))
    yield "    begin = end_of_run"


def _loop(recipe: Recipe, stages: Sequence[Stage], count: str) -> Iterator[str]:
    """A loop over stages: what they read is loaded, and what they make is stored."""
    made = [name for stage in stages for name in stage.makes]
    read = dict.fromkeys(name for stage in stages for name in stage.reads if name not in made)
    yield f"for i in range({count}):"
    yield from (f"    {name} = {loaded(recipe, name)}" for name in read)
    yield from (f"    {stage.line}" for stage in stages)
    for name in made:
        yield from _indented(_store(recipe, name))


def loaded(recipe: Recipe, name: str) -> str:
    """The expression that reads a name's number from memory."""
    column = _column(recipe, name)
    if column is None:
        return f"get_{name}(at_{name}, i)"  # delta or a word
    age = name.split("_")[0]
    if column.is_narrow and age != "code":
        return f"number(get_value_{column.name}(at_value_{column.name}, i))"
    raw = f"get_{column.name}(at_{column.name}, i)"
    if column.is_coded:
        raw = f"int32({raw})"
    elif column.dtype == torch.float16:
        raw = f"float32_of_half({raw})"
    return raw if age == "code" else column.loaded(raw)


def _store(recipe: Recipe, name: str) -> Iterator[str]:
    """What becomes of a number that was made."""
    column = _column(recipe, name)
    if column is None:
        if name in room(recipe):
            yield f"put_{name}(at_{name}, i, {name})"
        return
    if column.is_narrow and not name.startswith("code_"):
        yield f"put_value_{column.name}(at_value_{column.name}, i, float32({name}))"
        if column.kind.block and name.startswith("new_"):
            top = f"top_{column.name}"
            yield f"{top} = larger({top}, {element.magnitude_of(column)})"
        return
    yield f"put_{column.name}(at_{column.name}, i, kept_{column.name}({column.stored()}))"


def _column(recipe: Recipe, name: str) -> Column | None:
    """The column that ``old_x``, ``new_x`` or ``code_x`` belongs to."""
    own = name.partition("_")[2]
    return next((column for column in recipe.columns if column.name == own), None)
