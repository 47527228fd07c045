r"""A map of one's own: a task, and an optimizer to compare AdamW with.

    unyoke map --task examples/own_map.py:rings \
        --optimizers AdamW,examples/own_map.py:adamw_of_torch \
        --lr 2^-14:2^-4:4 --weight-decay 0,2^-12:2^-2:4 --seeds 3 --updates 400 --out rings

The report shows for each optimizer how the test error depends on learning rate and weight decay.
`--dry-run` says beforehand how long it takes; Ctrl-C is harmless, the same command goes on.
"""

import torch
from torch import Tensor, nn

from unyoke.study import Task


def points(number: int, wrong: float = 0.0) -> tuple[Tensor, Tensor]:
    """Points of two rings in 20 dimensions, two of which matter, and labels, some of them wrong."""
    labels = torch.randint(2, (number,))
    angle = 2 * torch.pi * torch.rand(number)
    radius = 1.0 + 2 * labels + 0.3 * torch.randn(number)
    inputs = 0.5 * torch.randn(number, 20)
    inputs[:, 0] += radius * angle.cos()
    inputs[:, 1] += radius * angle.sin()
    return inputs, torch.where(torch.rand(number) < wrong, 1 - labels, labels)


def rings(seed: int) -> Task:
    """The task for one seed, which draws the points and the weights."""
    torch.manual_seed(seed)
    return Task(
        model=nn.Sequential(nn.Linear(20, 64), nn.LayerNorm(64), nn.ReLU(), nn.Linear(64, 2)),
        train=points(300, wrong=0.2),
        validation=points(1000),
        test=points(1000),
        batch_size=50,
    )


def adamw_of_torch(params, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """torch's AdamW, whose decay is multiplied by lr: its map is that of AdamW, sheared."""
    return torch.optim.AdamW(params, lr=lr, weight_decay=weight_decay)
