"""A step's numbers formed on the device, and its counters advanced, by one small kernel.

The coefficients of a step that a CUDA graph can record are formed on the device: a dozen
operations on single numbers, each a kernel that takes longer to start than to run. So their
functions are run once on symbols (:mod:`unyoke.backends.symbols`), and what they do becomes the
text of one Triton function, in float64.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from unyoke.backends.base import DeviceCoefficients
from unyoke.backends.gpu.launch import Mirror
from unyoke.backends.symbols import PLAIN, Number, Operation, Symbol, Unwritable, Writer
from unyoke.storage import random_words

if TYPE_CHECKING:
    from unyoke.backends.gpu.runtime import Launcher, Runtime

RATES = ("lr", "base_lr", "weight_decay")

LANES, WARPS = 1024, 4
"""Counters that are advanced at once, and by how many warps."""

WORDS = {
    **PLAIN,
    "abs": "tl.abs({0})",
    "sqrt": "tl.sqrt({0})",
    "exp": "tl.exp({0})",
    "log": "tl.log({0})",
    "pow": "tl.exp2({1} * tl.log2({0}))",  # of a number > 0, as β^t is; or 0, to a power > 0
    "__rpow__": "tl.exp2({0} * tl.log2({1}))",
    "where": "tl.where({0}, {1}, {2})",
    "double": "{0}",
    "clone": "{0}",
}
"""torch's operations on single numbers, in Triton's words."""

POWERS = {0: "tl.full((), 1.0, tl.float64)", 1: "{0}", 2: "{0} * {0}"}
"""Powers that a number of either sign has."""

TYPES = {
    torch.float64: "tl.float64",
    torch.float32: "tl.float32",
    torch.int64: "tl.int64",
    torch.int32: "tl.int32",
    torch.bool: "tl.int1",
}

Form: TypeAlias = Callable[..., Mapping[str, Any]]
"""``(t, scalars, values, now)`` → coefficients by name, and what scalars become. ``now`` reads what
a table holds for the coming update."""


class CoefficientKernel:
    """Forms the coefficients of one set, and counts the update.

    Args:
        runtime: what runs it.
        form: forms the coefficients.
        names: of the coefficients, in the rule's order.
        values: what they are formed from beside counters.
        updates: int64, the number of updates of the group.
        counters: of the parameters, by name and flat: their steps, then each scalar.
        scaled: GradScaler's verdict decides whether the update counts.

    Attributes:
        device_coefficients: of the last run.

    Raises:
        Unwritable: a kernel cannot do what ``form`` does.
    """

    def __init__(
        self,
        runtime: Runtime,
        form: Form,
        names: Sequence[str],
        values: Mapping[str, Any],
        updates: torch.Tensor,
        counters: Mapping[str, torch.Tensor],
        scaled: bool,
    ) -> None:
        device = updates.device
        self._mirror = Mirror(runtime, device, torch.float64)
        plain, self._structure = _taken_apart(values)
        self._numbers = self._mirror.show(plain, plain)
        self._scaled = scaled
        formula = _Formula(form, names, values, updates, counters)
        tables = {
            dtype: torch.zeros(len(names), dtype=dtype, device=device)
            for dtype in (torch.float32, torch.float64)
        }
        keys = torch.zeros(1, dtype=torch.int32, device=device)
        self.device_coefficients = DeviceCoefficients(tables, keys)
        self._tensors = [*tables.values(), keys, *formula.inputs.values()]
        self._count = len(counters["step"])
        language, text = runtime.language(), _text(formula, scaled)
        known = {"update_key": language.bound(random_words.update_key)}
        function = language.define("coefficients", text, known, ("seed", "count", "go"))
        self._start: Launcher = runtime.starter(function, (LANES,), WARPS, device)
        # Nothing is counted, but the kernel is compiled: not while a graph is being recorded
        self._launch(torch.zeros((), device=device) if scaled else None, 0, go=0)

    def holds(self, values: Mapping[str, Any], scaled: bool) -> bool:
        """Take over other numbers; False if it cannot be used with these values."""
        plain, structure = _taken_apart(values)
        if structure != self._structure or scaled != self._scaled:
            return False
        self._numbers = self._mirror.show(plain, plain)
        return True

    def run(self, found_inf: torch.Tensor | None, seed: int) -> None:
        """Form the numbers and count the update.

        Args:
            found_inf: GradScaler's verdict.
            seed: of random bits.
        """
        self._launch(found_inf, seed, go=1)

    def _launch(self, found_inf: torch.Tensor | None, seed: int, go: int) -> None:
        tensors = [self._numbers, *self._tensors, *([] if found_inf is None else [found_inf])]
        self._start(1, tensors, (seed, self._count, go))


def _taken_apart(values: Mapping[str, Any]) -> tuple[list[float], dict[str, Any]]:
    """The numbers that may change, and all the rest, which must stay as it is."""
    plain: list[float] = []

    def kept(value: Any, may_change: bool) -> Any:
        if may_change:
            plain.append(float(value))
            return float
        return (value.data_ptr(), value.dtype) if isinstance(value, torch.Tensor) else value

    return plain, _mapped(values, kept)


def _mapped(values: Mapping[str, Any], each: Callable[[Any, bool], Any]) -> dict[str, Any]:
    """Other values in their places, in tuples and lists too, formed of the old ones.

    Args:
        values: by name.
        each: ``(value, may_change)`` → its like; whole numbers that may be counts stay as they are.
    """

    def one(name: str, value: Any) -> Any:
        if isinstance(value, tuple | list):
            return type(value)([one(name, inner) for inner in value])
        return each(value, isinstance(value, float) or (type(value) is int and name in RATES))

    return {name: one(name, value) for name, value in values.items()}


class _Formula:
    """The numbers of a step in the words of a kernel; the arguments are those of the kernel.

    Attributes:
        inputs: tensors that are read, by the names of pointers to them.
        lines: that read and compute.
        time: the name of t.
        coefficients: their names in the text.
        counters: of each its pointer, its dtype, and the name of what it becomes, None for a count.
    """

    def __init__(
        self,
        form: Form,
        names: Sequence[str],
        values: Mapping[str, Any],
        updates: torch.Tensor,
        counters: Mapping[str, torch.Tensor],
    ) -> None:
        self._writer = Writer((), (), WORDS, Number)
        pointers = [f"counter{k}" for k in range(len(counters))]  # names are the user's
        self.inputs = {"updates": updates, **dict(zip(pointers, counters.values(), strict=True))}
        self.lines: list[str] = []
        numbers = itertools.count()

        def symbol(value: Any, may_change: bool) -> Any:
            if may_change:
                return self._read("numbers", str(next(numbers)))
            return self._input(value) if isinstance(value, torch.Tensor) else value

        step, *scalars = map(self._read, pointers)
        t = step + 1.0
        try:
            found = form(t, scalars, _mapped(values, symbol), self._now)
        except Exception as error:  # Unwritable, or what the formula itself says to symbols
            raise Unwritable(str(error)) from error
        self.lines += map(_line, self._writer.operations)
        self.time = self._named(t)
        self.coefficients = [self._named(found[name]) for name in names]
        news = [None if name == "step" else self._named(found[name]) for name in counters]
        kinds = (TYPES[flat.dtype] for flat in counters.values())
        self.counters = list(zip(pointers, kinds, news, strict=True))

    def _read(self, pointer: str, place: str = "0") -> Symbol:
        """A symbol of what is read there; all is read before anything is computed."""
        name = f"read{len(self.lines)}"
        self.lines.append(f"{name} = tl.load({pointer} + {place}).to(tl.float64)")
        return self._writer.symbol(name)

    def _input(self, tensor: torch.Tensor) -> Symbol:
        """A symbol of a tensor's only number."""
        if tensor.numel() != 1:
            raise Unwritable(f"a tensor of shape {tuple(tensor.shape)}")
        return self._read(self._pointer(tensor))

    def _now(self, table: torch.Tensor) -> Symbol:
        """A symbol of what a table holds for the coming update; its last number stays for good."""
        return self._read(self._pointer(table), f"tl.minimum(tl.load(updates), {len(table) - 1})")

    def _pointer(self, tensor: torch.Tensor) -> str:
        if tensor.device != self.inputs["updates"].device or tensor.dtype not in TYPES:
            raise Unwritable(f"{tensor.dtype} on {tensor.device}")
        name = f"input{len(self.inputs)}"
        self.inputs[name] = tensor
        return name

    def _named(self, value: Any) -> str:
        return _operand(self._writer.named(value))


def _line(operation: Operation) -> str:
    text, operands = WORDS[operation.word], operation.operands
    if operation.word == "pow" and not isinstance(operands[1], str):
        if operands[1] not in POWERS:
            raise Unwritable(f"the power {operands[1]} of what may be negative")
        text = POWERS[operands[1]]
    return f"{operation.result} = {text.format(*map(_operand, operands))}"


def _operand(value: Any) -> str:
    return value if isinstance(value, str) else f"tl.full((), {float(value)!r}, tl.float64)"


def _text(formula: _Formula, scaled: bool) -> str:
    """The kernel: a formula, its results into tables, and the counters advanced."""
    pointers = ["numbers", "narrow", "wide", "keys", *formula.inputs, *["found_inf"] * scaled]
    head = f"def coefficients({', '.join(pointers)}, seed, count, go, LANES: tl.constexpr):"
    return "\n    ".join([head, *formula.lines, *_stored(formula, scaled)]) + "\n"


def _stored(formula: _Formula, scaled: bool) -> Iterator[str]:
    yield "made = tl.where(tl.load(found_inf) == 0, go, 0)" if scaled else "made = go"
    yield "tl.debug_barrier()"  # all is read
    for k, name in enumerate(formula.coefficients):
        yield f"tl.store(narrow + {k}, {name}.to(tl.float32))"
        yield f"tl.store(wide + {k}, {name})"
    yield f"tl.store(keys, update_key(seed, {formula.time}.to(tl.int32)))"
    yield "tl.store(updates, tl.load(updates) + made)"
    yield "for offset in range(0, count, LANES):"
    yield "    i = offset + tl.arange(0, LANES)"
    for name, kind, new in formula.counters:
        changed = f"tl.where(made != 0, {new}.to({kind}), old)" if new else "old + made"
        yield f"    old = tl.load({name} + i, mask=i < count)"
        yield f"    tl.store({name} + i, ({changed}).to({kind}), mask=i < count)"
