"""TensorBoard's and MLflow's records of what a group shows, read again."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import Any

os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ALLOW_FILE_STORE": "true"}

import mlflow
import torch
from comparing import DECAY, LR, UPDATES, made, model, tell
from mlflow.tracking import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

import unyoke
from unyoke.monitoring import writers


def updates(optimizer: unyoke.Optimizer) -> Iterator[tuple[int, dict[str, Any]]]:
    """Twelve updates; before each its number and the first group."""
    for t in range(UPDATES):
        yield t, optimizer.param_groups[0]
        for group in optimizer.param_groups:
            for weight in group["params"]:
                weight.grad = torch.ones_like(weight)
        optimizer.step()


def furthest(rates: list[float], decays: list[float]) -> float:
    schedule = unyoke.schedules.cosine(UPDATES)
    assert len(rates) == len(decays) == UPDATES
    far = [abs(rate - LR * schedule(t)) for t, rate in enumerate(rates)]
    return max(*far, *(abs(decay - DECAY) for decay in decays))


def scalars(folder: str) -> EventAccumulator:
    events = EventAccumulator(folder)
    events.Reload()
    return events


def tensorboard_group() -> float:
    with tempfile.TemporaryDirectory() as folder:
        writer = SummaryWriter(folder)
        for t, group in updates(made(model())):
            writer.add_scalar("lr", group["lr"], t)
            writer.add_scalar("weight_decay", group["weight_decay"], t)
        writer.close()
        events = scalars(folder)
        return furthest(*([e.value for e in events.Scalars(n)] for n in ("lr", "weight_decay")))


class Kept:
    """A writer that keeps the numbers of each reading."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, float]] = {}

    def write(self, reading: Any) -> None:
        self.rows[reading.update] = reading.scalars()

    def close(self) -> None:
        pass


def monitored(writer: Any) -> Kept:
    """A monitor's readings of all updates, written there and kept."""
    kept = Kept()
    optimizer = made(model())
    watching = unyoke.monitor(optimizer, every=1, updates=UPDATES, writers=[writer, kept])
    for _ in updates(optimizer):
        pass
    watching.close()
    assert len(kept.rows) == UPDATES
    return kept


def away(kept: Kept, found: dict[str, list[tuple[int, float]]]) -> float:
    """The largest relative difference of what was read again."""
    values = {(t, name): value for t, row in kept.rows.items() for name, value in row.items()}
    again = {(t, name): value for name, row in found.items() for t, value in row}
    assert values.keys() == again.keys()
    return max(abs(again[key] - value) / max(abs(value), 1e-30) for key, value in values.items())


def tensorboard_monitor() -> float:
    with tempfile.TemporaryDirectory() as folder:
        kept = monitored(writers.TensorBoard(folder))
        events = scalars(folder)
        names = events.Tags()["scalars"]
        return away(kept, {n: [(e.step, e.value) for e in events.Scalars(n)] for n in names})


def history(client: MlflowClient, run: str, name: str) -> list[tuple[int, float]]:
    return sorted((m.step, m.value) for m in client.get_metric_history(run, name))


def mlflow_group(client: MlflowClient) -> float:
    with mlflow.start_run() as run:
        for t, group in updates(made(model())):
            mlflow.log_metrics({n: group[n] for n in ("lr", "weight_decay")}, step=t)
    columns = (history(client, run.info.run_id, n) for n in ("lr", "weight_decay"))
    return furthest(*([value for _, value in column] for column in columns))


def mlflow_monitor(client: MlflowClient) -> float:
    with mlflow.start_run() as run:
        kept = monitored(writers.MLflow())
    number = run.info.run_id
    names = client.get_run(number).data.metrics
    return away(kept, {name: history(client, number, name) for name in names})


tell("TensorBoard: `lr` and `weight_decay` of a group", tensorboard_group)
tell("TensorBoard: all readings of a monitor (relative)", tensorboard_monitor)
with tempfile.TemporaryDirectory() as store:
    mlflow.set_tracking_uri(f"file://{store}/runs")  # MLflow makes this folder, and knows it so
    tell("MLflow: `lr` and `weight_decay` of a group", lambda: mlflow_group(MlflowClient()))
    tell("MLflow: all readings of a monitor (relative)", lambda: mlflow_monitor(MlflowClient()))
