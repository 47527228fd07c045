"""Fine-tuning with few labels: decay toward zero, toward the pretrained weights, or none.

    python examples/fine_tuning.py [--seeds 10]

A network learns handwritten digits, and is then fine-tuned on 50 of them shifted by one of eight
pixels. Decay toward zero pulls at what pretraining has learned; `toward_initial` pulls back to it.
Both errors are printed: on shifted digits, the new task, and on digits as they were learned.
"""

import argparse
import copy
import warnings
from statistics import mean, stdev

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import unyoke

TOTALS = (0.1, 0.3, 1.0, 3.0)  # Σηλ over the fine-tuning
RULES = {"none": (0.0,), "decoupled": TOTALS, "toward_initial": TOTALS}
warnings.filterwarnings("ignore", message="weight_decay=.* is per update")  # in a run so short


def pairs(images: Tensor, labels: Tensor, shifted: bool) -> tuple[Tensor, Tensor]:
    square = images.view(-1, 8, 8)
    return (square.roll(1, dims=2) if shifted else square).reshape(-1, 64), labels


def train(model: nn.Module, optimizer: torch.optim.Optimizer, data, updates: int) -> None:
    inputs, labels = data
    for _ in range(updates):
        batch = torch.randint(len(inputs), (32,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs[batch]), labels[batch]).backward()
        optimizer.step()


@torch.no_grad()
def error(model: nn.Module, data) -> float:
    inputs, labels = data
    return 100 * (model(inputs).argmax(1) != labels).float().mean().item()


def fine_tuned(seed: int, updates: int) -> dict[tuple[str, float], tuple[float, float]]:
    """For each rule and total decay: the errors on the new and on the old task, in %."""
    digits = load_digits()
    torch.manual_seed(seed)
    order = torch.randperm(len(digits.target))
    images = torch.tensor(digits.data, dtype=torch.float32)[order] / 8 - 1
    labels = torch.tensor(digits.target)[order]
    old = pairs(images[:800], labels[:800], shifted=False)
    new = pairs(images[800:850], labels[800:850], shifted=True)
    test = [pairs(images[850:], labels[850:], shifted) for shifted in (True, False)]

    start = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    train(start, unyoke.AdamW(start.parameters(), lr=1e-3), old, 1000)
    cosine = unyoke.schedules.cosine(updates)
    out = {}
    for rule, totals in RULES.items():
        for total in totals:
            model = copy.deepcopy(start)
            decay = unyoke.total_decay(total, schedule=cosine)
            groups = unyoke.groups.split(model, weight_decay=decay)
            train(model, unyoke.AdamW(groups, lr=1e-3, decay=rule, schedule=cosine), new, updates)
            out[rule, total] = error(model, test[0]), error(model, test[1])
    return out


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seeds", type=int, default=10)
    seeds = [fine_tuned(seed, updates=300) for seed in range(arguments.parse_args().seeds)]
    print("decay           Σηλ   error, shifted   error, as learned   (mean ± deviation, %)")
    for rule, total in seeds[0]:
        columns = zip(*(seed[rule, total] for seed in seeds), strict=True)
        print(f"{rule:15} {total:4}", *(f"{mean(c):8.1f} ± {stdev(c):.1f}" for c in columns))
