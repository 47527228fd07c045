"""The recommended numbers as code to paste, by library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from unyoke.timescales import LARGE
from unyoke.transfer.conventions import convert
from unyoke.transfer.measured import NAMES
from unyoke.transfer.run import Run


def _number(value: float) -> str:
    return f"{value:.4g}"


def _decay(run: Run, convention: str) -> str:
    momentum = run.beta1 if run.optimizer == "sgdw" else 0.0
    return _number(
        convert(run.weight_decay, source="unyoke", to=convention, lr=run.lr, momentum=momentum)
    )


def unyoke(run: Run) -> str:
    decay, schedule = _decay(run, "unyoke"), ""
    if run.schedule in ("cosine", "step_drops"):
        schedule = f", schedule=unyoke.schedules.{run.schedule}({run.steps})"
        if run.weight_decay >= LARGE:  # as a number it would be asked about
            decay = f"unyoke.total_decay({_number(run.total_decay)}{schedule})"
    return (
        f"unyoke.{NAMES[run.optimizer]}(model.parameters(), lr={_number(run.lr)}, "
        f"weight_decay={decay}{schedule})"
    )


def _scheduler(run: Run) -> str:
    """The schedule that torch's and timm's optimizers do not have themselves."""
    kinds = {
        "cosine": f"CosineAnnealingLR(optimizer, T_max={run.steps})",
        "linear": f"LinearLR(optimizer, 1.0, 0.0, total_iters={run.steps})",
    }
    kind = kinds.get(run.schedule)
    return f"; scheduler = torch.optim.lr_scheduler.{kind}" if kind else ""


def torch(run: Run) -> str:
    if run.optimizer == "sgdw":
        return (
            f"optimizer = torch.optim.SGD(model.parameters(), lr={_number(run.lr)}, "
            f"momentum={run.beta1:g}, weight_decay={_decay(run, 'torch-sgd')})"
            f"{_scheduler(run)}  # L2: the same in the steady state"
        )
    return (
        f"optimizer = torch.optim.AdamW(model.parameters(), lr={_number(run.lr)}, "
        f"weight_decay={_decay(run, 'torch')}){_scheduler(run)}"
    )


def timm(run: Run) -> str:
    name = {"adamw": "adamw", "sgdw": "sgd", "lion": "lion"}[run.optimizer]
    convention = "torch-sgd" if run.optimizer == "sgdw" else "timm"
    return (
        f"optimizer = timm.optim.create_optimizer_v2(model, opt='{name}', lr={_number(run.lr)}, "
        f"weight_decay={_decay(run, convention)}){_scheduler(run)}"
    )


def hf(run: Run) -> str:
    is_known = run.schedule in ("cosine", "linear", "constant")
    schedule = f"lr_scheduler_type='{run.schedule}', " if is_known else ""
    return (
        f"TrainingArguments(learning_rate={_number(run.lr)}, weight_decay={_decay(run, 'hf')}, "
        f"{schedule}max_steps={run.steps})"
    )


def optax(run: Run) -> str:
    rates = {
        "cosine": f"optax.cosine_decay_schedule({_number(run.lr)}, {run.steps})",
        "linear": f"optax.linear_schedule({_number(run.lr)}, 0.0, {run.steps})",
    }
    rate = rates.get(run.schedule, _number(run.lr))
    return f"optax.{run.optimizer}({rate}, weight_decay={_decay(run, 'optax')})"


def keras(run: Run) -> str:
    name = "Lion" if run.optimizer == "lion" else "AdamW"
    rate = _number(run.lr)
    if run.schedule == "cosine":
        rate = f"keras.optimizers.schedules.CosineDecay({rate}, {run.steps})"
    return f"keras.optimizers.{name}({rate}, weight_decay={_decay(run, 'keras')})"


BLOCKS: Mapping[str, tuple[Callable[[Run], str], ...]] = MappingProxyType(
    {
        "adamw": (unyoke, torch, timm, hf, optax, keras),
        "sgdw": (unyoke, torch, timm),
        "lion": (unyoke, timm, optax, keras),
    }
)
"""What writes the code, for the libraries that have each optimizer."""


def blocks(run: Run) -> dict[str, str]:
    """Code by library."""
    return {block.__name__: block(run) for block in BLOCKS[run.optimizer]}
