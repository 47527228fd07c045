"""The task `digits-plain`: few handwritten digits, and a network without normalisation.

1,797 images of 8 × 8 pixels in ten classes come with scikit-learn itself, so nothing is
downloaded. As they are, a small network makes 2–3 % errors with any sensible settings and weight
decay has nothing to do. Two changes make regularization matter:

- only 200 images are for training, so that the network has 9,610 weights for 200 samples and
  learns them by heart;
- the weights begin six times as large as usual. A network that begins there fits the data without
  moving far and keeps what was random in its beginning; weight decay is what makes it forget. In
  long trainings of large networks, weights larger than the data need arise by themselves.

What decides is mostly how much of the beginning is forgotten within the budget of 150 updates. That
regime is a choice. With usual initial weights, wrong labels and training until gradient and decay
balance, that balance decides instead, and the basins of decoupled decay lean more than those of an
L2 penalty; `examples/noisy_digits.py` shows that case. `digits` is the same network with
normalisation after each layer.

The split is the same for every seed: 200 training, 698 validation and 899 test images. The seed
draws the initial weights and the order of the batches.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from unyoke.study.tasks import shipped
from unyoke.study.tasks.task import Task

if TYPE_CHECKING:
    from torch import Tensor

CLASSES = 10
TRAINING = 200
VALIDATION = 698
INITIAL_SCALE = 6.0
HIDDEN = 128
BATCH_SIZE = 50


def digits_plain(seed: int) -> Task:
    """The task for one seed: a network 64–128–10 on 200 images."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    inputs, targets = _shuffled_digits()
    train, validation = slice(TRAINING), slice(TRAINING, TRAINING + VALIDATION)
    test = slice(TRAINING + VALIDATION, None)
    model = nn.Sequential(nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(INITIAL_SCALE)
    return Task(
        model=model,
        train=(inputs[train], targets[train]),
        validation=(inputs[validation], targets[validation]),
        test=(inputs[test], targets[test]),
        batch_size=BATCH_SIZE,
    )


@cache
def _shuffled_digits() -> tuple[Tensor, Tensor]:
    import torch

    pixels, classes = shipped.digits()
    order = torch.randperm(len(classes), generator=torch.Generator().manual_seed(0))
    inputs = torch.tensor(pixels, dtype=torch.float32)[order] / 8 - 1
    return inputs, torch.tensor(classes, dtype=torch.int64)[order]
