"""Directions with norms and matrices: Muon against torch, ND-Adam's geometry, what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from draws import normal

import unyoke


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (5, 5), (1, 7)])
@pytest.mark.parametrize(
    "settings",
    [{}, {"adjust_lr_fn": "match_rms_adamw", "ns_steps": 3}, {"nesterov": False}],
)
def test_muon_is_torch_s(shape: tuple[int, ...], settings: dict[str, Any]) -> None:
    """float32: the bfloat16 steps turn a last digit of the momentum into 1/256 of an entry."""
    p, q = (torch.nn.Parameter(normal(*shape, dtype=torch.float32)) for _ in range(2))
    ours = unyoke.Muon([p], lr=0.02, weight_decay=0.3, **settings)
    torchs = torch.optim.Muon([q], lr=0.02, weight_decay=0.3, **settings)
    for update in range(20):
        p.grad, q.grad = (normal(*shape, seed=update, dtype=torch.float32) for _ in range(2))
        ours.step()
        torchs.step()
    torch.testing.assert_close(p, q, rtol=0, atol=20 * 0.02 * 0.01)


@pytest.mark.parametrize("rows", [4, 9])
def test_muon_s_unclamped_rate(rows: int) -> None:
    """torch 2.14's "spectral_unclamped": √(rows/columns), however small."""
    p, q = (torch.nn.Parameter(normal(rows, 6)) for _ in range(2))
    optimizers = (
        unyoke.Muon([p], lr=1.0, weight_decay=0.0, adjust_lr_fn="spectral_unclamped"),
        unyoke.Muon([q], lr=1.0, weight_decay=0.0),
    )
    before = p.detach().clone()
    for weight, optimizer in zip((p, q), optimizers, strict=True):
        weight.grad = normal(rows, 6, seed=1)
        optimizer.step()
    ratio = (p.detach() - before).norm() / (q.detach() - before).norm()
    assert float(ratio) == pytest.approx(min(1.0, (rows / 6) ** 0.5))


def test_muon_s_step_is_nearly_orthogonal_in_float64() -> None:
    """Five steps bring the singular values near 1: the paper of Muon says between 0.7 and 1.2."""
    p = torch.nn.Parameter(torch.zeros(6, 9, dtype=torch.float64))
    optimizer = unyoke.MuonW([p], lr=1.0)
    p.grad = normal(6, 9)
    optimizer.step()
    values = torch.linalg.svdvals(p.detach())
    assert values.min() > 0.6
    assert values.max() < 1.3


@pytest.mark.parametrize("cls", [unyoke.Muon, unyoke.MuonW])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4)])
def test_muon_refuses_what_is_no_matrix(cls: Any, shape: tuple[int, ...]) -> None:
    matrix, other = torch.nn.Parameter(torch.ones(2, 3)), torch.nn.Parameter(torch.ones(shape))
    with pytest.raises(ValueError, match=r"parameter 1 of shape.*muon.*such as AdamW"):
        cls([matrix, other])
    with pytest.raises(ValueError, match=r"parameter 1 \(bias\)"):
        cls([("weight", matrix), ("bias", other)])


def test_a_refused_group_is_not_kept() -> None:
    optimizer = unyoke.MuonW([torch.nn.Parameter(torch.ones(2, 3))])
    other = torch.nn.Parameter(torch.ones(3))
    with pytest.raises(ValueError, match="parameter group 1, parameter 0"):
        optimizer.add_param_group({"params": [other]})
    assert len(optimizer.param_groups) == 1
    assert other not in optimizer.state


class TestNorMuon:
    def stepped(self, grads: list[torch.Tensor], **settings: Any) -> torch.Tensor:
        """The last step."""
        p = torch.nn.Parameter(torch.zeros_like(grads[0]))
        optimizer = unyoke.NorMuonW([p], lr=0.5, weight_decay=0.0, **settings)
        for grad in grads:
            before = p.detach().clone()
            p.grad = grad
            optimizer.step()
        return before - p.detach()

    def test_rows_of_the_first_step_have_one_length(self) -> None:
        """√v is then each row's own root mean square times √(1 − β2): Adam's step, by rows."""
        step = self.stepped([normal(6, 9)])
        assert float(step.square().mean()) == pytest.approx((0.2 * 0.5) ** 2)
        lengths = step.norm(dim=1)
        torch.testing.assert_close(lengths, lengths.mean().expand(6), rtol=1e-9, atol=0)

    def test_without_memory_of_rows_and_without_newton_schulz_it_is_the_gradient(self) -> None:
        """ns_steps = 0 and β2 = 0: each row of the gradient over its own length."""
        g = normal(6, 9)
        step = self.stepped([normal(6, 9, seed=1), g], momentum=0.0, beta2=0.0, ns_steps=0)
        torch.testing.assert_close(step, 0.1 * g / g.square().mean(dim=1, keepdim=True).sqrt())

    def test_a_row_without_gradient_stands_still(self) -> None:
        g = normal(6, 9)
        g[2] = 0.0
        step = self.stepped([g])
        assert not step[2].any()
        assert step.isfinite().all()
        assert not self.stepped([torch.zeros(6, 9).double()]).any()

    def test_state_is_a_number_for_each_row(self) -> None:
        p = torch.nn.Parameter(normal(80, 90, dtype=torch.float32))
        optimizer = unyoke.NorMuonW([p], state_dtype="int8")
        p.grad = torch.ones(80, 90)
        optimizer.step()
        assert optimizer.state[p]["second_momentum_buffer"].shape == (80, 1)
        assert optimizer.state[p]["second_momentum_buffer"].dtype == torch.float32
        assert optimizer.state[p]["momentum_buffer"].dtype == torch.int8


class TestNDAdam:
    def run(self, shape: tuple[int, ...], updates: int = 10, lr: float = 0.05) -> torch.Tensor:
        p = torch.nn.Parameter(normal(*shape))
        optimizer = unyoke.NDAdam([p], lr=lr)
        for update in range(updates):
            p.grad = normal(*shape, seed=update + 1)
            optimizer.step()
        assert optimizer.state[p]["exp_avg_sq"].shape == (shape[0], *[1] * (len(shape) - 1))
        return p.detach()

    @pytest.mark.parametrize("shape", [(4, 6), (4, 3, 2, 2)])
    def test_every_unit_keeps_length_1(self, shape: tuple[int, ...]) -> None:
        lengths = self.run(shape).flatten(1).norm(dim=1)
        torch.testing.assert_close(lengths, torch.ones_like(lengths), rtol=1e-14, atol=0)

    def test_units_do_not_see_each_other(self) -> None:
        p = torch.nn.Parameter(normal(2, 5))
        q = torch.nn.Parameter(p.detach()[:1].clone())
        both, alone = unyoke.NDAdam([p]), unyoke.NDAdam([q])
        for update in range(5):
            p.grad = normal(2, 5, seed=update)
            q.grad = p.grad[:1].clone()
            both.step()
            alone.step()
        torch.testing.assert_close(p[:1], q, rtol=1e-14, atol=0)

    def test_takes_no_decay_and_says_why(self) -> None:
        p = torch.nn.Parameter(torch.ones(2, 3))
        with pytest.raises(ValueError, match=r"length 1.*use decay='none'"):
            unyoke.NDAdam([p], decay="decoupled")
        with pytest.raises(ValueError, match=r"length 1.*use decay='none'"):
            unyoke.NDAdam([{"params": [p], "decay": "l2"}])

    def test_takes_no_bias(self) -> None:
        with pytest.raises(ValueError, match=r"shape \(3,\).*such as Adam"):
            unyoke.NDAdam([torch.nn.Parameter(torch.ones(3))])


@pytest.mark.parametrize("cls", [unyoke.LambW, unyoke.LarsW])
def test_a_tensor_of_zeros_still_moves(cls: Any) -> None:
    """A norm of 0 is no ratio: biases start at 0."""
    p = torch.nn.Parameter(torch.zeros(3, dtype=torch.float64))
    optimizer = cls([p], lr=0.1)
    p.grad = torch.ones_like(p)
    optimizer.step()
    torch.testing.assert_close(p.detach(), torch.full_like(p, -0.1), rtol=1e-5, atol=0)
    p.grad = torch.zeros_like(p)
    optimizer.step()
    assert p.isfinite().all()


def test_lamb_moves_a_tensor_by_its_own_length_times_lr() -> None:
    p = torch.nn.Parameter(normal(4, 6))
    before = p.detach().clone()
    optimizer = unyoke.LambW([p], lr=0.01, weight_decay=0.0)
    p.grad = normal(4, 6, seed=1)
    optimizer.step()
    torch.testing.assert_close((p - before).norm(), 0.01 * before.norm(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("direction", ["nd_adam"])
def test_compiled_backends_say_that_they_cannot(direction: str) -> None:
    from unyoke import backends

    decay = "none" if direction == "nd_adam" else "decoupled"
    p = torch.nn.Parameter(normal(3, 4))
    p.grad = normal(3, 4, seed=1)
    if "cpu" not in backends.ALL:
        pytest.skip("no compiled backend here")
    optimizer = unyoke.Optimizer([p], direction=direction, decay=decay, backend="cpu")
    with pytest.raises(RuntimeError, match=direction):
        optimizer.step()
    unyoke.Optimizer([p], direction=direction, decay=decay).step()
