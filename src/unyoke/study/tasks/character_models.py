"""Two small models of the next character: a transformer and an LSTM.

Both map character numbers [n, window] to scores [n, window, characters], each position from what
stands at or before it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

WIDTH = 32
HEADS = 2
LAYERS = 1
HIDDEN = 64


def causal_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(q·kᵀ/√d)·v over what stands at or before each position.

    All are [n, heads, window, d]. Written out, because torch's fused attention cannot be stacked
    over models on a CPU.
    """
    window, size = query.shape[-2:]
    later = torch.ones(window, window, dtype=torch.bool, device=query.device).triu(1)
    scores = query @ key.transpose(-2, -1) / math.sqrt(size)
    return scores.masked_fill(later, -math.inf).softmax(dim=-1) @ value


class Layer(nn.Module):
    """Causal self-attention and a network at each position, both with a norm before them."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(WIDTH)
        self.attend = nn.Linear(WIDTH, 3 * WIDTH)
        self.mix = nn.Linear(WIDTH, WIDTH)
        self.network_norm = nn.LayerNorm(WIDTH)
        self.network = nn.Sequential(
            nn.Linear(WIDTH, 2 * WIDTH), nn.ReLU(), nn.Linear(2 * WIDTH, WIDTH)
        )

    def forward(self, states: Tensor) -> Tensor:
        count, window, _ = states.shape
        attended = self.attend(self.attention_norm(states))
        query, key, value = attended.reshape(count, window, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        mixed = causal_attention(query, key, value)
        states = states + self.mix(mixed.transpose(1, 2).flatten(2))
        total: Tensor = states + self.network(self.network_norm(states))
        return total


class CharacterTransformer(nn.Module):
    """A transformer that sees at most `window` characters."""

    def __init__(self, characters: int, window: int) -> None:
        super().__init__()
        self.characters = nn.Embedding(characters, WIDTH)
        self.positions = nn.Parameter(torch.randn(window, WIDTH) * 0.02)
        self.layers = nn.Sequential(*(Layer() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH)
        self.scores = nn.Linear(WIDTH, characters)

    def forward(self, codes: Tensor) -> Tensor:
        states = self.characters(codes) + self.positions[: codes.shape[1]]
        scores: Tensor = self.scores(self.norm(self.layers(states)))
        return scores


class CharacterLSTM(nn.Module):
    """One LSTM over the characters."""

    def __init__(self, characters: int) -> None:
        super().__init__()
        self.characters = nn.Embedding(characters, WIDTH)
        self.memory = nn.LSTM(WIDTH, HIDDEN, batch_first=True)
        self.scores = nn.Linear(HIDDEN, characters)

    def forward(self, codes: Tensor) -> Tensor:
        states, _ = self.memory(self.characters(codes))
        scores: Tensor = self.scores(states)
        return scores
