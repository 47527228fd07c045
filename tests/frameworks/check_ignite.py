"""ignite: its trainer, and a scheduler of its own."""

from __future__ import annotations

import torch
from comparing import (
    BATCH,
    DECAY,
    LR,
    UPDATES,
    data,
    distance,
    flat,
    loss,
    made,
    model,
    plain,
    tell,
)
from ignite.engine import Events, create_supervised_trainer
from ignite.handlers.param_scheduler import CosineAnnealingScheduler

import unyoke


def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    inputs, targets = data()
    return list(zip(inputs.split(BATCH), targets.split(BATCH), strict=True))


def trained() -> float:
    module = model()
    create_supervised_trainer(module, made(module), loss).run(batches(), max_epochs=1)
    return distance(flat(module), plain())


def scheduled() -> float:
    ends = []
    for cls, scale in ((unyoke.AdamW, 1.0), (torch.optim.AdamW, 1 / LR)):
        module = model()
        optimizer = cls(module.parameters(), lr=LR, weight_decay=DECAY * scale)
        engine = create_supervised_trainer(module, optimizer, loss)
        scheduler = CosineAnnealingScheduler(optimizer, "lr", LR, LR / 10, UPDATES * 2)
        engine.add_event_handler(Events.ITERATION_STARTED, scheduler)
        engine.run(batches(), max_epochs=1)
        ends.append(flat(module))
    return distance(*ends)


tell("create_supervised_trainer", trained)
tell("CosineAnnealingScheduler, as torch's AdamW under it", scheduled)
