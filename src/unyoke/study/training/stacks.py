"""Which cells of a batch share a population, and where each of its models finds its samples."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from unyoke.population import BatchOrder
from unyoke.population.generators import left_alone, seed_all
from unyoke.population.inputs import called, joined, leaves, place, taken
from unyoke.study.landscape.landscape import Cell
from unyoke.study.tasks.task import Task

if TYPE_CHECKING:
    from unyoke.study.tasks.task import Samples

MEMORY = 2**29
"""Bytes that the models of one population may take, with what their gradients need."""

_COPIES = 6
"""Of each weight: itself, its gradient, the optimizer's state, and what a step passes through."""

_LARGEST_COPY = 2**26
"""Numbers of training inputs that are put one after the other for seeds with different data."""


@dataclass(frozen=True)
class Stack:
    """Cells that are trained as one population, with the task of each of their seeds."""

    cells: tuple[Cell, ...]
    tasks: Mapping[int, Task]

    @property
    def task(self) -> Task:
        """The first cell's, whose loss and error are everybody's."""
        return self.tasks[self.cells[0].seed]


class StackSamples:
    """The training samples of a stack, and the batch of each model at each update.

    Seeds that share their data share them here; others lie one after the other.
    """

    def __init__(self, stack: Stack) -> None:
        parts = {seed: task.train for seed, task in stack.tasks.items()}
        distinct = {place(part): part for part in parts.values()}
        places = list(distinct)
        read = list(distinct.values())
        whole: Samples = read[0] if len(read) == 1 else joined(torch.cat, read)
        self.inputs, self.targets = whole
        seeds = [cell.seed for cell in stack.cells]
        samples = len(stack.task.train[1])
        size = stack.cells[0].batch_size or stack.task.batch_size
        self._order = BatchOrder(samples, size, seeds)
        first = [samples * places.index(place(parts[seed])) for seed in seeds]
        self._first = torch.tensor(first)[:, None] if any(first) else None

    def batch(self, update: int) -> Tensor:
        """Numbers of the samples of update 1, 2, …: [B] for all models or [K, B]."""
        chosen = self._order.at(update - 1)
        return chosen if self._first is None else chosen + self._first


def stacks(cells: Sequence[Cell], build: Callable[[int], Task]) -> list[Stack]:
    """The cells divided into populations: as few as their tasks and the memory allow."""
    tasks = {}
    for seed in dict.fromkeys(cell.seed for cell in cells):
        seed_all(seed)
        tasks[seed] = build(seed)
    if _alike(list(tasks.values())):
        groups = [list(cells)]
    else:
        groups = [[cell for cell in cells if cell.seed == seed] for seed in tasks]
    result = []
    for group in groups:
        size = _affordable(group, tasks[group[0].seed])
        for part in (group[start : start + size] for start in range(0, len(group), size)):
            own = {seed: task for seed, task in tasks.items() if seed in {c.seed for c in part}}
            result.append(Stack(tuple(part), own))
    return result


def _alike(tasks: Sequence[Task]) -> bool:
    """Whether the tasks of several seeds differ in nothing but numbers."""
    first = tasks[0]
    same = all(
        (task.loss, task.error, task.batch_size) == (first.loss, first.error, first.batch_size)
        and _forms(task.train) == _forms(first.train)
        for task in tasks
    )
    different = {place(task.train) for task in tasks}
    numbers = sum(each.numel() for each in leaves(first.train[0]))
    small = len(different) == 1 or len(different) * numbers <= _LARGEST_COPY
    return same and small and all(_same_program(first, task) for task in tasks[1:])


def _same_program(first: Task, other: Task) -> bool:
    """Whether the models compute the same from the same weights and buffers."""
    mine, theirs = (copy.deepcopy(task.model).eval() for task in (first, other))
    weights, others = _tensors(mine), _tensors(theirs)
    if {name: _form(x) for name, x in weights.items()} != {
        name: _form(x) for name, x in others.items()
    }:
        return False
    outputs = []
    with torch.no_grad(), left_alone([]):
        for name, weight in weights.items():
            weight.copy_(others[name])
        for model in (mine, theirs):
            seed_all(0)
            outputs.append(leaves(called(model, taken(other.train[0], slice(2)))))
    return all(
        torch.allclose(one, two, rtol=1e-4, atol=1e-6, equal_nan=True)
        for one, two in zip(*outputs, strict=True)
    )


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _form(tensor: Tensor) -> tuple[object, ...]:
    return tuple(tensor.shape), tensor.dtype, tensor.device, tensor.requires_grad


def _forms(tree: Any) -> tuple[object, ...]:
    return pytree.tree_structure(tree), *map(_form, leaves(tree))


def _affordable(cells: Sequence[Cell], task: Task) -> int:
    """How many models fit into `MEMORY`, at least one."""
    if len(cells) == 1:
        return 1
    weights = [p for p in task.model.parameters() if p.requires_grad]
    size = _COPIES * sum(weight.numel() * weight.element_size() for weight in weights)
    size += _kept_for_gradients(task, cells[0].batch_size or task.batch_size)
    return max(1, MEMORY // max(1, size))


def _kept_for_gradients(task: Task, batch_size: int) -> int:
    """Bytes that one model's forward pass over a batch keeps, tried on a copy."""
    kept = 0

    def count(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.numel() * tensor.element_size()
        return tensor

    inputs, targets = taken(task.train, slice(batch_size))
    with (
        left_alone([]),
        torch.autograd.graph.saved_tensors_hooks(count, lambda x: x),
    ):
        task.loss(called(copy.deepcopy(task.model).train(), inputs), targets)
    return kept
