"""Sparse gradients: exact where torch takes them, and an error that says why elsewhere."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

import unyoke
from unyoke import directions

pytestmark = pytest.mark.filterwarnings("ignore:Sparse invariant checks")
ROWS, WIDTH = 7, 3


def embedding(sparse: bool, dtype: torch.dtype = torch.float64) -> torch.nn.Embedding:
    torch.manual_seed(0)
    return torch.nn.Embedding(ROWS, WIDTH, sparse=sparse, dtype=dtype)


def train(
    table: torch.nn.Embedding, make: Callable[..., torch.optim.Optimizer], updates: int = 6
) -> torch.Tensor:
    """With repeated rows in a batch, which a sparse gradient lists twice."""
    optimizer = make(table.parameters())
    generator = torch.Generator().manual_seed(1)
    for _ in range(updates):
        optimizer.zero_grad()
        rows = torch.randint(0, ROWS - 1, (5,), generator=generator)  # the last row never
        (table(rows) ** 2).sum().backward()
        optimizer.step()
    return table.weight.detach()


OURS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "SGD": (
        lambda params: unyoke.SGD(params, lr=0.1, momentum=0, backend="eager"),
        lambda params: torch.optim.SGD(params, lr=0.1),
    ),
    "Adagrad": (
        lambda params: unyoke.Adagrad(params, lr=0.1, lr_decay=0.1, backend="eager"),
        lambda params: torch.optim.Adagrad(params, lr=0.1, lr_decay=0.1),
    ),
}


@pytest.mark.parametrize("name", OURS)
def test_as_torch_and_as_dense(name: str) -> None:
    ours, torchs = OURS[name]
    found = train(embedding(True), ours)
    start = embedding(True).weight.detach()
    assert torch.equal(found[-1], start[-1])
    assert (found[:-1] != start[:-1]).any()
    for expected in (train(embedding(True), torchs), train(embedding(False), ours)):
        torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_short_dtypes(dtype: torch.dtype) -> None:
    make = OURS["Adagrad"][0]
    sparse, dense = (train(embedding(kind, dtype), make) for kind in (True, False))
    torch.testing.assert_close(sparse, dense)


def test_every_direction_that_skips_zeros_does() -> None:
    """A zero gradient changes neither weight nor state, which is what makes rows enough."""
    for name, direction in directions.ALL.items():
        if not direction.skips_zeros:
            continue
        p = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
        optimizer = unyoke.Optimizer([p], direction=name, decay="none", backend="eager")
        p.grad = torch.full_like(p, 2.0)
        optimizer.step()
        before = copy.deepcopy([p.detach(), *(optimizer.state[p][s] for s in direction.state)])
        p.grad = torch.zeros_like(p)
        optimizer.step()
        after = [p.detach(), *(optimizer.state[p][s] for s in direction.state)]
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


class TestRefusals:
    def refused(self, make: Callable[..., torch.optim.Optimizer]) -> str:
        """The error of the first step; weights, state and step counts are as before it."""
        table = embedding(True)
        optimizer = make(table.parameters())
        if isinstance(optimizer, unyoke.Optimizer):
            optimizer.init_state()
        before = str((optimizer.state_dict(), table.weight))
        table(torch.tensor([1, 1, 2])).sum().backward()
        with pytest.raises(RuntimeError) as caught:
            optimizer.step()
        assert str((optimizer.state_dict(), table.weight)) == before
        return str(caught.value)

    @pytest.mark.parametrize(
        "direction", [n for n, d in directions.ALL.items() if not d.skips_zeros]
    )
    def test_other_directions(self, direction: str) -> None:
        decay = "none" if direction == "nd_adam" else "decoupled"
        message = self.refused(
            lambda params: unyoke.Optimizer(params, direction=direction, decay=decay)
        )
        assert "sparse COO gradients go with 'gradient'" in message

    @pytest.mark.parametrize("cls", [unyoke.AdagradW, unyoke.Adagrad])
    def test_a_decay(self, cls: Any) -> None:
        message = self.refused(lambda params: cls(params, weight_decay=0.001, backend="eager"))
        assert "would move every row" in message
        assert "weight_decay=0" in message

    def test_stacked_models(self) -> None:
        message = self.refused(
            lambda params: unyoke.SGD(params, lr=torch.full((ROWS,), 0.1), momentum=0)
        )
        assert "stacked" in message
