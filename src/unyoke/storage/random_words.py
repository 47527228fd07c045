"""Random bits as a hash of (seed, t, tensor, element), and who takes which of them.

The same on every backend, for any number of threads, and after a resume. A word of an element is
the hash of its place in the sequence that begins at :func:`word_key`. States 0 and 1 share word 0,
states 2 and 3 share word 1, and so on; the weight takes the two words after those of the states.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from unyoke.primitives import float32, float_of, int32
from unyoke.storage.shards import WHOLE, Place

STRIDE = -0x61C88647
"""What a place and the next differ by: 2^32 divided by the golden ratio, as an int32."""


def mixed(key, number):
    """The key of one of many (updates, tensors, words) under a key.

    "lowbias32", Chris Wellons, "Prospecting for Hash Functions", 2018; the key goes in twice, so
    that two keys do not give the same numbers in another order.
    """
    x = int32(number + key)
    x = int32((x ^ ((x >> 16) & 0xFFFF)) * 0x7FEB352D)
    x = int32((x ^ ((x >> 15) & 0x1FFFF)) * -0x7B935975 + key)
    return int32(x ^ ((x >> 16) & 0xFFFF))


def update_key(seed, t):
    """The key of the update number t of a group."""
    return mixed(seed, t)


def tensor_key(update, number):
    """The key of one of the group's tensors, under that of the update."""
    return mixed(update, number)


def word_key(tensor, word):
    """The key of one of the words that an element takes, under that of its tensor."""
    return mixed(tensor, word)


def among_runs(index, run, gap):
    """Where an element of a shard stands in the whole parameter, from the first: in runs apart."""
    return index + index // run * gap


def place(key, index):
    """Where an element stands in the Weyl sequence that begins at a key.

    Consecutive elements take consecutive places: three operations less than ``mixed``.
    """
    return int32(index * STRIDE + key)


def next_place(place):
    """The place of the element that follows."""
    return int32(place + STRIDE)


def scrambled(place):
    """32 random bits for a place; all of them, each once, for all 2^32 places."""
    x = int32((place ^ ((place >> 15) & 0x1FFFF)) * 0x297A2D39)
    return int32((x ^ ((x >> 15) & 0x1FFFF)) * -0x7B935975)


def noise(key, index):
    """32 random bits for an element, by its position in memory."""
    return scrambled(place(key, index))


def upper_bits(word, count):
    """The upper bits of a random word, for the states 0, 2, …"""
    return int32((word >> (32 - count)) & ((1 << count) - 1))


def lower_bits(word, count):
    """The lower bits of a random word, for the states 1, 3, …"""
    return int32(word & ((1 << count) - 1))


def chance(word, next_word):
    """Uniform in [0, 1), as fine near 0 as float32 is: the chance may be 1e-8."""
    coarse = float32(upper_bits(word, 24)) * float_of(0x33800000)  # 2^−24
    return coarse + float32(upper_bits(next_word, 24)) * float_of(0x27800000)  # 2^−48


def of_state(position: int) -> tuple[Callable[..., Any], int]:
    """How the bits of state number ``position`` of a rule are taken, and of which word."""
    return (lower_bits if position % 2 else upper_bits), position // 2


def of_weight(states: int) -> tuple[int, int]:
    """Which words the :func:`chance` of a weight with so many states is made of."""
    first = (states + 1) // 2
    return first, first + 1


class Noise:
    """The random bits of one tensor in one update.

    Args:
        seed: the group's.
        t: the number of this update.
        number: the tensor's, which stays the same from update to update.
        place: where its elements stand, if it is a part of a parameter.
    """

    def __init__(self, seed: int, t: int, number: int, place: Place = WHOLE) -> None:
        self._key = tensor_key(update_key(seed, t), int32(number))
        self._place = place

    def word(self, which: int, like: torch.Tensor) -> torch.Tensor:
        """Word number ``which`` for every element, in the order of memory."""
        first, run, gap = self._place
        if not gap:
            index = torch.arange(like.numel(), dtype=torch.int32, device=like.device) + int32(first)
        else:
            local = torch.arange(like.numel(), device=like.device)
            index = int32(among_runs(local, run, gap) + first)
        word: torch.Tensor = noise(word_key(self._key, which), index)
        return word

    def bits(self, position: int, count: int, like: torch.Tensor) -> torch.Tensor:
        """So many random bits for each element of state number ``position``, in memory's order."""
        take, which = of_state(position)
        bits: torch.Tensor = take(self.word(which, like), count)
        return bits

    def chance(self, states: int, weight: torch.Tensor) -> torch.Tensor:
        """A uniform number for each element of a weight with so many states, in memory's order."""
        first, second = of_weight(states)
        uniform: torch.Tensor = chance(self.word(first, weight), self.word(second, weight))
        return uniform
