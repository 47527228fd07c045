"""Convolutions as products of matrices are torch's convolutions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import unyoke
from unyoke.population import Population, convolution


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2},
        {"padding": 1},
        {"stride": (2, 1), "padding": (0, 2), "dilation": (1, 2)},
        {"bias": False},
        {"groups": 2},
        {"padding": "same"},
    ],
    ids=str,
)
def test_it_is_torchs_convolution(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 6, (3, 5), **options, dtype=torch.float64)
    inputs = torch.randn(5, 4, 8, 12, dtype=torch.float64, requires_grad=True)
    found: list[tuple[torch.Tensor, ...]] = []
    for products in (False, True):
        if products:
            with convolution.Products():
                outputs = layer(inputs)
        else:
            outputs = layer(inputs)
        grads = torch.autograd.grad(outputs.sin().sum(), [inputs, *layer.parameters()])
        found.append((outputs, *grads))
    for expected, tensor in zip(*found, strict=True):
        torch.testing.assert_close(tensor, expected, rtol=1e-12, atol=1e-12)


def network() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, stride=2), nn.Flatten()),
        nn.Linear(36, 3),
    ).double()


def test_a_population_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """On this device it would not be chosen; it is the same training."""
    inputs = torch.randn(20, 1, 8, 8, dtype=torch.float64)
    targets = torch.randint(0, 3, (20,))
    found = []
    for devices in ((), ("cpu",)):
        monkeypatch.setattr(convolution, "DEVICES", devices)
        population = Population(
            network, lr=[1e-3, 1e-2], seeds=[0, 1], engine="stacked", optimizer=unyoke.AdamW
        )
        for _ in range(5):
            population.step(inputs, targets)
        found.append(population.predict(inputs))
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-9)
    assert not torch.equal(*found), "products are summed in another order"


def test_dtypes_and_errors_are_torchs() -> None:
    layer = nn.Conv2d(2, 3, 3)
    inputs = torch.randn(1, 2, 5, 5)
    with torch.autocast("cpu", torch.bfloat16), convolution.Products():
        assert layer(inputs).dtype == torch.bfloat16
    for wrong in (torch.randn(1, 2, 2, 5), torch.randn(1, 4, 5, 5)):
        with pytest.raises(RuntimeError) as expected:
            layer(wrong)
        with convolution.Products(), pytest.raises(RuntimeError) as found:
            layer(wrong)
        assert str(found.value) == str(expected.value)
