"""Convolutions as products of matrices are torch's convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import unyoke
from unyoke.population import Population, convolution
from unyoke.population.convolution import Way, as_products, by_copies, of_patches

WAYS = [by_copies, of_patches]


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
        {"stride": (3, 5)},
        {"kernel_size": 1, "dilation": 2},
        {"kernel_size": 1, "stride": 2},
        {"kernel_size": 2, "stride": 2, "dilation": 2},
        {"kernel_size": 2, "stride": 2, "padding": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("way", WAYS)
def test_it_is_torchs_convolution(options: dict[str, Any], way: Way) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 6, **{"kernel_size": (3, 5), **options}, dtype=torch.float64)
    inputs = torch.randn(5, 4, 8, 12, dtype=torch.float64, requires_grad=True)
    found: list[tuple[torch.Tensor, ...]] = []
    for products in (False, True):
        if products:
            with as_products(way):
                outputs = layer(inputs)
        else:
            outputs = layer(inputs)
        grads = torch.autograd.grad(outputs.sin().sum(), [inputs, *layer.parameters()])
        found.append((outputs, *grads))
    for expected, tensor in zip(*found, strict=True):
        torch.testing.assert_close(tensor, expected, rtol=1e-12, atol=1e-12)


def overlapping() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, stride=2), nn.Flatten()),
        nn.Linear(36, 3),
    ).double()


def patches() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3, stride=3), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.Flatten()),
        nn.Linear(16, 3),
    ).double()


@pytest.mark.parametrize(
    ("network", "way"), [(overlapping, by_copies), (patches, by_copies), (patches, of_patches)]
)
@pytest.mark.parametrize("shared", [True, False])
def test_a_population_of_them(
    network: Callable[[], nn.Module], way: Way, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = torch.randn(20, 1, 8, 8, dtype=torch.float64)
    targets = torch.randint(0, 3, (20,))
    indices = torch.arange(20) if shared else torch.randint(20, (2, 12))
    found = []
    for ways in ({}, {"cpu": way}):
        monkeypatch.setattr(convolution, "WAYS", ways)
        population = Population(
            network, lr=[1e-3, 1e-2], seeds=[0, 1], engine="stacked", optimizer=unyoke.AdamW
        )
        for _ in range(5):
            population.step(inputs, targets, indices)
        found.append(population.predict(inputs))
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-9)
    assert not torch.equal(*found), "products are summed in another order"


def test_on_this_device_only_filters_that_meet_each_number_once_are_products() -> None:
    inputs = torch.randn(2, 1, 6, 6)
    taken = []
    for layer in (nn.Conv2d(1, 2, 3, stride=3), nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 3)):
        with convolution.convolutions(inputs):
            taken.append(type(layer(inputs).grad_fn).__name__)
    assert [name.startswith("Convolution") for name in taken] == [False, False, True]


@pytest.mark.parametrize("way", WAYS)
def test_dtypes_and_errors_are_torchs(way: Way) -> None:
    layer = nn.Conv2d(2, 3, 3, stride=3)
    inputs = torch.randn(1, 2, 5, 5)
    with torch.autocast("cpu", torch.bfloat16), as_products(way):
        assert layer(inputs).dtype == torch.bfloat16
    for wrong in (torch.randn(1, 2, 2, 5), torch.randn(1, 4, 5, 5)):
        with pytest.raises(RuntimeError) as expected:
            layer(wrong)
        with as_products(way), pytest.raises(RuntimeError) as found:
            layer(wrong)
        assert str(found.value) == str(expected.value)
