"""The step among torch's schedulers, closures and hooks, with maximize, and in other dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracle
import pytest
import torch
from following import follow, no_gradient, noisy_quadratic, parameter, weights
from torch.optim import lr_scheduler

import unyoke

pytestmark = pytest.mark.usefixtures("definition")

CLASSES = [unyoke.SGD, unyoke.SGDW, unyoke.Adam, unyoke.AdamW]


class TestTorchSchedulers:
    """They move group["lr"]; the decay follows as η_t = lr/α."""

    λ, lr, updates = 0.004, 0.05, 40

    def run(self, make: Any) -> list[float]:
        """The η that the scheduler made, checked against what the decay did."""
        p = parameter()
        optimizer = unyoke.SGDW([p], lr=self.lr, weight_decay=self.λ)
        scheduler = make(optimizer)
        rates, product = [], 1.0
        for _ in range(self.updates):
            rates.append(optimizer.param_groups[0]["lr"] / self.lr)
            product *= 1 - rates[-1] * self.λ
            p.grad = torch.zeros_like(p)
            optimizer.step()
            loss = (1.0,) if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau) else ()
            scheduler.step(*loss)
        np.testing.assert_allclose(p.detach().numpy(), product * weights(), rtol=1e-12)
        assert optimizer.param_groups[0]["base_lr"] == self.lr
        return rates

    def test_multi_step(self) -> None:
        rates = self.run(lambda o: lr_scheduler.MultiStepLR(o, [10, 20], gamma=0.1))
        assert rates == pytest.approx([1.0] * 10 + [0.1] * 10 + [0.01] * 20)

    def test_cosine_annealing_warm_restarts(self) -> None:
        rates = self.run(lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 10, 2))
        assert rates == pytest.approx([oracle.warm_restarts(10)(t) for t in range(40)])

    def test_reduce_on_plateau(self) -> None:
        rates = self.run(lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=9, factor=0.5))
        assert rates[0] == 1.0
        assert rates[-1] == pytest.approx(0.125)

    def test_one_cycle(self) -> None:
        """Its peak is max_lr, and η is measured against α: here it peaks at 3."""
        with pytest.warns(UserWarning, match=r"lr=.* times the constructor's lr=0\.05"):
            rates = self.run(
                lambda o: lr_scheduler.OneCycleLR(
                    o, max_lr=3 * self.lr, total_steps=41, cycle_momentum=False
                )
            )
        assert rates[0] == pytest.approx(3 / 25)
        assert max(rates) == pytest.approx(3.0, rel=0.02)

    def test_one_cycle_may_move_the_momentum_too(self) -> None:
        p = parameter()
        optimizer = unyoke.SGDW([p], lr=self.lr)
        scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=self.lr, total_steps=10)
        assert optimizer.param_groups[0]["momentum"] == pytest.approx(0.95)
        p.grad = torch.ones_like(p)
        optimizer.step()
        torch.testing.assert_close(
            optimizer.state[p]["momentum_buffer"],
            torch.full_like(p, optimizer.param_groups[0]["lr"]),
        )
        scheduler.step()
        assert optimizer.param_groups[0]["momentum"] < 0.95

    def test_cyclic(self) -> None:
        rates = self.run(
            lambda o: lr_scheduler.CyclicLR(
                o, base_lr=0.2 * self.lr, max_lr=self.lr, step_size_up=4, cycle_momentum=False
            )
        )
        assert rates[:9] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 0.8, 0.6, 0.4, 0.2])

    @pytest.mark.filterwarnings("ignore:The epoch parameter")  # by SequentialLR itself in torch 2.8
    def test_sequential_warmup(self) -> None:
        rates = self.run(
            lambda o: lr_scheduler.SequentialLR(
                o,
                [lr_scheduler.LinearLR(o, 0.25, total_iters=3), lr_scheduler.ConstantLR(o, 1.0)],
                [3],
            )
        )
        assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])


@pytest.mark.any_backend
class TestClosuresAndHooks:
    @pytest.mark.parametrize("cls", CLASSES)
    def test_closure_is_called_with_gradients_on_and_its_loss_returned(self, cls: Any) -> None:
        p = parameter()
        optimizer = cls([p])
        calls = []

        def closure() -> torch.Tensor:
            calls.append(torch.is_grad_enabled())
            optimizer.zero_grad()
            loss = (p**2).sum()
            loss.backward()
            return loss

        before = p.detach().clone()
        with torch.no_grad():
            loss = optimizer.step(closure)
        assert calls == [True]
        assert loss.item() == pytest.approx((before**2).sum().item())
        assert (p.detach() != before).all()

    def test_weights_stay_leaves_without_history(self) -> None:
        p = parameter()
        optimizer = unyoke.AdamW([p])
        follow(optimizer, noisy_quadratic, 2)
        assert p.is_leaf
        assert p.grad_fn is None
        assert not optimizer.state[p]["exp_avg"].requires_grad

    def test_step_hooks(self) -> None:
        p = parameter()
        optimizer = unyoke.SGDW([p])
        order = []
        optimizer.register_step_pre_hook(lambda *_: order.append("before"))
        optimizer.register_step_post_hook(lambda *_: order.append("after"))
        follow(optimizer, noisy_quadratic, 1)
        assert order == ["before", "after"]

    def test_state_dict_hooks(self) -> None:
        optimizer = unyoke.SGDW([parameter()])
        order = []
        optimizer.register_state_dict_pre_hook(lambda *_: order.append("state_dict pre"))
        optimizer.register_state_dict_post_hook(lambda *_: order.append("state_dict post"))
        optimizer.register_load_state_dict_pre_hook(lambda *_: order.append("load pre"))
        optimizer.register_load_state_dict_post_hook(lambda *_: order.append("load post"))
        optimizer.load_state_dict(optimizer.state_dict())
        assert order == ["state_dict pre", "state_dict post", "load pre", "load post"]

    def test_profiler_and_zero_grad_see_an_ordinary_optimizer(self) -> None:
        p = parameter()
        optimizer = unyoke.AdamW([p])
        follow(optimizer, noisy_quadratic, 1)
        optimizer.zero_grad()
        assert p.grad is None
        before = p.detach().clone()
        optimizer.step()
        assert torch.equal(p, before)


@pytest.mark.any_backend
class TestMaximize:
    @pytest.mark.parametrize("cls", CLASSES)
    def test_turns_the_gradient_and_not_the_decay(self, cls: Any) -> None:
        settings = {"lr": 0.02, "weight_decay": 0.004}
        up = follow(cls([parameter()], **settings, maximize=True), noisy_quadratic, 30)
        down = follow(cls([parameter()], **settings), lambda θ, t: -noisy_quadratic(θ, t), 30)
        np.testing.assert_array_equal(up, down)
        still = follow(cls([parameter()], **settings, maximize=True), no_gradient, 30)
        assert (abs(still[-1]) <= abs(still[0])).all()


@pytest.mark.any_backend
class TestDtypes:
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
    def test_short_weights_are_updated_in_float32_and_rounded_once(
        self, dtype: torch.dtype
    ) -> None:
        p = parameter(dtype=dtype)
        g = torch.from_numpy(weights(1)).to(dtype)
        expected = p.detach().float() - 0.01 * g.float() - 0.004 * p.detach().float()
        optimizer = unyoke.SGDW([p], lr=0.01, momentum=0.0, weight_decay=0.004)
        p.grad = g
        optimizer.step()
        assert p.dtype == dtype
        assert torch.equal(p.detach(), expected.to(dtype))

    def test_complex_is_its_real_and_imaginary_parts(self) -> None:
        start = torch.randn(4, 3, dtype=torch.complex128)
        p = torch.nn.Parameter(start.clone())
        q = torch.nn.Parameter(torch.view_as_real(start).clone())
        # Both by torch's square root, which is not IEEE's, as the cpu backend's is
        mine = unyoke.AdamW([p], lr=0.02, weight_decay=0.004, backend="eager")
        its = unyoke.AdamW([q], lr=0.02, weight_decay=0.004, backend="eager")
        for t in range(5):
            g = torch.randn(4, 3, dtype=torch.complex128, generator=torch.manual_seed(t))
            p.grad, q.grad = g, torch.view_as_real(g).clone()
            mine.step()
            its.step()
        assert torch.equal(torch.view_as_real(p.detach()), q.detach())
