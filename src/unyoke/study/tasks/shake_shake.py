"""The paper's networks: 26-layer residual networks of two branches with Shake-Shake regularization.

Gastaldi (arXiv 1705.07485), "Shake-Shake-Image": where a block adds its two branches, training
weighs them with a random α and 1 − α for each image, and their gradients with another random β and
1 − β; evaluation takes one half of each.

    forward   y = x + α·f₁(x) + (1 − α)·f₂(x)
    backward  ∂f₁ = β·∂y,  ∂f₂ = (1 − β)·∂y

A branch is relu–conv–BN–relu–conv–BN, all 3 × 3. Three stages of four blocks have w, 2w and 4w
channels; w is 64 in 26 2x64d and 96 in 26 2x96d.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

BLOCKS = 4
ENTRY = 16


class _Shake(torch.autograd.Function):
    """α·first + (1 − α)·second, with the gradient of β in the place of α."""

    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        ctx.save_for_backward(beta)
        return alpha * first + (1 - alpha) * second

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (beta,) = ctx.saved_tensors
        (gradient,) = gradients
        return beta * gradient, (1 - beta) * gradient, None, None


def shake(first: Tensor, second: Tensor, *, training: bool) -> Tensor:
    """The two branches [n, channels, h, w] combined, at random in training."""
    if not training:
        return (first + second) / 2
    shape = (2, first.shape[0], 1, 1, 1)
    alpha, beta = torch.rand(shape, dtype=first.dtype, device=first.device)
    combined: Tensor = _Shake.apply(first, second, alpha, beta)  # type: ignore[no-untyped-call]
    return combined


class Skip(nn.Module):
    """The skip connection where the number of channels changes.

    At stride 2 one half of the channels is made from every second pixel and the other from the
    pixels one further down and right.
    """

    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        halves = 1 if stride == 1 else 2
        self.paths = nn.ModuleList(
            nn.Conv2d(before, channels // halves, 1, bias=False) for _ in range(halves)
        )
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, images: Tensor) -> Tensor:
        shifted = functional.pad(images, (0, 1, 0, 1))[..., 1:, 1:]
        step = self.stride
        parts = [
            path(view[..., ::step, ::step])
            for path, view in zip(self.paths, (images, shifted), strict=False)
        ]
        skipped: Tensor = self.norm(torch.cat(parts, dim=1))
        return skipped


class Block(nn.Module):
    """x + α·f₁(x) + (1 − α)·f₂(x)."""

    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        self.first = _branch(before, channels, stride)
        self.second = _branch(before, channels, stride)
        self.skip = nn.Identity() if before == channels else Skip(before, channels, stride)

    def forward(self, images: Tensor) -> Tensor:
        branches = shake(self.first(images), self.second(images), training=self.training)
        total: Tensor = self.skip(images) + branches
        return total


class ShakeShake(nn.Module):
    """Class scores [n, classes] of images [n, 3, 32, 32] by the network 26 2x`width`d."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.entry = nn.Sequential(nn.Conv2d(3, ENTRY, 3, 1, 1, bias=False), nn.BatchNorm2d(ENTRY))
        blocks: list[Block] = []
        before = ENTRY
        for stage in range(3):
            channels = width * 2**stage
            for block in range(BLOCKS):
                blocks.append(Block(before, channels, 2 if stage and not block else 1))
                before = channels
        self.blocks = nn.Sequential(*blocks)
        self.scores = nn.Linear(before, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        features = torch.relu(self.blocks(self.entry(images)))
        scores: Tensor = self.scores(features.mean(dim=(-2, -1)))
        return scores


def _branch(before: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(before, channels, 3, stride, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
        nn.BatchNorm2d(channels),
    )
