"""Formulas of numbers on a device, written down as they are computed.

The coefficients of a step that a CUDA graph can record are formed on the device: a dozen
operations on single numbers, each a kernel that takes longer to start than to run. Here torch
computes them once, and what it did is written down as the text of one Triton function.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

TEXTS = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "rsub": "{1} - {0}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "reciprocal": "1.0 / {0}",
    "neg": "-{0}",
    "abs": "tl.abs({0})",
    "sqrt": "tl.sqrt({0})",
    "exp": "tl.exp({0})",
    "log": "tl.log({0})",
    "pow": "tl.exp2({1} * tl.log2({0}))",  # of a number > 0, as β^t is; or 0, to a power > 0
    "bitwise_or": "{0} | {1}",  # of two conditions
    "gt": "{0} > {1}",
    "ge": "{0} >= {1}",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "eq": "{0} == {1}",
    "ne": "{0} != {1}",
    "where": "tl.where({0}, {1}, {2})",
    "_to_copy": "{0}",
}
"""torch's operations on single numbers, in Triton's words."""

POWERS = {0: "tl.full((), 1.0, tl.float64)", 1: "{0}", 2: "{0} * {0}"}
"""Powers that a number of either sign has."""

SAME = ("view", "detach", "alias", "select", "squeeze", "unsqueeze", "expand", "_unsafe_view")
"""Operations that show the same number as another tensor."""

UNDERSTOOD = {"dtype", "layout", "device", "pin_memory", "non_blocking", "memory_format"} | {
    *("min", "max")
}
"""Keywords that change nothing of the number, or are read; others have no text."""

TYPES = {
    torch.float64: "tl.float64",
    torch.float32: "tl.float32",
    torch.int64: "tl.int64",
    torch.int32: "tl.int32",
    torch.bool: "tl.int1",
}


class _NoWord(Exception):
    """There is no text for what was done."""


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While active, writes down what is computed.

    Args:
        known: numbers that have a name already, by name.

    Attributes:
        known: the names of these, in their order.
        lines: of the text.
        inputs: tensors whose first element is read, by the names of pointers to them.
        objection: what there is no text for; then the rest is of no use.
    """

    def __init__(self, known: Mapping[str, torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.known = list(known)
        self.lines: list[str] = []
        self.inputs: dict[str, torch.Tensor] = {}
        self.objection: str | None = None
        self._kept: list[torch.Tensor] = list(known.values())  # so that no id is used twice
        self._names = {id(tensor): name for name, tensor in known.items()}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if self.objection is None:
            try:
                self._write(func.overloadpacket.__name__, args, kwargs or {}, out)
            except _NoWord:
                self.objection = str(func)
        return out

    def name(self, value: Any) -> str:
        """What a number is called in the text.

        Raises:
            ValueError: it is not a number on the device.
        """
        try:
            return self._text(value, torch.float64)
        except _NoWord as error:
            raise ValueError(f"{value!r} cannot be read by a kernel") from error

    def _write(self, word: str, args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> None:
        if not isinstance(out, torch.Tensor) or not set(kwargs) <= UNDERSTOOD:
            raise _NoWord
        if word in SAME:
            if id(args[0]) in self._names:
                self._call(out, self._names[id(args[0])])
            return  # the number at a place of a tensor in memory is read when it is used
        if out.numel() != 1 or out.dtype not in TYPES:
            raise _NoWord
        if word == "bitwise_or" and out.dtype != torch.bool:
            raise _NoWord
        if word == "clamp":
            number, least, most = [*args, None, None][:3]
            limits = {"maximum": kwargs.get("min", least), "minimum": kwargs.get("max", most)}
            text = "{0}"
            for function, limit in limits.items():
                if limit is not None:
                    text = f"tl.{function}({text}, {self._text(limit, out.dtype)})"
            args = (number,)
        elif word == "scalar_tensor":
            text = "{0}"
        elif word == "pow" and not isinstance(args[1], torch.Tensor):
            if args[1] not in POWERS:
                raise _NoWord  # of a number that may be negative
            text = POWERS[args[1]]
            args = args[: "{0}" in text]
        elif word == "index_select":
            table, _, place = args
            text = f"tl.load({self._pointer(table)} + {self._text(place, torch.int64)})"
            args = ()
        elif word in TEXTS:
            text = TEXTS[word]
        else:
            raise _NoWord
        dtype = torch.bool if word == "bitwise_or" else _computed_in(args, out.dtype)
        first = [torch.bool] * (word == "where")
        dtypes = [*first, *[dtype] * len(args)]
        if word == "_to_copy":
            args, dtypes = args[:1], [args[0].dtype]
        operands = [self._text(each, kind) for each, kind in zip(args, dtypes, strict=False)]
        name = f"v{len(self.lines)}"
        self.lines.append(f"{name} = ({text.format(*operands)}).to({TYPES[out.dtype]})")
        self._call(out, name)

    def _call(self, tensor: torch.Tensor, name: str) -> None:
        self._names[id(tensor)] = name
        self._kept.append(tensor)

    def _text(self, value: Any, dtype: torch.dtype) -> str:
        if dtype not in TYPES:
            raise _NoWord
        if isinstance(value, float) and not math.isfinite(value):
            raise _NoWord
        if isinstance(value, bool | int | float):
            return f"tl.full((), {value!r}, {TYPES[dtype]})"
        if not isinstance(value, torch.Tensor) or value.numel() != 1 or value.dtype not in TYPES:
            raise _NoWord
        if id(value) not in self._names:
            name = f"v{len(self.lines)}"
            self.lines.append(f"{name} = tl.load({self._pointer(value)})")
            self._call(value, name)
        return f"{self._names[id(value)]}.to({TYPES[dtype]})"

    def _pointer(self, tensor: torch.Tensor) -> str:
        if tensor.device.type == "cpu" and not self._is_host(tensor):
            raise _NoWord
        name = f"p{len(self.inputs)}"
        self.inputs[name] = tensor
        return name

    def _is_host(self, tensor: torch.Tensor) -> bool:
        """Whether everything is on the host, as in Triton's interpreter."""
        return all(each.device == tensor.device for each in self._kept)


def _computed_in(args: Sequence[Any], dtype: torch.dtype) -> torch.dtype:
    """In which dtype operands meet: of comparisons that of the operands, else of the result."""
    if dtype != torch.bool:
        return dtype
    tensors = [each.dtype for each in args if isinstance(each, torch.Tensor)]
    result = tensors[0]
    for each in tensors:
        result = torch.promote_types(result, each)
    return result if result.is_floating_point else torch.float64
