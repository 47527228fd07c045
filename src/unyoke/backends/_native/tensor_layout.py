"""Where compiled code finds what Python's objects hold: the tensor in a parameter, its gradient.

To ask every parameter from Python costs more than the update of a small one. A parameter is a
Python object with the address of torch's tensor in it, and torch's C++ library has a function that
returns where that tensor keeps its gradient. Neither is documented, so both are tried out on known
tensors first; where anything is not as expected, Python asks.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from dataclasses import dataclass
from typing import Any

import torch

GRADIENT = "_ZNK3c1010TensorImpl4gradEv"
"""``const Tensor &c10::TensorImpl::grad() const``, as C++ compilers spell it."""


@dataclass(frozen=True)
class Places:
    """What compiled code must know.

    Attributes:
        tensor: bytes from a Python tensor's address to where it holds its C++ tensor's.
        gradient: the function from a C++ tensor to where it holds its gradient's address.
        undefined: the address that stands there without a gradient.
    """

    tensor: int
    gradient: int
    undefined: int


@functools.cache
def places() -> Places | None:
    """Found out once; None where Python must be asked."""
    if not getattr(sys, "_is_gil_enabled", lambda: True)() or sys.implementation.name != "cpython":
        return None
    function = getattr(ctypes.CDLL(torch._C.__file__), GRADIENT, None)
    if function is None:
        return None
    function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_void_p
    samples: list[Any] = [torch.nn.Parameter(torch.zeros(2)), torch.zeros(3), torch.ones(())]
    offset = next(
        (n for n in range(16, 64, 8) if all(_at(id(s) + n) == s._cdata for s in samples)), 0
    )
    if not offset:
        return None
    undefined = {_at(function(sample._cdata)) for sample in samples}
    for sample in samples:
        sample.grad = torch.zeros_like(sample)
    found = [_at(function(sample._cdata)) == sample.grad._cdata for sample in samples]
    if len(undefined) != 1 or not all(found):
        return None
    address = ctypes.cast(function, ctypes.c_void_p).value
    return Places(offset, address or 0, undefined.pop())


def _at(address: int) -> int:
    return ctypes.c_int64.from_address(address).value
