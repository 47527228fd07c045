"""explain() of a checkpoint: what decay amounts to in a run of which only a file is left.

Reads optimizers' checkpoints of unyoke, torch, timm and Hugging Face, alone or inside a training
checkpoint. Nothing in the file is executed: it is loaded with ``weights_only=True``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from unyoke import decays, directions
from unyoke._step.hyperparameters import largest
from unyoke.equation import per_update
from unyoke.explain import (
    Explanation,
    GroupDecay,
    amounts,
    taker,
)
from unyoke.transfer.run import SCHEDULES

Group = Mapping[str, Any]

PLACES = ("optimizer", "optimizer_state_dict", "optim", "optimizer_states", "optimizers", "opt")
"""Where training checkpoints keep the optimizer's: timm, torch's tutorials, Lightning."""


class UnknownCheckpoint(ValueError):
    """A file in which no optimizer's state was found; the message is one line."""


@dataclass(frozen=True)
class SavedRule:
    """What a saved group says of its rule; ``own`` is the name of a decay that is somebody's."""

    direction: str
    decay: str
    note: str = ""
    own: str | None = None


def explain_file(
    path: Path,
    updates: int | None = None,
    updates_per_epoch: float | None = None,
    schedule: str | None = None,
) -> Explanation:
    """What the decay of a saved optimizer amounts to.

    Args:
        path: a file, or a folder of Hugging Face's Trainer (its ``optimizer.pt``; the number of
            updates to come is read from ``trainer_state.json``).
        updates: the budget from here on.
        updates_per_epoch: to have times in epochs as well.
        schedule: how learning rates go on from what they are: ``"cosine"`` or ``"linear"`` to zero
            at the end of the budget, or ``"constant"``; None takes them as constant and says so.

    Raises:
        UnknownCheckpoint: there is no such file, it cannot be read without executing it, or it
            holds no optimizer.
    """
    file = path / "optimizer.pt" if path.is_dir() else path
    if path.is_dir() and not file.exists():
        what = (
            "a distributed checkpoint: give its optimizer's state_dict, saved with torch.save"
            if (path / ".metadata").exists()
            else "a folder without optimizer.pt: give the checkpoint's file"
        )
        raise UnknownCheckpoint(f"{path}: this is {what}")
    saved = _optimizer_in(_load(file), file)
    if updates is None and path.is_dir():
        updates = _updates_to_come(path / "trainer_state.json")
    numel = {
        key: max((v.numel() for v in entry.values() if isinstance(v, torch.Tensor)), default=0)
        for key, entry in saved["state"].items()
    }
    etas = None
    if updates is not None:  # what is left of the present learning rate in each of them
        made = SCHEDULES[schedule or "constant"](updates)
        etas = [float(made(t)) for t in range(updates)]
    groups = [
        _explained(
            index, group, sum(numel.get(key, 0) for key in group["params"]), etas, updates_per_epoch
        )
        for index, group in enumerate(saved["param_groups"])
    ]
    if updates is not None and schedule is None:
        note = "η is taken to stay what it is; say how it goes on: --schedule cosine, linear"
        groups = [replace(one, note="; ".join(filter(None, (one.note, note)))) for one in groups]
    return Explanation(tuple(groups), updates, updates_per_epoch)


def _load(file: Path) -> Any:
    import argparse  # seldom needed, and `import unyoke` should be quick

    try:
        # timm keeps its command line beside the optimizer
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UnknownCheckpoint(f"{file}: there is no such file") from None
    except Exception as error:  # torch.load raises whatever the bytes provoke
        raise UnknownCheckpoint(
            f"{file} cannot be read as a checkpoint without executing it "
            f"({type(error).__name__}): give a file that torch.save wrote of optimizer.state_dict()"
        ) from error


def _optimizer_in(document: Any, file: Path) -> Mapping[str, Any]:
    for candidate in _candidates(document):
        groups = candidate.get("param_groups")
        if (
            isinstance(groups, list)
            and groups
            and isinstance(candidate.get("state"), Mapping)
            and all(isinstance(group, Mapping) and "params" in group for group in groups)
        ):
            return candidate
    keys = list(document)[:6] if isinstance(document, Mapping) else [type(document).__name__]
    raise UnknownCheckpoint(
        f"{file} holds no optimizer ('state' and 'param_groups'), but {', '.join(map(str, keys))}: "
        "give a file that was saved with the optimizer's state_dict()"
    )


def _candidates(document: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(document, Mapping):
        yield document
        for place in PLACES:
            if place in document:
                yield from _candidates(document[place])
    elif isinstance(document, list | tuple):
        for each in document:
            yield from _candidates(each)


def _updates_to_come(file: Path) -> int | None:
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
        left = int(state["max_steps"]) - int(state["global_step"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return left if left > 0 else None


def _explained(
    index: int, group: Group, numel: int, etas: list[float] | None, per_epoch: float | None
) -> GroupDecay:
    kind = kind_of(group)
    lr, weight_decay = (largest(group.get(name, 0.0)) for name in ("lr", "weight_decay"))
    base = largest(group.get("base_lr", group.get("initial_lr", lr))) or lr
    eta = lr / base if base else 0.0
    rule = decays.get(kind.decay)
    part = coming = None
    if (take := taker(directions.ALL.get(kind.direction), rule, group)) is not None:
        part = take(lr, eta, weight_decay)
        coming = None if etas is None else [take(lr * x, eta * x, weight_decay) for x in etas]
    return GroupDecay(
        index=index,
        parameters=numel,
        direction=kind.direction,
        decay=kind.decay if kind.own is None else kind.own,
        weight_decay=weight_decay,
        lr=lr,
        eta=eta,
        dtype=torch.float32,
        lost="none",
        updates_lost=None,
        note="; ".join(filter(None, (kind.note, _advice(kind, base, weight_decay)))),
        **amounts(rule, group, part, coming, lr, per_epoch),
    )


def kind_of(group: Group) -> SavedRule:
    """Which optimizer wrote a group: its class is not in the file, its names are."""
    match group:
        case {"base_lr": _, "direction": direction, "decay": decay}:
            if decay in decays.ALL:
                return SavedRule(str(direction), decay)
            note = "this decay is not of this library, and what it takes is not known"
            return SavedRule(str(direction), "none", note, own=str(decay))
        case {"ns_steps": _} | {"ns_coefficients": _}:
            return SavedRule("muon", "lr_coupled", "torch's Muon")
        case {"betas": _, "momentum_decay": _}:
            decay = "lr_coupled" if group.get("decoupled_weight_decay") else "l2"
            return SavedRule("nadam", decay, "torch's NAdam")
        case {"betas": _} if "eps" not in group:
            return SavedRule("lion", "lr_coupled", "Lion")
        case {"betas": _, "corrected_weight_decay": corrected}:
            return SavedRule("adam", "corrected" if corrected else "lr_coupled", "timm's AdamW")
        case {"betas": _, "correct_bias": _}:
            return SavedRule("adam", "lr_coupled", "Hugging Face's AdamW")
        case {"betas": _, "decoupled_weight_decay": flag} if flag is not None:
            note = "AdamW" if flag else "Adam, with L2 in the gradient"
            return SavedRule("adam", "lr_coupled" if flag else "l2", f"torch's {note}")
        case {"betas": _}:
            note = "Adam or AdamW, the file does not say: read as AdamW"
            return SavedRule("adam", "lr_coupled", note)
        case {"nesterov": _} | {"dampening": _}:
            name = "nesterov" if group.get("nesterov") else "momentum"
            return SavedRule(name if group.get("momentum") else "gradient", "l2", "torch's SGD")
    note = "L2 in the gradient, as most of torch's optimizers have it"
    return SavedRule("an optimizer", "l2", note)


def _advice(kind: SavedRule, base: float, weight_decay: float) -> str:
    """The number for unyoke, where another library wrote the file."""
    if kind.note and decays.get(kind.decay).kind == "pull" and weight_decay > 0:
        ours = f"here weight_decay={base * weight_decay:.4g} at lr={base:g}"
        return ours if decays.get(kind.decay).strength is not per_update else ""
    return ""
