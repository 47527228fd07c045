"""How much faster a population trains a landscape than torch's default AdamW, run after run.

The landscape: 4 optimizers × 7 learning rates × 7 weight decays × 3 seeds = 588 trainings of the
network 64–128–10 on scikit-learn's digits, cosine schedule, batches of 50. Training only: no
evaluation on either side; making the models is included on both.

Four ways, each of which would train all of it on the same cores, alternate in every round:

- torch, one by one: one process with one thread. (More threads than one make it slower: the
  operations are too small to share, and on a busy machine the threads wait for each other.)
- torch in two one-thread processes, each with half of the runs;
- a population per optimizer (147 models) in one one-thread process;
- the same in two one-thread processes, each with half of the models.

torch trains every cell with torch.optim.AdamW as it comes (that is its time for any optimizer of
the four), and only some of the runs: one is as long as another, so seconds are scaled to 588. The
populations train all their models. Medians over the rounds.

    python benchmarks/population.py [--rounds 3] [--sample 8] [--updates 150]
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import platform
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

import unyoke
from unyoke import schedules
from unyoke.population import BatchOrder, Population

OPTIMIZERS = {
    "Adam": partial(unyoke.AdamW, decay="l2"),
    "AdamW": unyoke.AdamW,
    "SGD": partial(unyoke.SGDW, decay="l2"),
    "SGDW": unyoke.SGDW,
}
"""As the paper has them: Algorithms 1 and 2, each with L2 and with its own decay."""
RATES = [2.0**-k for k in range(9, 2, -1)]
DECAYS = [0.0, *(2.0**-k for k in range(9, 3, -1))]
SEEDS = (0, 1, 2)
BATCH_SIZE = 50
CELLS = [(lr, decay, seed) for seed in SEEDS for lr in RATES for decay in DECAYS]
RUNS = len(OPTIMIZERS) * len(CELLS)


class Job(NamedTuple):
    """Some cells of one optimizer, or runs of torch's AdamW."""

    way: str
    optimizer: str
    cells: list[tuple[float, float, int]]
    updates: int


@cache
def digits() -> tuple[Tensor, Tensor]:
    """The first 200 of the shuffled images, in [−1, 1], and their classes."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))[:200]
    inputs = torch.tensor(data.data, dtype=torch.float32)[order] / 8 - 1
    return inputs, torch.tensor(data.target)[order]


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def torch_run(lr: float, decay: float, seed: int, updates: int) -> None:
    """The loop that anybody would write."""
    torch.manual_seed(seed)
    inputs, targets = digits()
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=decay)
    schedule = schedules.cosine(updates)
    order = BatchOrder(len(targets), BATCH_SIZE, [seed])
    for t in range(updates):
        optimizer.param_groups[0]["lr"] = lr * schedule(t)
        chosen = order.at(t)
        loss = functional.cross_entropy(model(inputs[chosen]), targets[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def population_run(job: Job) -> str:
    lr, decays, seeds = zip(*job.cells, strict=True)
    population = Population(
        network,
        lr=lr,
        weight_decay=decays,
        seeds=seeds,
        optimizer=OPTIMIZERS[job.optimizer],
        schedule=schedules.cosine(job.updates),
    )
    population.train(*digits(), batch_size=BATCH_SIZE)
    return f"{population.reason}; {len(population.diverged)} diverged"


def do(job: Job) -> str:
    """In a worker."""
    if job.way == "population":
        return population_run(job)
    for cell in job.cells:
        torch_run(*cell, job.updates)
    return ""


def start() -> None:
    """A worker's beginning: imports, data and compiled code are not what is measured."""
    torch.set_num_threads(1)
    do(Job("torch", "", CELLS[:1], 5))
    for optimizer in OPTIMIZERS:
        population = Population(
            network, lr=[1e-3] * 2, optimizer=OPTIMIZERS[optimizer], engine="stacked"
        )
        population.train(*digits(), batch_size=BATCH_SIZE, updates=2)


def halves(job: Job) -> list[Job]:
    return [job._replace(cells=job.cells[half::2]) for half in (0, 1)]


def seconds(pool: ProcessPoolExecutor, jobs: list[Job]) -> tuple[float, list[str]]:
    begin = time.perf_counter()
    answers = list(pool.map(do, jobs))
    return time.perf_counter() - begin, answers


def a_round(pools: dict[str, ProcessPoolExecutor], sample: int, updates: int) -> dict[str, float]:
    """Seconds for the whole landscape in each way, the ways taken in turn for each optimizer."""
    spent = {
        "torch, one process": 0.0,
        "torch, two processes": 0.0,
        "population, one process": 0.0,
        "population, two processes": 0.0,
    }
    for optimizer in OPTIMIZERS:
        runs = Job("torch", optimizer, CELLS[:: math.ceil(len(CELLS) / sample)], updates)
        scale = len(CELLS) / len(runs.cells)
        cells = Job("population", optimizer, CELLS, updates)
        spent["torch, one process"] += scale * seconds(pools["one"], [runs])[0]
        spent["population, one process"] += seconds(pools["one"], [cells])[0]
        spent["torch, two processes"] += scale * seconds(pools["two"], halves(runs))[0]
        took, answers = seconds(pools["two"], halves(cells))
        spent["population, two processes"] += took
        print(f"    {optimizer}: {answers[0]}", flush=True)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sample", type=int, default=8, help="torch's runs per optimizer and way")
    parser.add_argument("--updates", type=int, default=150)
    arguments = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; "
        f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"unyoke {unyoke.__version__}; {RUNS} runs of {arguments.updates} updates, "
        f"torch's times from {arguments.sample} runs per optimizer"
    )
    context = multiprocessing.get_context("spawn")
    pools = {
        name: ProcessPoolExecutor(workers, context, initializer=start)
        for name, workers in (("one", 1), ("two", 2))
    }
    for pool in pools.values():  # all workers are up before the first measurement
        list(pool.map(time.sleep, [0.5, 0.5]))
    rounds = []
    for number in range(arguments.rounds):
        rounds.append(a_round(pools, arguments.sample, arguments.updates))
        print(f"  round {number + 1}: " + ", ".join(f"{v:.1f}" for v in rounds[-1].values()))
    for pool in pools.values():
        pool.shutdown()
    report(rounds)


def report(rounds: list[dict[str, float]]) -> None:
    def ratio(slow: str, fast: str) -> str:
        return f"{statistics.median(r[slow] / r[fast] for r in rounds):.1f}×"

    print(f"\nseconds for all {RUNS} runs, medians of {len(rounds)} rounds")
    for way in rounds[0]:
        print(f"  {way:34s} {statistics.median(r[way] for r in rounds):8.1f}")
    two = "population, two processes"
    print("\nfaster, medians of the rounds' ratios; two cores for the population")
    print(f"  than torch one by one            {ratio('torch, one process', two)}  (goal 4×)")
    print(f"  than torch in two processes      {ratio('torch, two processes', two)}  (goal 2.5×)")
    one = "population, one process"
    print("one core for the population")
    print(f"  than torch one by one            {ratio('torch, one process', one)}")


if __name__ == "__main__":
    main()
