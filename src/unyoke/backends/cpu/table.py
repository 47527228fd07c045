"""What a kernel is told of the parameters that it serves: where they lie, cut into chunks."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch

from unyoke.backends import layout
from unyoke.backends._native.data_pointers import Described, Integers, find
from unyoke.backends.base import Work
from unyoke.backends.cpu import kernels, workers
from unyoke.backends.element import Recipe

FLOATS = frozenset({torch.float32, torch.float64, torch.bfloat16, torch.float16})
DTYPES = FLOATS | {torch.int8, torch.uint8}
"""That kernels read and write; weights are floats."""

PLAIN = frozenset({torch.Tensor, torch.nn.Parameter})

CHUNK = 1 << 15
"""Elements in a row of the table: large tensors are cut, so that threads can share them."""


# What a kernel is told, by address: 64-bit words in this order.
JOB = ("addresses", "tensors", "chunks", "coefficients", "numbers", "sums")


class Table:
    """Parameters that one kernel serves: their tensors have the same dtypes and formats.

    Args:
        recipe: of the kernel.
        kernel: compiled for them.
        which: their numbers in the work.
        tensors: in the order of the kernel's recipe.
        numbers: that random bits are drawn by, a row for each parameter: its number and its place.
        models: how many models a stack has in its first dimension.

    Attributes:
        recipe: of the kernel.
        which: the parameters' numbers in the work.
        pointers: to the tensors.
        shares: of the chunks, which the kernel updates.
    """

    def __init__(
        self,
        recipe: Recipe,
        kernel: Any,
        which: Integers,
        tensors: Described,
        numbers: Integers,
        models: int | None,
    ) -> None:
        self.recipe, self.which = recipe, which
        self._models = models or 1
        self._chunks = layout.chunks(tensors.elements, self._models, CHUNK)
        self._model = self._chunks[:, 3].copy()
        # Everything that _job and compiled code name by address must live as long: see _alive
        addresses = np.zeros_like(tensors.handles)
        self.pointers = find(tensors, addresses)
        self._alive = addresses, numbers
        words = (addresses.ctypes.data, len(which), self._chunks.ctypes.data, 0)
        self._job = array("q", (*words, numbers.ctypes.data, 0))
        self.shares = workers.Shares(self._chunks[:, 2], kernel, self._job.buffer_info()[0])

    def norms_by(self, kernel: Any, count: int) -> Callable[[], Any]:
        """What forms the norms of each parameter, a row each, by a kernel of :mod:`.reduction`."""
        chunks = self._chunks
        sums = np.zeros((len(chunks), count))
        self._job[JOB.index("sums")] = sums.ctypes.data
        shares = workers.Shares(chunks[:, 2], kernel, self._job.buffer_info()[0])
        totals = np.zeros((len(self.which), count))

        def norms() -> Any:
            shares.begin()
            shares.run()
            totals[:] = 0.0
            # Chunk by chunk in their order, so that a norm does not depend on the threads
            np.add.at(totals, chunks[:, 0], sums)
            return np.sqrt(totals)

        return norms

    def tell(self, coefficients: int, sets: Sequence[int] | None) -> None:
        """Say where coefficients are.

        Args:
            coefficients: the address of their rows.
            sets: per parameter of the group which of the rows it takes; None: all the first.
        """
        own = 0 if sets is None else np.array(sets)[self.which][self._chunks[:, 0]]
        self._chunks[:, 3] = own * self._models + self._model
        self._job[JOB.index("coefficients")] = coefficients


class Known:
    """What kernels are told of parameters, kept for works of any of them.

    It is found out once for each, or once for all whose weights are alike: there may be very many
    of them. Whether it is so is compared before each update, the first too, by compiled code:
    :mod:`unyoke.backends._native.data_pointers`.

    Args:
        models: how many models a stack has in its first dimension.
        one_by_one: not to take parameters to be alike whose weights are, since they are not.
    """

    def __init__(self, models: int | None, one_by_one: bool) -> None:
        self.models, self._one_by_one = models, one_by_one
        self._served: dict[Recipe, tuple[Any, Described]] = {}  # kernel and tensors
        self._places = np.zeros((0, 2), dtype=np.int64)  # of each member: number of recipe, row

    def tables(self, work: Work) -> list[Table] | str:
        """One table for each kernel that all of the work needs; or why there cannot be one."""
        own = range(len(work.weights)) if work.members is None else work.members
        members = np.array(own, dtype=np.int64)
        lacking = members.max() + 1 - len(self._places)
        if lacking > 0:
            self._places = np.pad(self._places, ((0, lacking), (0, 0)), constant_values=-1)
        new = np.flatnonzero(self._places[members, 0] < 0)
        if len(new) and (reason := self._add(work, members, new.tolist())) is not None:
            return reason
        recipes, rows = self._places[members].T
        numbers = np.zeros((len(work.numbers), 4), dtype=np.int64)
        numbers[:, 0] = work.numbers
        if work.places:
            numbers[:, 1:] = work.places
        result = []
        for number, (recipe, (kernel, tensors)) in enumerate(self._served.items()):
            which = np.flatnonzero(recipes == number)
            if len(which):
                some = tensors.some(rows[which])
                result.append(Table(recipe, kernel, which, some, numbers[which], work.models))
        return result

    def _add(self, work: Work, members: Integers, new: Sequence[int]) -> str | None:
        """Find out about some of a work's parameters; why a kernel cannot serve one of them."""
        served: dict[Recipe, list[list[int]]] = {}
        for indices in self._alike(work, new):
            index, weight = indices[0], work.weights[indices[0]]
            if weight.dtype not in FLOATS or weight.device.type != "cpu":
                return f"{work.label(index)} is {weight.dtype} on {weight.device}"
            recipe = Recipe.of(work, index)
            if reason := layout.objection(work, index, recipe, DTYPES, self.models):
                return reason
            served.setdefault(recipe, []).append(indices)
        for recipe, parts in served.items():
            kernel = kernels.kernel(recipe)
            if isinstance(kernel, str):
                return kernel
            own = [index for part in parts for index in part]
            columns = recipe.tensor_columns(work, own)
            if not (self._one_by_one or all(set(map(type, each)) <= PLAIN for each in columns)):
                return "only some of the tensors are plain"
            givers = None if work.givers is None else [work.givers[index] for index in own]
            begins = np.cumsum([0, *map(len, parts[:-1])])
            like = np.repeat(begins, [*map(len, parts)]).tolist()
            tensors = Described.of(columns, givers, like)
            known = self._served.get(recipe)
            first = 0 if known is None else len(known[1].weights)
            joined = tensors if known is None else known[1].joined(tensors)
            self._served[recipe] = kernel, joined
            self._places[members[own], 0] = list(self._served).index(recipe)
            self._places[members[own], 1] = first + np.arange(len(own))
        return None

    def _alike(self, work: Work, new: Sequence[int]) -> Iterable[list[int]]:
        """A work's parameters, in lists of those of which the first is to speak for all."""
        if self._one_by_one:
            return ([index] for index in new)
        alike: dict[Any, list[int]] = {}
        for index in new:
            weight = work.weights[index]
            kind = weight.dtype, weight.shape, weight.stride(), work.place_of(index).gap > 0
            alike.setdefault(kind, []).append(index)
        return alike.values()
