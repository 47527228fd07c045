"""A task's data in one form: inputs and targets whose first dimension counts samples.

A part of the data may be given as batches, by a DataLoader or anything else that can be walked
through. It is read once, in an order that depends on no seed, and kept: every seed, optimizer and
worker then has the same samples, whoever trains what, and models can be stacked.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from unyoke.population.generators import left_alone, seed_all, states
from unyoke.population.inputs import joined, leaves
from unyoke.study.errors import TaskError
from unyoke.study.tasks.task import Task

if TYPE_CHECKING:
    from unyoke.study.tasks.task import Samples

PARTS = ("train", "validation", "test")
MOST_BYTES = 2**32
"""That a part which is given as batches may have: it is kept in the memory of each worker."""

LABELS = "labels"
"""The key of the targets in batches that are dicts, as Hugging Face's collators name it."""

_USUAL_SIZE = Task.batch_size


class Reader:
    """Reads the data of tasks; batches that a task gives again are not read again.

    Raises:
        TaskError: a part is neither samples nor batches, and what it lacks.
    """

    def __init__(self) -> None:
        # With what was read, so that its identity stays its own; one task's parts.
        self._kept: OrderedDict[int, tuple[object, Samples, int]] = OrderedDict()

    def read(self, task: Task) -> Task:
        """The task with samples in the place of batches, which tell their size."""
        found: dict[str, Any] = {}
        for part in PARTS:
            given = getattr(task, part)
            if _is_samples(given):
                found[part] = _samples(given, f"its {part}")
                continue
            found[part], size = self._of_batches(part, given)
            if part == "train":
                if task.batch_size not in (_USUAL_SIZE, size):
                    raise TaskError(
                        f"its batch_size is {task.batch_size}, and the batches of its train have "
                        f"{size} samples; give one of the two"
                    )
                found["batch_size"] = size
        return replace(task, **found)

    def _of_batches(self, part: str, batches: Any) -> tuple[Samples, int]:
        if id(batches) not in self._kept:
            self._kept[id(batches)] = (batches, *_read(part, batches))
        self._kept.move_to_end(id(batches))
        while len(self._kept) > len(PARTS):
            self._kept.popitem(last=False)
        return self._kept[id(batches)][1:]


def _is_samples(given: Any) -> bool:
    """Whether a part is what a batch may be, and not batches."""
    if isinstance(given, Mapping):
        return True
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        return False
    return isinstance(given, tuple) or any(isinstance(each, Tensor) for each in given)


def _plain(inputs: Any) -> Any:
    """Mappings of all kinds as dicts; anything but tuples and mappings as it is."""
    if isinstance(inputs, Mapping):
        return {name: _plain(inputs[name]) for name in sorted(inputs, key=str)}
    if isinstance(inputs, tuple):
        return tuple(map(_plain, inputs))
    return inputs


def _read(part: str, batches: Any) -> tuple[Samples, int]:
    """All samples of some batches, and how many the first has."""
    if not hasattr(batches, "__iter__"):
        raise TaskError(
            f"its {part} is of the type {type(batches).__name__}; give (inputs, targets), or "
            "batches of these, as torch.utils.data.DataLoader(dataset, batch_size=32) makes them"
        )
    _check_that_samples_stay(part, batches)
    read: list[Samples] = []
    size = 0
    with _in_one_order(batches):
        for number, batch in enumerate(batches, 1):
            read.append(_samples(batch, f"batch {number} of its {part}"))
            size += sum(x.numel() * x.element_size() for x in leaves(read[-1]))
            if size > MOST_BYTES:
                raise TaskError(
                    f"the first {number} batches of its {part} have more than "
                    f"{MOST_BYTES / 2**30:g} GiB, and a map keeps all of them in memory; give "
                    "fewer samples (torch.utils.data.Subset), or tensors that stay in a file "
                    "(torch.from_file)"
                )
    if not read:
        raise TaskError(
            f"its {part} has no batches; an iterator can be walked through once only: give a list "
            "or a DataLoader"
        )
    _check_alike(part, read)
    return joined(torch.cat, read), len(read[0][1])


@contextmanager
def _in_one_order(batches: Any) -> Iterator[None]:
    """What is shuffled by torch's random numbers, or a loader's own, is so in the same way."""
    generator = getattr(batches, "generator", None)
    with left_alone([]):
        seed_all(0)
        if not isinstance(generator, torch.Generator):
            yield
            return
        state = generator.get_state()
        generator.manual_seed(0)
        try:
            yield
        finally:
            generator.set_state(state)


def _check_that_samples_stay(part: str, batches: Any) -> None:
    """Objection to a dataset that draws its samples anew each time, as random augmentation does."""
    dataset = getattr(batches, "dataset", None)
    if not isinstance(dataset, Dataset) or isinstance(dataset, IterableDataset):
        return
    with left_alone([]):
        before = states()
        try:
            dataset[0]
        except Exception:  # it counts its samples otherwise
            return
        if states() != before:
            raise TaskError(
                f"the dataset of its {part} draws random numbers for a sample, and a map reads "
                "each sample once; put random augmentation into a layer in front of the model, as "
                "unyoke.study.tasks.cifar.FlipAndShift"
            )


def _samples(batch: Any, what: str) -> Samples:
    """The inputs and targets that are given as collate functions do."""
    if isinstance(batch, Mapping) and LABELS in batch:
        inputs: Any = {name: value for name, value in batch.items() if name != LABELS}
        targets = batch[LABELS]
    elif isinstance(batch, (tuple, list)) and len(batch) == 2:
        inputs, targets = batch
    else:
        kind = f"{type(batch).__name__} of {len(batch)}" if isinstance(batch, (tuple, list)) else ""
        kind = kind or f"{type(batch).__name__}"
        kind += f" with the keys {', '.join(map(str, batch))}" if isinstance(batch, Mapping) else ""
        raise TaskError(
            f"{what} is a {kind}; it must be (inputs, targets), where inputs may be a tuple or a "
            f"dict of tensors, or a dict with the targets as {LABELS!r}"
        )
    inputs = _plain(tuple(inputs) if _is_list_of_inputs(inputs, targets) else inputs)
    objection = _of_samples(inputs, targets, what)
    if objection is not None:
        raise TaskError(objection)
    return inputs, targets


def _is_list_of_inputs(inputs: Any, targets: Any) -> bool:
    """Whether a list is what torch's collate function makes of a tuple, and no list of samples."""
    return (
        isinstance(inputs, list)
        and isinstance(targets, Tensor)
        and all(isinstance(each, Tensor) and len(each) == len(targets) for each in inputs)
    )


def _of_samples(inputs: Any, targets: Any, what: str) -> str | None:
    """What is wrong with the form of some samples, or None."""
    if not isinstance(targets, Tensor):
        return f"{_wrong_type('targets', what, targets)}{_HINT}"
    wrong = _not_a_tensor(inputs)
    if wrong is not None:
        path, value = wrong
        return f"{_wrong_type(f'inputs{path}', what, value)}, or a tuple or dict of tensors{_HINT}"
    counts = [len(x) if x.dim() else 0 for x in (*leaves(inputs), targets)]
    if len(set(counts)) > 1 or not counts[0]:
        given = " and ".join(map(str, dict.fromkeys(counts[:-1])))
        return (
            f"{what} has {given} inputs and {counts[-1]} targets; it needs as many of one as of "
            "the other, and at least one"
        )
    return None


_HINT = "; use torch.as_tensor for lists and arrays of numbers, torch.stack for lists of tensors"


def _wrong_type(which: str, what: str, value: Any) -> str:
    return (
        f"the {which} of {what} are of the type {type(value).__name__}, and must be a tensor whose "
        "first dimension counts samples"
    )


def _not_a_tensor(inputs: Any, path: str = "") -> tuple[str, Any] | None:
    """Where in the inputs something else stands than tensors, tuples and dicts, and what."""
    if isinstance(inputs, Tensor):
        return None
    if isinstance(inputs, dict) and inputs and all(isinstance(name, str) for name in inputs):
        parts: Iterable[tuple[Any, Any]] = inputs.items()
    elif isinstance(inputs, tuple) and inputs:
        parts = enumerate(inputs)
    else:
        return path, inputs
    found = (_not_a_tensor(value, f"{path}[{name!r}]") for name, value in parts)
    return next((wrong for wrong in found if wrong is not None), None)


def _check_alike(part: str, read: list[Samples]) -> None:
    """Objection to batches whose samples differ in form, as texts of several lengths do."""
    first = _form(read[0])
    for number, samples in enumerate(read, 1):
        if _form(samples) != first:
            raise TaskError(
                f"batch {number} of its {part} has samples of the form {_form(samples)}, and the "
                f"first batch {first}; pad or cut all samples to one form in the dataset or the "
                "collate function"
            )


def _form(tree: Any) -> str:
    """Shape and type of each tensor, without the number of samples."""
    if isinstance(tree, Tensor):
        return f"{str(tree.dtype).removeprefix('torch.')} {list(tree.shape[1:])}"
    if isinstance(tree, dict):
        return f"{{{', '.join(f'{name}: {_form(value)}' for name, value in tree.items())}}}"
    return f"({', '.join(map(_form, tree))})"
