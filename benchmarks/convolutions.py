"""Stacks of convolutional networks on one thread of a CPU: three ways to form their convolutions.

    python benchmarks/convolutions.py

An update of each network one by one, and in a stack with torch's grouped convolutions, with one
im2col and a product of matrices (whose backward is one fold), and as populations do it: as products
where each number is met once, grouped elsewhere. Alternating, the thread's own time, medians.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import click
import torch
from torch import Tensor, nn
from torch.nn import functional

import unyoke
from unyoke.population import Population, convolution
from unyoke.population.convolution import WAYS, Pair, Way
from unyoke.study.tasks.small_resnet import SmallResNet

SAMPLES = 256
WARM_UP = 9
"""Updates that are not timed: the choice of a program and its recording are among them."""


def im2col(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, dilation: Pair
) -> Tensor:
    """The copies by torch's unfold, whose gradient is its fold."""
    rows, columns = weight.shape[2:]
    met = functional.unfold(input, (rows, columns), dilation, padding, stride)
    height = (input.shape[2] + 2 * padding[0] - dilation[0] * (rows - 1) - 1) // stride[0] + 1
    result = weight.flatten(1) @ met
    if bias is not None:
        result = result + bias[:, None]
    return result.reshape(len(input), len(weight), height, -1)


def body(*layers: nn.Module, features: int) -> nn.Module:
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, 10))


def conv(*arguments: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(*arguments), nn.ReLU())


def normed(*arguments: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(*arguments), nn.BatchNorm2d(arguments[1]), nn.ReLU())


NETWORKS: Mapping[str, tuple[Callable[[], nn.Module], tuple[int, ...], int, int]] = {
    "3 × 3, stride 2, 8 × 8 pixels": (
        lambda: body(conv(1, 8, 3, 2, 1), conv(8, 16, 3, 2, 1), features=64),
        *((1, 8, 8), 50, 32),
    ),
    "3 × 3, 8 × 8 pixels": (
        lambda: body(conv(1, 8, 3, 1, 1), conv(8, 16, 3, 2, 1), features=256),
        *((1, 8, 8), 50, 32),
    ),
    "patches of 2 × 2, 8 × 8 pixels": (
        lambda: body(conv(1, 16, 2, 2), conv(16, 32, 2, 2), features=128),
        *((1, 8, 8), 50, 32),
    ),
    "1 × 1, 8 × 8 pixels": (
        lambda: body(conv(4, 16, 1), conv(16, 32, 1), conv(32, 16, 1), features=1024),
        *((4, 8, 8), 32, 32),
    ),
    "patches of 4 × 4, 32 × 32 pixels": (
        lambda: body(conv(3, 64, 4, 4), nn.AdaptiveAvgPool2d(1), features=64),
        *((3, 32, 32), 32, 16),
    ),
    "patch net with BatchNorm, 32 × 32": (
        lambda: body(
            normed(3, 32, 4, 4), normed(32, 64, 2, 2), normed(64, 128, 2, 2), features=512
        ),
        *((3, 32, 32), 64, 6),
    ),
    "ResNet of 8 layers, 32 × 32": (lambda: SmallResNet(10), (3, 32, 32), 16, 4),
}
"""Factory, shape of a sample, batch size and number of models."""

STACKED: Mapping[str, Mapping[str, Way]] = {"grouped": {}, "im2col": {"cpu": im2col}, "used": WAYS}


def measured(name: str, updates: int) -> dict[str, float]:
    """Milliseconds of one update of one model, by way."""
    factory, shape, size, models = NETWORKS[name]
    torch.manual_seed(0)
    inputs, targets = torch.randn(SAMPLES, *shape), torch.randint(10, (SAMPLES,))
    batches = [torch.randint(SAMPLES, (models, size)) for _ in range(WARM_UP + updates)]
    populations = {
        way: Population(
            factory,
            lr=[1e-3] * models,
            seeds=list(range(models)),
            optimizer=unyoke.AdamW,
            updates=10**6,
            engine="stacked" if way in STACKED else "one_by_one",
        )
        for way in ("one by one", *STACKED)
    }
    taken: dict[str, list[float]] = {way: [] for way in populations}
    for number, batch in enumerate(batches):
        for way, population in populations.items():
            convolution.WAYS = STACKED.get(way, {})
            started = time.thread_time()
            population.step(inputs, targets, batch)
            if number >= WARM_UP:
                taken[way].append(1e3 * (time.thread_time() - started) / models)
    return {way: statistics.median(times) for way, times in taken.items()}


@click.command()
@click.option("--updates", default=5, show_default=True, help="That are timed.")
def main(updates: int) -> None:
    """Print milliseconds of an update of one model, and how many times as fast as one by one."""
    torch.set_num_threads(1)
    print("| network | one by one | " + " | ".join(STACKED) + " |")
    print("|---|---|" + "---|" * len(STACKED))
    for name in NETWORKS:
        found = measured(name, updates)
        alone = found["one by one"]
        rest = (f"{found[way]:.2f} ({alone / found[way]:.2f}×)" for way in STACKED)
        print(f"| {name} | {alone:.2f} ms | {' | '.join(rest)} |", flush=True)


if __name__ == "__main__":
    main()
