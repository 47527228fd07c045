"""Who does which tensors: all that the first backend can take, and the rest elsewhere."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from following_backends import normal

import unyoke
from unyoke import backends


def odd_and_plain(count: int = 5) -> tuple[list[torch.nn.Parameter], torch.Tensor]:
    """Parameters of which the third has gaps, and the memory that has them."""
    generator = torch.Generator().manual_seed(0)
    memory = torch.full((20, 2), 7.0)
    weights = [torch.nn.Parameter(normal((20,), generator, torch.float32)) for _ in range(count)]
    memory[:, 0] = weights[2].detach()
    weights[2] = torch.nn.Parameter(memory[:, 0])
    return weights, memory


def steps(optimizer: torch.optim.Optimizer, updates: int = 3) -> None:
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for t in range(updates):
        generator = torch.Generator().manual_seed(t)
        for weight in weights:
            weight.grad = normal(weight.shape, generator, torch.float32)
        optimizer.step()


def owners(optimizer: Any) -> dict[str, int]:
    """How many tensors each backend has."""
    (plan,) = optimizer._stepper.plans.values()
    return {backend.name: len(work.weights) for backend, work in plan.assignments}


def test_one_odd_tensor_goes_to_eager_and_the_others_to_the_kernel() -> None:
    weights, memory = odd_and_plain()
    optimizer = unyoke.SGDW(weights, lr=0.1, weight_decay=0.004)
    steps(optimizer)
    assert owners(optimizer) == {"cpu": 4, "eager": 1}
    others, _ = odd_and_plain()
    steps(unyoke.SGDW(others, lr=0.1, weight_decay=0.004, backend="eager"))
    for ours, expected in zip(weights, others, strict=True):
        assert torch.equal(ours, expected)
    assert (memory[:, 1] == 7).all()


def test_a_named_backend_does_all_or_says_which_tensor_it_cannot() -> None:
    weights, _ = odd_and_plain()
    before = [weight.detach().clone() for weight in weights]
    with pytest.raises(RuntimeError, match=r"no backend .* cpu: .*shape \(20,\) has gaps"):
        steps(unyoke.SGDW(weights, backend="cpu"))
    assert all(torch.equal(weight, old) for weight, old in zip(weights, before, strict=True))


def test_follows_the_tensors_of_this_step_alone() -> None:
    """A layout that comes and goes: a run resumed in between would divide in the same way."""
    weights, memory = odd_and_plain()
    optimizer = unyoke.SGDW(weights, lr=0.1)
    steps(optimizer)
    assert owners(optimizer) == {"cpu": 4, "eager": 1}
    weights[2].data = memory[:, 0].contiguous()
    optimizer.state[weights[2]]["momentum_buffer"] = torch.zeros(20)
    steps(optimizer)
    assert owners(optimizer) == {"cpu": 5}
    weights[2].data = memory[:, 0]
    steps(optimizer)
    assert owners(optimizer) == {"cpu": 4, "eager": 1}


def test_follows_the_gradients_of_this_step_alone() -> None:
    weights = [torch.nn.Parameter(torch.ones(4, 9)) for _ in range(3)]
    optimizer = unyoke.SGDW(weights, lr=0.1)
    plain, other = torch.ones(4, 9), torch.ones(9, 4).t()
    for grad, expected in [
        (plain, {"cpu": 3}),
        (other, {"cpu": 2, "eager": 1}),
        (plain, {"cpu": 3}),
    ]:
        for weight in weights:
            weight.grad = plain
        weights[1].grad = grad
        optimizer.step()
        assert owners(optimizer) == expected
    assert torch.equal(weights[0], weights[1])


def test_counts_and_random_bits_stay_with_their_parameter() -> None:
    """Stochastic rounding draws by the parameter's number, whoever does the rest."""
    results = []
    for backend in ("auto", "eager"):
        torch.manual_seed(1)
        weights, _ = odd_and_plain()
        optimizer = unyoke.SGDW(weights, lr=1e-9, rounding="stochastic", backend=backend)
        weights[0].grad = torch.ones(20)
        optimizer.step()  # so that the others lag behind by one update
        steps(optimizer)
        results.append([weight.detach() for weight in weights])
    for ours, expected in zip(*results, strict=True):
        assert torch.equal(ours, expected)


@pytest.mark.parametrize("odd", [False, True])
def test_gradients_are_let_go(odd: bool) -> None:
    weights, _ = odd_and_plain()
    weights = weights if odd else weights[:2]
    optimizer = unyoke.SGDW(weights, lr=0.1)
    steps(optimizer, 2)
    alive = [weakref.ref(weight.grad) for weight in weights]
    optimizer.zero_grad()
    gc.collect()
    assert not any(ref() is not None for ref in alive)


def test_every_backend_is_in_the_table() -> None:
    rows = dict(backends.table())
    assert set(rows) == set(backends.ALL)
    assert rows["eager"] is None
    assert rows["cpu"] is None
