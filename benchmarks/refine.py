"""How many updates `--refine` saves, and what it costs in the error of the cell that is found.

The usual landscape of one optimizer on `digits-plain` (9 × 9 cells, 150 updates), or on another
task, is trained with many seeds. They are divided into groups of three: each group is a map of its
own, as `unyoke map` makes it, once whole and once refined. A refined map trains only the cells that
`unyoke.study.running.refine` asks for, with the same outcomes. The best cell of each is chosen by
its mean validation error over the group's seeds, and judged by its mean test error over all the
seeds, those of the other groups too, so that luck in choosing does not count.

    python benchmarks/refine.py [--task digits-plain] [--groups 8] [--optimizers AdamW,SGD]
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Mapping

import torch

import unyoke
from unyoke.study.landscape.landscape import Cell, Landscape
from unyoke.study.landscape.outcome import Outcome
from unyoke.study.planning import request
from unyoke.study.running import refine
from unyoke.study.tasks.registry import load
from unyoke.study.training.training import train_together

SEEDS = 3  # of one map
Outcomes = Mapping[Cell, Outcome]
Place = tuple[float, float]


def trained(landscape: Landscape) -> Outcomes:
    """Every cell of the landscape, trained in this process."""
    build = load(landscape.task)
    cells = list(landscape.cells())
    outcomes: dict[Cell, Outcome] = {}
    for start in range(0, len(cells), 81):
        part = cells[start : start + 81]
        outcomes |= zip(part, train_together(part, build, time.perf_counter), strict=True)
    return outcomes


def best(outcomes: Outcomes) -> Place:
    """The place of the lowest mean validation error; a diverged cell is none."""
    places: dict[Place, list[float]] = {}
    for cell, outcome in outcomes.items():
        error = outcome.validation_error
        places.setdefault((cell.lr, cell.weight_decay), []).append(
            float("inf") if error is None else error
        )
    return min(places, key=lambda place: statistics.mean(places[place]))


def refined(landscape: Landscape, outcomes: Outcomes) -> Outcomes:
    """What a refined map of the same landscape trains."""
    done: dict[Cell, Outcome] = {}
    while cells := refine.next_cells(landscape, done.items()):
        done |= {cell: outcomes[cell] for cell in cells}
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--task", default="digits-plain")
    parser.add_argument("--groups", type=int, default=8)
    parser.add_argument("--optimizers", default="AdamW,SGD")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, "
        f"unyoke {unyoke.__version__}"
    )
    for optimizer in arguments.optimizers.split(","):
        whole = request.landscape(
            task=arguments.task, optimizers=(optimizer,), seeds=SEEDS * arguments.groups
        )
        outcomes = trained(whole)
        test: dict[Place, list[float]] = {}
        for cell, outcome in outcomes.items():
            if outcome.test_error is not None:
                test.setdefault((cell.lr, cell.weight_decay), []).append(outcome.test_error)
        shares, losses, same = [], [], 0
        places = set()
        for group in range(arguments.groups):
            seeds = whole.seeds[SEEDS * group : SEEDS * (group + 1)]
            mine = {cell: o for cell, o in outcomes.items() if cell.seed in seeds}
            few = refined(Landscape(**{**vars(whole), "seeds": seeds}), mine)
            shares.append(sum(cell.updates for cell in few) / sum(c.updates for c in mine))
            found, expected = best(few), best(mine)
            same += found == expected
            places.add(expected)
            losses.append(statistics.mean(test[found]) - statistics.mean(test[expected]))
        error = statistics.stdev(losses) / len(losses) ** 0.5
        print(
            f"{optimizer}: {arguments.groups} maps of {SEEDS} seeds; updates made "
            f"{100 * statistics.mean(shares):.0f} % of the whole grid's (from "
            f"{100 * min(shares):.0f} to {100 * max(shares):.0f} %); the same best cell in {same} "
            f"(the whole grids have {len(places)} different ones); "
            f"test error of the cell found {100 * statistics.mean(losses):+.2f} ± "
            f"{100 * error:.2f} points of the whole grid's"
        )


if __name__ == "__main__":
    main()
