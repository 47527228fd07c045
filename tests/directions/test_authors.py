"""Directions against their authors' code, whose steps are walked here one by one with torch.

Each walk does in plain torch what the named file does, in its order, without state dictionaries
and options; so it sees where ε stands, what is corrected for its bias and what the first update is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

import unyoke

UPDATES = 60
LR, DECAY = 0.02, 0.1
Walk = Callable[..., Iterator[torch.Tensor]]


def start() -> torch.Tensor:
    return torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def gradients(θ: torch.Tensor) -> Iterator[torch.Tensor]:
    """Of a noisy quadratic, at wherever θ is by then."""
    generator = torch.Generator().manual_seed(1)
    while True:
        noise = torch.randn(θ.shape, dtype=torch.float64, generator=generator)
        yield 0.7 * θ.detach() + noise


def walked(walk: Walk, **settings: Any) -> torch.Tensor:
    """All iterates of somebody's code."""
    θ = start()
    steps = walk(θ, gradients(θ), **settings)
    return torch.stack([next(steps).clone() for _ in range(UPDATES)])


def followed(optimizer: torch.optim.Optimizer) -> torch.Tensor:
    """All iterates of an optimizer of one parameter."""
    (p,) = optimizer.param_groups[0]["params"]
    found, grads = [], gradients(p)
    for _ in range(UPDATES):
        p.grad = next(grads)
        optimizer.step()
        found.append(p.detach().clone())
    return torch.stack(found)


def assert_same(cls: Any, walk: Walk, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Every iterate to 1e-12 of the largest weight: the order of products differs, and no more."""
    p = torch.nn.Parameter(start())
    found = followed(cls([p], lr=LR, backend="eager", **ours))
    expected = walked(walk, **theirs)
    scale = expected.abs().max()
    assert (expected[-1] - expected[0]).abs().max() > 1e-3 * scale, "the path does not move"
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=1e-12)


def adabelief(
    θ: torch.Tensor, grads: Iterator[torch.Tensor], betas: Any, eps: float, decay: float
) -> Iterator[torch.Tensor]:
    """adabelief_pytorch/AdaBelief.py 0.2.1 with weight_decouple and without rectify."""
    β1, β2 = betas
    mean, spread = torch.zeros_like(θ), torch.zeros_like(θ)
    for step in range(1, UPDATES + 1):
        g = next(grads)
        θ.mul_(1 - LR * decay)
        mean.mul_(β1).add_(g, alpha=1 - β1)
        residual = g - mean
        spread.mul_(β2).addcmul_(residual, residual, value=1 - β2)
        spread.add_(eps)  # in place: ε stays in the state
        denominator = (spread.sqrt() / (1 - β2**step) ** 0.5).add_(eps)
        θ.addcdiv_(mean, denominator, value=-LR / (1 - β1**step))
        yield θ


def signum(
    θ: torch.Tensor, grads: Iterator[torch.Tensor], momentum: float, decay: float, wd: float = 0.0
) -> Iterator[torch.Tensor]:
    """MXNet's signum_update: wd joins the gradient, wd_lh (here decay) is multiplied by lr."""
    mean = torch.zeros_like(θ)
    while True:
        g = next(grads) + wd * θ
        mean = momentum * mean + (1 - momentum) * g
        θ.copy_((1 - LR * decay) * θ - LR * torch.sign(mean))
        yield θ


def adopt(
    θ: torch.Tensor, grads: Iterator[torch.Tensor], betas: Any, eps: float, decay: float
) -> Iterator[torch.Tensor]:
    """The authors' adopt.py: its count is 0 at the first update, which only sets the moment."""
    β1, β2 = betas
    m, v = torch.zeros_like(θ), torch.zeros_like(θ)
    for step in range(UPDATES):
        g = next(grads) + decay * θ
        if step == 0:
            v.addcmul_(g, g)
            yield θ
            continue
        ratio = g / torch.clamp(v.sqrt(), eps)
        bound = step**0.25
        ratio.clamp_(-bound, bound)
        m.lerp_(ratio, 1 - β1)
        θ.add_(m, alpha=-LR)
        v.mul_(β2).addcmul_(g, g, value=1 - β2)
        yield θ


def adan(
    θ: torch.Tensor, grads: Iterator[torch.Tensor], betas: Any, eps: float, decay: float
) -> Iterator[torch.Tensor]:
    """adan.py of sail-sg with no_prox=True."""
    β1, β2, β3 = betas
    m, d, n = torch.zeros_like(θ), torch.zeros_like(θ), torch.zeros_like(θ)
    minus_before = None
    for step in range(1, UPDATES + 1):
        g = next(grads)
        change = torch.zeros_like(g) if minus_before is None else minus_before + g
        m.mul_(β1).add_(g, alpha=1 - β1)
        d.mul_(β2).add_(change, alpha=1 - β2)
        ahead = change * β2 + g
        n.mul_(β3).addcmul_(ahead, ahead, value=1 - β3)
        denominator = (n.sqrt() / (1 - β3**step) ** 0.5).add_(eps)
        θ.mul_(1 - LR * decay)
        θ.addcdiv_(m, denominator, value=-LR / (1 - β1**step))
        θ.addcdiv_(d, denominator, value=-LR * β2 / (1 - β2**step))
        minus_before = -g
        yield θ


def mars(
    θ: torch.Tensor,
    grads: Iterator[torch.Tensor],
    betas: Any,
    eps: float,
    gamma: float,
    decay: float,
) -> Iterator[torch.Tensor]:
    """mars.py of AGI-Arena: mars-adamw, is_approx, and a matrix."""
    β1, β2 = betas
    m, v, before = torch.zeros_like(θ), torch.zeros_like(θ), torch.zeros_like(θ)
    for step in range(1, UPDATES + 1):
        g = next(grads)
        c = (g - before).mul(gamma * (β1 / (1.0 - β1))).add(g)
        length = torch.norm(c)
        if length > 1.0:
            c = c / length
        m.mul_(β1).add_(c, alpha=1.0 - β1)
        v.mul_(β2).addcmul_(c, c, value=1.0 - β2)
        denominator = v.sqrt().mul(1 / (1.0 - β2**step) ** 0.5).add(eps).mul(1.0 - β1**step)
        θ.add_(-LR * torch.mul(θ, decay).add(m.div(denominator)))
        before = g
        yield θ


def stable(
    θ: torch.Tensor, grads: Iterator[torch.Tensor], betas: Any, eps: float
) -> Iterator[torch.Tensor]:
    """StableAdamWUnfused without weight decay, which it multiplies by the clipped rate."""
    β1, β2 = betas
    v, u = torch.zeros_like(θ), torch.zeros_like(θ)
    for step in range(1, UPDATES + 1):
        g = next(grads)
        β1_hat = β1 * (1 - β1 ** (step - 1)) / (1 - β1**step)
        β2_hat = β2 * (1 - β2 ** (step - 1)) / (1 - β2**step)
        v = v.mul_(β1_hat).add_(g, alpha=1.0 - β1_hat)
        u = u.mul_(β2_hat).addcmul_(g, g, value=1 - β2_hat)
        denominator = u.sqrt().add_(eps)
        rms = torch.div(g.pow(2), torch.maximum(u, (eps**2) * torch.ones_like(u))).mean().sqrt()
        θ.add_(v / denominator, alpha=-LR * (1.0 / max(1.0, float(rms))))
        yield θ


TWO = {"betas": (0.8, 0.99), "eps": 1e-4}
THREE = {"betas": (0.9, 0.8, 0.95), "eps": 1e-4}


@pytest.mark.parametrize("decay", [0.0, DECAY])
@pytest.mark.parametrize(
    ("cls", "walk", "shared"),
    [
        (unyoke.AdaBelief, adabelief, TWO),
        (unyoke.AdaBelief, adabelief, {"betas": (0.9, 0.999), "eps": 1e-16}),
        (unyoke.Signum, signum, {"momentum": 0.9}),
        (unyoke.Signum, signum, {"momentum": 0.0}),
        (unyoke.ADOPT, adopt, TWO),
        (unyoke.ADOPT, adopt, {"betas": (0.9, 0.9999), "eps": 1e-6}),
        (unyoke.Adan, adan, THREE),
        (unyoke.Adan, adan, {"betas": (0.98, 0.92, 0.99), "eps": 1e-8}),
        (unyoke.MARS, mars, {**TWO, "gamma": 0.1}),
        (unyoke.MARS, mars, {"betas": (0.95, 0.99), "eps": 1e-8, "gamma": 0.025}),
    ],
)
def test_is_the_authors(cls: Any, walk: Walk, shared: dict[str, Any], decay: float) -> None:
    assert_same(cls, walk, {**shared, "weight_decay": decay}, {**shared, "decay": decay})


@pytest.mark.parametrize(
    ("cls", "walk", "shared"),
    [
        (unyoke.AdaBeliefW, adabelief, TWO),
        (unyoke.SignumW, signum, {"momentum": 0.9}),
        (unyoke.AdanW, adan, THREE),
        (unyoke.MARSW, mars, {**TWO, "gamma": 0.1}),
    ],
)
def test_the_decoupled_form_is_theirs_at_λ_over_lr(
    cls: Any, walk: Walk, shared: dict[str, Any]
) -> None:
    ours = {**shared, "weight_decay": 0.004}
    assert_same(cls, walk, ours, {**shared, "decay": 0.004 / LR})


@pytest.mark.parametrize("shared", [TWO, {"betas": (0.9, 0.99), "eps": 1e-6}])
def test_stable_adam_is_the_authors(shared: dict[str, Any]) -> None:
    assert_same(unyoke.StableAdamW, stable, {**shared, "weight_decay": 0.0}, shared)


@pytest.mark.parametrize("direction", ["adabelief", "signum", "adopt", "adan", "mars"])
def test_the_comparison_would_see_adam(direction: str) -> None:
    """The nearest neighbour is further away than the tolerance above, by far."""
    ends = [
        followed(unyoke.Optimizer([torch.nn.Parameter(start())], LR, 0.0, direction=each))
        for each in (direction, "adam")
    ]
    assert (ends[0] - ends[1]).abs().max() > 1e-3


def constant(optimizer: torch.optim.Optimizer, grad: torch.Tensor, updates: int) -> torch.Tensor:
    """Where a parameter is after each of some updates with one gradient."""
    (p,) = optimizer.param_groups[0]["params"]
    found = []
    for _ in range(updates):
        p.grad = grad.clone()
        optimizer.step()
        found.append(p.detach().clone())
    return torch.stack(found)


class TestLimits:
    def made(self, direction: str, **settings: Any) -> unyoke.Optimizer:
        p = torch.nn.Parameter(torch.zeros(3, dtype=torch.float64))
        return unyoke.Optimizer([p], 0.01, 0.0, direction=direction, backend="eager", **settings)

    GRAD = torch.tensor([3.0, -0.2, 0.0], dtype=torch.float64)

    def test_signum_without_momentum_is_the_sign(self) -> None:
        path = constant(self.made("signum", momentum=0.0), self.GRAD, 3)
        torch.testing.assert_close(path[-1], -0.03 * self.GRAD.sign())

    def test_signum_keeps_an_average_and_not_a_sum(self) -> None:
        optimizer = self.made("signum", momentum=0.9)
        constant(optimizer, self.GRAD, 2)
        (p,) = optimizer.param_groups[0]["params"]
        torch.testing.assert_close(optimizer.state[p]["momentum_buffer"], 0.19 * self.GRAD)

    def test_signum_looks_at_the_average(self) -> None:
        """One gradient of the other sign does not turn it."""
        optimizer = self.made("signum", momentum=0.9)
        constant(optimizer, self.GRAD, 5)
        last = constant(optimizer, -self.GRAD, 1)[0]
        torch.testing.assert_close(last, -0.06 * self.GRAD.sign())

    def test_adabelief_believes_a_gradient_that_does_not_change(self) -> None:
        """g − m_t = g·β1^t dies out, so its steps grow where Adam's are of one size."""
        moved = constant(self.made("adabelief"), self.GRAD, 40).diff(dim=0).abs()
        assert (moved[-1, :2] > 1.5 * moved[0, :2]).all()
        assert moved[-1, 2] == 0

    def test_adopt_s_first_update_moves_nothing_and_the_next_has_the_unit_gradient(self) -> None:
        """Then m_t = 1 − β1^(t−1) in the direction of the gradient: there is no bias correction."""
        path = constant(self.made("adopt", betas=(0.9, 0.999)), self.GRAD, 4)
        assert (path[0] == 0).all()
        expected = -0.01 * torch.tensor([0.1, 0.19, 0.271], dtype=torch.float64)
        torch.testing.assert_close(path.diff(dim=0)[:, 0], expected)
        torch.testing.assert_close(path[:, 0], -path[:, 1])

    def test_adopt_clips(self) -> None:
        """After a gradient of 1 one of 100 counts as (t − 1)^clip_exponent."""
        for exponent, bound in ((0.25, 2.0**0.25), (0.0, 1.0)):
            optimizer = self.made("adopt", betas=(0.0, 0.999), clip_exponent=exponent)
            before = constant(optimizer, self.GRAD**0, 2)[-1]
            after = constant(optimizer, 100 * self.GRAD**0, 1)[-1]
            torch.testing.assert_close(before - after, torch.full_like(before, 0.01 * bound))

    def test_adopt_s_rate_moves_the_coming_steps_only(self) -> None:
        """The rate is outside the average, as in Adam."""
        optimizer = self.made("adopt")
        constant(optimizer, self.GRAD, 2)
        optimizer.param_groups[0]["lr"] = 0.02
        moved = constant(optimizer, self.GRAD, 2).diff(dim=0)[0]
        torch.testing.assert_close(moved[0], torch.tensor(-0.02 * 0.271, dtype=torch.float64))

    def test_adan_of_one_gradient_is_its_sign(self) -> None:
        """No differences: (m̂ + 0)/√n̂ = ±1, as in Adam."""
        path = constant(self.made("adan", eps=0.0), self.GRAD[:2].repeat(2)[:3], 5)
        torch.testing.assert_close(path[-1].abs(), torch.full((3,), 0.05, dtype=torch.float64))

    def test_mars_with_gamma_0_is_adam_on_clipped_gradients(self) -> None:
        short, long = self.GRAD / 4, self.GRAD * 4
        path = constant(self.made("mars", betas=(0.9, 0.999), gamma=0.0), short, 3)
        assert torch.equal(path, constant(self.made("adam"), short, 3))
        path = constant(self.made("mars", betas=(0.9, 0.999), gamma=0.0), long, 3)
        torch.testing.assert_close(path, constant(self.made("adam"), long / long.norm(), 3))

    def test_mars_looks_ahead_along_the_change_of_the_gradient(self) -> None:
        """c_2 = g_2 + γ·β1/(1 − β1)·(g_2 − g_1), kept below a length of 1 here."""
        optimizer = self.made("mars", betas=(0.5, 0.9), gamma=0.2)
        (p,) = optimizer.param_groups[0]["params"]
        before, now = self.GRAD / 10, self.GRAD / 20
        constant(optimizer, before, 1)
        first = optimizer.state[p]["exp_avg"].clone()
        torch.testing.assert_close(first, 0.5 * 1.2 * before)  # g_0 = 0
        constant(optimizer, now, 1)
        expected = 0.5 * first + 0.5 * (now + 0.2 * (now - before))
        torch.testing.assert_close(optimizer.state[p]["exp_avg"], expected)

    def test_stable_adam_is_adam_while_gradients_are_as_before(self) -> None:
        shared = {"betas": (0.9, 0.99), "eps": 1e-6}
        grad = torch.tensor([3.0, -0.2, 1.0], dtype=torch.float64)
        ends = [constant(self.made(d, **shared), grad, 9)[-1] for d in ("stable_adam", "adam")]
        torch.testing.assert_close(*ends, rtol=1e-12, atol=0)

    def test_stable_adam_shortens_the_step_after_a_sudden_gradient(self) -> None:
        """By the root of the mean of g²/v̂, in the whole tensor."""
        shared = {"betas": (0.9, 0.99), "eps": 1e-6}
        steps, ones = {}, torch.ones(3, dtype=torch.float64)
        large = torch.tensor([100.0, 1.0, 1.0], dtype=torch.float64)
        for direction in ("stable_adam", "adam"):
            optimizer = self.made(direction, **shared)
            before = constant(optimizer, ones, 200)[-1]
            steps[direction] = before - constant(optimizer, large, 1)[-1]
        v = 0.99 * (1 - 0.99**200) + 0.01 * large**2
        rms = (large**2 / (v / (1 - 0.99**201))).mean().sqrt()
        assert rms > 2
        torch.testing.assert_close(steps["stable_adam"], steps["adam"] / rms)


class TestConvergence:
    @pytest.mark.parametrize(
        "name",
        [
            "AdaBeliefW",
            "SignumW",
            "ADOPTW",
            "AdanW",
            "MARSW",
            "StableAdamW",
            "CautiousAdamW",
            "GramsW",
        ],
    )
    def test_reaches_the_least_of_an_ill_conditioned_quadratic(self, name: str) -> None:
        """Curvatures 1 to 100 and noise, under a cosine: 1e-2 of where it began, and no decay."""
        curvature = torch.logspace(0, 2, 20)
        p = torch.nn.Parameter(torch.ones(20))
        schedule = unyoke.schedules.cosine(600)
        optimizer = getattr(unyoke, name)([p], lr=0.02, weight_decay=0.0, schedule=schedule)
        generator = torch.Generator().manual_seed(0)
        for _ in range(600):
            p.grad = curvature * p.detach() + 0.1 * torch.randn(20, generator=generator)
            optimizer.step()
        assert p.detach().abs().max() < 0.05

    @pytest.mark.parametrize("β2", [0.1, 0.9, 0.999])
    def test_adopt_converges_for_any_β2(self, β2: float) -> None:
        """Reddi et al.'s counterexample: with a small β2 Adam goes to the wrong end, ADOPT not.

        f_t(θ) = 4·θ every third update and −θ otherwise, θ in [−1, 1]: the least is at −1.
        """
        ends = {}
        for direction in ("adopt", "adam"):
            p = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))
            betas = (0.0, β2)
            optimizer = unyoke.Optimizer([p], 0.01, 0.0, direction=direction, betas=betas)
            generator = torch.Generator().manual_seed(0)
            for _ in range(3000):
                big = torch.rand((), generator=generator) < 1 / 3
                p.grad = torch.tensor(4.0 if big else -1.0, dtype=torch.float64)
                optimizer.step()
                p.data.clamp_(-1, 1)
            ends[direction] = float(p.detach())
        assert ends["adopt"] < -0.8
        assert β2 > 0.1 or ends["adam"] > 0.8
