"""The recommended numbers as code to paste, by library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from unyoke.timescales import LARGE
from unyoke.transfer.conventions import convert
from unyoke.transfer.run import Run

Block = Callable[[Run], str]


def _number(value: float) -> str:
    return f"{value:.4g}"


def _decay(run: Run, convention: str) -> str:
    momentum = run.beta1 if run.optimizer == "sgdw" else 0.0
    return _number(
        convert(run.weight_decay, source="unyoke", to=convention, lr=run.lr, momentum=momentum)
    )


def _steps(run: Run) -> int:
    return max(1, round(run.length))


def unyoke(run: Run) -> str:
    name = {"adamw": "AdamW", "sgdw": "SGDW", "lion": "LionW"}[run.optimizer]
    schedules = {
        "cosine": f"unyoke.schedules.cosine({_steps(run)})",
        "step_drops": f"unyoke.schedules.step_drops({_steps(run)})",
    }
    schedule = schedules.get(run.schedule)
    given = f", schedule={schedule}" if schedule else ""
    decay = _decay(run, "unyoke")
    if run.weight_decay >= LARGE and schedule:  # as a number it would be asked about
        decay = f"unyoke.total_decay({_number(run.total_decay)}, schedule={schedule})"
    return f"unyoke.{name}(model.parameters(), lr={_number(run.lr)}, weight_decay={decay}{given})"


def _scheduler(run: Run) -> str:
    """The schedule that torch's and timm's optimizers do not have themselves."""
    kinds = {
        "cosine": f"CosineAnnealingLR(optimizer, T_max={_steps(run)})",
        "linear": f"LinearLR(optimizer, 1.0, 0.0, total_iters={_steps(run)})",
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
    kinds = {"cosine": "cosine", "linear": "linear", "constant": "constant"}
    kind = kinds.get(run.schedule)
    parts = [
        f"learning_rate={_number(run.lr)}",
        f"weight_decay={_decay(run, 'hf')}",
        *([f"lr_scheduler_type='{kind}'"] if kind else []),
        f"max_steps={_steps(run)}",
    ]
    return f"TrainingArguments({', '.join(parts)})"


def optax(run: Run) -> str:
    name = "lion" if run.optimizer == "lion" else "adamw"
    rates = {
        "cosine": f"optax.cosine_decay_schedule({_number(run.lr)}, {_steps(run)})",
        "linear": f"optax.linear_schedule({_number(run.lr)}, 0.0, {_steps(run)})",
    }
    rate = rates.get(run.schedule, _number(run.lr))
    return f"optax.{name}({rate}, weight_decay={_decay(run, 'optax')})"


def keras(run: Run) -> str:
    name = "Lion" if run.optimizer == "lion" else "AdamW"
    rate = _number(run.lr)
    if run.schedule == "cosine":
        rate = f"keras.optimizers.schedules.CosineDecay({rate}, {_steps(run)})"
    return f"keras.optimizers.{name}({rate}, weight_decay={_decay(run, 'keras')})"


ADAMS: Mapping[str, Block] = MappingProxyType(
    {"unyoke": unyoke, "torch": torch, "timm": timm, "hf": hf, "optax": optax, "keras": keras}
)

BLOCKS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "adamw": tuple(ADAMS),
        "sgdw": ("unyoke", "torch", "timm"),
        "lion": ("unyoke", "timm", "optax", "keras"),
    }
)
"""The libraries that have each optimizer."""


def blocks(run: Run) -> dict[str, str]:
    """Code by library."""
    return {name: ADAMS[name](run) for name in BLOCKS[run.optimizer]}
