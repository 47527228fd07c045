"""The tasks that come with unyoke: what holds each, and what data it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from unyoke.study.errors import StudyError
from unyoke.study.tasks.data import Source


@dataclass(frozen=True)
class BuiltIn:
    """One built-in task.

    Attributes:
        module: what holds the task's function.
        function: the function's name. It takes the seed, and the data's folder if there is one.
        source: the files that it reads, or None.
        draws: what its seed draws, in words.
        split_by_seed: whether that includes which samples test.
    """

    module: str
    function: str
    source: Source | None = None
    draws: str = "initial weights and the order of the batches"
    split_by_seed: bool = False


FASHION_MNIST = Source(
    what="the four IDX files of Fashion-MNIST",
    files=(
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ),
    variable="UNYOKE_FASHION_MNIST",
    get="install the package dataset-fashion-mnist of Debian or Ubuntu, which is found by itself",
    places=(Path("/usr/share/datasets/fashion-mnist"),),
)
CIFAR10 = Source(
    what="the binary batches of CIFAR-10",
    files=("data_batch_1.bin", "test_batch.bin"),
    more=("data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"),
    variable="UNYOKE_CIFAR10",
    get="unpack the 'binary version' from www.cs.toronto.edu/~kriz/cifar.html",
)
CIFAR100 = Source(
    what="the binary files of CIFAR-100",
    files=("train.bin", "test.bin"),
    variable="UNYOKE_CIFAR100",
    get="unpack the 'binary version' from www.cs.toronto.edu/~kriz/cifar.html",
)
SHAKESPEARE = Source(
    what="a plain text in a file input.txt",
    files=("input.txt",),
    variable="UNYOKE_SHAKESPEARE",
    get="save data/tinyshakespeare/input.txt of github.com/karpathy/char-rnn",
)

_SPLIT_TOO = "the split, the initial weights and the order of the batches"
_SAMPLES_TOO = "initial weights, the order of the batches and the training samples"

BUILT_IN: Mapping[str, BuiltIn] = {
    "digits": BuiltIn(
        "unyoke.study.tasks.digits",
        "digits",
        draws=_SPLIT_TOO,
        split_by_seed=True,
    ),
    "digits-plain": BuiltIn(
        "unyoke.study.tasks.digits_plain", "digits_plain", draws=_SPLIT_TOO, split_by_seed=True
    ),
    "digits-noisy": BuiltIn(
        "unyoke.study.tasks.digits_noisy",
        "digits_noisy",
        draws=f"{_SPLIT_TOO}, and which labels are wrong",
        split_by_seed=True,
    ),
    "breast-cancer": BuiltIn(
        "unyoke.study.tasks.tabular", "breast_cancer", draws=_SPLIT_TOO, split_by_seed=True
    ),
    "diabetes": BuiltIn(
        "unyoke.study.tasks.tabular", "diabetes", draws=_SPLIT_TOO, split_by_seed=True
    ),
    "fashion-mnist": BuiltIn(
        "unyoke.study.tasks.fashion", "fashion_mnist", source=FASHION_MNIST, draws=_SAMPLES_TOO
    ),
    "fashion-patches": BuiltIn(
        "unyoke.study.tasks.fashion", "fashion_patches", source=FASHION_MNIST, draws=_SAMPLES_TOO
    ),
    "fashion-patches-plain": BuiltIn(
        "unyoke.study.tasks.fashion",
        "fashion_patches_plain",
        source=FASHION_MNIST,
        draws=_SAMPLES_TOO,
    ),
    "cifar10": BuiltIn("unyoke.study.tasks.cifar", "cifar10", source=CIFAR10),
    "cifar10-small": BuiltIn("unyoke.study.tasks.cifar", "cifar10_small", source=CIFAR10),
    "cifar10-patches": BuiltIn("unyoke.study.tasks.cifar", "cifar10_patches", source=CIFAR10),
    "cifar100": BuiltIn("unyoke.study.tasks.cifar", "cifar100", source=CIFAR100),
    "cifar10-26-2x64d": BuiltIn("unyoke.study.tasks.cifar", "cifar10_64d", source=CIFAR10),
    "cifar10-26-2x96d": BuiltIn("unyoke.study.tasks.cifar", "cifar10_96d", source=CIFAR10),
    "shakespeare": BuiltIn(
        "unyoke.study.tasks.shakespeare",
        "shakespeare",
        source=SHAKESPEARE,
        draws=_SAMPLES_TOO,
    ),
    "shakespeare-longer": BuiltIn(
        "unyoke.study.tasks.shakespeare",
        "shakespeare_longer",
        source=SHAKESPEARE,
        draws=_SAMPLES_TOO,
    ),
    "shakespeare-lstm": BuiltIn(
        "unyoke.study.tasks.shakespeare",
        "shakespeare_lstm",
        source=SHAKESPEARE,
        draws=_SAMPLES_TOO,
    ),
}
"""Every built-in task by its name."""

TABULAR = "tabular"
TABLES = ("breast-cancer", "diabetes")
"""The tasks that `tabular` stands for: `tabular:NAME` is each, `tabular` alone the first."""


def resolve(text: str) -> str:
    """The name of the built-in task that `text` is another name of; any other text as it is.

    Raises:
        StudyError: it names a table that there is not.
    """
    family, _, table = text.partition(":")
    if family != TABULAR:
        return text
    if table and table not in TABLES:
        raise StudyError(
            f"the task {text!r} is none: the tables are "
            f"{' and '.join(f'{TABULAR}:{name}' for name in TABLES)}"
        )
    return table or TABLES[0]
