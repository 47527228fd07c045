"""A small GPT on characters: Muon for the hidden matrices and Adam for the rest, in one optimizer.

    python examples/gpt_characters.py [--text FILE] [--updates 500]

Without a file it reads its own source.
"""

import argparse
import math
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor, nn
from torch.nn import functional

import unyoke

WIDTH, HEADS, LAYERS, WINDOW = 64, 4, 2, 64


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        heads = self.qkv(self.norm1(x)).view(batch, length, 3, HEADS, -1).transpose(1, 3)
        q, k, v = heads.unbind(2)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(functional.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self, characters: int) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(characters, WIDTH), nn.Embedding(WINDOW, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, characters)

    def forward(self, text: Tensor) -> Tensor:
        x = self.tokens(text) + self.places.weight[: text.shape[1]]
        return self.head(self.norm(self.blocks(x)))


def main(text: str, updates: int) -> None:
    alphabet = {character: code for code, character in enumerate(sorted(set(text)))}
    codes = torch.tensor([alphabet[character] for character in text])
    torch.manual_seed(0)
    model = GPT(len(alphabet))
    schedule = unyoke.schedules.cosine(updates)
    rule = unyoke.groups.hidden_matrices(model, {"direction": "muon", "lr": 0.02}, rest="adam")
    decay = unyoke.total_decay(0.3, schedule=schedule)
    groups = unyoke.groups.split(model, weight_decay=decay, directions=rule)
    print(groups)  # which matrices go to Muon, and what does not decay
    optimizer = unyoke.AdamW(groups, lr=3e-3, schedule=schedule)
    losses = []
    for _ in range(updates):
        windows = codes[torch.randint(len(codes) - WINDOW, (16, 1)) + torch.arange(WINDOW + 1)]
        logits = model(windows[:, :-1]).flatten(0, 1)
        loss = functional.cross_entropy(logits, windows[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item() / math.log(2))
    print(f"{mean(losses[-10:]):.2f} bits per character at the end, {losses[0]:.2f} at first")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--text", type=Path, default=Path(__file__))
    arguments.add_argument("--updates", type=int, default=500)
    given = arguments.parse_args()
    main(given.text.read_text(encoding="utf-8"), given.updates)
