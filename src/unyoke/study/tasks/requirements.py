"""What a task must satisfy, checked before it is trained; each message says how to meet it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from unyoke.population.inputs import Inputs, called, leaves, taken
from unyoke.study.errors import StudyError
from unyoke.study.tasks.reading import PARTS
from unyoke.study.tasks.task import Task, cross_entropy, misclassified


def check(name: str, task: Task) -> None:
    """Raise StudyError, which names the first requirement that the task does not meet."""
    objection = _of_numbers(task) or _of_model(task.model) or _of_loss(task) or _of_targets(task)
    if objection is not None:
        raise StudyError(f"the task {name}: {objection}")


def _of_numbers(task: Task) -> str | None:
    for part in PARTS:
        inputs, targets = getattr(task, part)  # targets may be NaN where a loss leaves them out
        lost = torch.zeros(len(targets), dtype=torch.bool)
        for each in leaves(inputs):
            if each.is_floating_point() and not bool(each.isfinite().all()):
                lost |= (~each.isfinite()).reshape(len(each), -1).any(dim=1).cpu()
        first = lost.nonzero()[:1, 0]
        if len(first) and not _takes(task.model, taken(inputs, first)):
            return (
                f"{int(lost.sum())} of its {len(targets)} inputs for {part} hold NaN or "
                "infinity, which the model does not take; leave those samples out or fill "
                "them in"
            )
    return None


def of_outputs(outputs: object) -> str | None:
    """What is wrong with what the model returns."""
    held_by: list[Any] = leaves(outputs)
    for each in held_by:
        if not isinstance(each, Tensor):
            held = "" if each is outputs else f"{type(outputs).__name__} with a "
            return (
                f"its model returns a {held}{type(each).__name__}; it must return a tensor, or "
                "tuples or dicts of tensors, as the loss and the error take them"
            )
    return None


def of_classes(task: Task, outputs: object) -> str | None:
    """What is wrong with class numbers that the default loss is to find among a model's outputs."""
    if task.loss is not cross_entropy or not isinstance(outputs, Tensor) or outputs.dim() != 2:
        return None
    number = outputs.shape[1]
    for part in PARTS:
        targets = getattr(task, part)[1]
        if targets.is_floating_point() or targets.dim() != 1:
            continue
        low, high = int(targets.min()), int(targets.max())
        if low < 0 or high >= number:
            wrong = low if low < 0 else high
            return (
                f"its targets for {part} contain the class {wrong}, and its model has {number} "
                f"outputs, for the classes 0 to {number - 1}; give the model as many outputs as "
                "there are classes, or number the classes from 0"
            )
    return None


def of_loss(loss: object, samples: int) -> str | None:
    """What is wrong with what the loss returns for a batch of so many samples."""
    if not isinstance(loss, Tensor):
        return (
            f"its loss returns {type(loss).__name__}; it must return a scalar tensor, from which "
            "gradients can be computed"
        )
    if loss.numel() != 1:
        return (
            f"its loss has the shape {tuple(loss.shape)} for a batch of {samples} samples; it must "
            'be one number for the batch: leave out reduction="none", or return loss.mean()'
        )
    return None


def of_types(task: Task) -> str | None:
    """Which numbers of the data have another type than the model's weights; of a call that failed.

    A model or loss may convert them itself, so that this is no objection by itself.
    """
    weight = next((w for w in task.model.parameters() if w.is_floating_point()), None)
    if weight is None:
        return None
    for what, each in (("inputs", task.train[0]), ("targets", task.train[1])):
        for tensor in leaves(each):
            if tensor.is_floating_point() and tensor.dtype != weight.dtype:
                its, given = _dtype(weight), _dtype(tensor)
                return (
                    f"its {what} are {given} and its model's weights {its}; convert the {what} "
                    f"with .to(torch.{its}), or the model with .to(torch.{given})"
                )
    return None


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _takes(model: nn.Module, sample: Inputs) -> bool:
    """Whether the model makes finite numbers of a sample that has others, as missing values are."""
    was_training = model.training
    try:
        with torch.no_grad():
            outputs = leaves(called(model.eval(), sample))
            return all(bool(torch.as_tensor(each).isfinite().all()) for each in outputs)
    except Exception:  # it says so itself when it is tried
        return False
    finally:
        model.train(was_training)


def _of_model(model: nn.Module) -> str | None:
    weights = list(model.named_parameters())
    for name, weight in weights:
        if isinstance(weight, nn.parameter.UninitializedParameter):
            return (
                f"the weight {name} of its model has no shape yet (a lazy module); run the model "
                "once on a batch before the task returns it"
            )
    if not any(weight.requires_grad for _, weight in weights):
        return "its model has no weight that requires a gradient, so there is nothing to train"
    return None


def _of_loss(task: Task) -> str | None:
    if isinstance(task.loss, nn.Module) and any(p.requires_grad for p in task.loss.parameters()):
        return (
            "its loss has weights of its own, which no optimizer would get; make them a part of "
            "the model"
        )
    return None


def _of_targets(task: Task) -> str | None:
    targets = task.train[1]
    if not targets.is_floating_point():
        return None
    defaults = [
        what
        for what, given, usual in (
            ("loss, cross entropy,", task.loss, cross_entropy),
            ("error, the share of wrong classes,", task.error, misclassified),
        )
        if given is usual
    ]
    if not defaults:
        return None
    return (
        f"the default {defaults[0]} needs class numbers (integers), and its targets are "
        f"{str(targets.dtype).removeprefix('torch.')} of shape {tuple(targets.shape)}; for "
        "one-hot targets give targets.argmax(1); for regression or several labels give loss= and "
        "error= of your own, (outputs, targets) to a scalar and to one number per sample"
    )
