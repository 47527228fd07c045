"""Figure 2 of the paper on CIFAR-10 with one GPU, in minutes: 336 trainings and more seeds.

The task is `cifar10-small`: 9,000, 1,000 and 3,000 images, a residual network of 75,290 weights
with BatchNorm, flips and crops, 24 epochs of batches of 128, a cosine. A stack is 168 trainings,
which is the whole of Figure 2 for one seed: four optimizers × seven weight decays × six learning
rates. In this order, as far as the time goes:

1. a pilot, AdamW, eight cells × 21 seeds that nothing else uses: unless test and train error differ
   by more than 5 points at the best cell without decay, and decay lowers the test error, it stops
   and says so;
2. Figure 2 for the seeds 0 and 1;
3. six cells × 28 fresh seeds: the best cell of each optimizer by the validation error of 2, and the
   best without decay of Adam and of SGD;
4. Figure 2 for the seeds 2 to 7, one after the other.

    python benchmarks/cifar_gpu.py --data FOLDER --out FOLDER [--minutes 6] [--device cuda]

writes pilot.csv, cells.csv and best.csv in the study's columns after every stack; cifar_figure.py
draws and reads them. Errors are fractions.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from cifar_stack import Batches, Stack
from torch import Tensor, nn

from unyoke import schedules
from unyoke.study.landscape import optimizers
from unyoke.study.landscape.landscape import Cell
from unyoke.study.landscape.outcome import Outcome
from unyoke.study.ledger.records import Record
from unyoke.study.report.tables import rows, write_csv
from unyoke.study.tasks.cifar import TEN, cifar10_small
from unyoke.study.tasks.task import Task

EPOCHS = 24
TOTALS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""λT: weight decay per update times the number of updates."""
CENTRE = 32**0.5
"""The middle of TOTALS on a logarithmic axis."""
LR = {
    "Adam": tuple(2.0**k for k in range(-13, -1, 2)),
    "SGD": tuple(2.0**k for k in range(-9, 3, 2)),
}
"""α, a factor of 4 apart, centred at 2^-8 and 2^-4."""
PENALTY = {"Adam": 2.0**-10 / 2.0**-8, "SGD": (1 - 0.9) / 2.0**-4}
"""What turns the λ of the middle into the λ′ of the middle.

Proposition 1 with momentum, for SGD: the same decay per update is λ′ = (1 − β1)·λ/α. For Adam
Proposition 2 says that no λ′ does; the scale is λ·g/α with g = 2^-10 for the size of a gradient,
taken beforehand (their root mean square over the first 25 updates is 2^-8, and falls). Since α
spans a factor of 1,024 and λ′ ∝ 1/α is what Proposition 1 lets expect, the six λ′ are a factor of 4
apart, where the six λ are a factor of 2 apart.
"""
FIRST, LATER = (0, 1), (2, 3, 4, 5, 6, 7)
FRESH = tuple(range(100, 128))
PILOT_SEEDS = tuple(range(1000, 1021))
LEAST_GAP = 0.05

Setting = tuple[str, float, float]
"""Optimizer, α, λ or λ′."""
Run = tuple[Setting, int]
"""With its seed."""


class Size(NamedTuple):
    """What the rehearsal makes smaller."""

    updates: int
    decays: int = len(TOTALS)
    rates: int = 6
    first: Sequence[int] = FIRST
    later: Sequence[int] = LATER
    fresh: Sequence[int] = FRESH
    pilot: Sequence[int] = PILOT_SEEDS


def axes(optimizer: str, updates: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """α and λ, or λ′, of one of the four optimizers."""
    family = optimizer.removesuffix("W")
    if optimizer.endswith("W"):
        return LR[family], tuple(total / updates for total in TOTALS)
    middle = PENALTY[family] * CENTRE / updates
    return LR[family], (0.0, *(middle * 4.0 ** (k - 2.5) for k in range(6)))


OPTIMIZERS = ("SGD", "SGDW", "Adam", "AdamW")


def figure_2(size: Size) -> list[Setting]:
    """Every cell of the four maps."""
    found = []
    for optimizer in OPTIMIZERS:
        rates, decays = axes(optimizer, size.updates)
        pairs = itertools.product(decays[: size.decays], rates[: size.rates])
        found += [(optimizer, lr, decay) for decay, lr in pairs]
    return found


def pilot(size: Size) -> list[Run]:
    """Eight cells of AdamW on seeds of their own."""
    settings = itertools.product((2.0**-9, 2.0**-7), (0.0, 2.0, 4.0, 8.0))
    return [
        (("AdamW", lr, total / size.updates), seed) for lr, total in settings for seed in size.pilot
    ]


class Trainer:
    """Trains stacks of settings and gives their records."""

    def __init__(self, task: Task, updates: int, device: str, *, compiled: bool) -> None:
        self.task, self.updates, self.device, self.compiled = task, updates, device, compiled
        self.kind = torch.bfloat16 if device.startswith("cuda") else torch.float32
        self.parts = {
            name: tuple(x.to(device) for x in getattr(task, name))
            for name in ("train", "validation", "test")
        }

    def train(self, runs: Sequence[Run]) -> list[Record]:
        """Train them as one stack."""
        started = time.perf_counter()
        runs = sorted(runs, key=lambda run: OPTIMIZERS.index(run[0][0]))
        stack, batches, steppers = self.begin(runs)
        schedule = schedules.cosine(self.updates)
        for update in range(self.updates):
            self.update(stack, batches, steppers, update, schedule(update))
        found = {name: self.errors(stack, *part) for name, part in self.parts.items()}
        seconds = (time.perf_counter() - started) / len(runs)
        return [self.record(run, row, found, seconds) for row, run in enumerate(runs)]

    def begin(self, runs: Sequence[Run]) -> tuple[Stack, Batches, list[tuple[slice, Stepper]]]:
        """The stack, its batches, and an optimizer for the rows of each of the four."""
        seeds = [seed for _, seed in runs]
        stack = Stack(seeds, TEN.classes, self.device, self.kind, compiled=self.compiled)
        images, targets = self.parts["train"]
        size = self.task.batch_size
        batches = Batches(images, targets, seeds, size, self.updates, self.kind)
        steppers, first = [], 0
        for name, group in itertools.groupby(runs, key=lambda run: run[0][0]):
            settings = [setting for setting, _ in group]
            block = slice(first, first := first + len(settings))
            steppers.append((block, Stepper(name, settings, stack, block)))
        return stack, batches, steppers

    def update(
        self,
        stack: Stack,
        batches: Batches,
        steppers: Sequence[tuple[slice, Stepper]],
        update: int,
        eta: float,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """One update of all; its gradients and losses."""
        grads, losses = stack.gradients(*batches.at(update))
        for block, stepper in steppers:
            stepper.step({name: grad[block] for name, grad in grads.items()}, eta)
        return grads, losses

    @torch.no_grad()
    def errors(self, stack: Stack, images: Tensor, targets: Tensor) -> tuple[list[float], ...]:
        """Share of wrong classes and mean cross entropy of each network."""
        wrong, loss, size = 0.0, 0.0, self.task.batch_size
        for start in range(0, len(targets), size):
            part = targets[start : start + size]
            found = stack.outputs(images[start : start + size]).float()
            wrong = wrong + (found.argmax(dim=-1) != part).sum(dim=1)
            chosen = part.expand(len(found), -1)[..., None]
            picked = found.gather(2, chosen).squeeze(2)
            loss = loss + (found.logsumexp(dim=2) - picked).sum(dim=1)
        both = torch.stack([torch.as_tensor(wrong), torch.as_tensor(loss)]).double() / len(targets)
        return tuple(both.tolist())

    def record(
        self, run: Run, row: int, found: dict[str, tuple[list[float], ...]], seconds: float
    ) -> Record:
        """As the study's ledger has it; one whose outputs are not finite has diverged."""
        (optimizer, lr, decay), seed = run
        finite = all(math.isfinite(found[name][1][row]) for name in found)
        test = found["test"][0][row]
        tested = len(self.task.test[1])
        outcome = Outcome(
            status="finished" if finite else "diverged",
            updates=self.updates,
            train_loss=found["train"][1][row] if finite else None,
            train_error=found["train"][0][row] if finite else None,
            validation_error=found["validation"][0][row] if finite else None,
            test_error=test if finite else None,
            test_standard_error=math.sqrt(test * (1 - test) / tested) if finite else None,
            test_samples=tested,
            error_unit="%",
            seconds=seconds,
            curve=(),
            engine="stacked",
        )
        cell = Cell("cifar10-small", "", optimizer, "cosine", self.updates, lr, decay, seed)
        return Record(cell, outcome, "{}", 0.0)


class Stepper:
    """One optimizer of this library for some rows of a stack, each row with its own α and λ."""

    def __init__(self, name: str, settings: Sequence[Setting], stack: Stack, block: slice) -> None:
        self._lr = torch.tensor([lr for _, lr, _ in settings], dtype=torch.float64)
        decay = torch.tensor([decay for _, _, decay in settings], dtype=torch.float64)
        # Parameters share the memory of the stack.
        self._weights = {n: nn.Parameter(x[block]) for n, x in stack.weights.items()}
        with warnings.catch_warnings():  # of a λ that would be large as torch's weight_decay
            warnings.filterwarnings("ignore", message=".*weight_decay", category=UserWarning)
            self._optimizer = optimizers.factory(name)(
                list(self._weights.values()), lr=self._lr.clone(), weight_decay=decay
            )

    def step(self, grads: dict[str, Tensor], eta: float) -> None:
        """With these gradients, at this multiplier of the schedule."""
        for name, weight in self._weights.items():
            weight.grad = grads[name]
        for group in self._optimizer.param_groups:
            group["lr"].copy_(self._lr * eta)
        self._optimizer.step()


def mean_by_setting(records: Iterable[Record]) -> dict[Setting, dict[str, float]]:
    """Mean errors over seeds; a setting of which a seed diverged is left out."""
    found: dict[Setting, list[Outcome]] = {}
    for record in records:
        cell = record.cell
        found.setdefault((cell.optimizer, cell.lr, cell.weight_decay), []).append(record.outcome)
    return {
        setting: {
            name: sum(getattr(outcome, name) for outcome in outcomes) / len(outcomes)
            for name in ("train_error", "validation_error", "test_error")
        }
        for setting, outcomes in found.items()
        if all(outcome.status == "finished" for outcome in outcomes)
    }


def best(means: dict[Setting, dict[str, float]], optimizer: str, *, decayed: bool) -> Setting:
    """The setting of an optimizer with the lowest validation error, with decay or without."""
    own = [s for s in means if s[0] == optimizer and (s[2] > 0) == decayed]
    return min(own, key=lambda setting: means[setting]["validation_error"])


def pilot_says(records: Sequence[Record]) -> tuple[bool, str]:
    """Whether this task and budget can show what decay does, and why."""
    means = mean_by_setting(records)
    without = means[best(means, "AdamW", decayed=False)]
    with_decay = means[best(means, "AdamW", decayed=True)]
    gap = without["test_error"] - without["train_error"]
    gain = without["test_error"] - with_decay["test_error"]
    text = (
        f"pilot: without decay train {without['train_error']:.2%}, test "
        f"{without['test_error']:.2%}; with decay train {with_decay['train_error']:.2%}, test "
        f"{with_decay['test_error']:.2%}; gap {100 * gap:.1f} points (more than 5 wanted), decay "
        f"gains {100 * gain:.2f} points (more than 0 wanted)"
    )
    return gap > LEAST_GAP and gain > 0, text


def six_best(records: Sequence[Record]) -> list[Setting]:
    """The best cell of each optimizer, and the best without decay of Adam and of SGD."""
    means = mean_by_setting(records)
    cells = [best(means, name, decayed=True) for name in OPTIMIZERS]
    return cells + [best(means, name, decayed=False) for name in ("SGDW", "AdamW")]


def run_all(
    trainer: Trainer, size: Size, out: Path, minutes: float, *, anyway: bool = False
) -> str:
    """Everything in its order until the time is over; the last line that it says."""
    end = time.monotonic() + 60 * minutes
    longest = 0.0

    def stack(runs: list[Run], kept: list[Record], name: str, what: str) -> bool:
        """Train one more stack if there is time, and write what there is."""
        nonlocal longest
        if time.monotonic() + 1.1 * longest >= end:
            return False
        started = time.monotonic()
        kept += trainer.train(runs)
        # The first stack also compiles, so later ones take less; they set the pace.
        taken = time.monotonic() - started
        longest = taken if name != "pilot.csv" else 0.7 * taken
        write_csv(rows(kept), out / name)
        say(f"{what}: {len(runs)} trainings in {taken:.1f} s, {end - time.monotonic():.0f} s left")
        return True

    piloted: list[Record] = []
    cells: list[Record] = []
    again: list[Record] = []
    if not stack(pilot(size), piloted, "pilot.csv", "pilot"):
        return say("the time is over")
    good, text = pilot_says(piloted)
    say(text)
    if not good and not anyway:
        return say("stopped: this task and budget cannot show what decay does")
    maps = figure_2(size)
    for seed in size.first:
        if not stack([(s, seed) for s in maps], cells, "cells.csv", f"Figure 2, seed {seed}"):
            return say("the time is over")
    fresh = [(setting, seed) for setting in six_best(cells) for seed in size.fresh]
    if not stack(fresh, again, "best.csv", "six cells"):
        return say("the time is over")
    for seed in size.later:
        if not stack([(s, seed) for s in maps], cells, "cells.csv", f"Figure 2, seed {seed}"):
            return say("the time is over")
    return say("all done")


def say(text: str) -> str:
    """Progress, on stderr."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)
    return text


def measure(trainer: Trainer, size: Size, updates: int) -> None:
    """Time some updates of the first stack, as it is and compiled; nothing is kept."""
    runs = [(setting, 5000) for setting in figure_2(size)]
    for compiled in (False, True):
        trainer.compiled = compiled
        stack, batches, steppers = trainer.begin(runs)
        squares = []
        for update in range(-5, updates):
            if update == 0:
                torch.cuda.synchronize()
                started = time.perf_counter()
            grads, losses = trainer.update(stack, batches, steppers, update + 5, 1.0)
            squares.append(sum(g[-42:].square().sum() for g in grads.values()))
        torch.cuda.synchronize()
        taken = (time.perf_counter() - started) / updates
        weights = 42 * sum(x[0].numel() for x in stack.weights.values())
        rms = (torch.stack(squares[-10:]).mean() / weights).sqrt()
        say(
            f"compiled={compiled}: {1e3 * taken:.1f} ms per update of {len(runs)}, "
            f"{1e6 * taken / len(runs) / trainer.task.batch_size:.2f} µs per image; loss "
            f"{losses.nanmedian():.3f}; AdamW's gradients 2^{rms.log2():.1f}; "
            f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB"
        )
    started = time.perf_counter()
    trainer.errors(stack, *trainer.parts["test"])
    say(f"an evaluation of 3,000 images: {time.perf_counter() - started:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10's binary files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--eager", action="store_true", help="without torch.compile")
    parser.add_argument("--measure", type=int, metavar="UPDATES", help="only time some updates")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if not arguments.eager:
        from torch._inductor import config

        config.max_pointwise_cat_inputs = 16  # the nine shifted copies in one kernel
    task = cifar10_small(0, arguments.data)
    size = Size(EPOCHS * (len(task.train[1]) // task.batch_size))
    trainer = Trainer(task, size.updates, arguments.device, compiled=not arguments.eager)
    if arguments.device.startswith("cuda"):
        say(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    if arguments.measure:
        measure(trainer, size, arguments.measure)
    else:
        run_all(trainer, size, arguments.out, arguments.minutes)


if __name__ == "__main__":
    main()
