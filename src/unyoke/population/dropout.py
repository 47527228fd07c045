"""Dropout whose masks belong to a model, not to the stack it happens to be in.

torch.func.vmap draws one mask for the whole stack from torch's generator: a model would see other
zeros beside other models. Here a mask is a hash of (the model's seed, update, call, element): the
same in any stack, one by one, and after a resume.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from unyoke.population.replacing import Replacing

_LARGEST = 1 << 24
_WORD = (1 << 32) - 1


def keys(seeds: Tensor, update: int) -> Tensor:
    """One int32 key per model for one update, [A]; ``seeds`` is [A] int64."""
    mixed = ((seeds ^ (seeds >> 32)) & _WORD) * 0x9E3779B1 + (update + 1) * 0x85EBCA77
    return _hashed((mixed & _WORD).to(torch.int32))


def _hashed(x: Tensor) -> Tensor:
    """The finalizer of MurmurHash3, on int32; also under vmap."""
    for shift, factor in ((16, -0x7A143595), (13, -0x3D4D51CB), (16, 1)):
        x = x ^ ((x >> shift) & ((1 << (32 - shift)) - 1))
        x = x * factor if factor != 1 else x
    return x


class KeyedDropout(Replacing):
    """While active, dropout takes its masks from ``key``; other functions are left alone.

    Attributes:
        calls: how often dropout was asked for.
    """

    def __init__(self, key: Tensor) -> None:
        super().__init__({functional.dropout: self._dropout})
        self.key = key
        self.calls = 0

    def _dropout(
        self, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        if not training or p == 0:
            return input
        self.calls += 1
        counter = torch.arange(input.numel(), dtype=torch.int32, device=input.device)
        stream = _hashed(self.key + self.calls * 0x27D4EB2F)
        bits = _hashed(counter.reshape(input.shape) * -0x61C88647 + stream) & (_LARGEST - 1)
        keep = (bits >= round(p * _LARGEST)).to(input.dtype)
        return input * (keep if p >= 1 else keep / (1 - p))
