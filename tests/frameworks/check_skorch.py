"""skorch: a net that is trained by it."""

from __future__ import annotations

import torch
from comparing import BATCH, DECAY, LR, data, distance, flat, model, plain, tell
from skorch import NeuralNetClassifier

import unyoke


def fitted() -> float:
    net = NeuralNetClassifier(
        model(), criterion=torch.nn.CrossEntropyLoss, optimizer=unyoke.AdamW, lr=LR,
        optimizer__weight_decay=DECAY, batch_size=BATCH, max_epochs=1, train_split=None,
        iterator_train__shuffle=False, verbose=0,
    )  # fmt: skip
    inputs, targets = data()
    net.fit(inputs, targets)
    expected = plain(lambda m: unyoke.AdamW(m.parameters(), lr=LR, weight_decay=DECAY))
    return distance(flat(net.module_), expected)


tell("`NeuralNetClassifier(optimizer=unyoke.AdamW)`", fitted)
