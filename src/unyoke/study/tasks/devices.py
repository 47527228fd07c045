"""Tasks on another device than the CPU: the same numbers, drawn on the CPU and then moved."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

from unyoke.study.errors import StudyError
from unyoke.study.tasks.task import Task

if TYPE_CHECKING:
    from unyoke.study.tasks.task import Samples

_KEPT = 6
"""Samples whose copies are kept: three parts, of two seeds' own data."""


class Mover:
    """Moves tasks to a device; samples that several seeds share are copied once.

    Raises:
        StudyError: torch knows no such device, or this machine has none.
    """

    def __init__(self, device: str) -> None:
        import torch

        try:
            self.device = torch.device(device)
        except RuntimeError as error:
            raise StudyError(f"--device {device}: torch knows no such device: {error}") from error
        if self.device.type == "cuda" and (self.device.index or 0) >= torch.cuda.device_count():
            raise StudyError(
                f"--device {device}: torch sees {torch.cuda.device_count()} GPUs on the machine "
                "that trains; name another, or leave --device out to train on the CPU"
            )
        self._copies: OrderedDict[object, tuple[Samples, Samples]] = OrderedDict()

    def moved(self, task: Task) -> Task:
        """The task with its model and samples on the device."""
        parts = [self._samples(part) for part in (task.train, task.validation, task.test)]
        train, validation, test = parts
        model = task.model.to(self.device)
        return replace(task, model=model, train=train, validation=validation, test=test)

    def _samples(self, samples: Samples) -> Samples:
        from unyoke.population.inputs import mapped, place

        # The original is kept beside its copy, so that its place in memory stays its own.
        key = place(samples)
        if key not in self._copies:
            self._copies[key] = samples, mapped(lambda x: x.to(self.device), samples)
        self._copies.move_to_end(key)
        while len(self._copies) > _KEPT:
            self._copies.popitem(last=False)
        return self._copies[key][1]
