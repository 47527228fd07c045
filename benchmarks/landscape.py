"""How much faster the study trains a landscape than torch's default AdamW, training by training.

The landscape: 4 optimizers × 7 learning rates × 7 weight decays × 3 seeds = 588 trainings of the
default task, or of another (`--task digits-plain`), 150 updates of 50 samples, cosine schedule,
each with its learning curve: as many evaluations of training, validation and test data as the study
takes, after the same updates.

Three ways, measured in turn in every round, on the same cores:

- the study, end to end: `driver.run` in an empty folder with one worker per core, each time in a
  new process. Starting the workers, trying the task, the ledger and all trainings are in its time.
- torch, one by one in one process, with one thread or with one per core, whichever is faster here;
- torch in as many one-thread processes as there are workers, each with its share of the trainings.

torch's loop is the one that anybody would write, with torch.optim.AdamW as it comes for the cells
of all four optimizers. One such training takes as long as another, so a random sample of them is
timed and scaled to 588; `--sample 588` times all. Starting torch's processes, imports included, is
timed apart and added. Medians over the rounds.

    python benchmarks/landscape.py [--task digits] [--rounds 3] [--sample 48] [--workers 2]
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

import unyoke
from unyoke import schedules
from unyoke.study.landscape.landscape import Cell, Landscape
from unyoke.study.landscape.outcome import Outcome
from unyoke.study.ledger.ledger import Count, Ledger
from unyoke.study.planning import request, words
from unyoke.study.running import driver
from unyoke.study.tasks.registry import load, refer
from unyoke.study.tasks.task import Task
from unyoke.study.training.training import HUGE, evaluation_updates

Samples = tuple[Tensor, Tensor]


def landscape(task: str) -> Landscape:
    return request.landscape(
        task=task,
        lr=[words.axis("2^-8:2^-2", "learning rate")],
        weight_decay=[words.axis("0,2^-9:2^-4", "weight decay")],
        seeds=3,
    )


@cache
def builder(task: str) -> Callable[[int], Task]:
    return load(refer(task))


class Quiet:
    """A watcher that only notes when the first outcome came."""

    def __init__(self) -> None:
        self.first = math.nan

    def begin(self, count: Count) -> None:
        self.started = time.perf_counter()

    def advance(self, cell: Cell, outcome: Outcome) -> None:
        if math.isnan(self.first):
            self.first = time.perf_counter()

    def end(self) -> None:
        pass


def torch_training(cell: Cell) -> list[tuple[float, float, float]]:
    """The loop that anybody would write; its learning curve."""
    task = builder(cell.task)(cell.seed)
    model = task.model
    optimizer = torch.optim.AdamW(model.parameters(), lr=cell.lr, weight_decay=cell.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, schedules.cosine(cell.updates))
    due = evaluation_updates(cell, task)
    inputs, targets = task.train
    generator = torch.Generator().manual_seed(cell.seed)
    curve = []
    update = 0
    while update < cell.updates:
        for chosen in torch.randperm(len(targets), generator=generator).split(task.batch_size):
            if update == cell.updates or len(chosen) < task.batch_size:
                break
            loss = functional.cross_entropy(model(inputs[chosen]), targets[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            update += 1
            if not loss.item() < HUGE:
                return curve
            if update in due:
                curve.append(evaluated(model, task.train, task.validation, task.test))
    return curve


def evaluated(
    model: torch.nn.Module, train: Samples, validation: Samples, test: Samples
) -> tuple[float, float, float]:
    """The loss over the training samples, and the errors over the others."""
    model.eval()
    with torch.no_grad():
        loss = functional.cross_entropy(model(train[0]), train[1]).item()
        errors = [
            (model(inputs).argmax(dim=1) != targets).float().mean().item()
            for inputs, targets in (validation, test)
        ]
    model.train()
    return loss, errors[0], errors[1]


def torch_trainings(cells: Sequence[Cell]) -> int:
    return sum(len(torch_training(cell)) for cell in cells)


def begin(threads: int, cell: Cell) -> None:
    """In a worker: imports, data, and one training, so that every lazy thing is there."""
    torch.set_num_threads(threads)
    torch_training(cell)


class Processes:
    """Torch's processes, up and warm, and how long that took."""

    def __init__(self, count: int, threads: int, cells: Sequence[Cell]) -> None:
        started = time.perf_counter()
        context = multiprocessing.get_context("spawn")
        self.count = count
        self.cells = len(cells)
        self.pool = ProcessPoolExecutor(
            count, context, initializer=begin, initargs=(threads, cells[0])
        )
        list(self.pool.map(time.sleep, [0.2] * count))
        self.start = time.perf_counter() - started

    def seconds(self, sample: Sequence[Cell]) -> float:
        """For all trainings, from those of the sample."""
        shares = [sample[part :: self.count] for part in range(self.count)]
        started = time.perf_counter()
        list(self.pool.map(torch_trainings, shares))
        return self.start + (time.perf_counter() - started) * self.cells / len(sample)


def in_a_new_process(task: str, workers: int) -> tuple[float, float, str]:
    """`study` where nothing of it has begun yet."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(study, task, workers).result()


def study(task: str, workers: int) -> tuple[float, float, str]:
    """Seconds to the end, seconds to the first outcome, and which engine trained how many."""
    watcher, asked = Quiet(), landscape(task)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        count = driver.run(asked, Path(folder), watcher, workers=workers)
        seconds = time.perf_counter() - started
        assert count.done == count.total
        with Ledger.open_to_read(Path(folder)) as ledger:
            engines = [record.outcome.engine for record in ledger.records()]
    stacked = engines.count("stacked")
    return seconds, watcher.first - started, f"{stacked} of {count.done} cells stacked"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--task", default="digits")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sample", type=int, default=48, help="torch's trainings of each way")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    asked = landscape(arguments.task)
    cells = list(asked.cells())
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; "
        f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"unyoke {unyoke.__version__}; {asked.summary()}; torch's times from "
        f"{arguments.sample} of them"
    )
    ways = {
        "torch, one thread": Processes(1, 1, cells),
        "torch, all threads": Processes(1, arguments.workers, cells),
        "torch, processes": Processes(arguments.workers, 1, cells),
    }
    rounds = []
    for number in range(arguments.rounds):
        sample = random.Random(number).sample(cells, min(arguments.sample, len(cells)))
        found = {name: processes.seconds(sample) for name, processes in ways.items()}
        found["study"], first, engines = in_a_new_process(arguments.task, arguments.workers)
        rounds.append(found)
        print(
            f"round {number + 1}: "
            + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in found.items())
            + f"; first outcome after {first:.1f} s; {engines}",
            flush=True,
        )
    for processes in ways.values():
        processes.pool.shutdown()
    report(rounds, arguments.workers)


def report(rounds: Sequence[dict[str, float]], workers: int) -> None:
    alone = [min(r["torch, one thread"], r["torch, all threads"]) for r in rounds]
    ours = [r["study"] for r in rounds]
    print(f"\nthe study, {workers} workers: {statistics.median(ours):.1f} s")
    for what, theirs, goal in (
        ("torch one by one in one process", alone, 4.0),
        (f"torch in {workers} processes", [r["torch, processes"] for r in rounds], 2.5),
    ):
        ratio = statistics.median(slow / fast for slow, fast in zip(theirs, ours, strict=True))
        print(
            f"{what}: {statistics.median(theirs):.1f} s, so the study is {ratio:.1f}× faster "
            f"(goal {goal}×)"
        )


if __name__ == "__main__":
    main()
