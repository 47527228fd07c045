"""Lightning: the optimizer has the schedule in it, as long as the trainer says that the run is.

python examples/lightning_module.py
"""

import pytorch_lightning as pl
import torch
from sklearn.datasets import load_digits
from torch import nn

import unyoke.integrations.lightning as integration


class Digits(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 64), nn.LayerNorm(64), nn.ReLU(), nn.Linear(64, 10))

    def training_step(self, batch, index):
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self):
        return integration.configure(self, lr=3e-3, total_decay=2)


def main() -> float:
    torch.manual_seed(0)
    images, labels = map(torch.tensor, load_digits(return_X_y=True))
    data = torch.utils.data.TensorDataset(images.float() / 8 - 1, labels)
    trainer = pl.Trainer(max_epochs=8, accelerator="cpu", logger=False, enable_checkpointing=False)
    module = Digits()
    trainer.fit(module, torch.utils.data.DataLoader(data, batch_size=32, shuffle=True))
    return (module.net(data[:][0]).argmax(1) != labels).float().mean().item()


if __name__ == "__main__":
    print(f"training error {100 * main():.1f} %")
