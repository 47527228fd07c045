"""`unyoke tune` beside random search and Optuna's TPE, at equal numbers of updates.

All trainings are drawn from one dense ledger for each task, which has every cell of the grid at
four lengths with ten seeds. Make them first (minutes each; TASK is digits, digits-plain, …):

    unyoke map --out LEDGERS/TASK --task TASK --optimizers AdamW --lr 2^-11:2^-1 \\
        --weight-decay total:0,2^-4:2^4 --updates 38,75,150,300 --seeds 10 --evaluations 1
    python benchmarks/tune.py LEDGERS [--out benchmarks/tune.json]

The others search α from 2^-11 to 2^-1 and torch's weight_decay from 1e-3 to 10, both log-uniform,
with trainings of full length; the nearest cell of the ledger (a factor of 2 apart) stands for each.
So AdamW is the same algorithm for all. "random, α and Σηλ" draws from the grid itself: what is left
of the difference then does not come from the coordinates. The cost is updates × samples per update,
in units of one full training; that trainings of one length run as one population, which shortens
the wall clock of short and long ones alike, counts for nobody.

A repetition is one seed: of the weights, of the order of the batches, and of the search. The others
search `REPEATED` times with each. The winner is chosen by validation error and its test error
reported; and, as how good the numbers are, their mean test error with the other seeds, in which
luck in choosing does not count.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import optuna

from unyoke.study.landscape.decay_units import sums
from unyoke.study.landscape.landscape import Axes, Cell, Landscape
from unyoke.study.landscape.outcome import Outcome
from unyoke.study.landscape.schedules import make
from unyoke.study.ledger.ledger import Ledger
from unyoke.study.tuning.search import Search, best, by_length

REPEATED = 10
RUNS = (8, 16, 32)  # budgets, in trainings of full length
WEIGHT_DECAY = 1e-3, 10.0  # torch's
Numbers = tuple[float, float]  # α, Σηλ
Table = dict[tuple[int, int, float, float], Outcome]  # by seed, updates, α, Σηλ


class Task:
    """A dense ledger: its landscape and every outcome."""

    def __init__(self, folder: Path) -> None:
        with Ledger.open_to_read(folder) as ledger:
            self.landscape: Landscape = ledger.landscape
            self.table: Table = {_key(r.cell): r.outcome for r in ledger.records()}
        (axes,) = self.landscape.axes.values()
        self.axes: Axes = axes
        self.length = max(self.landscape.updates)
        schedule = make(self.landscape.schedules[0], self.length, {})
        self.eta = sums(schedule, self.length).eta
        unit = next(iter(self.table.values())).error_unit
        self.worst = max(o.test_error or 0.0 for o in self.table.values())
        self.scale = 100.0 if unit == "%" else 1.0

    def nearest(self, lr: float, total: float) -> Numbers:
        """The cell of the grid nearest to these numbers."""
        rate = min(self.axes.lr, key=lambda value: abs(math.log(value / lr)))
        positive = [value for value in self.axes.weight_decay if value]
        if total < positive[0] / 2**0.5 and 0.0 in self.axes.weight_decay:
            return rate, 0.0
        return rate, min(positive, key=lambda value: abs(math.log(value / total)))

    def validation(self, seed: int, numbers: Numbers) -> float:
        """The validation error of a training of full length; infinite if it diverged."""
        error = self.table[seed, self.length, *numbers].validation_error
        return math.inf if error is None else error

    def test(self, seed: int, numbers: Numbers) -> float:
        """Its test error, scaled; the worst of the grid's if it diverged."""
        error = self.table[seed, self.length, *numbers].test_error
        return self.scale * (self.worst if error is None else error)

    def elsewhere(self, seed: int, numbers: Numbers) -> float:
        """The mean test error of these numbers with the other seeds."""
        seeds = [other for other in self.landscape.seeds if other != seed]
        return statistics.mean(self.test(other, numbers) for other in seeds)


def _key(cell: Cell) -> tuple[int, int, float, float]:
    return cell.seed, cell.updates, cell.lr, cell.weight_decay


def _chosen(task: Task, seed: int, tried: list[Numbers]) -> Numbers:
    return min(tried, key=lambda numbers: task.validation(seed, numbers))


def tuned(task: Task, seed: int, runs: int) -> Numbers:
    """What `unyoke tune` ends with: the lowest error averaged with its neighbours'."""
    place = best(searched(task, seed, runs))
    assert place is not None
    return task.axes.lr[place[0]], task.axes.weight_decay[place[1]]


def kept(task: Task, seed: int, runs: int, repetition: int) -> Numbers:
    """Of the trainings of full length that `unyoke tune` made, that of the lowest error."""
    errors = searched(task, seed, runs)
    column, row = min(errors, key=lambda place: errors[place])
    return task.axes.lr[column], task.axes.weight_decay[row]


@cache
def searched(task: Task, seed: int, runs: int) -> dict[tuple[int, int], float]:
    """The validation errors of full length that `unyoke tune` has when its budget is spent."""
    search = Search(runs * task.length)
    landscape = replace(task.landscape, seeds=(seed,))
    done: dict[Cell, Outcome] = {}
    while cells := search.next_cells(landscape, done.items()):
        done |= {cell: task.table[_key(cell)] for cell in cells}
    return by_length(landscape, done.items())[task.length]


def _log_uniform(draw: random.Random, low: float, high: float) -> float:
    return math.exp(draw.uniform(math.log(low), math.log(high)))


def randomly(task: Task, seed: int, runs: int, repetition: int) -> Numbers:
    """Random search over α and torch's weight_decay."""
    draw = random.Random(1_000 * seed + repetition)
    tried = []
    for _ in range(runs):
        lr = _log_uniform(draw, task.axes.lr[0], task.axes.lr[-1])
        wd = _log_uniform(draw, *WEIGHT_DECAY)
        tried.append(task.nearest(lr, lr * wd * task.eta))
    return _chosen(task, seed, tried)


def on_the_grid(task: Task, seed: int, runs: int, repetition: int) -> Numbers:
    """Random search over α and Σηλ, the coordinates of `unyoke tune`."""
    draw = random.Random(1_000 * seed + repetition)
    axes = task.axes
    tried = [(draw.choice(axes.lr), draw.choice(axes.weight_decay)) for _ in range(runs)]
    return _chosen(task, seed, tried)


def tpe(task: Task, seed: int, runs: int, repetition: int) -> Numbers:
    """Optuna's default sampler over the same box as random search."""
    tried: list[Numbers] = []

    def objective(trial: optuna.Trial) -> float:
        lr = trial.suggest_float("lr", task.axes.lr[0], task.axes.lr[-1], log=True)
        wd = trial.suggest_float("weight_decay", *WEIGHT_DECAY, log=True)
        tried.append(task.nearest(lr, lr * wd * task.eta))
        return min(task.validation(seed, tried[-1]), 1e9)

    sampler = optuna.samplers.TPESampler(seed=1_000 * seed + repetition)
    optuna.create_study(sampler=sampler).optimize(objective, n_trials=runs)
    return _chosen(task, seed, tried)


OTHERS: dict[str, Callable[[Task, int, int, int], Numbers]] = {
    "tune, the training of the lowest validation error": kept,
    "random, α and torch's weight_decay": randomly,
    "random, α and Σηλ": on_the_grid,
    "TPE, α and torch's weight_decay": tpe,
}


def compare(task: Task, runs: int) -> dict[str, Any]:
    """Errors of every method, and the paired difference of each from tune's."""
    seeds = task.landscape.seeds
    ours = {seed: [tuned(task, seed, runs)] for seed in seeds}
    rows: dict[str, Any] = {"tune": _row(task, ours, ours)}
    for name, search in OTHERS.items():
        found = {seed: [search(task, seed, runs, n) for n in range(REPEATED)] for seed in seeds}
        rows[name] = _row(task, found, ours)
    return rows


def _row(
    task: Task, found: dict[int, list[Numbers]], ours: dict[int, list[Numbers]]
) -> dict[str, Any]:
    row: dict[str, Any] = {"repetitions": sum(map(len, found.values()))}
    for name, measure in (("test", task.test), ("other_seeds", task.elsewhere)):
        errors = {seed: [measure(seed, n) for n in numbers] for seed, numbers in found.items()}
        every = [error for some in errors.values() for error in some]
        paired = [
            statistics.mean(some) - measure(seed, ours[seed][0]) for seed, some in errors.items()
        ]
        row[name] = {
            "mean": round(statistics.mean(every), 3),
            "standard_deviation": round(statistics.stdev(every), 3),
            "worst": round(max(every), 3),
            "minus_tune": round(statistics.mean(paired), 3),
            "standard_error": round(statistics.stdev(paired) / len(paired) ** 0.5, 3),
        }
    return row


def _shown(row: dict[str, Any]) -> str:
    return "; ".join(
        f"{name} {one['mean']:.2f}, spread {one['standard_deviation']:.2f}, worst "
        f"{one['worst']:.2f}, {one['minus_tune']:+.2f} ± {one['standard_error']:.2f} to tune"
        for name in ("test", "other_seeds")
        for one in (row[name],)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("ledgers", type=Path)
    parser.add_argument("--tasks", default="digits,digits-plain,diabetes,breast-cancer")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    result: dict[str, Any] = {}
    for name in arguments.tasks.split(","):
        task = Task(arguments.ledgers / name)
        result[name] = {}
        for runs in RUNS:
            rows = result[name][f"{runs} runs"] = compare(task, runs)
            for method, row in rows.items():
                print(f"{name}, {runs} runs, {method}: {_shown(row)}", flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
