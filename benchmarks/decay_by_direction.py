"""Which weight decay suits which direction: one map for each pair, on three small tasks.

    python benchmarks/decay_by_direction.py --out decay-by-direction
    python benchmarks/decay_by_direction.py --out decay-by-direction --table

The tasks are the normalised and the plain digits, and a small convolutional network on the same
images. Each direction is mapped over learning rate × weight decay with the decoupled, the cautious
and the L2 rule. ``lr_coupled`` needs no trainings of its own: λ = α·weight_decay makes the same
trainings of it, so its map is the decoupled one sheared, and its exponent p less by 1.

The table has, for each direction and rule, the exponent p of λ* ∝ α^p, the gain over λ = 0, paired
over seeds, and the test error of the best cell, which validation error has chosen; each with its
95 % interval over seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unyoke.study import Task
from unyoke.study.statistics import paired_difference

DIRECTIONS = (
    *("AdamW", "SGDW", "LionW", "SignumW", "MuonW", "ADOPTW", "AdaBeliefW", "AdanW", "AdEMAMixW"),
    *("MARSW", "StableAdamW", "CautiousAdamW", "GramsW", "ScheduleFreeAdamW", "ScheduleFreeSGDW"),
)
"""Each with the rules below."""

RULES = ("decoupled", "cautious", "l2")
CONVOLUTIONS = f"{Path(__file__).resolve()}:convolutional"
TASKS = {"digits": "digits", "digits-plain": "digits-plain", "convolutional": CONVOLUTIONS}


def named(direction: str, rule: str) -> str:
    """What `unyoke map` calls a direction with a rule; decoupled is each one's own."""
    return direction if rule == "decoupled" else f"{direction}+{rule}"


WIDER = ["--weight-decay", "0,2^-9:2^1"]
WIDER += [w for rule in RULES for w in ("--lr", f"{named('ScheduleFreeSGDW', rule)}=2^-5:2^3")]
AXES = {"digits-plain": WIDER, "convolutional": [*WIDER, "--updates", "150"]}
"""Wider than the usual ones, where a first seed's best cells lay on an edge. Digits: the usual."""


class Patches(nn.Module):
    """[n, h, w, c] in patches of 2 × 2, side by side: what a convolution of stride 2 multiplies."""

    def forward(self, images: Tensor) -> Tensor:
        count, height, width, channels = images.shape
        split = images.reshape(count, height // 2, 2, width // 2, 2, channels).transpose(2, 3)
        return split.reshape(count, height // 2, width // 2, 4 * channels)


def convolutional(seed: int) -> Task:
    """200 of scikit-learn's digits by two convolutions of 2 × 2 and a linear layer, 6,730 weights.

    The windows do not overlap, so that a convolution is a product and many models make one stack.
    """
    from sklearn.datasets import load_digits

    torch.manual_seed(seed)
    images, classes = load_digits(return_X_y=True)
    inputs = torch.tensor(images, dtype=torch.float32).view(-1, 8, 8, 1) / 8 - 1
    targets = torch.tensor(classes, dtype=torch.int64)
    order = torch.randperm(len(targets))
    parts = [order[start:end] for start, end in pairwise((0, 200, 898, len(order)))]
    train, validation, test = ((inputs[part], targets[part]) for part in parts)
    layers: list[nn.Module] = []
    for before, channels in ((1, 16), (16, 64)):
        convolution = nn.Linear(4 * before, channels, bias=False)
        norm = nn.LayerNorm(channels, elementwise_affine=False)
        layers += [Patches(), convolution, norm, nn.ReLU()]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(256, 10))
    return Task(model, train, validation, test, batch_size=50)


def train(out: Path, task: str, seeds: int) -> None:
    """Run a task's map, or go on with it."""
    words = [sys.executable, "-m", "unyoke", "map", "--task", TASKS[task], "--out", str(out / task)]
    pairs = [named(direction, rule) for direction in DIRECTIONS for rule in RULES]
    words += ["--optimizers", ",".join(pairs), "--seeds", str(seeds)]
    words += ["--matrices", "all"]  # as the maps on record: Muon gets the output layer too
    subprocess.run([*words, "--evaluations", "1", *AXES.get(task, [])], check=True)


def interval(found: dict[str, Any] | None, unit: float = 1.0) -> str:
    """A number with its interval, which one seed does not have; a dash where it is not known.

    What else a finding says of the number, such as where its basin is upright, is left out.
    """
    known = {
        name: value
        for name in ("value", "low", "high")
        if (value := (found or {}).get(name)) is not None and math.isfinite(value)
    }
    if "value" not in known:
        return "–"
    ends = sorted(unit * known[name] for name in ("low", "high") if name in known)
    text = f"{unit * known['value']:.2f}"
    return (
        (f"{text} [{ends[0]:.2f}, {ends[1]:.2f}]" if len(ends) == 2 else text)
        .replace("-", "−")
        .replace("−0.00", "0.00")
    )


def table(folder: Path) -> str:
    """The Markdown table of a task's map: a row for each direction and rule, then for all.

    Raises:
        SystemExit: there is no map.
    """
    cells_file = folder / "cells.json"
    if not cells_file.exists():
        raise SystemExit(f"{cells_file} does not exist: leave out --table, which only prints")
    saved = json.loads(cells_file.read_text(encoding="utf-8"))
    findings = {finding["optimizer"]: finding for finding in saved["findings"]}
    errors = {name: by_seed(saved["cells"], finding) for name, finding in findings.items()}
    lines = [
        "| direction | decay | p | gain | best error | beside decoupled |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    mapped = [direction for direction in DIRECTIONS if direction in findings]
    for direction in mapped:
        for rule in RULES:
            found = findings[named(direction, rule)]
            gain = found["gain_of_decay"]
            is_plain = rule == "decoupled"
            cells = [
                f"`{direction}`" if is_plain else "",
                f"`{rule}`",
                interval(found["ridge"]),
                "–" if gain is None else interval(gain["difference"], -100.0),
                interval(found["best"]["test_error"], 100.0) + ", edge" * bool(found["edges"]),
                "" if is_plain else beside(errors, [direction], rule),
            ]
            lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |"))
    lines += [f"| all | `{rule}` | | | | {beside(errors, mapped, rule)} |" for rule in RULES[1:]]
    return "\n".join(lines) + "\n"


def by_seed(cells: list[dict[str, Any]], finding: dict[str, Any]) -> dict[int, float]:
    """The test error of a map's best cell, for each seed that has run there."""
    best = finding["best"]["lr"], finding["best"]["weight_decay"]
    return {
        cell["seed"]: cell["test_error"]
        for cell in cells
        if cell["optimizer"] == finding["optimizer"]
        and cell["status"] == "finished"
        and (cell["lr"], cell["weight_decay"]) == best
    }


def beside(errors: dict[str, dict[int, float]], directions: list[str], rule: str) -> str:
    """The error of the rule's best cell less that of decoupled decay, in points, paired over seeds.

    Of several directions the mean, which is formed within each seed.
    """
    pairs = [(errors[named(each, rule)], errors[each]) for each in directions]
    seeds = sorted(set.intersection(*(set(error) for pair in pairs for error in pair)))
    first, second = (
        np.array([np.mean([pair[side][seed] for pair in pairs]) for seed in seeds])
        for side in (0, 1)
    )
    return interval(vars(paired_difference(first, second).difference), 100.0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("decay-by-direction"))
    parser.add_argument("--task", choices=TASKS, action="append", help="one of the three; all")
    parser.add_argument("--table", action="store_true", help="only print the tables")
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    for name in arguments.task or TASKS:
        if not arguments.table:
            train(arguments.out, name, arguments.seeds)
        print(f"\n{name}\n\n{table(arguments.out / name)}")
