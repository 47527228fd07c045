"""Handwritten digits: the ordinary training loop, with decay where it belongs and a look at it.

    python examples/classification.py [--updates 1000]

Biases and norms do not decay, the schedule lives in the optimizer, and the monitor says at the end
whether the decay was of a size that matters. The learning rate and the total decay were not tuned.
"""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn

import unyoke


def data() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Training images and labels, then test images and labels."""
    digits = load_digits()
    order = torch.randperm(len(digits.target), generator=torch.Generator().manual_seed(0))
    images = torch.tensor(digits.data, dtype=torch.float32)[order] / 8 - 1
    labels = torch.tensor(digits.target)[order]
    return images[:898], labels[:898], images[898:], labels[898:]


def main(updates: int) -> float:
    """Train, print, and return the share of test images that are classified wrongly."""
    torch.manual_seed(0)
    images, labels, test_images, test_labels = data()
    model = nn.Sequential(nn.Linear(64, 128), nn.LayerNorm(128), nn.ReLU(), nn.Linear(128, 10))

    climb = updates // 20
    schedule = unyoke.schedules.warmup(climb, then=unyoke.schedules.cosine(updates - climb))
    decay = unyoke.total_decay(3, schedule=schedule)  # e^-3 of the initial weights is left
    groups = unyoke.groups.split(model, weight_decay=decay)
    print(groups)
    optimizer = unyoke.AdamW(groups, lr=3e-3, schedule=schedule)
    print(optimizer.explain(updates=updates))
    watching = unyoke.monitor(optimizer, model=model, every=max(updates // 10, 1))

    for _ in range(updates):
        batch = torch.randint(len(images), (64,))
        loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    print(watching.last)
    with torch.no_grad():
        wrong = (model(test_images).argmax(1) != test_labels).float().mean().item()
    print(f"test error {100 * wrong:.1f} %")
    return wrong


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--updates", type=int, default=1000)
    main(arguments.parse_args().updates)
