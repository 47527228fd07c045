"""Lightning: fit, its length as the schedule's, checkpoints, clipping, accumulation."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from comparing import (
    BATCH,
    DECAY,
    LR,
    UPDATES,
    data,
    distance,
    example,
    flat,
    loss,
    made,
    model,
    plain,
    tell,
)

from unyoke.integrations import lightning


class Module(pl.LightningModule):
    def __init__(self, configured: bool = False) -> None:
        super().__init__()
        self.net, self.configured = model(), configured

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        return loss(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> Any:
        if self.configured:
            return lightning.configure(self, lr=LR, weight_decay=DECAY)
        return made(self.net)


def loader() -> Any:
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data()), batch_size=BATCH)


def trainer(folder: str, **options: Any) -> pl.Trainer:
    given = {"max_epochs": 1, "accelerator": "cpu", "logger": False, "enable_progress_bar": False,
             "enable_checkpointing": False, "enable_model_summary": False,
             "default_root_dir": folder, **options}  # fmt: skip
    return pl.Trainer(**given)


def fit(configured: bool = False, **options: Any) -> torch.Tensor:
    with tempfile.TemporaryDirectory() as folder:
        module = Module(configured)
        trainer(folder, **options).fit(module, loader())
        return flat(module.net)


def resumed() -> float:
    """Two epochs at once, and with a checkpoint between them."""

    class Twice(Module):
        def configure_optimizers(self) -> Any:
            return made(self.net, 2 * UPDATES)

    with tempfile.TemporaryDirectory() as folder:
        whole, first, second = Twice(), Twice(), Twice()
        trainer(folder, max_epochs=2).fit(whole, loader())
        begun = trainer(folder, max_epochs=1)
        begun.fit(first, loader())
        begun.save_checkpoint(Path(folder) / "half.ckpt")
        going_on = trainer(folder, max_epochs=2)
        going_on.fit(second, loader(), ckpt_path=str(Path(folder) / "half.ckpt"))
        return distance(flat(second.net), flat(whole.net))


def torch_scheduler() -> float:
    class WithScheduler(Module):
        def configure_optimizers(self) -> Any:
            optimizer = made(self.net, schedule=None)
            cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, UPDATES)
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": cosine, "interval": "step"},
            }

    def scheduler(optimizer: Any) -> Any:
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, UPDATES)

    with tempfile.TemporaryDirectory() as folder:
        module = WithScheduler()
        trainer(folder).fit(module, loader())
        expected = plain(lambda m: made(m, schedule=None), after=scheduler)
        return distance(flat(module.net), expected)


def watched() -> float:
    callback = lightning.monitor(every=1)
    return distance(fit(callbacks=[callback]), plain())


tell("fit, schedule in the optimizer", lambda: distance(fit(), plain()))
tell("`integrations.lightning.configure`", lambda: distance(fit(configured=True), plain()))
tell("a scheduler of torch's, by step", torch_scheduler)
tell("a checkpoint in the middle, and on", resumed)
tell("with the monitor as a callback", watched)
tell("`examples/lightning_module.py`", lambda: example("lightning_module", 0.05))
