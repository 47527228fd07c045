"""Characters of a text: which comes next? By default Shakespeare's plays, as one file.

A sample is 32 characters, its targets the same shifted by one. The last 512 windows of the text
report and the 256 before them choose; of those before, the seed draws 256 that train, few enough
that a small model learns them by heart. It draws the initial weights and the order of the batches
too, so that what holds over seeds holds for other training windows. Windows do not overlap. The
error is in bits per character.

`shakespeare-longer` has 1,024 training windows and three times as many updates, of four times as
many windows. Its transformer is better than a table of character pairs (3.62 bits per character,
`python benchmarks/language_pilot.py`), which that of `shakespeare` is not, and weight decay lowers
its error by about 4 %, where it gains 1.5 % on `shakespeare`.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from unyoke.study.errors import StudyError
from unyoke.study.tasks.built_in import SHAKESPEARE
from unyoke.study.tasks.task import Task

if TYPE_CHECKING:
    from unyoke.study.tasks.task import Samples

WINDOW = 32
TRAINING = 256
VALIDATION = 256
TEST = 512
BATCH_SIZE = 8
LONGER = (1_024, 32)
"""Training windows and batch size of `shakespeare-longer`."""
MOST_CHARACTERS = 256


def shakespeare(seed: int, folder: Path) -> Task:
    """The next character by a small transformer."""
    from unyoke.study.tasks.character_models import CharacterTransformer

    return _task(lambda characters: CharacterTransformer(characters, WINDOW), seed, folder)


def shakespeare_longer(seed: int, folder: Path) -> Task:
    """The same transformer, with more text and a longer budget: decay gains something here."""
    from unyoke.study.tasks.character_models import CharacterTransformer

    return _task(lambda characters: CharacterTransformer(characters, WINDOW), seed, folder, *LONGER)


def shakespeare_lstm(seed: int, folder: Path) -> Task:
    """The next character by a small LSTM."""
    from unyoke.study.tasks.character_models import CharacterLSTM

    return _task(CharacterLSTM, seed, folder)


def mean_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy of scores [n, window, characters] and targets [n, window], in nats."""
    return nn.functional.cross_entropy(outputs.flatten(0, 1), targets.flatten())


def bits_per_character(outputs: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy of each window in bits per character, shape [n]."""
    nats = nn.functional.cross_entropy(outputs.transpose(1, 2), targets, reduction="none")
    return nats.mean(dim=1) / math.log(2)


def parse_text(contents: bytes, path: Path) -> str:
    """The text in a file, with plain line ends.

    Raises:
        StudyError: it is not a text in UTF-8, or has more kinds of characters than a model that
            knows each by a number of its own should have.
    """
    try:
        text = contents.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise StudyError(f"{path} is not a text in UTF-8, or is cut off: {error}") from error
    known = set(text)
    strange = sorted(c for c in known - set("\n\t") if unicodedata.category(c) == "Cc")
    if strange:
        raise StudyError(f"{path} is not a plain text: it has the control code {strange[0]!r}")
    if len(known) > MOST_CHARACTERS:
        raise StudyError(
            f"{path} has {len(known)} different characters, more than {MOST_CHARACTERS}; "
            "give a text in an alphabet"
        )
    return text


def _task(
    model: Callable[[int], nn.Module],
    seed: int,
    folder: Path,
    training: int | None = None,
    batch_size: int = BATCH_SIZE,
) -> Task:
    characters, (inputs, targets), validation, test = _parts(folder)
    torch.manual_seed(seed)
    made = model(characters)
    drawn = torch.randperm(len(targets))[: training or TRAINING]
    return Task(
        model=made,
        train=(inputs[drawn], targets[drawn]),
        validation=validation,
        test=test,
        batch_size=batch_size,
        loss=mean_cross_entropy,
        error=bits_per_character,
        error_unit="bits per character",
    )


@cache
def _parts(folder: Path) -> tuple[int, Samples, Samples, Samples]:
    """How many characters there are, what training windows are drawn from, and the rest."""
    ((path, contents),) = SHAKESPEARE.read(folder)
    text = parse_text(contents, path)
    windows = (len(text) - 1) // WINDOW
    needed = TRAINING + VALIDATION + TEST
    if windows < needed:
        raise StudyError(
            f"{path} has {len(text)} characters, and the task needs {needed * WINDOW + 1}; "
            "it is cut off, or another text"
        )
    alphabet = {character: number for number, character in enumerate(sorted(set(text)))}
    codes = torch.tensor([alphabet[character] for character in text])
    inputs = codes[: windows * WINDOW].reshape(windows, WINDOW)
    targets = codes[1 : windows * WINDOW + 1].reshape(windows, WINDOW)
    ends = (
        slice(windows - TEST - VALIDATION),
        slice(windows - TEST - VALIDATION, windows - TEST),
        slice(windows - TEST, windows),
    )
    train, validation, test = ((inputs[part], targets[part]) for part in ends)
    return len(alphabet), train, validation, test
