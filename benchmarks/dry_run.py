"""How near the estimate of `unyoke map --dry-run` comes: estimated and true time of four maps.

    python benchmarks/dry_run.py [--task digits …]

Both are times of one thread, which other work on the machine disturbs least; the truth is that of
all trainings in the batches in which two workers would train them. Fashion-MNIST and CIFAR-10 are
synthetic files of the right form, whose numbers say nothing and whose time does.
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import click
import torch
from torch import nn

from unyoke.study import Task
from unyoke.study.claims import estimate
from unyoke.study.landscape.batches import batches
from unyoke.study.planning import request
from unyoke.study.tasks import registry
from unyoke.study.tasks.digits_plain import digits_plain
from unyoke.study.training.training import train_together

WORKERS = 2
MAPS: dict[str, dict[str, Any]] = {
    "digits": {"optimizers": "SGD,AdamW", "seeds": 1},
    "fashion-mnist": {"optimizers": "AdamW", "seeds": 1},
    "convolutions": {
        "optimizers": "AdamW",
        "seeds": 2,
        "lr": "2^-11:2^-3:4",
        "weight_decay": "0,2^-12:2^-2:4",
    },
    "cifar10": {
        "optimizers": "AdamW",
        "seeds": 1,
        "updates": 40,
        "lr": "2^-10,2^-8",
        "weight_decay": "0,2^-10",
    },
}


def convolutions(seed: int) -> Task:
    """The 200 digits by two convolutions of 3 × 3."""
    plain = digits_plain(seed)
    torch.manual_seed(seed)
    layers = [nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU()]
    model = nn.Sequential(nn.Unflatten(1, (1, 8, 8)), *layers, nn.Flatten(), nn.Linear(144, 10))
    return Task(model, plain.train, plain.validation, plain.test, batch_size=50)


def write_fashion(folder: Path) -> None:
    """Files of the size of Fashion-MNIST: a pattern for each class, and noise."""
    patterns = torch.randint(128, (10, 28, 28))
    for name, count in (("train", 60_000), ("t10k", 10_000)):
        labels = torch.randint(10, (count,))
        images = (patterns[labels] + torch.randint(128, (count, 28, 28))).to(torch.uint8)
        for kind, values in (("images-idx3", images), ("labels-idx1", labels.to(torch.uint8))):
            sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
            head = bytes([0, 0, 8, values.dim()]) + sizes
            (folder / f"{name}-{kind}-ubyte").write_bytes(head + values.numpy().tobytes())


def write_cifar(folder: Path) -> None:
    """A training batch and a test batch in the form of CIFAR-10."""
    for name in ("data_batch_1", "test_batch"):
        records = torch.randint(256, (10_000, 1 + 3 * 32 * 32), dtype=torch.uint8)
        records[:, 0] %= 10
        (folder / f"{name}.bin").write_bytes(records.numpy().tobytes())


WRITTEN = {"fashion-mnist": write_fashion, "cifar10": write_cifar}


def compared(task: str, folder: Path) -> tuple[int, float, float]:
    """Trainings of a map, and its estimated and true seconds."""
    if task in WRITTEN:
        WRITTEN[task](folder)
        where: dict[str, Any] = {"task": task, "data": str(folder)}
    else:
        where = {"task": f"{__file__}:{task}" if task in globals() else task}
    planned = request.landscape(**where, **MAPS[task])
    cells = list(planned.cells())
    # The estimate's clock, too, is this thread's.
    estimate.time = SimpleNamespace(perf_counter=time.thread_time)  # type: ignore[assignment]
    found = estimate.of_map(planned, folder / "none", WORKERS, cells)
    predicted = WORKERS * (found.seconds - estimate.START)

    build = registry.load(planned.task)
    alone = estimate.cost(planned.task, cells).alone
    started = time.thread_time()
    for batch in batches(cells, WORKERS, alone):
        train_together(batch, build, time.perf_counter, "auto", planned.evaluations)
    return len(cells), predicted, time.thread_time() - started


@click.command()
@click.option("--task", "tasks", multiple=True, type=click.Choice(list(MAPS)))
def main(tasks: tuple[str, ...]) -> None:
    """Print a line for each map."""
    torch.set_num_threads(1)
    print("| map | trainings | estimated | true | estimated / true |")
    print("|---|---|---|---|---|")
    for task in tasks or MAPS:
        with TemporaryDirectory() as folder:
            count, predicted, true = compared(task, Path(folder))
        ratio = predicted / true
        print(f"| {task} | {count} | {predicted:.1f} s | {true:.1f} s | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
