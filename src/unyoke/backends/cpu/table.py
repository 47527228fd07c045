"""What a kernel is told of the parameters that it serves: where they lie, cut into chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from unyoke.backends import layout
from unyoke.backends._native.data_pointers import COEFFICIENTS, Integers, Located
from unyoke.backends.base import Work
from unyoke.backends.cpu import kernels, workers
from unyoke.backends.element import Recipe

FLOATS = frozenset({torch.float32, torch.float64, torch.bfloat16, torch.float16})
DTYPES = FLOATS | {torch.int8, torch.uint8}
"""That kernels read and write; weights are floats."""

CHUNK = 1 << 15
"""Elements in a row of the table: large tensors are cut, so that threads can share them."""


class Table(Located):
    """Parameters that one kernel serves: their tensors have the same dtypes and formats.

    Args:
        kernel: compiled for them.
        which: their numbers in the group.
        columns: the tensors, as the kernel's recipe lists them.
        numbers: that random bits are drawn by, one for each parameter.
        models: how many models a stack has in its first dimension.
    """

    def __init__(
        self,
        kernel: Any,
        which: Sequence[int],
        columns: Sequence[Sequence[torch.Tensor]],
        numbers: Sequence[int],
        models: int | None,
    ) -> None:
        self.which = which
        self._models = models or 1
        self._chunks = _chunks(columns[0], self._models)
        self._model = self._chunks[:, 3].copy()
        self._numbers = np.array(numbers, dtype=np.int64)
        facts = {"chunks": self._chunks.ctypes.data, "numbers": self._numbers.ctypes.data}
        super().__init__(columns, np.zeros((len(columns), len(which)), dtype=np.int64), facts)
        self._shares = workers.Shares(self._chunks[:, 2], kernel, self._job_address)

    def begin(self) -> None:
        """Make ready for an update."""
        self._shares.begin()

    @property
    def alone(self) -> tuple[int, int, int, int] | None:
        """Kernel, what it is told, and all chunks, if one thread does them; else None."""
        return self._shares.alone

    def run(self) -> None:
        """Update all chunks that have not been since :meth:`begin`."""
        self._shares.run()

    def tell(self, coefficients: int, sets: Sequence[int] | None) -> None:
        """Say where coefficients are.

        Args:
            coefficients: the address of their rows.
            sets: per parameter of the group which of the rows it takes; None: all the first.
        """
        own = 0 if sets is None else np.array([sets[k] for k in self.which])[self._chunks[:, 0]]
        self._chunks[:, 3] = own * self._models + self._model
        self.job[COEFFICIENTS] = coefficients


def _chunks(weights: Sequence[torch.Tensor], models: int) -> Integers:
    """Rows of tensor, start, size and model; each model of a stack begins a row."""
    rows = [
        (index, model * size + start, min(CHUNK, size - start), model)
        for index, weight in enumerate(weights)
        for size in (weight.numel() // models,)
        for model in range(models)
        for start in range(0, size, CHUNK)
    ]
    return np.array(rows, dtype=np.int64).reshape(-1, 4)


def tables(work: Work) -> list[Table] | str:
    """One table for each kernel that all of the work needs; or why there cannot be one."""
    alike: dict[Recipe, dict[int, list[torch.Tensor]]] = {}
    for index, weight in enumerate(work.weights):
        if weight.dtype not in FLOATS or weight.device.type != "cpu":
            where = f"{weight.dtype} on {weight.device}"
            return f"a parameter of shape {tuple(weight.shape)} is {where}"
        recipe = Recipe.of(work, index)
        reason = layout.objection(work, index, recipe, DTYPES)
        if reason is not None:
            return reason
        alike.setdefault(recipe, {})[index] = recipe.tensors(work, index)
    result = []
    for recipe, found in alike.items():
        kernel = kernels.kernel(recipe)
        if isinstance(kernel, str):
            return kernel
        columns = list(zip(*found.values(), strict=True))
        numbers = [work.numbers[index] for index in found]
        result.append(Table(kernel, list(found), columns, numbers, work.models))
    return result
