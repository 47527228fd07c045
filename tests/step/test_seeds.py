"""Random bits: the same on all ranks and in any grouping, from a seed that checkpoints keep."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from bits import same
from torch import nn

import unyoke

pytestmark = pytest.mark.usefixtures("definition")

RANDOM: list[dict[str, Any]] = [
    {"rounding": "stochastic"},
    {"state_dtype": "int8"},
    {"state_dtype": torch.bfloat16},
    {"state_dtype": "int8", "rounding": "stochastic"},
]
SHAPE = (80, 64)


def weights(count: int = 3) -> list[nn.Parameter]:
    start = torch.linspace(-1, 1, 80 * 64).reshape(SHAPE)
    return [nn.Parameter(start.clone()) for _ in range(count)]


def train(optimizer: torch.optim.Optimizer, updates: int = 6, first: int = 0) -> list[torch.Tensor]:
    params = [p for group in optimizer.param_groups for p in group["params"]]
    for t in range(first, first + updates):
        for p in params:
            p.grad = torch.randn(SHAPE, generator=torch.Generator().manual_seed(t))
        optimizer.step()
    return [p.detach().clone() for p in params]


@pytest.mark.parametrize("backend", ["eager", "cpu"])
@pytest.mark.parametrize("settings", RANDOM, ids=str)
class TestEveryFormat:
    def test_torch_s_seed_has_no_part(self, settings: dict[str, Any], backend: str) -> None:
        ends = []
        for seed in (1337, 1338):
            torch.manual_seed(seed)
            ends.append(train(unyoke.AdamW(weights(), lr=1e-2, backend=backend, **settings)))
        assert same(*ends)

    def test_the_seed_has(self, settings: dict[str, Any], backend: str) -> None:
        made = [
            unyoke.AdamW(weights(), lr=1e-2, backend=backend, seed=s, **settings) for s in (1, 2)
        ]
        assert not same(*map(train, made))

    def test_parameters_draw_different_bits(self, settings: dict[str, Any], backend: str) -> None:
        first, second, _ = train(unyoke.AdamW(weights(), lr=1e-2, backend=backend, **settings))
        assert not torch.equal(first, second)

    def test_grouping_has_no_part(self, settings: dict[str, Any], backend: str) -> None:
        a, b, c = weights()
        grouped = unyoke.AdamW(
            [{"params": [a]}, {"params": [b, c]}], lr=1e-2, backend=backend, **settings
        )
        together = unyoke.AdamW(weights(), lr=1e-2, backend=backend, **settings)
        assert same(train(grouped), train(together))

    def test_names_decide_where_there_are_some(
        self, settings: dict[str, Any], backend: str
    ) -> None:
        """As ZeRO needs it, where each rank has an optimizer of its own share."""
        a, b, c = weights()
        whole = unyoke.AdamW([("a", a), ("b", b), ("c", c)], lr=1e-2, backend=backend, **settings)
        d, e, _ = weights()
        share = unyoke.AdamW([("c", d), ("a", e)], lr=1e-2, backend=backend, **settings)
        first, _, third = train(whole)
        assert same(train(share), [third, first])


@pytest.mark.parametrize("settings", RANDOM, ids=str)
def test_a_checkpoint_s_seed_is_used(settings: dict[str, Any]) -> None:
    first = unyoke.AdamW(weights(), lr=1e-2, seed=12345, **settings)
    train(first, 3)
    second = unyoke.AdamW(weights(), lr=1e-2, **settings)
    second.load_state_dict(first.state_dict())
    for group, theirs in zip(second.param_groups, first.param_groups, strict=True):
        for p, q in zip(group["params"], theirs["params"], strict=True):
            p.data.copy_(q)
    assert second.param_groups[0]["seed"] == 12345
    assert same(train(first, 3, 3), train(second, 3, 3))


@pytest.mark.parametrize("settings", RANDOM, ids=str)
def test_release_draws_the_same(settings: dict[str, Any]) -> None:
    def run(released: bool) -> list[torch.Tensor]:
        params = weights()
        optimizer = unyoke.AdamW(
            [{"params": params[:1]}, {"params": params[1:]}], lr=1e-2, **settings
        )
        if released:
            unyoke.release(optimizer)
        for t in range(4):
            factor = torch.randn(SHAPE, generator=torch.Generator().manual_seed(t))
            optimizer.zero_grad()
            sum((p * factor).sum() for p in params).backward()  # type: ignore[union-attr]
            optimizer.step()
        return [p.detach().clone() for p in params]

    assert same(run(False), run(True))


@pytest.mark.parametrize("seed", [-1, 1 << 31, 0.5, "q", True])
def test_what_is_no_seed_is_refused(seed: Any) -> None:
    with pytest.raises(ValueError, match="Invalid seed"):
        unyoke.AdamW(weights(), seed=seed)
    with pytest.raises(ValueError, match="Invalid seed"):
        unyoke.AdamW([{"params": weights(), "seed": seed}])
