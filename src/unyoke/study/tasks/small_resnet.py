"""A residual network small enough for a CPU: 8 layers, 75,290 weights for ten classes.

The form of He et al. (arXiv 1512.03385, section 4.2) with one block in each of the three stages.
Where a stage begins, the skip connection leaves out pixels and adds empty channels, which needs no
weights (their option A). The first layer takes every second pixel, which is not theirs and makes
the rest four times as cheap.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 16


class Block(nn.Module):
    """relu(x + BN(conv(relu(BN(conv(x))))))."""

    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.added = channels - before
        self.first = nn.Conv2d(before, channels, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)

    def forward(self, images: Tensor) -> Tensor:
        inner = torch.relu(self.first_norm(self.first(images)))
        skipped = images[..., :: self.stride, :: self.stride]
        skipped = functional.pad(skipped, (0, 0, 0, 0, 0, self.added))
        return torch.relu(skipped + self.second_norm(self.second(inner)))


class SmallResNet(nn.Module):
    """Class scores [n, classes] of images [n, 3, 32, 32]."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.entry = nn.Conv2d(3, WIDTH, 3, 2, 1, bias=False)
        self.entry_norm = nn.BatchNorm2d(WIDTH)
        self.blocks = nn.Sequential(
            Block(WIDTH, WIDTH, 1),
            Block(WIDTH, 2 * WIDTH, 2),
            Block(2 * WIDTH, 4 * WIDTH, 2),
        )
        self.scores = nn.Linear(4 * WIDTH, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.blocks(torch.relu(self.entry_norm(self.entry(images))))
        scores: Tensor = self.scores(features.mean(dim=(-2, -1)))
        return scores
