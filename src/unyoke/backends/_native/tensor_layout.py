"""Where compiled code finds what Python's and torch's objects hold: a tensor, its place, its sizes.

To ask every tensor from Python costs more than the update of a small one, and to call torch for
each of its properties as much. They lie in memory, in an order that is documented in torch's C++
headers and not promised. So it is looked for in known tensors, and what is read there compared with
what Python says of them; where anything is not as expected, Python asks.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from dataclasses import dataclass
from typing import Any

import torch

INLINE = 5
"""Sizes that lie in a tensor itself, with the strides behind them; more lie elsewhere."""

KIND = (1 << 40) - 1
"""Of a tensor's word with its dtype and device the bits that are these."""

_LENGTH = 22
"""Words of a tensor; of a storage fewer are read."""


@dataclass(frozen=True)
class Places:
    """Where the words of 64 bits are: numbers count them from an object's address.

    Attributes:
        tensor: in a Python tensor, its C++ tensor.
        storage: in a tensor, its storage; then what autograd knows of it.
        version: in a tensor, what counts its versions, by the word number COUNT of that.
        sizes: in a tensor, the number of its dimensions; then sizes and strides, its offset in
            the storage, the number of its elements, dtype and device, and the keys by which torch
            chooses its functions: its layout, and whether its numbers are to be negated.
        gradient: in what autograd knows, the gradient.
        undefined: what stands there without one.
        data: in a storage, its memory; then what frees that, a word for it, device and size.
        shared: what frees memory that has to be copied before it is written.
    """

    tensor: int
    storage: int
    version: int
    sizes: int
    gradient: int
    undefined: int
    data: int
    shared: int

    @property
    def offset(self) -> int:
        """In a tensor, the elements of its storage before it."""
        return self.sizes + 1 + 2 * INLINE

    @property
    def kind(self) -> int:
        """In a tensor, dtype and device; see KIND."""
        return self.offset + 2

    @property
    def keys(self) -> int:
        """In a tensor, the keys."""
        return self.offset + 3


COUNT = 2
"""Number of the word that is counted up in what counts a tensor's versions."""


@functools.cache
def places() -> Places | None:
    """Found out once; None where Python must be asked."""
    if not getattr(sys, "_is_gil_enabled", lambda: True)() or sys.implementation.name != "cpython":
        return None
    try:
        found = _search()
    except (ValueError, StopIteration):  # something is not where it is looked for
        return None
    return found if all(_is_as_read(found, sample) for sample in _samples()) else None


@functools.cache
def mapping_version() -> int | None:
    """In a dictionary, the word that every change of it makes another one; None if there is none.

    As Python 3.11 and 3.12 have it, so that what stands under a name need not be looked up.
    """
    mapping: dict[str, int] = dict.fromkeys("abc", 0)
    changes = (
        *(lambda: mapping.update(a=1), lambda: mapping.update(d=1), lambda: mapping.pop("b")),
        *(mapping.popitem, lambda: mapping.setdefault("e", 1), mapping.clear),
    )
    seen = [_words(id(mapping), 6)]
    for change in changes:
        change()
        seen.append(_words(id(mapping), 6))
    words = enumerate(zip(*seen, strict=True))
    return next((k for k, word in words if k > 1 and len(set(word)) == len(seen)), None)


def _search() -> Places:
    """Where everything is in one tensor; more are compared afterwards.

    Raises:
        ValueError: something is nowhere.
        StopIteration: likewise.
    """
    # Sizes that no other word is likely to have. A wrong find would not pass _is_as_read either
    sample: Any = torch.nn.Parameter(torch.zeros(7, 11, 13))
    words = _words(sample._cdata, _LENGTH)
    storage = words.index(sample.untyped_storage()._cdata)
    version = storage + 3
    words.index(id(sample), version + 1, version + 3)  # so what stands before it can be followed
    undefined = _words(words[storage + 1], _LENGTH)
    sample.grad = torch.zeros_like(sample)
    gradient = _words(words[storage + 1], _LENGTH).index(sample.grad._cdata)
    data = _words(words[storage], 4).index(sample.data_ptr())
    # What frees the memory of a lazy copy is one function for all of them: a set of one is wanted
    lazily = [torch._lazy_clone(torch.zeros(3)).untyped_storage() for _ in range(2)]
    (shared,) = {_words(each._cdata, data + 2)[data + 1] for each in lazily}
    return Places(
        next(k for k in range(2, 8) if _words(id(sample), 8)[k] == sample._cdata),
        storage,
        version,
        next(k for k in range(_LENGTH - 4) if words[k : k + 4] == [3, 7, 11, 13]),
        gradient,
        undefined[gradient],
        data,
        shared,
    )


def _samples() -> list[Any]:
    numbers = torch.zeros(500)
    made: list[Any] = [
        *(torch.nn.Parameter(torch.ones(3, 2)), numbers.as_strided((3, 5), (17, 2), 19)),
        *(torch.ones(()), torch.zeros(2, 1, 3, 1, 2, 4), torch.zeros(4, 0, dtype=torch.int8)),
    ]
    for sample in made:
        sample.grad = torch.ones_like(sample) if sample.is_floating_point() else None
    torch.autograd.graph.increment_version(made[:2])
    return made


def _is_as_read(p: Places, sample: Any) -> bool:
    """Whether memory says of a tensor what Python says."""
    words, dims = _words(sample._cdata, p.keys + 1), sample.dim()
    storage, own = _words(words[p.storage], p.data + 5), sample.untyped_storage()
    sizes = sample._cdata + 8 * (p.sizes + 1) if dims <= INLINE else words[p.sizes + 1]
    held = sample.grad
    return (
        [_words(id(sample), p.tensor + 1)[p.tensor], words[p.storage], words[p.sizes]]
        == [sample._cdata, own._cdata, dims]
        and _words(sizes, dims) == [*sample.shape]
        and _words(sizes + 8 * max(dims, INLINE), dims) == [*sample.stride()]
        and words[p.offset : p.offset + 2] == [sample.storage_offset(), sample.numel()]
        and [storage[p.data], storage[p.data + 4]] == [own.data_ptr(), own.nbytes()]
        # the count has 32 bits, and something else may lie beside it in the word
        and _words(words[p.version], COUNT + 1)[COUNT] & 0xFFFFFFFF == sample._version
        and (held is None or _words(words[p.storage + 1], _LENGTH)[p.gradient] == held._cdata)
        and _tells_apart(p, sample)
    )


def _tells_apart(p: Places, sample: Any) -> bool:
    """Whether kind and keys are those of its like, and of nothing else."""
    plain = sample.detach()
    others = [plain.to(torch.float16), plain.to("meta"), torch._neg_view(plain), plain.to_sparse()]
    like, *unlike = (kind_of(p, each) for each in (torch.empty_like(plain), *others))
    return kind_of(p, sample) == like and like not in unlike


def kind_of(p: Places, tensor: Any) -> tuple[int, int]:
    """The words of a tensor that are its dtype and device, and its keys."""
    address = tensor._cdata
    return _word(address + 8 * p.kind) & KIND, _word(address + 8 * p.keys)


def _word(address: int) -> int:
    return ctypes.c_int64.from_address(address).value


def _words(address: int, count: int) -> list[int]:
    return list((ctypes.c_int64 * count).from_address(address))
