"""The task `digits-noisy`: digits with wrong labels, trained until gradient and decay balance.

The network of `digits-plain` with the usual initial weights, 300 training images of which 30 %,
drawn, have a wrong label, and four times as many updates. Learning the wrong labels by heart is
what weight decay prevents here, at the minimum of f + (λ/2α)·‖θ‖²: the best decoupled λ grows with
α, and the best L2 penalty stays. With `digits`, whose weights are normalised, and `digits-plain`,
which forgets its beginning, these are the three cases of docs/normalization.md.

The seed draws which 300 images train, which 598 choose and which 899 report, the wrong labels, the
initial weights and the order of the batches.
"""

from __future__ import annotations

from unyoke.study.tasks.digit_images import CLASSES, PIXELS, divided
from unyoke.study.tasks.task import Task

TRAINING = 300
VALIDATION = 598
WRONG_LABELS = 0.3
HIDDEN = 128
BATCH_SIZE = 50


def digits_noisy(seed: int) -> Task:
    """The task for one seed: a network 64–128–10 on 300 images, 30 % of them with wrong labels."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    (inputs, right), validation, test = divided(TRAINING, VALIDATION)
    wrong = torch.rand(TRAINING) < WRONG_LABELS
    others = (right + torch.randint(1, CLASSES, (TRAINING,))) % CLASSES
    model = nn.Sequential(nn.Linear(PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
    train = inputs, torch.where(wrong, others, right)
    return Task(model, train, validation, test, batch_size=BATCH_SIZE)
