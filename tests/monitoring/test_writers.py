"""Writers and callbacks. Stand-ins take the place of libraries that are not installed."""

from __future__ import annotations

import csv
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch

import unyoke
from unyoke.monitoring import callbacks, writers


class Recorder:
    """Takes any call, and keeps it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **words: self.calls.append((name, args, words))


def train(optimizer: torch.optim.Optimizer, updates: int = 3) -> None:
    (weight,) = optimizer.param_groups[0]["params"]
    for _ in range(updates):
        weight.grad = torch.ones_like(weight)
        optimizer.step()


def new() -> torch.optim.Optimizer:
    return unyoke.AdamW([("w", torch.nn.Parameter(torch.ones(3, 3)))], weight_decay=1e-5)


def test_csv_grows_over_runs(tmp_path: Path) -> None:
    for _ in range(2):
        optimizer = new()
        watching = unyoke.monitor(optimizer, every=2, writers=writers.CSV(tmp_path / "decay.csv"))
        train(optimizer)
        watching.close()
    with (tmp_path / "decay.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    norms = [(row["update"], row["value"]) for row in rows if row["name"] == "decay/w/weight_norm"]
    assert [update for update, _ in norms] == ["1", "3", "1", "3"]
    assert float(norms[0][1]) == pytest.approx(3.0)


def test_tensorboard(tmp_path: Path) -> None:
    target = Recorder()
    optimizer = new()
    unyoke.monitor(optimizer, updates=10, writers=writers.TensorBoard(target))
    train(optimizer)
    tags = {args[0]: args for name, args, _ in target.calls if name == "add_scalar"}
    assert tags["decay/group0/effective_decay"][1:] == (1e-5, 1)
    assert [name for name, *_ in target.calls].count("add_text") == 1


@pytest.mark.parametrize(
    ("library", "make", "call"),
    [("mlflow", writers.MLflow, "log_metrics"), ("wandb", writers.WandB, "log")],
)
def test_libraries_are_called_as_they_are(
    monkeypatch: pytest.MonkeyPatch, library: str, make: Any, call: str
) -> None:
    target = Recorder()
    monkeypatch.setitem(sys.modules, library, target)
    optimizer = new()
    unyoke.monitor(optimizer, every=2, writers=make())
    train(optimizer)
    assert [name for name, *_ in target.calls] == [call, call]
    assert target.calls[-1][1][0]["decay/w/weight_norm"] > 2


@pytest.mark.parametrize(
    ("library", "make"),
    [
        ("torch.utils.tensorboard", lambda: writers.TensorBoard("folder")),
        ("mlflow", writers.MLflow),
        ("wandb", writers.WandB),
        ("transformers", callbacks.hugging_face_callback),
    ],
)
def test_a_missing_library_is_named(
    monkeypatch: pytest.MonkeyPatch, library: str, make: Any
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=r"needs .*: pip install"):
        make()


def test_lightning_s_callback(monkeypatch: pytest.MonkeyPatch) -> None:
    base = types.SimpleNamespace(Callback=object)
    monkeypatch.setitem(sys.modules, "lightning", types.SimpleNamespace(pytorch=base))
    monkeypatch.setitem(sys.modules, "lightning.pytorch", base)
    optimizer, logger = new(), Recorder()
    trainer = types.SimpleNamespace(
        optimizers=[optimizer], loggers=[logger], estimated_stepping_batches=10
    )
    callback = callbacks.lightning_callback(every=2, say=None)
    callback.on_train_start(trainer, torch.nn.Linear(1, 1))
    train(optimizer)
    callback.on_train_end(trainer, None)
    train(optimizer)
    assert [words["step"] for _, _, words in logger.calls] == [1, 3]
    assert logger.calls[0][1][0]["decay/group0/updates_left"] == 9


def test_hugging_face_s_callback(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.SimpleNamespace(TrainerCallback=object)
    monkeypatch.setitem(sys.modules, "transformers", module)
    optimizer = new()
    state = types.SimpleNamespace(max_steps=10)
    callback = callbacks.hugging_face_callback(every=2, say=None)
    callback.on_train_begin(None, state, None, optimizer=optimizer, model=torch.nn.Linear(1, 1))
    train(optimizer)
    logs: dict[str, float] = {"loss": 1.0}
    callback.on_log(None, state, None, logs=logs)
    assert logs["decay/w/weight_norm"] > 2
    again: dict[str, float] = {}
    callback.on_log(None, state, None, logs=again)
    assert again == {}
    callback.on_train_end(None, state, None)
    assert "step" not in vars(optimizer)
