"""Masks on steps: with any direction, against their authors' lines, and where they agree."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from draws import normal

import unyoke
from unyoke import directions
from unyoke.equation import direction

UPDATES = 12
MASKABLE = [name for name, part in directions.ALL.items() if not part.no_decay]
FREE = [
    name
    for name in MASKABLE
    if "weight" not in directions.get(name).arguments
    and directions.get(name).average is None
    and directions.get(name).norms is None
]
"""Their steps do not depend on where the weights are."""


def path(name: Any, *, decay: str = "none", backend: str = "eager", **more: Any) -> torch.Tensor:
    """Where a matrix goes whose gradients change their signs now and then."""
    p = torch.nn.Parameter(normal(4, 6, dtype=more.pop("dtype", torch.float64)))
    settings = {"lr": 0.02, "weight_decay": 0.004, "decay": decay, "backend": backend, **more}
    optimizer = unyoke.Optimizer([p], direction=name, **settings)
    found = [p.detach().clone()]
    for update in range(UPDATES):
        p.grad = (0.5 + normal(4, 6, seed=update + 1)).to(p.dtype)
        optimizer.step()
        found.append(p.detach().clone())
    return torch.stack(found)


def grads() -> torch.Tensor:
    return torch.stack([0.5 + normal(4, 6, seed=update + 1) for update in range(UPDATES)])


@pytest.mark.parametrize("name", FREE)
def test_grams_turns_every_step_of_any_direction_down_the_gradient(name: str) -> None:
    """Without decay no step depends on the weights, so both take the same gradients."""
    plain, masked = path(name).diff(dim=0), path(f"grams_{name}").diff(dim=0)
    torch.testing.assert_close(masked, -plain.abs() * grads().sign(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", FREE)
def test_cautious_keeps_what_goes_down_the_gradient(name: str) -> None:
    plain, masked = path(name).diff(dim=0), path(f"cautious_{name}").diff(dim=0)
    agrees = (-plain * grads() > 0).to(plain.dtype)
    share = agrees.mean(dim=(1, 2), keepdim=True).clamp(min=1e-3)
    torch.testing.assert_close(masked, plain * agrees / share, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("mask", ["cautious", "grams"])
@pytest.mark.parametrize("name", MASKABLE)
def test_the_state_is_the_direction_s(mask: str, name: str) -> None:
    plain, masked = directions.get(name), directions.get(f"{mask}_{name}")
    for attribute in ("state", "defaults", "scalars", "nonnegative", "arguments"):
        if attribute == "arguments" and (plain.stage or plain.norms or masked.norms):
            continue  # what a stage or norms take becomes the formula's, and the share is one more
        assert getattr(masked, attribute) == getattr(plain, attribute)
    assert set(masked.coefficient_names) == set(plain.coefficient_names)
    assert masked.scope == ("tensor" if mask == "cautious" else plain.scope)


def test_cautious_adam_is_the_authors() -> None:
    """c_adamw.py, after the moments: the mask, its mean with a floor, the step."""
    θ, m, v = normal(4, 6), torch.zeros(4, 6).double(), torch.zeros(4, 6).double()
    expected = [θ.clone()]
    for step, g in enumerate(grads(), start=1):
        m.mul_(0.9).add_(g, alpha=1.0 - 0.9)
        v.mul_(0.999).addcmul_(g, g, value=1.0 - 0.999)
        denominator = v.sqrt().add_(1e-8 * (1.0 - 0.999**step) ** 0.5)  # their ε is not corrected
        size = 0.02 * (1.0 - 0.999**step) ** 0.5 / (1.0 - 0.9**step)
        mask = (m * g > 0).to(g.dtype)
        mask.div_(mask.mean().clamp_(min=1e-3))
        θ.add_((m * mask) / denominator, alpha=-size)
        expected.append(θ.clone())
    torch.testing.assert_close(path("cautious_adam"), torch.stack(expected), rtol=1e-12, atol=1e-12)


def test_grams_adam_is_the_authors() -> None:
    """grams.py, after the moments: |update|·sign(grad)."""
    θ, m, v = normal(4, 6), torch.zeros(4, 6).double(), torch.zeros(4, 6).double()
    expected = [θ.clone()]
    for step, g in enumerate(grads(), start=1):
        m.mul_(0.9).add_(g, alpha=1.0 - 0.9)
        v.mul_(0.999).addcmul_(g, g, value=1.0 - 0.999)
        update = (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
        θ.add_(torch.sign(g) * update.abs(), alpha=-0.02)
        expected.append(θ.clone())
    torch.testing.assert_close(path("grams_adam"), torch.stack(expected), rtol=1e-12, atol=1e-12)


def test_a_mask_goes_with_cautious_decay_and_is_another_thing() -> None:
    paths = [path(n, decay=d) for n in ("adam", "cautious_adam") for d in ("decoupled", "cautious")]
    for one, other in ((0, 1), (0, 2), (1, 3), (2, 3)):
        assert (paths[one][-1] - paths[other][-1]).abs().max() > 1e-4


def test_where_nothing_agrees_nothing_moves() -> None:
    """The floor of the mean keeps 0/0 away."""
    p = torch.nn.Parameter(torch.ones(5))
    optimizer = unyoke.Optimizer([p], 0.1, 0.0, direction="cautious_heavy_ball", momentum=0.9)
    for grad in (1.0, -0.01):
        before = p.detach().clone()
        p.grad = torch.full((5,), grad)
        optimizer.step()
    assert torch.equal(p.detach(), before)
    assert optimizer.state[p]["momentum_buffer"].gt(0).all()


def test_products_that_are_too_small_for_float32_agree() -> None:
    p = torch.nn.Parameter(torch.zeros(3))
    optimizer = unyoke.Optimizer([p], 1.0, 0.0, direction="cautious_gradient")
    p.grad = torch.tensor([1e-30, -1e-30, 0.0])
    optimizer.step()
    torch.testing.assert_close(
        p.detach(), torch.tensor([-1.5e-30, 1.5e-30, 0.0]), atol=0, rtol=1e-6
    )


def test_a_nan_stays_a_nan() -> None:
    for name in ("cautious_adam", "grams_adam"):
        p = torch.nn.Parameter(torch.zeros(2))
        optimizer = unyoke.Optimizer([p], direction=name)
        p.grad = torch.tensor([float("nan"), 1.0])
        optimizer.step()
        assert p.detach()[0].isnan()


@pytest.mark.parametrize("state_dtype", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("name", ["grams_lion", "grams_rmsprop_centered_momentum", "grams_adan"])
def test_kernels_run_grams(name: str, state_dtype: str) -> None:
    """On the cpu backend as in eager: the mask is a formula on elements, compiled with the rest."""
    more = {"dtype": torch.float32, "state_dtype": state_dtype}
    eager, cpu = (path(name, backend=backend, **more) for backend in ("eager", "cpu"))
    torch.testing.assert_close(cpu, eager, rtol=1e-5, atol=1e-6)


class TestNames:
    def test_any_direction_has_masked_ones(self) -> None:
        assert directions.cautious_lion is directions.get("cautious_lion")
        assert directions.cautious_lion.name == "cautious_lion"
        assert "source" in (directions.cautious_lion.__doc__ or "").lower()
        assert directions.get("cautious_adam") is directions.ALL["cautious_adam"]

    def test_a_group_and_its_checkpoint_hold_the_name(self) -> None:
        p, q = (torch.nn.Parameter(normal(3, 4)) for _ in range(2))
        groups = [{"params": [p], "direction": "cautious_muon"}, {"params": [q]}]
        optimizer = unyoke.AdamW(groups, lr=1e-3)
        p.grad, q.grad = normal(3, 4, seed=1), normal(3, 4, seed=2)
        optimizer.step()
        saved = optimizer.state_dict()
        assert saved["param_groups"][0]["direction"] == "cautious_muon"
        other = unyoke.AdamW(groups, lr=1e-3)
        other.load_state_dict(saved)
        assert torch.equal(other.state[p]["momentum_buffer"], optimizer.state[p]["momentum_buffer"])

    def test_pickles(self) -> None:
        p = torch.nn.Parameter(normal(3))
        copy = pickle.loads(pickle.dumps(unyoke.Optimizer([p], direction="grams_lion")))
        assert copy.direction is directions.grams_lion

    def test_of_somebody_s_own(self) -> None:
        @direction(coefficients=lambda lr: {"lr": lr})
        def half(grad: Any, lr: Any) -> Any:
            """step = α·η_t·g_t/2"""
            return 0.5 * lr * grad

        masked = directions.grams(half)
        assert (masked.name, masked.__module__) == ("grams_half", half.__module__)
        torch.testing.assert_close(path(masked), path(half))

    def test_wrong_ones_are_refused_by_name(self) -> None:
        with pytest.raises(ValueError, match="'lin': did you mean 'lion'"):
            directions.get("cautious_lin")
        with pytest.raises(ValueError, match="cautious_nd_adam has no meaning"):
            directions.get("cautious_nd_adam")
        with pytest.raises(AttributeError, match="careful_adam"):
            _ = directions.careful_adam

    def test_sparse_gradients_go_where_the_direction_takes_them(self) -> None:
        """The mean of a mask is over all rows, so cautious ones are refused."""
        for name, taken in (("grams_gradient", True), ("cautious_gradient", False)):
            p = torch.nn.Parameter(torch.ones(4, 2))
            optimizer = unyoke.Optimizer([p], 0.1, 0.0, direction=name, decay="none")
            p.grad = torch.sparse_coo_tensor([[1]], torch.ones(1, 2), (4, 2), check_invariants=True)
            if taken:
                optimizer.step()
                assert p.detach()[1].eq(0.9).all()
            else:
                with pytest.raises(RuntimeError, match="sparse"):
                    optimizer.step()
