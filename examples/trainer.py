"""Hugging Face's Trainer: a small GPT-2 from a configuration, with unyoke's optimizer inside.

    python examples/trainer.py

Needs transformers and accelerate. The arguments' weight_decay is torch's number, as always there.
"""

import tempfile

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

import unyoke.integrations.transformers as integration


def rows(number: int) -> list[dict[str, torch.Tensor]]:
    """Sequences that count upwards, from a number that is drawn."""
    starts = torch.randint(16, (number, 1), generator=torch.Generator().manual_seed(0))
    return [{"input_ids": row, "labels": row} for row in (starts + torch.arange(16)) % 16]


def main() -> float:
    torch.manual_seed(0)
    sizes = {"n_layer": 2, "n_head": 2, "n_embd": 32, "vocab_size": 16, "n_positions": 16}
    model = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0))
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, learning_rate=3e-3, weight_decay=0.1, warmup_steps=5, num_train_epochs=4,
            use_cpu=True, report_to=[], save_strategy="no", disable_tqdm=True,
        )  # fmt: skip
        trainer = integration.trainer(Trainer)(model, arguments, train_dataset=rows(128))
        return trainer.train().training_loss


if __name__ == "__main__":
    print(f"mean training loss {main():.2f}; guessing has 2.77")
