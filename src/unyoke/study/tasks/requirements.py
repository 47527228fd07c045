"""What a task must satisfy, checked before it is trained; each message says how to meet it."""

from __future__ import annotations

from torch import nn

from unyoke.study.errors import StudyError
from unyoke.study.tasks.task import Task, cross_entropy, misclassified


def check(name: str, task: Task) -> None:
    """Raise StudyError, which names the first requirement that the task does not meet."""
    objection = _of_model(task.model) or _of_loss(task) or _of_targets(task)
    if objection is not None:
        raise StudyError(f"the task {name}: {objection}")


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
