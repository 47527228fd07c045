"""Does weight decay gain anything in a small language model? Asked before decay rules are compared.

    UNYOKE_SHAKESPEARE=FOLDER unyoke map --task benchmarks/language_pilot.py:more_text \
        --optimizers AdamW --lr 2^-8,2^-6 --weight-decay 0,2^-12:2^-4:4 --updates 1200 \
        --seeds 900,901 --evaluations 1 --out language-pilot
    UNYOKE_SHAKESPEARE=FOLDER python benchmarks/language_pilot.py

The first is the transformer of `shakespeare` with four times the training windows and 1,200 updates
of 32 of them. The second prints what a table of character pairs of the whole training text reaches
on the same test windows, in bits per character: a model above it has learnt less than pairs.
"""

from __future__ import annotations

import math
import os
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from unyoke.study import Task
from unyoke.study.tasks.character_models import CharacterTransformer
from unyoke.study.tasks.shakespeare import bits_per_character, mean_cross_entropy

WINDOW, TRAINING, VALIDATION, TEST = 32, 1_024, 256, 512


@cache
def windows() -> tuple[int, Tensor, Tensor]:
    """How many characters there are; inputs and targets, [windows, 32]."""
    text = (Path(os.environ["UNYOKE_SHAKESPEARE"]) / "input.txt").read_text(encoding="utf-8")
    alphabet = {character: number for number, character in enumerate(sorted(set(text)))}
    codes = torch.tensor([alphabet[character] for character in text])
    count = (len(codes) - 1) // WINDOW
    inputs, targets = codes[: count * WINDOW], codes[1 : count * WINDOW + 1]
    return len(alphabet), inputs.reshape(count, WINDOW), targets.reshape(count, WINDOW)


def more_text(seed: int) -> Task:
    """The seed draws the training windows, the initial weights and the order of the batches."""
    torch.manual_seed(seed)
    characters, inputs, targets = windows()
    held_out = len(targets) - TEST - VALIDATION
    drawn = torch.randperm(held_out)[:TRAINING]
    choose, report = slice(held_out, held_out + VALIDATION), slice(held_out + VALIDATION, None)
    return Task(
        model=CharacterTransformer(characters, WINDOW),
        train=(inputs[drawn], targets[drawn]),
        validation=(inputs[choose], targets[choose]),
        test=(inputs[report], targets[report]),
        batch_size=32,
        loss=mean_cross_entropy,
        error=bits_per_character,
        error_unit="bits per character",
    )


def pairs_alone() -> float:
    """Bits per character of the test windows by counts of pairs, each with one count more."""
    characters, inputs, targets = windows()
    held_out = len(targets) - TEST - VALIDATION
    counts = torch.ones(characters, characters, dtype=torch.float64)
    seen = torch.ones(held_out * WINDOW, dtype=torch.float64)
    pair = (inputs[:held_out].flatten(), targets[:held_out].flatten())
    counts.index_put_(pair, seen, accumulate=True)
    bits = -torch.log2(counts / counts.sum(dim=1, keepdim=True))
    return float(bits[inputs[-TEST:].flatten(), targets[-TEST:].flatten()].mean())


if __name__ == "__main__":
    print(f"a table of character pairs: {pairs_alone():.3f} bits per character")
    print(f"chance: {math.log2(windows()[0]):.3f}")
