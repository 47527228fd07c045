"""Optuna's search over α and λ, and TensorBoard's record of what a group shows."""

from __future__ import annotations

import tempfile

import optuna
import torch
from comparing import DECAY, LR, UPDATES, distance, made, model, plain, tell
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

import unyoke


def searched() -> float:
    """The weights of the best trial, trained again from its parameters."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ends = {}

    def objective(trial: optuna.Trial) -> float:
        lr = trial.suggest_float("lr", 1e-4, 1e-1, log=True)
        decay = trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True)
        ends[trial.number] = plain(
            lambda m: unyoke.AdamW(m.parameters(), lr=lr, weight_decay=decay)
        )
        return float(ends[trial.number].norm())

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=5)
    best = study.best_trial
    again = plain(lambda m: unyoke.AdamW(m.parameters(), **best.params))
    return distance(again, ends[best.number])


def logged() -> float:
    """λ and the learning rate of every update, written and read again."""
    schedule = unyoke.schedules.cosine(UPDATES)
    with tempfile.TemporaryDirectory() as folder:
        writer = SummaryWriter(folder)
        module = model()
        optimizer = made(module)
        for t in range(UPDATES):
            writer.add_scalar("lr", optimizer.param_groups[0]["lr"], t)
            writer.add_scalar("weight_decay", optimizer.param_groups[0]["weight_decay"], t)
            for p in module.parameters():
                p.grad = torch.ones_like(p)
            optimizer.step()
        writer.close()
        events = EventAccumulator(folder)
        events.Reload()
        rates = [event.value for event in events.Scalars("lr")]
        decays = [event.value for event in events.Scalars("weight_decay")]
    far = [abs(rate - LR * schedule(t)) for t, rate in enumerate(rates)]
    return max(*far, *(abs(decay - DECAY) for decay in decays))


tell("Optuna: a search over α and λ", searched)
tell("TensorBoard: `lr` and `weight_decay` of a group", logged)
