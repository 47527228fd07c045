"""Models, data and the usual way of training, for the tests of populations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import unyoke
from unyoke import schedules
from unyoke.population import BatchOrder, Population, choice

ENGINES = ("stacked", "one_by_one")
UPDATES = 12
BATCH = 8
CLOSE = {"rtol": 1e-9, "atol": 1e-12}
"""float64: sums in another order, over twelve updates; a missing decay is off by 1e-2."""

EXACT = {"rtol": 0.0, "atol": 0.0}


def data(classes: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    inputs = torch.randn(40, 6, dtype=torch.float64, generator=generator)
    return inputs, torch.randint(0, classes, (40,), generator=generator)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()


def normed() -> nn.Module:
    # without a bias: its gradient would be rounding noise, which Adam makes large
    layers = (nn.Linear(6, 5, bias=False), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))
    return nn.Sequential(*layers).double()


def dropped() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.4), nn.ReLU(), nn.Linear(16, 3)).double()


def convolution() -> nn.Module:
    layers = (nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Flatten())
    return nn.Sequential(*layers, nn.Linear(16, 3)).double()


class Tied(nn.Module):
    """One weight in two places, a frozen one, and a parameter without dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6).double(), nn.Linear(6, 6).double()
        self.second.weight = self.first.weight
        self.frozen = nn.Parameter(torch.randn(6, 3, dtype=torch.float64), requires_grad=False)
        self.scale = nn.Parameter(torch.tensor(0.7, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.second(self.first(x).tanh()) @ self.frozen


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.out = nn.LSTM(2, 4, batch_first=True), nn.Linear(4, 3).double()

    def forward(self, x: Tensor) -> Tensor:
        # in float32: in float64 torch takes the LSTM apart, and it can be stacked
        return self.out(self.lstm(x.float().unflatten(1, (3, 2)))[0][:, -1].double())


class InFloat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.float()).double()


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3).double()

    def forward(self, x: Tensor) -> Tensor:
        outputs = self.layer(x)
        return outputs if outputs.sum() > 0 else 2 * outputs


class Noisy(nn.Module):
    """Draws random numbers that are not dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x + 0.1 * torch.randn_like(x))


def alone(
    factory: Callable[[], nn.Module],
    *,
    lr: float,
    weight_decay: Any,
    seed: int = 0,
    optimizer: Callable[..., unyoke.Optimizer] = unyoke.AdamW,
    schedule: schedules.Schedule | None = None,
    clip_norm: float | None = None,
    updates: int = UPDATES,
) -> nn.Module:
    """One model, trained in the usual way; knows nothing of populations but the batches' order."""
    torch.manual_seed(seed)
    model = factory()
    inputs, targets = data()
    stepper = optimizer(model.parameters(), lr=lr, weight_decay=weight_decay, schedule=schedule)
    order = BatchOrder(len(targets), BATCH, [seed])
    for t in range(updates):
        chosen = order.at(t)
        loss = functional.cross_entropy(model(inputs[chosen]), targets[chosen])
        stepper.zero_grad()
        loss.backward()
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        stepper.step()
    return model


def trained(factory: Callable[[], nn.Module], **options: Any) -> Population:
    population = Population(factory, **{"updates": UPDATES, **options})
    population.train(*data(), batch_size=BATCH)
    return population


def assert_same(one: nn.Module, other: nn.Module, **tolerance: float) -> None:
    mine, theirs = one.state_dict(), other.state_dict()
    assert mine.keys() == theirs.keys()
    for name in mine:
        torch.testing.assert_close(mine[name], theirs[name], **(tolerance or CLOSE))


def cubic(outputs: Tensor, targets: Tensor) -> Tensor:
    """Grows past all bounds with the outputs."""
    return (outputs - torch.eye(3, dtype=outputs.dtype)[targets]).abs().pow(3).mean()


def assert_equal(one: Any, other: Any) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, Tensor):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
    else:
        assert one == other


def favour(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    def seconds(trials: Any) -> list[float]:
        return [0.001 if trial.name == engine else 1.0 for trial, *_ in trials]

    monkeypatch.setattr(choice, "_seconds", seconds)
