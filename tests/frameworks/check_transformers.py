"""Hugging Face's Trainer and PEFT, with models from configurations."""

from __future__ import annotations

import tempfile
from typing import Any

import torch
import transformers
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
    model,
    plain,
    tell,
)
from peft import LoraConfig, get_peft_model
from torch import nn

import unyoke
from unyoke.integrations import transformers as ours


class Model(nn.Module):
    """A model with the interface that the Trainer expects."""

    def __init__(self) -> None:
        super().__init__()
        self.net = model()

    def forward(self, inputs: torch.Tensor, labels: torch.Tensor) -> Any:
        outputs = self.net(inputs)
        return {"loss": loss(outputs, labels), "logits": outputs}


def rows() -> list[dict[str, Any]]:
    return [{"inputs": x, "labels": y} for x, y in zip(*data(), strict=True)]


class InOrder:
    """The samples in their own order."""

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        return torch.utils.data.SequentialSampler(dataset or self.train_dataset)


class Plain(InOrder, transformers.Trainer):
    pass


def arguments(folder: str, **options: Any) -> transformers.TrainingArguments:
    given = {
        "output_dir": folder, "per_device_train_batch_size": BATCH, "num_train_epochs": 1,
        "learning_rate": LR, "weight_decay": DECAY / LR, "max_grad_norm": 0.0, "report_to": [],
        "use_cpu": True, "save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True,
        "remove_unused_columns": False, "seed": 0, **options,
    }  # fmt: skip
    return transformers.TrainingArguments(**given)


def trained(cls: Any, folder: str, going_on: Any = None, **options: Any) -> torch.Tensor:
    optimizers = options.pop("optimizers", None)
    module = Model()
    given = {} if optimizers is None else {"optimizers": optimizers(module)}
    made = cls(module, arguments(folder, **options), train_dataset=rows(), **given)
    made.train(resume_from_checkpoint=going_on)
    return flat(module.net)


def subclass() -> float:
    with tempfile.TemporaryDirectory() as folder:
        return distance(trained(ours.trainer(Plain), folder), plain())


def pair() -> float:
    def optimizers(module: nn.Module) -> Any:
        cosine = unyoke.schedules.cosine(UPDATES)
        return ours.optimizers(module, lr=LR, weight_decay=DECAY, schedule=cosine)

    with tempfile.TemporaryDirectory() as folder:
        return distance(trained(Plain, folder, optimizers=optimizers), plain())


def resumed() -> float:
    with tempfile.TemporaryDirectory() as folder:
        cls = ours.trainer(Plain)
        saving = {"save_strategy": "steps", "save_steps": 5}
        trained(cls, folder, **saving)
        return distance(trained(cls, folder, going_on=f"{folder}/checkpoint-5", **saving), plain())


def lora() -> float:
    """Only the adapters move, as torch's AdamW moves them with the same decay."""
    ends = []
    config = transformers.GPT2Config(n_layer=2, n_head=2, n_embd=16, vocab_size=32, n_positions=16)
    for make in (
        lambda p: unyoke.AdamW(p, lr=LR, weight_decay=DECAY),
        lambda p: torch.optim.AdamW(p, lr=LR, weight_decay=DECAY / LR),
    ):
        torch.manual_seed(0)
        adapted = get_peft_model(
            transformers.GPT2LMHeadModel(config), LoraConfig(target_modules=["c_attn"], r=2)
        )
        adapted.eval()  # no dropout
        optimizer = make([p for p in adapted.parameters() if p.requires_grad])
        for t in range(UPDATES):
            tokens = torch.randint(32, (2, 8), generator=torch.Generator().manual_seed(t))
            optimizer.zero_grad()
            adapted(input_ids=tokens, labels=tokens).loss.backward()
            optimizer.step()
        ends.append(flat(adapted))
    return distance(*ends)


tell("Trainer: `integrations.transformers.trainer()`", subclass)
tell("Trainer: `optimizers=` with `follow`", pair)
tell("Trainer: a checkpoint in the middle, and on", resumed)
tell("PEFT: LoRA adapters of a GPT-2", lora)
tell("`examples/trainer.py`", lambda: example("trainer", 2.0))
