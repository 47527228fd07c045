"""Optuna's search over α and λ."""

from __future__ import annotations

import optuna
import torch
from comparing import distance, plain, tell

import unyoke


def searched() -> float:
    """The weights of the best trial, trained again from its parameters."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ends: dict[int, torch.Tensor] = {}

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


tell("a search over α and λ", searched)
