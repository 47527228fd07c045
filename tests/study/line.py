"""A task that trains in milliseconds: a straight line through points, with a validation split."""

import os
import time

import torch

from unyoke.study import Task


def line(seed: int) -> Task:
    """Two classes on either side of a line. Sleeps first, if the environment asks for that."""
    time.sleep(float(os.environ.get("LINE_SECONDS", "0")))
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(96, 2, generator=generator)
    targets = (inputs.sum(dim=1) > 0).long()
    parts = [(inputs[i : i + 32], targets[i : i + 32]) for i in (0, 32, 64)]
    return Task(torch.nn.Linear(2, 2), *parts, batch_size=16)


def storm(seed: int) -> Task:
    """The line, whose loss raises where a learning rate of 1000 has made the weights large."""
    made = line(seed)

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if outputs.abs().max() > 50:
            raise ArithmeticError("outputs are large")
        return torch.nn.functional.cross_entropy(outputs, targets)

    return Task(made.model, made.train, made.validation, made.test, batch_size=16, loss=loss)


def not_a_task(seed: int) -> int:
    return seed


def fails(seed: int) -> Task:
    raise ValueError("no data\non this machine")


def scalar_error(seed: int) -> Task:
    task = line(seed)
    return Task(
        task.model,
        task.train,
        task.validation,
        task.test,
        error=lambda outputs, targets: (outputs.argmax(1) != targets).float().mean(),
    )


number = 3
