"""Tensors that share a launch: their tables on the device, and what is renewed at each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unyoke.backends._native.asked import Asked, described
from unyoke.backends._native.availability import unable
from unyoke.backends.base import DataPointers, Gradients, Work
from unyoke.backends.gpu import tables
from unyoke.storage import random_words

if TYPE_CHECKING:
    from unyoke.backends.gpu.runtime import Runtime
    from unyoke.backends.gpu.source import Recipe


class Mirror:
    """A small table on a device that follows one on the host.

    The copy does not make the host wait. A CUDA graph that is recorded while the table is up to
    date keeps this table for itself: later values go into another. If it is not, the copy becomes
    a part of the graph, so that a replay finds its own values whatever was shown in between; the
    host's side is kept for it, and nothing is assumed afterwards about what the device holds.
    """

    def __init__(self, runtime: Runtime, device: torch.device, dtype: torch.dtype) -> None:
        self._runtime = runtime
        self._shown: Any = None
        self._tensor = torch.empty(0, dtype=dtype, device=device)
        self._spare: torch.Tensor | None = None  # pinning memory may not be possible in a recording
        self._kept: list[torch.Tensor] = []  # what graphs read
        self._is_read = self._is_written = False  # by graphs

    def show(self, values: Any, version: Any) -> torch.Tensor:
        """The table on the device, with these values.

        Args:
            values: numbers, in lists or in an array.
            version: not equal to the last one if they are others.
        """
        capturing = self._runtime.capturing()
        if version != self._shown or self._shown is None:
            self._copy(torch.tensor(values, dtype=self._tensor.dtype), capturing)
            self._shown = None if self._is_written else version
        elif capturing:
            self._is_read = True
        return self._tensor

    def _copy(self, host: torch.Tensor, capturing: bool) -> None:
        if self._is_read or self._tensor.shape != host.shape:
            self._kept.append(self._tensor)
            self._is_read = self._is_written = False
            self._tensor = torch.empty(host.shape, dtype=host.dtype, device=self._tensor.device)
        if capturing and self._spare is not None and self._spare.shape == host.shape:
            staged, self._spare = self._spare.copy_(host), None
        else:
            staged = self._runtime.staged(host)
        self._tensor.copy_(staged, non_blocking=True)
        if capturing:
            self._kept.append(staged)
            self._is_written = True
        elif self._spare is None or self._spare.shape != host.shape:
            self._spare = self._runtime.staged(host.clone())


def _find(columns: Sequence[Sequence[torch.Tensor]], addresses: Any) -> DataPointers:
    """What writes the tensors' addresses: compiled code if it can be had.

    The host's compiled code reads torch's own record of a tensor, wherever its memory is. Asking a
    tensor from Python takes more time than its update.

    Args:
        columns: weights, gradients, then state.
        addresses: int64, a row for each column and an entry for each parameter.
    """
    if unable() is None:
        from unyoke.backends._native import data_pointers

        located = data_pointers.find(data_pointers.Described.of(columns), addresses)
        if located.holds():
            return located
    weights, _, *states = columns
    facts = [[*map(described, column)] for column in columns]
    asked = Asked([weights, Gradients(weights), *states], facts, addresses)
    asked.holds()
    return asked


class Launch:
    """Some tensors of a work, on one device and of one recipe.

    Args:
        recipe: their kernel.
        runtime: what runs it.
        members: their places in the work.
        work: the work.
        models: K, if the tensors stack K models with coefficients of their own; else 1.

    Attributes:
        recipe: their kernel.
        pointers: where they are.
    """

    def __init__(
        self, recipe: Recipe, runtime: Runtime, members: Sequence[int], work: Work, models: int
    ) -> None:
        from unyoke.backends.gpu.kernels import kernel  # Triton is imported with it

        self.recipe, self._runtime = recipe, runtime
        self._members, self._models = members, models
        weights = [work.weights[index] for index in members]
        self._device = weights[0].device
        self._shape = shape = tables.shape(recipe)
        sizes, function = (shape.block, shape.lanes), kernel(recipe, runtime.language())
        self._launch = runtime.starter(function, sizes, shape.warps, self._device)
        self._lengths = [weight.numel() * (1 + weight.is_complex()) for weight in weights]
        self._one = torch.ones((), device=self._device)
        self._sets: Sequence[int] | None = ()
        self._chunks = torch.empty(0)
        self._is_recorded = False
        self._kept: list[torch.Tensor] = []  # what graphs read
        numbers = set(recipe.arguments) & {*recipe.coefficients, "key"}
        self._taken = len(numbers)  # of a row: the key comes last
        self._rows = np.zeros((len(members), recipe.row), np.int64)
        if recipe.words:
            self._rows[:, -4] = [work.numbers[index] for index in members]
            self._rows[:, -3:] = [work.place_of(index) for index in members]
        columns = recipe.tensor_columns(work, members)
        self.pointers = _find(columns, self._rows[:, : len(columns)].T)
        self._addresses = Mirror(runtime, self._device, torch.int64)
        self._coefficients = Mirror(runtime, self._device, recipe.computation)
        self._keys = Mirror(runtime, self._device, torch.int32)

    def run(self, work: Work, row: tuple[float, ...]) -> None:
        """Renew what has changed and launch.

        Args:
            work: as it is now.
            row: its numbers, if they come with the launch.
        """
        if work.which is not self._sets:
            if self._is_recorded:
                self._kept.append(self._chunks)
            self._cut(work)
        self._is_recorded |= self._runtime.capturing()
        tensors = []
        if work.device_coefficients is not None:
            tensors.append(work.device_coefficients.tables[self.recipe.computation])
            if self.recipe.words:
                tensors.append(work.device_coefficients.keys)
        elif not self.recipe.by_value:
            tensors.append(self._coefficients_now(work))
            if self.recipe.words:
                tensors.append(self._keys_now(work))
        if self.recipe.scaled:
            assert work.found_inf is not None
            tensors += [self._one if work.grad_scale is None else work.grad_scale, work.found_inf]
        if programs := len(self._chunks):
            addresses = self._addresses.show(self._rows, self.pointers.moves)
            self._launch(programs, (addresses, self._chunks, *tensors), row[: self._taken])

    def _cut(self, work: Work) -> None:
        """Cut the tensors into chunks."""
        which = work.which or [0] * len(work.weights)
        sets = [which[index] for index in self._members]
        table = tables.chunks(self._lengths, sets, self._shape, self._models)
        self._chunks = torch.from_numpy(table).to(self._device)
        self._sets = work.which

    def _coefficients_now(self, work: Work) -> torch.Tensor:
        """A row for each set, or for each model of each set; tensors on a device stay there."""
        names = work.rule.coefficient_names
        rows, tensors = [], []
        for number, values in enumerate(work.coefficients):
            matrix = np.zeros((self._models, len(names)))
            for column, name in enumerate(names):
                value = values[name]
                if isinstance(value, torch.Tensor) and value.device.type != "cpu":
                    tensors.append((number * self._models, column, value))
                else:
                    matrix[:, column] = np.asarray(value)
            rows += matrix.tolist()
        table = self._coefficients.show(rows, rows)
        if tensors:
            table = table.clone()
            for first, column, value in tensors:
                table[first : first + self._models, column] = value
        return table

    def _keys_now(self, work: Work) -> torch.Tensor:
        """What starts each set's random numbers."""
        keys = [random_words.update_key(work.seed, t) for t in work.updates]
        if any(isinstance(key, torch.Tensor) for key in keys):
            return torch.stack(keys).repeat_interleave(self._models)
        numbers = [key for key in keys for _ in range(self._models)]
        return self._keys.show(numbers, numbers)
