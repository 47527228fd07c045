"""Many small residual networks as one program on a GPU: the stack that cifar_gpu.py trains.

The networks are those of `unyoke.study.tasks.small_resnet`, row k of every tensor is network k, and
activations are [networks, channels, images, rows, columns]. So every convolution is one product of
matrices per network, and what precedes it one copy of shifted inputs, which torch.compile fuses
with the normalisation before it. Products are in bfloat16 with sums in float32; weights, statistics
of batches, losses and the optimizers are in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from unyoke.population import BatchOrder
from unyoke.population.models import Named
from unyoke.study.tasks.cifar import PADDING, SIDE
from unyoke.study.tasks.small_resnet import SmallResNet

Statistics = dict[str, tuple[Tensor, Tensor]]
"""Mean and variance over the batch that each normalisation saw, [networks, channels]."""

MOMENTUM, EPSILON = 0.1, 1e-5  # of torch's BatchNorm2d


def convolution(images: Tensor, weight: Tensor, stride: int = 1) -> Tensor:
    """3 × 3 with padding 1, of [K, C, n, h, w] with weights [K, O, C, 3, 3]."""
    networks, channels, count, height, _ = images.shape
    side = (height - 1) // stride + 1
    reach = stride * (side - 1) + 1
    padded = functional.pad(images, (1, 1, 1, 1))
    places = [
        padded[..., row : row + reach : stride, column : column + reach : stride]
        for row in range(3)
        for column in range(3)
    ]
    met = torch.stack(places, dim=2).reshape(networks, channels * 9, count * side * side)
    result = torch.bmm(weight.flatten(2).to(met.dtype), met)
    return result.reshape(networks, -1, count, side, side)


def normalise(images: Tensor, weights: Named, name: str, seen: Statistics | Named) -> Tensor:
    """BatchNorm; `seen` takes the batch's statistics in training, or holds the running ones."""
    values = images.float()
    if f"{name}.running_mean" in seen:
        mean, variance = seen[f"{name}.running_mean"], seen[f"{name}.running_var"]
    else:
        mean = values.mean(dim=(2, 3, 4))
        variance = values.var(dim=(2, 3, 4), correction=0)
        count = values[0, 0].numel()
        seen[name] = (mean.detach(), variance.detach() * (count / (count - 1)))
    scale = (variance + EPSILON).rsqrt() * weights[f"{name}.weight"]
    shift = weights[f"{name}.bias"] - mean * scale
    return values * _spread(scale) + _spread(shift)


def _spread(numbers: Tensor) -> Tensor:
    return numbers[:, :, None, None, None]


def scores(weights: Named, images: Tensor, seen: Statistics | Named) -> Tensor:
    """Class scores [K, n, classes] of images [K, 3, n, 32, 32], whose type the products have."""
    kind = images.dtype
    inner = convolution(images, weights["entry.weight"], 2)
    features = torch.relu(normalise(inner, weights, "entry_norm", seen)).to(kind)
    for block, stride in (("blocks.0", 1), ("blocks.1", 2), ("blocks.2", 2)):
        inner = convolution(features, weights[f"{block}.first.weight"], stride)
        inner = torch.relu(normalise(inner, weights, f"{block}.first_norm", seen)).to(kind)
        inner = convolution(inner, weights[f"{block}.second.weight"])
        skipped = features[..., ::stride, ::stride]
        added = inner.shape[1] - skipped.shape[1]
        skipped = functional.pad(skipped, (0, 0, 0, 0, 0, 0, 0, added))
        summed = skipped.float() + normalise(inner, weights, f"{block}.second_norm", seen)
        features = torch.relu(summed).to(kind)
    pooled = features.float().mean(dim=(-2, -1)).transpose(1, 2)
    return torch.baddbmm(
        weights["scores.bias"][:, None], pooled, weights["scores.weight"].transpose(1, 2)
    )


def losses(weights: Named, images: Tensor, targets: Tensor) -> tuple[Tensor, Statistics]:
    """Mean cross entropy of each network on its batch, [K], and what the normalisations saw."""
    seen: Statistics = {}
    found = scores(weights, images, seen)
    each = functional.cross_entropy(found.flatten(0, 1), targets.flatten(), reduction="none")
    return each.reshape(targets.shape).mean(dim=1), seen


class Stack:
    """Networks [K] with one seed each, and the gradients of all of them.

    Args:
        seeds: of each network's initial weights, as the task draws them.
        classes: of the task.
        kind: the type of products, bfloat16 on a GPU.
        compiled: whether torch.compile fuses the program.
    """

    def __init__(
        self, seeds: Sequence[int], classes: int, device: str, kind: torch.dtype, *, compiled: bool
    ) -> None:
        drawn: dict[int, SmallResNet] = {}
        for seed in dict.fromkeys(seeds):
            torch.manual_seed(seed)
            drawn[seed] = SmallResNet(classes)
        self.kind = kind
        states = [drawn[seed].state_dict() for seed in seeds]
        names = [name for name, _ in drawn[seeds[0]].named_parameters()]
        stacked = {
            name: torch.stack([state[name] for state in states]).to(device)
            for name in states[0]
            if not name.endswith("num_batches_tracked")
        }
        self.weights: Named = {name: stacked.pop(name) for name in names}
        self.running: Named = stacked
        self._losses: Callable[..., tuple[Tensor, Statistics]] = (
            torch.compile(losses, dynamic=False) if compiled else losses
        )

    def gradients(self, images: Tensor, targets: Tensor) -> tuple[Named, Tensor]:
        """Of every weight, by name, and the losses, [K]; moves the running statistics."""
        leaves = {name: weight.detach().requires_grad_() for name, weight in self.weights.items()}
        found, seen = self._losses(leaves, images, targets)
        grads = torch.autograd.grad(found.sum(), list(leaves.values()))
        for name, (mean, variance) in seen.items():
            self.running[f"{name}.running_mean"].lerp_(mean, MOMENTUM)
            self.running[f"{name}.running_var"].lerp_(variance, MOMENTUM)
        return dict(zip(leaves, grads, strict=True)), found.detach()

    @torch.no_grad()
    def outputs(self, images: Tensor) -> Tensor:
        """Class scores [K, n, classes] in evaluation mode, of the same images [n, 3, 32, 32]."""
        count = next(iter(self.weights.values())).shape[0]
        shared = images.transpose(0, 1).to(self.kind).expand(count, -1, -1, -1, -1)
        return scores(self.weights, shared, self.running)


class Batches:
    """The batches of some seeds: order, flips and crops, drawn before training on the CPU.

    The order is the study's. Flips and crops have the distribution of the task's own layer, and
    each seed has its own generator, so a training does not depend on what shares its stack.
    """

    def __init__(
        self,
        images: Tensor,
        targets: Tensor,
        seeds: Sequence[int],
        batch_size: int,
        updates: int,
        kind: torch.dtype,
    ) -> None:
        device = images.device
        distinct = list(dict.fromkeys(seeds))
        self._which = torch.tensor([distinct.index(seed) for seed in seeds], device=device)
        self._images = functional.pad(images, (PADDING,) * 4).to(kind).transpose(0, 1).contiguous()
        self._targets = targets
        order = BatchOrder(len(targets), batch_size, distinct)
        drawn = [order.at(update) for update in range(updates)]
        self._order = torch.stack([x if x.dim() == 2 else x[None] for x in drawn]).to(device)
        shape = (updates, self._order.shape[2])
        kinds = []
        for seed in distinct:
            generator = torch.Generator().manual_seed(seed)
            flip = torch.rand(shape, generator=generator) < 0.5
            corner = torch.randint(2 * PADDING + 1, (2, *shape), generator=generator)
            kinds.append(torch.stack([flip.long(), *corner]))
        self._drawn = torch.stack(kinds, dim=2).to(device)  # [3, updates, seeds, images]
        self._along = torch.arange(SIDE, device=device)

    def at(self, update: int) -> tuple[Tensor, Tensor]:
        """Images [K, 3, n, 32, 32] and classes [K, n] of the update after so many."""
        chosen = self._order[update]
        flip, down, right = self._drawn[:, update]
        rows = down[..., None] + self._along
        columns = right[..., None] + self._along
        last = SIDE + 2 * PADDING - 1
        columns = torch.where(flip[..., None] > 0, last - columns, columns)
        images = self._images[:, chosen[..., None, None], rows[..., :, None], columns[..., None, :]]
        return images.transpose(0, 1)[self._which], self._targets[chosen][self._which]
