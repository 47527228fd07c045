"""The text of a kernel: a rule's formula in loops over memory, in the formats that it is kept in.

Where state is kept in codes, or the weight is not simply rounded to nearest, the work is divided
into short loops over the 128 elements of a block: draw random words, decode, update, encode, round.
What one leaves to another stays in the nearest cache. One loop for all would be slower by half: the
constants of its formulas are more than a processor has vector registers, and a root, a division and
a code one after the other are more than it looks ahead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from unyoke.equation import Rule
from unyoke.storage.encodings import BLOCK
from unyoke.storage.formats import Format, scale_name

STRIP = 4 * BLOCK
"""Elements whose new values are made before any of their codes: by then the scales are known."""


@dataclass(frozen=True)
class Recipe:
    """What a kernel is made for.

    Attributes:
        rule: direction and decay.
        dtypes: of weight, gradient and each state.
        kinds: how each state is kept.
        rounding: of the weights.
        maximize: the gradient's sign is turned.
    """

    rule: Rule
    dtypes: tuple[torch.dtype, ...]
    kinds: tuple[Format, ...]
    rounding: str
    maximize: bool

    @property
    def blocked(self) -> list[int]:
        """The states that are kept in blocks."""
        return [k for k, kind in enumerate(self.kinds) if kind.block]

    @property
    def narrow(self) -> list[int]:
        """The states that are kept in codes."""
        return [k for k, kind in enumerate(self.kinds) if kind.encode is not None]

    @property
    def columns(self) -> list[tuple[str, str]]:
        """The tensors of one parameter: their names in the text and in its state."""
        names = [("weight", "parameter"), ("grad", "gradient")]
        names += [(f"state{k}", name) for k, name in enumerate(self.rule.state)]
        names += [(f"scale{k}", scale_name(self.rule.state[k])) for k in self.blocked]
        return names + [("rest", "compensation")] * (self.rounding == "kahan")

    @property
    def elementwise(self) -> dict[str, torch.dtype]:
        """Of the columns those with a number for each element, and its dtype."""
        names = [name for name, _ in self.columns if not name.startswith("scale")]
        return dict(zip(names, (*self.dtypes, self.dtypes[0]), strict=False))

    @property
    def room(self) -> dict[str, torch.dtype]:
        """What one loop leaves to another: a number for each element of a strip, and its dtype."""
        values = {f"kept{k}": torch.float32 for k in self.narrow}
        words = {f"words{word}": torch.int32 for word in self.words}
        wide = torch.promote_types(self.dtypes[0], torch.float32)
        return values | words | ({} if self.rounding == "nearest" else {"delta": wide})

    @property
    def coefficients(self) -> list[str]:
        return [f"c{k}" for k in range(len(self.rule.coefficient_names))]

    @property
    def wants_chance(self) -> bool:
        """Whether the weight's rounding takes a random number."""
        short = self.dtypes[0] is torch.bfloat16
        return self.rounding == "stochastic" or (self.rounding == "kahan" and short)

    @property
    def words(self) -> list[int]:
        """The numbers of the random words that an element takes."""
        found = {k // 2 for k, kind in enumerate(self.kinds) if kind.random}
        if self.wants_chance:
            found |= {self.first_word, self.first_word + 1}
        return sorted(found)

    @property
    def first_word(self) -> int:
        """The weight's first random word, after those of the states."""
        return (len(self.kinds) + 1) // 2


def text(recipe: Recipe) -> str:
    """The whole text; its function ``run`` updates the chunks first … last − 1 of a job."""
    rule, dtypes = recipe.rule, recipe.dtypes
    lines = [f"# {rule.name}, weights rounded: {recipe.rounding}"]
    for (_, name), dtype in zip(recipe.columns, dtypes, strict=False):
        lines.append(f"# {name}: {str(dtype).removeprefix('torch.')}")
    lines += [f"# coefficients: {', '.join(rule.coefficient_names)}", "", "@compiled"]
    return "\n".join([*lines, *_run(recipe), ""])


def _run(recipe: Recipe) -> Iterator[str]:
    """The loop over chunks, and out of the tables what each is about."""
    width = len(recipe.coefficients) + 2
    yield "def run(job, first, last):"
    yield "    addresses, tensors = word_at(job, 0), word_at(job, 1)"
    yield "    chunks, coefficients, own = word_at(job, 2), word_at(job, 3), word_at(job, 4)"
    yield from _indented(_rooms(recipe))
    yield "    for chunk in range(first, last):"
    yield "        tensor, start = word_at(chunks, 4 * chunk), word_at(chunks, 4 * chunk + 1)"
    yield "        size, row = word_at(chunks, 4 * chunk + 2), word_at(chunks, 4 * chunk + 3)"
    yield f"        numbers = coefficients + {8 * width} * row"
    for k, name in enumerate(recipe.coefficients):
        yield f"        {name} = number(number_at(numbers, {k}))"
    for k, (name, _) in enumerate(recipe.columns):
        yield f"        {name}_place = word_at(addresses, {k} * tensors + tensor)"
    if recipe.words:
        yield f"        seed, t = number_at(numbers, {width - 2}), number_at(numbers, {width - 1})"
        yield "        key = mixed(mixed(int32(seed), int32(t)), int32(word_at(own, tensor)))"
        yield from (f"        key{word} = mixed(key, {word})" for word in recipe.words)
    yield from _indented(_strips(recipe) if recipe.room else _plain(recipe), 2)
    yield "    return 0"


def _indented(lines: Iterable[str], depth: int = 1) -> Iterator[str]:
    return ("    " * depth + line for line in lines)


def _plain(recipe: Recipe) -> Iterator[str]:
    """A chunk in one loop."""
    for name, dtype in recipe.elementwise.items():
        yield f"{name} = {name}_place + {dtype.itemsize} * start"
    yield from _update(recipe, "size")


def _strips(recipe: Recipe) -> Iterator[str]:
    """A chunk in strips of whole blocks; what is left over in the end becomes a block elsewhere."""
    yield "strip, end = start, start + size"
    yield "while strip < end:"
    yield f"    count = min({STRIP}, (end - strip) // {BLOCK} * {BLOCK})"
    for name, dtype in recipe.elementwise.items():
        yield f"    strip_{name} = {name}_place + {dtype.itemsize} * strip"
    yield "    if count == 0:"
    yield from _indented(_stage(recipe), 2)
    for loops in (
        (*_draw(recipe), *_decode(recipe), *_update(recipe, str(BLOCK))),
        (*_encode(recipe), *_round(recipe)),
    ):
        yield f"    for begin in range(0, max(count, {BLOCK}), {BLOCK}):"
        yield from _indented((*_places(recipe), *loops), 2)
    yield "    if count == 0:"
    for name, dtype in recipe.elementwise.items():
        if name != "grad":
            place = f"{name}_place + {dtype.itemsize} * strip"
            yield f"        copy({place}, strip_{name}, {dtype.itemsize} * (end - strip))"
    yield f"    strip += max(count, {BLOCK})"


def _rooms(recipe: Recipe) -> Iterator[str]:
    for name, dtype in recipe.room.items():
        yield f"strip_{name} = room({STRIP * dtype.itemsize})"
    if recipe.room:
        for name, dtype in recipe.elementwise.items():
            yield f"staged_{name} = room({BLOCK * dtype.itemsize})"


def _stage(recipe: Recipe) -> Iterator[str]:
    """Copies of the last elements, repeated until they fill a block.

    So every loop has the length of a block, which saves 8 % and no loop is compiled twice. Scales
    are the same with an element once or twice.
    """
    for name, dtype in recipe.elementwise.items():
        size = f"{dtype.itemsize} * (end - strip)"
        yield f"repeat(staged_{name}, strip_{name}, {size}, {dtype.itemsize * BLOCK})"
        yield f"strip_{name} = staged_{name}"


def _places(recipe: Recipe) -> Iterator[str]:
    """Where a block's numbers are."""
    for name, dtype in (recipe.elementwise | recipe.room).items():
        yield f"{name} = strip_{name} + {dtype.itemsize} * begin"
    for k in recipe.blocked:
        yield f"scale{k} = scale{k}_place + 4 * ((strip + begin) // {BLOCK})"


def _draw(recipe: Recipe) -> Iterator[str]:
    """Random words."""
    for word in recipe.words:
        yield f"place = int32(key{word} + int32(strip + begin) * STRIDE)"
        yield f"for i in range({BLOCK}):"
        yield f"    put_words{word}(words{word}, i, scrambled(place))"
        yield "    place = int32(place + STRIDE)"


def _decode(recipe: Recipe) -> Iterator[str]:
    """Codes into old values."""
    for k in recipe.narrow:
        kind = recipe.kinds[k]
        assert kind.decode is not None, "codes are read by somebody"
        given = [f"int32(get_state{k}(state{k}, i))"]
        if kind.block:
            yield f"old_scale{k} = get_scale{k}(scale{k}, 0)"
            given.append(f"old_scale{k}")
        yield f"for i in range({BLOCK}):"
        yield f"    put_kept{k}(kept{k}, i, {kind.decode.__name__}({', '.join(given)}))"


def _update(recipe: Recipe, count: str) -> Iterator[str]:
    """The formula; and the new scales."""
    numbers = range(len(recipe.kinds))
    new = "".join(f"{name}, " for name in ("step", *(f"new{k}" for k in numbers)))
    grad = f"{'-' if recipe.maximize else ''}load1(get_grad(grad, i))"
    values = ["value", grad, *(_old(recipe, k) for k in numbers), *recipe.coefficients]
    yield from (f"top{k} = int32(0)" for k in recipe.blocked)
    yield f"for i in range({count}):"
    yield "    value = load0(get_weight(weight, i))"
    yield f"    ({new}) = update({', '.join(values)})"
    if recipe.rounding == "nearest":
        yield "    put_weight(weight, i, store0(value - step))"
    else:
        yield "    put_delta(delta, i, step)"
    for k, kind in enumerate(recipe.kinds):
        if kind.encode is None:
            yield f"    put_state{k}(state{k}, i, store{k + 2}(new{k}))"
            continue
        yield f"    put_kept{k}(kept{k}, i, float32(new{k}))"
        if kind.block:
            yield f"    top{k} = larger(top{k}, bits_of(absolute(float32(new{k}))))"
    for k in recipe.blocked:
        yield f"put_scale{k}(scale{k}, 0, block_scale(float_of(top{k})))"


def _old(recipe: Recipe, k: int) -> str:
    """The expression that reads a state."""
    if recipe.kinds[k].encode is None:
        return f"load{k + 2}(get_state{k}(state{k}, i))"
    return f"number(get_kept{k}(kept{k}, i))"


def _encode(recipe: Recipe) -> Iterator[str]:
    """New values into codes."""
    for k in recipe.narrow:
        kind = recipe.kinds[k]
        assert kind.encode is not None, "codes are written by somebody"
        given = [f"get_kept{k}(kept{k}, i)"]
        if kind.block:
            yield f"inverse{k} = float32(1) / get_scale{k}(scale{k}, 0)"
            given.append(f"inverse{k}")
        given.append(f"{'lower' if k % 2 else 'upper'}_bits({_word(k // 2)}, {kind.random})")
        yield f"for i in range({BLOCK}):"
        code = f"code{k}({kind.encode.__name__}({', '.join(given)}))"
        yield f"    put_state{k}(state{k}, i, {code})"


def _word(number: int) -> str:
    return f"get_words{number}(words{number}, i)"


def _round(recipe: Recipe) -> Iterator[str]:
    """θ − delta, where it is not rounded to nearest at once."""
    if recipe.rounding == "nearest":
        return
    yield f"for i in range({BLOCK}):"
    yield "    value, step = load0(get_weight(weight, i)), get_delta(delta, i)"
    if recipe.wants_chance:
        yield f"    uniform = chance({_word(recipe.first_word)}, {_word(recipe.first_word + 1)})"
    if recipe.rounding == "stochastic":
        unit = 0x10000 if recipe.dtypes[0] is torch.bfloat16 else 1
        new = f"subtract_stochastic(value, step, {unit}, uniform)"
        yield f"    put_weight(weight, i, store0({new}))"
    elif recipe.wants_chance:
        rest = "load0(get_rest(rest, i))"
        yield f"    high, low = subtract_kahan_bfloat16(value, {rest}, step, uniform)"
        yield "    put_weight(weight, i, store0(high))"
        yield "    put_rest(rest, i, store0(low))"
    else:
        yield "    high, low = subtract_kahan(value, load0(get_rest(rest, i)), step)"
        yield "    rounded = store0(high)"
        yield "    put_weight(weight, i, rounded)"
        yield "    put_rest(rest, i, store0((high - load0(rounded)) + low))"
