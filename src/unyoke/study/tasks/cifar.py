"""CIFAR-10 and CIFAR-100: 32 × 32 pixels in colour, from the standard binary files.

The last tenth of the training images, 5,000 at most, chooses; the others train; the test file
reports. The tasks for a CPU take 4,000, 1,000 and 2,000 of these, `cifar10-small` takes 9,000,
1,000 and 3,000. Training images are flipped and shifted by up to 4 pixels. That is a layer in front
of the model, which does nothing in evaluation; the seed draws it, the weights and the order of
batches. (Not so `cifar10-patches`, whose networks are trained in stacks: a draw would depend on the
other models.)

Colours are normalised as the code does with which the paper's networks were trained
(fb.resnet.torch): mean and standard deviation of each channel over the training images.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from unyoke.study.errors import StudyError
from unyoke.study.tasks.built_in import CIFAR10, CIFAR100
from unyoke.study.tasks.data import Source
from unyoke.study.tasks.task import Task

if TYPE_CHECKING:
    from unyoke.study.tasks.task import Samples

SIDE = 32
PIXELS = 3 * SIDE * SIDE
PADDING = 4
VALIDATION = 5_000
BATCH_SIZE = 64
PAPER_BATCH_SIZE = 128


@dataclass(frozen=True)
class Format:
    """One of the two binary formats: a record is its labels, one byte each, and the pixels."""

    source: Source
    test_file: str
    labels: tuple[tuple[str, int], ...]
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    @property
    def classes(self) -> int:
        """How many classes the last label, which is the target, tells apart."""
        return self.labels[-1][1]


TEN = Format(CIFAR10, "test_batch.bin", (("class", 10),), (125.3, 123.0, 113.9), (63.0, 62.1, 66.7))
HUNDRED = Format(
    CIFAR100,
    "test.bin",
    (("coarse class", 20), ("class", 100)),
    (129.3, 124.1, 112.4),
    (68.2, 65.4, 70.4),
)


@dataclass(frozen=True)
class Sizes:
    """How many samples of each part are used at most; None: all that there are."""

    train: int | None = None
    validation: int | None = None
    test: int | None = None


SMALL = Sizes(4_000, 1_000, 2_000)
LARGER = Sizes(9_000, 1_000, 3_000)
ALL = Sizes()


def cifar10(seed: int, folder: Path) -> Task:
    """CIFAR-10 with a small residual network, for a CPU."""
    return _small(TEN, seed, folder)


def cifar10_small(seed: int, folder: Path) -> Task:
    """CIFAR-10 with a small residual network and as many images as one GPU trains in minutes."""
    return _small(TEN, seed, folder, LARGER, PAPER_BATCH_SIZE)


def cifar10_patches(seed: int, folder: Path) -> Task:
    """CIFAR-10 with a network of patches, for a night on a CPU; images are not augmented."""
    from unyoke.study.tasks.patch_nets import ColourPatches

    train, validation, test = _parts(TEN, folder, SMALL)
    torch.manual_seed(seed)
    return Task(ColourPatches(TEN.classes), train, validation, test, batch_size=BATCH_SIZE)


def cifar100(seed: int, folder: Path) -> Task:
    """CIFAR-100 with a small residual network, for a CPU."""
    return _small(HUNDRED, seed, folder)


def cifar10_64d(seed: int, folder: Path) -> Task:
    """CIFAR-10 with the paper's Shake-Shake network 26 2x64d."""
    return _shake_shake(64, seed, folder)


def cifar10_96d(seed: int, folder: Path) -> Task:
    """CIFAR-10 with the paper's Shake-Shake network 26 2x96d."""
    return _shake_shake(96, seed, folder)


class FlipAndShift(nn.Module):
    """Training images flipped with probability ½ and cropped from a border of 4 zeros.

    Images are [n, channels, side, side], each drawn on its own. Nothing happens in evaluation.
    """

    def forward(self, images: Tensor) -> Tensor:
        if not self.training:
            return images
        count, channels, side, _ = images.shape
        device = images.device
        flip = torch.rand(count, device=device) < 0.5
        images = torch.where(flip[:, None, None, None], images.flip(-1), images)
        padded = nn.functional.pad(images, (PADDING,) * 4)
        corner = torch.randint(2 * PADDING + 1, (2, count, 1), device=device)
        down, right = corner + torch.arange(side, device=device)
        image = torch.arange(count, device=device)[:, None, None, None]
        channel = torch.arange(channels, device=device)[:, None, None]
        return padded[image, channel, down[:, None, :, None], right[:, None, None, :]]


def parse_records(contents: bytes, path: Path, form: Format) -> Samples:
    """The bytes of the images [n, 3, 32, 32] and the classes [n] of one binary file.

    Raises:
        StudyError: the file is not whole records, or a label is out of range.
    """
    size = len(form.labels) + PIXELS
    if not contents or len(contents) % size:
        raise StudyError(
            f"{path} has {len(contents)} bytes, not a multiple of {size}; "
            f"it is damaged, cut off, or not one of {form.source.what}"
        )
    records = torch.frombuffer(bytearray(contents), dtype=torch.uint8).reshape(-1, size)
    for column, (name, count) in enumerate(form.labels):
        worst = int(records[:, column].max())
        if worst >= count:
            raise StudyError(
                f"{path} has the {name} {worst}, and there are only 0 to {count - 1}; "
                f"it is damaged, or not one of {form.source.what}"
            )
    images = records[:, len(form.labels) :].reshape(-1, 3, SIDE, SIDE)
    return images, records[:, len(form.labels) - 1].long()


def normalised(images: Tensor, form: Format) -> Tensor:
    """Bytes as numbers of mean 0 and standard deviation 1 in each colour."""
    mean = torch.tensor(form.mean)[:, None, None]
    deviation = torch.tensor(form.deviation)[:, None, None]
    return (images.float() - mean) / deviation


def _small(
    form: Format, seed: int, folder: Path, sizes: Sizes = SMALL, batch_size: int = BATCH_SIZE
) -> Task:
    from unyoke.study.tasks.small_resnet import SmallResNet

    train, validation, test = _parts(form, folder, sizes)
    torch.manual_seed(seed)
    model = nn.Sequential(FlipAndShift(), SmallResNet(form.classes))
    return Task(model, train, validation, test, batch_size=batch_size)


def _shake_shake(width: int, seed: int, folder: Path) -> Task:
    from unyoke.study.tasks.shake_shake import ShakeShake

    train, validation, test = _parts(TEN, folder, ALL)
    torch.manual_seed(seed)
    model = nn.Sequential(FlipAndShift(), ShakeShake(width, TEN.classes))
    return Task(model, train, validation, test, batch_size=PAPER_BATCH_SIZE)


@cache
def _parts(form: Format, folder: Path, sizes: Sizes) -> tuple[Samples, Samples, Samples]:
    test: list[Samples] = []
    training: list[Samples] = []
    for path, contents in form.source.read(folder):
        kind = test if path.name.removesuffix(".gz") == form.test_file else training
        kind.append(parse_records(contents, path, form))
    images, classes = (torch.cat(part) for part in zip(*training, strict=True))
    if len(classes) < 2:
        raise StudyError(f"{folder} has one training image; choosing needs another")
    held_out = min(VALIDATION, max(1, len(classes) // 10))

    def part(images: Tensor, classes: Tensor, size: int | None) -> Samples:
        return normalised(images[:size], form), classes[:size]

    return (
        part(images[:-held_out], classes[:-held_out], sizes.train),
        part(images[-held_out:], classes[-held_out:], sizes.validation),
        part(*test[0], sizes.test),
    )
