"""Networks of patches: each convolution moves by its own size, so that it is a plain product.

A population computes many such networks about as fast as their arithmetic allows, also on a CPU.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

TEMPERATURE = 3.0
"""What normalised outputs, of variance 1, are multiplied by: the loss can come close to 0."""


class ColourPatches(nn.Module):
    """Class scores [n, classes] of images [n, 3, 32, 32]: 44,234 weights for ten classes.

    Patches of 4 × 4 pixels (48 → 32), then twice of 2 × 2 places (→ 64 → 128), each followed by
    BatchNorm, and the mean over the four places that are left.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        for before, after, side in ((3, 32, 4), (32, 64, 2), (64, 128, 2)):
            stages += [
                nn.Conv2d(before, after, side, side, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        self.stages = nn.Sequential(*stages)
        self.scores = nn.Linear(128, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stages(images)
        scores: Tensor = self.scores(features.mean(dim=(-2, -1)))
        return scores


class GreyPatches(nn.Module):
    """Class scores [n, classes] of images [n, 14, 14]: four patches of 7 × 7, and two layers more.

    Normalised, LayerNorm without gains follows each layer and there are no biases, so that no
    weight's size matters; else there is no normalisation, and biases.
    """

    SIDE, FEATURES, HIDDEN = 7, 32, 64

    def __init__(self, classes: int, *, normalised: bool) -> None:
        super().__init__()
        self.patches = nn.Linear(self.SIDE**2, self.FEATURES, bias=not normalised)
        self.hidden = nn.Linear(4 * self.FEATURES, self.HIDDEN, bias=not normalised)
        self.scores = nn.Linear(self.HIDDEN, classes, bias=not normalised)
        sizes = (self.FEATURES, self.HIDDEN, classes)
        norms = [nn.LayerNorm(size, elementwise_affine=False) for size in sizes]
        self.norms = nn.ModuleList(norms if normalised else [nn.Identity()] * 3)
        self.temperature = TEMPERATURE if normalised else 1.0

    def forward(self, images: Tensor) -> Tensor:
        side = self.SIDE
        cut = images.reshape(-1, 2, side, 2, side).transpose(2, 3).reshape(-1, 4, side**2)
        features = torch.relu(self.norms[0](self.patches(cut))).flatten(1)
        hidden = torch.relu(self.norms[1](self.hidden(features)))
        scores: Tensor = self.temperature * self.norms[2](self.scores(hidden))
        return scores
