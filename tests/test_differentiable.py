"""Gradients through the steps: of a loss after k updates, by learning rate, decay and weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import unyoke
from unyoke import decays, directions, schedules
from unyoke.equation import combine

UPDATES = 4
SETTINGS = {
    # ε below: a root that is nearly 0 bends too much for finite differences of 1e-6.
    "adadelta": {"eps": 1e-2},
    "nd_adam": {"eps": 1e-3},
    "muon_momentum": {"ns_steps": 2},
    "muon": {"ns_steps": 2},  # the polynomial is chaotic when it is applied five times
}


def some_decay(direction: str) -> str:
    return "none" if directions.get(direction).no_decay else "decoupled"


def loss_of(weight: torch.Tensor, update: int) -> torch.Tensor:
    """Smooth, not quadratic, another one at each update."""
    target = torch.linspace(-1, 1, weight.numel(), dtype=weight.dtype).reshape(weight.shape)
    return (1 + (weight - target * (1 + 0.1 * update)) ** 2).sqrt().sum()


def after_training(
    lr: torch.Tensor, weight_decay: torch.Tensor, start: torch.Tensor, **settings: Any
) -> torch.Tensor:
    """The last loss; differentiable with respect to all three tensors."""
    weight = start.clone()
    optimizer = unyoke.Optimizer(
        [weight], lr.clone(), weight_decay, differentiable=True, backend="eager", **settings
    )
    for update in range(UPDATES):
        # The step writes into the weight: what autograd keeps must be a copy.
        loss = loss_of(weight.clone(), update)
        (weight.grad,) = torch.autograd.grad(loss, weight, create_graph=True)
        optimizer.step()
    return loss_of(weight.clone(), UPDATES)


def numbers(lr: float = 0.05, weight_decay: float = 0.02) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(2, 3, dtype=torch.float64, generator=generator) / 2
    return tuple(
        torch.as_tensor(value, dtype=torch.float64).requires_grad_()
        for value in (lr, weight_decay, start)
    )


def assert_gradients_are_finite_differences(**settings: Any) -> tuple[torch.Tensor, ...]:
    inputs = numbers()
    assert torch.autograd.gradcheck(
        lambda *tensors: after_training(*tensors, **settings), inputs, eps=1e-6, rtol=1e-5
    )
    return torch.autograd.grad(
        after_training(*inputs, **settings), inputs, allow_unused=True, materialize_grads=True
    )


@pytest.mark.filterwarnings("ignore:weight_decay=.* is per update")
@pytest.mark.parametrize("direction", directions.names())
def test_every_direction(direction: str) -> None:
    """Lion's is 0 but for the starting point and the rate; the others see all three."""
    decay = some_decay(direction)
    by_lr, by_decay, by_start = assert_gradients_are_finite_differences(
        direction=direction, decay=decay, **SETTINGS.get(direction, {})
    )
    assert by_lr.abs() > 1e-6
    assert by_start.abs().max() > 1e-6
    assert (by_decay.abs() > 1e-6) == (decay != "none")


@pytest.mark.filterwarnings("ignore:weight_decay=.* is per update")
@pytest.mark.parametrize("direction", ["heavy_ball", "adam"])
@pytest.mark.parametrize("decay", [name for name in decays.names() if name != "none"])
def test_every_decay(direction: str, decay: str) -> None:
    try:
        combine(directions.get(direction), decays.get(decay))
    except ValueError as refusal:
        pytest.skip(str(refusal))
    settings = {"bound_factor": 0.5} if decay == "constrained" else {}
    _, by_decay, _ = assert_gradients_are_finite_differences(
        direction=direction, decay=decay, **settings
    )
    assert by_decay.abs() > 1e-6


@pytest.mark.filterwarnings("ignore:weight_decay=.* is per update")
def test_through_a_schedule() -> None:
    by_lr, by_decay, _ = assert_gradients_are_finite_differences(
        direction="adam", schedule=schedules.warm_restarts(3)
    )
    assert by_lr.abs() > 1e-6
    assert by_decay.abs() > 1e-6


@pytest.mark.filterwarnings("ignore:weight_decay=.* is per update")
def test_the_decoupled_decay_does_not_depend_on_the_learning_rate() -> None:
    """Without gradients ∂θ/∂α is 0 and ∂θ/∂λ = −k(1 − λ)^(k−1)·θ_0."""
    lr, weight_decay, start = numbers()
    weight = start.clone()
    optimizer = unyoke.SGDW([weight], lr, weight_decay=weight_decay, differentiable=True)
    for _ in range(UPDATES):
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
    by_lr, by_decay = torch.autograd.grad(
        weight.sum(), (lr, weight_decay), allow_unused=True, materialize_grads=True
    )
    assert by_lr == 0
    expected = -UPDATES * (1 - weight_decay) ** (UPDATES - 1) * start.sum()
    torch.testing.assert_close(by_decay, expected, rtol=1e-12, atol=0)


def test_complex_weights() -> None:
    start = torch.randn(3, dtype=torch.complex128, generator=torch.manual_seed(0))

    def end(start: torch.Tensor) -> torch.Tensor:
        weight = start.clone()
        optimizer = unyoke.AdamW([weight], lr=0.05, differentiable=True)
        for _ in range(3):
            weight.grad = weight.clone() * (1 + 2j)
            optimizer.step()
        assert optimizer.state[weight]["exp_avg"].is_complex()
        return torch.view_as_real(weight.clone()).square().sum()

    assert torch.autograd.gradcheck(end, (start.requires_grad_(),))


def test_an_ordinary_step_leaves_no_graph() -> None:
    lr = torch.tensor(0.05, dtype=torch.float64, requires_grad=True)
    weight = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = unyoke.AdamW([weight], lr)
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    assert weight.grad_fn is None
    assert optimizer.state[weight]["exp_avg"].grad_fn is None
