"""The default task: scikit-learn's handwritten digits by a network that is normalised throughout.

1,797 images of 8 × 8 pixels in ten classes come with scikit-learn itself, so nothing is
downloaded. Three choices, each for a reason:

- **LayerNorm without gains or biases stands after both layers**, and a fixed factor of 3 after the
  last. The paper's networks have BatchNorm after every convolution; nearly all networks of today
  are normalised. A weight whose layer is normalised can be scaled without any change of the output.
  Its size only decides how far one update turns it, and so what weight decay does there is another
  thing than shrinking a function; `digits-plain` is the same network without it.
- **200 images train**, so that the network's 9,472 weights learn them by heart.
- **The weights begin six times as large as usual.** A network that begins there keeps what was
  random in its beginning unless weight decay makes it forget. In long trainings weights grow as
  large by themselves.

The seed draws which 200 images train, which 698 choose and which 899 report, the initial weights
and the order of the batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unyoke.study.tasks.digit_images import CLASSES, PIXELS, divided
from unyoke.study.tasks.task import Task

if TYPE_CHECKING:
    from torch import nn

TRAINING = 200
VALIDATION = 698
INITIAL_SCALE = 6.0
TEMPERATURE = 3.0
"""What normalised outputs, of variance 1, are multiplied by: the loss can come close to 0."""
HIDDEN = 128
BATCH_SIZE = 50


def digits(seed: int) -> Task:
    """The digits task for one seed: a normalised network 64–128–10 on 200 images."""
    import torch

    torch.manual_seed(seed)
    train, validation, test = divided(TRAINING, VALIDATION)
    return Task(_network(), train, validation, test, batch_size=BATCH_SIZE)


def _network() -> nn.Module:
    import torch
    from torch import nn

    first, last = nn.Linear(PIXELS, HIDDEN, bias=False), nn.Linear(HIDDEN, CLASSES, bias=False)
    with torch.no_grad():
        for layer in (first, last):
            layer.weight.mul_(INITIAL_SCALE)
    return nn.Sequential(
        first,
        nn.LayerNorm(HIDDEN, elementwise_affine=False),
        nn.ReLU(),
        last,
        _scaled_norm(),
    )


def _scaled_norm() -> nn.Module:
    """LayerNorm times `TEMPERATURE`, which is the same for all outputs and is not trained."""
    import torch
    from torch import nn

    norm = nn.LayerNorm(CLASSES, bias=False)
    with torch.no_grad():
        norm.weight.fill_(TEMPERATURE)
    return norm.requires_grad_(False)
