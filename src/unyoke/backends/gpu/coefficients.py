"""A step's numbers formed on the device, and its counters advanced, by one small kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch

from unyoke.backends.base import DeviceCoefficients
from unyoke.backends.gpu.launch import Mirror
from unyoke.backends.gpu.recorder import TYPES, Recorder
from unyoke.storage import random_words

if TYPE_CHECKING:
    from unyoke.backends.gpu.runtime import Launcher, Runtime

RATES = ("lr", "base_lr", "weight_decay")

LANES, WARPS = 1024, 4
"""Counters that are advanced at once, and by how many warps."""


class Numbers:
    """The plain numbers that a formula takes, as tensors on a device.

    Args:
        runtime: what copies them.
        device: where they go.
        values: by name; floats, also in tuples, become tensors.

    Attributes:
        structure: all the rest, which must stay as it is.
    """

    def __init__(self, runtime: Runtime, device: torch.device, values: Mapping[str, Any]) -> None:
        self._mirror = Mirror(runtime, device, torch.float64)
        plain, self.structure = _taken_apart(values)
        self.table = self._mirror.show(plain, plain)
        elements = list(self.table.unbind())
        self.named = {f"number{k}": element for k, element in enumerate(elements)}
        self.values = _replaced(values, iter(elements))

    def show(self, values: Mapping[str, Any]) -> bool:
        """Take over other numbers; False if anything else is not as it was."""
        plain, structure = _taken_apart(values)
        if structure != self.structure:
            return False
        self.table = self._mirror.show(plain, plain)
        return True


def _taken_apart(values: Mapping[str, Any]) -> tuple[list[float], list[Any]]:
    plain: list[float] = []
    structure: list[Any] = []
    for name, value in values.items():
        structure.append(type(value))
        for each in value if isinstance(value, tuple | list) else (value,):
            if _is_plain(name, each):
                plain.append(float(each))
                structure.append(name)
            elif isinstance(each, torch.Tensor):
                structure.append((name, each.data_ptr(), each.dtype))
            else:
                structure.append((name, each))
    return plain, structure


def _is_plain(name: str, value: Any) -> bool:
    """Whether it is a number that may change; whole numbers may be counts of something."""
    return isinstance(value, float) or (type(value) is int and name in RATES)


def _replaced(values: Mapping[str, Any], elements: Any) -> dict[str, Any]:
    def one(name: str, value: Any) -> Any:
        if isinstance(value, tuple | list):
            return type(value)([one(name, each) for each in value])
        return next(elements) if _is_plain(name, value) else value

    return {name: one(name, value) for name, value in values.items()}


class CoefficientKernel(AbstractContextManager[None]):
    """Forms the coefficients of one set, and counts the update.

    Made in three steps: while it is active as a context, torch forms the numbers of an update from
    :attr:`values`; :meth:`build` makes a kernel of what was done; :meth:`run` does it again.

    Args:
        runtime: what runs it.
        device: where the numbers are.
        values: what they are formed from beside tensors.

    Attributes:
        values: the same, with tensors for plain numbers.
        device_coefficients: of the last run; None before :meth:`build`, and where that cannot be.
    """

    def __init__(self, runtime: Runtime, device: torch.device, values: Mapping[str, Any]) -> None:
        self._runtime = runtime
        self._numbers = Numbers(runtime, device, values)
        self._recorder = Recorder(self._numbers.named)
        self._scaled = False
        self._tensors: list[torch.Tensor] = []
        self._count = 0
        self._start: Launcher | None = None
        self.values = self._numbers.values
        self.device_coefficients: DeviceCoefficients | None = None

    def __enter__(self) -> None:
        self._recorder.__enter__()  # type: ignore[no-untyped-call]

    def __exit__(self, *error: Any) -> None:
        self._recorder.__exit__(*error)  # type: ignore[no-untyped-call]

    def holds(self, values: Mapping[str, Any], scaled: bool) -> bool:
        """Take over other numbers; False if it cannot be used with these values."""
        is_made = self.device_coefficients is not None
        return is_made and scaled == self._scaled and self._numbers.show(values)

    def build(
        self,
        t: Any,
        coefficients: Mapping[str, Any],
        updates: torch.Tensor,
        counters: Sequence[tuple[torch.Tensor, Any]],
        scaled: bool,
    ) -> bool:
        """Make ready for :meth:`run`; False if what was done cannot be done so.

        Args:
            t: the number of the update.
            coefficients: by name, in the rule's order.
            updates: int64, the number of updates of the group.
            counters: of the parameters, flat: their steps, then each scalar and what it becomes.
            scaled: GradScaler's verdict decides whether the update counts.
        """
        recorder = self._recorder
        if recorder.objection is not None:
            return False
        try:
            names = [recorder.name(value) for value in coefficients.values()]
            news = [None, *(recorder.name(new) for _, new in counters[1:])]
            time = recorder.name(t)
        except ValueError:
            return False
        device, flats = updates.device, [flat for flat, _ in counters]
        tables = {
            dtype: torch.zeros(len(names), dtype=dtype, device=device)
            for dtype in (torch.float32, torch.float64)
        }
        keys = torch.zeros(1, dtype=torch.int32, device=device)
        named = {"narrow": tables[torch.float32], "wide": tables[torch.float64], "keys": keys}
        named |= {"updates": updates} | {f"counter{k}": flat for k, flat in enumerate(flats)}
        named |= recorder.inputs
        kinds = [TYPES[flat.dtype] for flat in flats]
        text = _text(
            recorder, list(named), names, time, list(zip(kinds, news, strict=True)), scaled
        )
        language = self._runtime.language()
        known = {"mixed": language.bound(random_words.mixed)}
        function = language.define("coefficients", text, known, ("seed", "count", "go"))
        self._tensors, self._count, self._scaled = list(named.values()), len(flats[0]), scaled
        self._start = self._runtime.starter(function, (LANES,), WARPS, device)
        self.device_coefficients = DeviceCoefficients(tables, keys)
        # Nothing is counted, but the kernel is compiled: not while a graph is being recorded
        self._launch(torch.zeros((), device=device) if scaled else None, 0, go=0)
        return True

    def run(self, found_inf: torch.Tensor | None, seed: int) -> None:
        """Form the numbers and count the update.

        Args:
            found_inf: GradScaler's verdict.
            seed: of random bits.
        """
        self._launch(found_inf, seed, go=1)

    def _launch(self, found_inf: torch.Tensor | None, seed: int, go: int) -> None:
        assert self._start is not None
        tensors = [self._numbers.table, *self._tensors]
        tensors += [] if found_inf is None else [found_inf]
        self._start(1, tensors, (seed, self._count, go))


def _text(
    recorder: Recorder,
    named: Sequence[str],
    names: Sequence[str],
    time: str,
    counters: Sequence[tuple[str, str | None]],
    scaled: bool,
) -> str:
    """The kernel: what was recorded, its results into tables, and the counters advanced.

    Args:
        recorder: what was done.
        named: pointers beside that to the numbers.
        names: of the coefficients in the recorded text.
        time: the name of t.
        counters: of each the dtype, and what it becomes; None: it is a count.
        scaled: GradScaler's verdict decides whether the update counts.
    """
    pointers = ["numbers", *named, *["found_inf"] * scaled]
    body = [
        *(f"{name} = tl.load(numbers + {k})" for k, name in enumerate(recorder.known)),
        *recorder.lines,
        "made = go",
        *["made = tl.where(tl.load(found_inf) == 0, go, 0)"] * scaled,
        "tl.debug_barrier()",  # all is read
        *(f"tl.store(narrow + {k}, ({name}).to(tl.float32))" for k, name in enumerate(names)),
        *(f"tl.store(wide + {k}, {name})" for k, name in enumerate(names)),
        f"tl.store(keys, mixed(seed, ({time}).to(tl.int32)))",
        "tl.store(updates, tl.load(updates) + made)",
        "for offset in range(0, count, LANES):",
        "    i = offset + tl.arange(0, LANES)",
    ]
    for k, (kind, new) in enumerate(counters):
        changed = f"tl.where(made != 0, ({new}).to({kind}), old)" if new else "old + made"
        body.append(f"    old = tl.load(counter{k} + i, mask=i < count)")
        body.append(f"    tl.store(counter{k} + i, ({changed}).to({kind}), mask=i < count)")
    head = f"def coefficients({', '.join(pointers)}, seed, count, go, LANES: tl.constexpr):"
    return "\n    ".join([head, *body]) + "\n"
