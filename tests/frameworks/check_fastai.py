"""fastai: its Learner around our optimizer, and its one-cycle policy. No vision, no text."""

from __future__ import annotations

import functools
import tempfile
from typing import Any

import torch
from comparing import BATCH, DECAY, LR, data, distance, flat, model, plain, tell
from fastai.callback.schedule import Learner  # with fit_one_cycle
from fastai.data.core import DataLoaders
from fastai.optimizer import OptimWrapper
from torch import nn

import unyoke


def learner(cls: Any, scale: float = 1.0, folder: str = ".", **options: Any) -> Any:
    """fastai gives the class lr, and writes wd (our λ) into the groups."""
    batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data()), batch_size=BATCH)
    return Learner(
        DataLoaders(batches, batches),
        model(),
        loss_func=nn.CrossEntropyLoss(),
        opt_func=functools.partial(OptimWrapper, opt=cls),
        lr=LR,
        wd=DECAY * scale,
        path=folder,
        **options,
    )


def ours(module: nn.Module) -> unyoke.Optimizer:
    return unyoke.AdamW(module.parameters(), lr=LR, weight_decay=DECAY)


def fitted() -> float:
    learn = learner(unyoke.AdamW)
    with learn.no_bar(), learn.no_logging():
        learn.fit(1)
    return distance(flat(learn.model), plain(ours))


def one_cycle() -> float:
    """It moves the rate and Adam's β₁, up to lr_max and down."""
    ends = []
    for cls, scale in ((unyoke.AdamW, 1.0), (torch.optim.AdamW, 1 / LR)):
        learn = learner(cls, scale)
        with learn.no_bar(), learn.no_logging():
            learn.fit_one_cycle(1, lr_max=LR)
        ends.append(flat(learn.model))
    return distance(*ends)


def frozen() -> float:
    """fine_tune(): the head first, then everything at rates that grow from layer to layer."""
    ends = []

    def halves(module: nn.Module) -> list[list[nn.Parameter]]:
        return [list(module[:2].parameters()), list(module[2:].parameters())]

    for cls, scale in ((unyoke.AdamW, 1.0), (torch.optim.AdamW, 1 / LR)):
        learn = learner(cls, scale, splitter=halves)
        with learn.no_bar(), learn.no_logging():
            learn.freeze()
            learn.fit_one_cycle(1, lr_max=slice(LR))
            learn.unfreeze()
            learn.fit_one_cycle(1, lr_max=slice(LR / 10, LR))
        ends.append(flat(learn.model))
    return distance(*ends)


def resumed() -> float:
    """save() and load() with the optimizer between two fits."""
    with tempfile.TemporaryDirectory() as folder:
        whole, first, second = (learner(unyoke.AdamW, folder=folder) for _ in range(3))
        for learn in (whole, first):
            with learn.no_bar(), learn.no_logging():
                learn.fit(1)
        first.save("half", with_opt=True)
        second.create_opt()
        second.load("half", with_opt=True)
        for learn in (whole, second):
            with learn.no_bar(), learn.no_logging():
                learn.fit(1)
        return distance(flat(second.model), flat(whole.model))


tell("`Learner(opt_func=partial(OptimWrapper, opt=unyoke.AdamW))`", fitted)
tell("fit_one_cycle, as torch's AdamW under it", one_cycle)
tell("freeze, unfreeze and a rate for each half, as torch's AdamW under it", frozen)
tell("save, load and on", resumed)
