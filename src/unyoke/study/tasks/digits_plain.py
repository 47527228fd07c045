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
L2 penalty; `digits-noisy` shows that case. `digits` is the same network with normalisation after
each layer.

The seed draws which 200 images train, which 698 choose and which 899 report, as in `digits`, the
initial weights and the order of the batches.
"""

from __future__ import annotations

from unyoke.study.tasks.digit_images import CLASSES, PIXELS, divided
from unyoke.study.tasks.task import Task

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
    train, validation, test = divided(TRAINING, VALIDATION)
    model = nn.Sequential(nn.Linear(PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(INITIAL_SCALE)
    return Task(model, train, validation, test, batch_size=BATCH_SIZE)
