"""Fashion-MNIST: ten kinds of clothes, from files in the IDX format, made so that decay matters.

Images of 28 × 28 pixels are halved to 14 × 14, each pixel the mean of four, and a network 196–64–10
learns 1,000 of them. As they are, weight decay lowers the error of such a network by 1 or 2 %; two
changes make regularization matter (in coarse trials 12 % for AdamW, 6 % for SGDW):

- 40 % of the training images, drawn, have a label that is drawn too, right by chance only;
- the weights begin four times as large as usual; see `unyoke.study.tasks.digits_plain`.

The seed draws the training images and their labels, the initial weights and the order of the
batches, so that what holds over seeds holds for other training images too. `fashion-patches` is the
same with a network of patches that is normalised throughout, `fashion-patches-plain` with that
network without its normalisation. The last 5,000 images of
the training file choose and all 10,000 test images report, with their right labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from unyoke.study.errors import StudyError
from unyoke.study.tasks.built_in import FASHION_MNIST
from unyoke.study.tasks.patch_nets import GreyPatches
from unyoke.study.tasks.task import Task

if TYPE_CHECKING:
    from unyoke.study.tasks.task import Samples

CLASSES = 10
SIDE = 28
TRAINING = 1_000
VALIDATION = 5_000
WRONG_LABELS = 0.4
INITIAL_SCALE = 4.0
HIDDEN = 64
BATCH_SIZE = 50

_UNSIGNED_BYTES = b"\x00\x00\x08"


def fashion_mnist(seed: int, folder: Path) -> Task:
    """The Fashion-MNIST task for one seed, from the files in `folder`."""
    inputs = SIDE * SIDE // 4
    return _task(
        lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(inputs, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES)
        ),
        seed,
        folder,
    )


def fashion_patches(seed: int, folder: Path) -> Task:
    """Fashion-MNIST by a network of patches that is normalised throughout."""
    return _task(lambda: GreyPatches(CLASSES, normalised=True), seed, folder)


def fashion_patches_plain(seed: int, folder: Path) -> Task:
    """Fashion-MNIST by the same network without normalisation."""
    return _task(lambda: GreyPatches(CLASSES, normalised=False), seed, folder)


def _task(network: Callable[[], nn.Module], seed: int, folder: Path) -> Task:
    pool, validation, test = _parts(folder)
    torch.manual_seed(seed)
    train = _drawn(pool)  # before the weights, so that every network has the same of a seed
    model = network()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(INITIAL_SCALE)
    return Task(model, train, validation, test, batch_size=BATCH_SIZE)


def parse_idx(contents: bytes, path: Path, dimensions: int) -> Tensor:
    """The unsigned bytes of an IDX file as a tensor of so many dimensions.

    The format: two zero bytes, 8 for unsigned bytes, the number of dimensions, the size of each as
    a big-endian 32-bit integer, then the elements.

    Raises:
        StudyError: the contents are something else, or are cut off.
    """
    start = 4 + 4 * dimensions
    if contents[:4] != _UNSIGNED_BYTES + bytes([dimensions]) or len(contents) < start:
        raise StudyError(
            f"{path} is not an IDX file of unsigned bytes in {dimensions} dimensions: "
            f"it begins with {contents[:4].hex(' ') or 'nothing'}"
        )
    sizes = [int.from_bytes(contents[at : at + 4], "big") for at in range(4, start, 4)]
    expected = start + math.prod(sizes)
    if len(contents) != expected or 0 in sizes:
        raise StudyError(
            f"{path} has {len(contents)} bytes; its header announces {expected}; "
            "it is damaged or cut off, get it again"
        )
    return torch.frombuffer(bytearray(contents[start:]), dtype=torch.uint8).reshape(sizes)


@cache
def _parts(folder: Path) -> tuple[Samples, Samples, Samples]:
    """What training images are drawn from, those that choose, and those that report."""
    files = FASHION_MNIST.read(folder)
    images, labels = _pair(*next(files), *next(files))
    test_images, test_labels = _pair(*next(files), *next(files))
    # Files with fewer images, such as those of a test, are divided into halves.
    held_out = min(VALIDATION, len(labels) // 2)
    return (
        (images[:-held_out], labels[:-held_out]),
        (_halved(images[-held_out:]), labels[-held_out:]),
        (_halved(test_images), test_labels),
    )


def _drawn(pool: Samples) -> Samples:
    """Training images, some of them with another label."""
    images, labels = pool
    chosen = torch.randperm(len(labels))[:TRAINING]
    wrong = torch.rand(len(chosen)) < WRONG_LABELS
    others = torch.randint(CLASSES, (len(chosen),))
    return _halved(images[chosen]), torch.where(wrong, others, labels[chosen])


def _halved(pixels: Tensor) -> Tensor:
    """Each pixel the mean of four, −1 to 1."""
    return nn.functional.avg_pool2d(pixels[:, None].float(), 2)[:, 0] / 127.5 - 1


def _pair(image_path: Path, images: bytes, label_path: Path, labels: bytes) -> Samples:
    pixels, classes = parse_idx(images, image_path, 3), parse_idx(labels, label_path, 1)
    if tuple(pixels.shape[1:]) != (SIDE, SIDE):
        raise StudyError(
            f"{image_path} has images of {pixels.shape[1]} × {pixels.shape[2]} pixels, "
            f"not {SIDE} × {SIDE}"
        )
    if len(pixels) != len(classes) or len(pixels) < 2:
        raise StudyError(
            f"{image_path} has {len(pixels)} images and {label_path.name} {len(classes)} labels; "
            "they belong to different sets"
        )
    if classes.max() >= CLASSES:
        raise StudyError(f"{label_path} has the class {int(classes.max())}; classes are 0 to 9")
    return pixels, classes.long()
