"""decouple(cls): any optimizer's update, then a decay rule of ours on the weights before it."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from saving import put
from torch.distributed.checkpoint import state_dict
from torch.optim import lr_scheduler

import unyoke
from unyoke import schedules
from unyoke.equation import decay

λ = 0.004


class Stranger(torch.optim.Optimizer):
    """Sign descent with decay in its own words and an attribute of its own."""

    def __init__(self, params: Any, lr: float = 0.01, shrink: float = 0.1, power: int = 1) -> None:
        super().__init__(params, {"lr": lr, "shrink": shrink})
        self.power = power

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.mul_(1 - group["lr"] * group["shrink"])
                    p.sub_(group["lr"] * p.grad.sign() ** self.power)
        return loss


class Twice(torch.optim.Optimizer):
    """Evaluates its closure at two points, as sharpness-aware minimization does."""

    def __init__(self, params: Any, lr: float = 0.01, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    def step(self, closure: Any = None) -> Any:
        with torch.enable_grad():
            closure()
        weights = [p for group in self.param_groups for p in group["params"]]
        with torch.no_grad():
            for p in weights:
                p.add_(p.grad, alpha=0.1)
        steps = [p.grad.clone() for p in weights]
        with torch.enable_grad():
            loss = closure()
        with torch.no_grad():
            for p, g in zip(weights, steps, strict=True):
                p.sub_(g, alpha=0.1)
                p.sub_(p.grad, alpha=self.param_groups[0]["lr"])
        return loss


INNER: dict[str, tuple[Any, dict[str, Any]]] = {
    "SGD": (torch.optim.SGD, {"lr": 0.05, "momentum": 0.9}),
    "plain SGD": (torch.optim.SGD, {"lr": 0.05}),
    "Adam": (torch.optim.Adam, {"lr": 0.02}),
    "AdamW": (torch.optim.AdamW, {"lr": 0.02, "amsgrad": True}),
    "NAdam": (torch.optim.NAdam, {"lr": 0.02}),
    "RAdam": (torch.optim.RAdam, {"lr": 0.02}),
    "Adamax": (torch.optim.Adamax, {"lr": 0.02}),
    "Adagrad": (torch.optim.Adagrad, {"lr": 0.05}),
    "Adadelta": (torch.optim.Adadelta, {"lr": 1.0}),
    "RMSprop": (torch.optim.RMSprop, {"lr": 0.02, "momentum": 0.5}),
    "Adafactor": (torch.optim.Adafactor, {"lr": 0.02}),
    "Rprop": (torch.optim.Rprop, {"lr": 0.02}),
}
if hasattr(torch.optim, "Muon"):
    INNER["Muon"] = (torch.optim.Muon, {"lr": 0.02})


def parameter(seed: int = 3, shape: tuple[int, ...] = (4, 6)) -> torch.nn.Parameter:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))


def gradient(p: torch.Tensor, t: int) -> torch.Tensor:
    noise = torch.randn(p.shape, generator=torch.Generator().manual_seed(t), dtype=torch.float64)
    return 0.7 * p.detach() + noise


def walk(optimizer: torch.optim.Optimizer, first: int, last: int, after: Any = int) -> torch.Tensor:
    for t in range(first, last + 1):
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad = gradient(p, t)
        optimizer.step()
        after()
    weight: torch.Tensor = optimizer.param_groups[0]["params"][0].detach().clone()
    return weight


def still(optimizer: torch.optim.Optimizer, updates: int, after: Any = int) -> torch.Tensor:
    """Zero gradients: what remains is the decay."""
    p = optimizer.param_groups[0]["params"][0]
    for _ in range(updates):
        p.grad = torch.zeros_like(p)
        optimizer.step()
        after()
    weight: torch.Tensor = p.detach().clone()
    return weight


@pytest.mark.parametrize("name", INNER)
class TestInner:
    def test_without_decay_it_is_the_inner_optimizer(self, name: str) -> None:
        cls, own = INNER[name]
        off = {"weight_decay": 0.0} if name != "Rprop" else {}
        expected = walk(cls([parameter()], **own, **off), 1, 20)
        for arguments in ({"weight_decay": 0.0}, {"decay": "none", "weight_decay": 0.3}):
            found = walk(unyoke.decouple(cls)([parameter()], **own, **arguments), 1, 20)
            assert torch.equal(found, expected)

    def test_each_step_is_the_inner_step_then_the_decay_of_the_weights_before(
        self, name: str
    ) -> None:
        """Written out by hand; and the tolerance is a thousandth of one decay."""
        cls, own = INNER[name]
        off = {"weight_decay": 0.0} if name != "Rprop" else {}
        by_hand = cls([parameter()], **own, **off)
        p = by_hand.param_groups[0]["params"][0]
        for t in range(1, 21):
            before = p.detach().clone()
            p.grad = gradient(p, t)
            by_hand.step()
            with torch.no_grad():
                p.sub_(λ * before)
        found = walk(unyoke.decouple(cls)([parameter()], **own, weight_decay=λ), 1, 20)
        torch.testing.assert_close(found, p.detach(), rtol=0, atol=1e-12)

    def test_under_zero_gradients_weights_follow_the_schedule_and_not_the_rate(
        self, name: str
    ) -> None:
        cls, own = INNER[name]
        schedule = schedules.cosine(40)
        expected = math.prod(1 - schedule(t) * λ for t in range(40))
        for lr in (1e-5, 10.0):
            optimizer = unyoke.decouple(cls)(
                [parameter()], **{**own, "lr": lr}, weight_decay=λ, schedule=schedule
            )
            torch.testing.assert_close(
                still(optimizer, 40), expected * parameter().detach(), rtol=1e-12, atol=0
            )

    def test_a_checkpoint_continues_bit_for_bit(self, name: str) -> None:
        cls, own = INNER[name]
        own = {**own, "weight_decay": unyoke.normalized(0.1), "schedule": schedules.cosine(40)}
        whole, first = (unyoke.decouple(cls)([parameter()], **own) for _ in "ab")
        expected = walk(whole, 1, 30)
        weight = walk(first, 1, 12)
        second = unyoke.decouple(cls)([torch.nn.Parameter(weight)], **own)
        second.load_state_dict(copy.deepcopy(first.state_dict()))
        # torch casts NAdam's float32 product of μ to the weights' dtype when it loads
        tolerance = 1e-7 if name == "NAdam" else 0.0
        torch.testing.assert_close(walk(second, 13, 30), expected, rtol=0, atol=tolerance)

    @pytest.mark.parametrize("how", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
    def test_copies_go_on_as_the_original(self, name: str, how: Any) -> None:
        cls, own = INNER[name]
        first = unyoke.decouple(cls)([parameter()], **own, decay="lr_coupled", weight_decay=0.1)
        walk(first, 1, 5)
        twin = how(first)
        assert type(twin) is type(first)
        assert torch.equal(walk(twin, 6, 15), walk(first, 6, 15))


class TestAgainstOurs:
    """The same rule on the same direction, written twice: the inner update is torch's here."""

    @pytest.mark.parametrize(
        "decay",
        ["decoupled", "lr_coupled", "cautious", "corrected", "toward_initial", "toward_average"],
    )
    @pytest.mark.parametrize("scheduled", [False, True])
    def test_adam_with_every_rule(self, decay: str, scheduled: bool) -> None:
        own: dict[str, Any] = {"lr": 0.02, "decay": decay, "weight_decay": 0.009}
        if scheduled:
            own["schedule"] = schedules.warm_restarts(9)
        ours = walk(unyoke.AdamW([parameter()], **own, backend="eager"), 1, 40)
        found = walk(unyoke.decouple(torch.optim.Adam)([parameter()], **own), 1, 40)
        torch.testing.assert_close(found, ours, rtol=1e-10, atol=1e-11)

    def test_constrained(self) -> None:
        own: dict[str, Any] = {"decay": "constrained", "weight_decay": 0.5, "bound_factor": 0.1}
        ours = walk(unyoke.AdamW([parameter()], **own, backend="eager"), 1, 20)
        found = walk(unyoke.decouple(torch.optim.Adam)([parameter()], **own), 1, 20)
        torch.testing.assert_close(found, ours, rtol=1e-10, atol=1e-11)
        free = walk(torch.optim.Adam([parameter()]), 1, 20)
        assert float((found - free).abs().max()) > 0.01

    def test_average_beta_reaches_the_rule(self) -> None:
        own: dict[str, Any] = {"decay": "toward_average", "average_beta": 0.5, "weight_decay": 9e-3}
        ours = walk(unyoke.AdamW([parameter()], **own, backend="eager"), 1, 20)
        found = walk(unyoke.decouple(torch.optim.Adam)([parameter()], **own), 1, 20)
        torch.testing.assert_close(found, ours, rtol=1e-10, atol=1e-11)

    def test_complex_weights(self) -> None:
        start = torch.randn(3, 2, dtype=torch.complex128)
        optimizer = unyoke.decouple(torch.optim.Adam)(
            [p := torch.nn.Parameter(start.clone())], weight_decay=λ
        )
        p.grad = torch.zeros_like(p)
        optimizer.step()
        torch.testing.assert_close(p.detach(), (1 - λ) * start, rtol=1e-14, atol=0)

    def test_short_weights_are_formed_in_float32(self) -> None:
        p = torch.nn.Parameter(torch.linspace(1, 2, 120, dtype=torch.bfloat16))
        expected = (p.detach().float() - 0.009 * p.detach().float()).bfloat16()
        still(unyoke.decouple(torch.optim.SGD)([p], lr=0.1, weight_decay=0.009), 1)
        assert torch.equal(p.detach(), expected)


class TestStateOfTheRule:
    """The anchor stands beside the inner optimizer's state and does not disturb its making."""

    @pytest.mark.parametrize("rehearsed", [False, True])
    def test_the_anchor_is_the_weight_before_its_first_update(self, rehearsed: bool) -> None:
        p = parameter()
        optimizer = unyoke.decouple(torch.optim.Adam)([p], decay="toward_initial", weight_decay=λ)
        if rehearsed:
            state_dict._init_optim_state(optimizer)
        with torch.no_grad():
            p.add_(1.0)
        start = p.detach().clone()
        still(optimizer, 1)
        assert torch.equal(optimizer.state[p]["initial_weight"], start)
        assert set(optimizer.state[p]) == {"step", "exp_avg", "exp_avg_sq", "initial_weight"}
        torch.testing.assert_close(p.detach(), start, rtol=1e-12, atol=0)

    def test_the_anchor_is_in_the_checkpoint(self) -> None:
        make = unyoke.decouple(torch.optim.Adam)
        first = make([parameter()], decay="toward_initial", weight_decay=λ)
        weight = walk(first, 1, 5)
        second = make([torch.nn.Parameter(weight)], decay="toward_initial", weight_decay=λ)
        second.load_state_dict(copy.deepcopy(first.state_dict()))
        assert torch.equal(walk(second, 6, 15), walk(first, 6, 15))

    def test_without_state_of_a_rule_nothing_is_added(self) -> None:
        optimizer = unyoke.decouple(torch.optim.SGD)([p := parameter()], lr=0.1)
        walk(optimizer, 1, 2)
        assert p not in optimizer.state or optimizer.state[p].keys() == {"momentum_buffer"}


class TestRates:
    def test_private_alpha_and_torch_s_schedulers(self) -> None:
        optimizer = unyoke.decouple(torch.optim.Adam)([parameter()], lr=0.02, weight_decay=λ)
        scheduler = lr_scheduler.OneCycleLR(
            optimizer, max_lr=0.06, total_steps=50, cycle_momentum=False
        )

        def run() -> None:
            product = 1.0
            for _ in range(40):
                product *= 1 - optimizer.param_groups[0]["lr"] / 0.02 * λ
                found = still(optimizer, 1)
                scheduler.step()
            torch.testing.assert_close(found, product * parameter().detach(), rtol=1e-12, atol=0)

        with pytest.warns(UserWarning, match=r"lr=.* times the constructor's lr=0\.02"):
            run()
        assert optimizer.param_groups[0]["base_lr"] == 0.02

    def test_both_schedules_at_once_is_an_error_and_nothing_moves(self) -> None:
        optimizer = unyoke.decouple(torch.optim.Adam)(
            [parameter()], schedule=schedules.cosine(10), weight_decay=λ
        )
        optimizer.param_groups[0]["lr"] = 0.5
        with pytest.raises(RuntimeError, match=r"schedule=cosine"):
            walk(optimizer, 1, 1)
        assert torch.equal(optimizer.param_groups[0]["params"][0].detach(), parameter().detach())
        assert not optimizer.state

    def test_weight_decay_of_t_and_normalized(self) -> None:
        for weight_decay, expected in (
            (lambda t: 0.001 * (t + 1), (1 - 0.001) * (1 - 0.002) * (1 - 0.003)),
            (unyoke.normalized(0.06, updates=400), (1 - 0.003) ** 3),
            (torch.tensor(0.003, dtype=torch.float64), (1 - 0.003) ** 3),
        ):
            optimizer = unyoke.decouple(torch.optim.Adam)([parameter()], weight_decay=weight_decay)
            torch.testing.assert_close(
                still(optimizer, 3), expected * parameter().detach(), rtol=1e-12, atol=0
            )

    def test_lr_zero_moves_nothing(self) -> None:
        optimizer = unyoke.decouple(torch.optim.Adam)([parameter()], weight_decay=λ)
        optimizer.param_groups[0]["lr"] = 0.0
        assert torch.equal(walk(optimizer, 1, 3), parameter().detach())
        assert optimizer.param_groups[0]["updates"] == 3

    def test_groups_have_their_own(self) -> None:
        p, q, r = parameter(), parameter(), parameter()
        optimizer = unyoke.decouple(torch.optim.Adam)(
            [
                {"params": [p], "weight_decay": 0.0},
                {
                    "params": [q],
                    "decay": "lr_coupled",
                    "weight_decay": 0.5,
                    "lr": 0.01,
                },
            ],
            weight_decay=λ,
        )
        optimizer.add_param_group({"params": [r]})
        for weight in (p, q, r):
            weight.grad = torch.zeros_like(weight)
        optimizer.step()
        for weight, factor in ((p, 1.0), (q, 1 - 0.005), (r, 1 - λ)):
            torch.testing.assert_close(
                weight.detach(), factor * parameter().detach(), rtol=1e-14, atol=0
            )

    def test_a_number_from_torch_warns_once(self) -> None:
        with pytest.warns(UserWarning, match=r"weight_decay=1e-05") as caught:
            unyoke.decouple(torch.optim.AdamW)(
                [
                    {"params": [torch.nn.Parameter(torch.ones(4, 6, dtype=torch.float64))]},
                    {"params": [torch.nn.Parameter(torch.ones(4, 6, dtype=torch.float64))]},
                ],
                weight_decay=1e-2,
            )
        assert len(caught) == 1
        assert caught[0].filename == __file__

    def test_weight_decay_may_be_positional_as_in_the_inner_class(self) -> None:
        optimizer = unyoke.decouple(torch.optim.AdamW)([parameter()], 0.02, (0.9, 0.99), 1e-8, λ)
        assert optimizer.param_groups[0]["weight_decay"] == λ
        assert optimizer.param_groups[0]["betas"] == (0.9, 0.99)
        assert unyoke.decouple(torch.optim.AdamW)([parameter()]).param_groups[0][
            "weight_decay"
        ] == pytest.approx(1e-5)


class TestTools:
    def test_hooks_run_once(self) -> None:
        torch.optim.Adam([parameter()])  # torch wraps the inner class's step in hooks of its own
        optimizer = unyoke.decouple(torch.optim.Adam)([parameter()])
        order: list[str] = []
        optimizer.register_step_pre_hook(lambda *_: order.append("before"))
        optimizer.register_step_post_hook(lambda *_: order.append("after"))
        walk(optimizer, 1, 1)
        assert order == ["before", "after"]

    def test_it_is_a_subclass_made_once(self) -> None:
        made = unyoke.decouple(torch.optim.Adam)
        assert made is unyoke.decouple(torch.optim.Adam)
        assert issubclass(made, torch.optim.Adam)
        assert made.__name__ == "DecoupledAdam"
        assert "Decoupled" in repr(made([parameter()]))

    def test_closure_is_the_inner_optimizer_s(self) -> None:
        optimizer = unyoke.decouple(torch.optim.SGD)([p := parameter()], lr=0.1, weight_decay=λ)
        start = p.detach().clone()

        def closure() -> Any:
            optimizer.zero_grad()
            loss = (p**2).sum() / 2
            loss.backward()
            return loss

        assert float(optimizer.step(closure).detach()) == pytest.approx(float((start**2).sum() / 2))
        torch.testing.assert_close(p.detach(), start * (0.9 - λ), rtol=1e-14, atol=0)

    def test_closure_evaluated_twice_decays_once(self) -> None:
        optimizer = unyoke.decouple(Twice)([p := parameter()], lr=0.1, weight_decay=λ)
        start, calls = p.detach().clone(), []

        def closure() -> Any:
            calls.append(1)
            optimizer.zero_grad()
            loss = (p**2).sum() / 2
            loss.backward()
            return loss

        optimizer.step(closure)
        assert len(calls) == 2
        torch.testing.assert_close(p.detach(), start * (1 - 0.1 * 1.1 - λ), rtol=1e-13, atol=0)

    def test_parameters_without_gradient_stand_still(self) -> None:
        p, q = parameter(), parameter()
        optimizer = unyoke.decouple(torch.optim.Adam)([p, q], weight_decay=λ)
        p.grad = torch.zeros_like(p)
        optimizer.step()
        assert torch.equal(q.detach(), parameter().detach())
        assert not torch.equal(p.detach(), parameter().detach())

    def test_fused_inner_leaves_overflow_to_the_scaler(self) -> None:
        p = torch.nn.Parameter(torch.ones(3))
        optimizer = unyoke.decouple(torch.optim.Adam)([p], fused=True, weight_decay=λ)
        scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
        scaler.scale((p * float("inf")).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        assert torch.equal(p.detach(), torch.ones(3))

    def test_sparse_gradients_decay_every_row(self) -> None:
        p = torch.nn.Parameter(torch.ones(4, 2))
        optimizer = unyoke.decouple(torch.optim.SparseAdam)([p], lr=0.1, weight_decay=λ)
        p.grad = torch.sparse_coo_tensor(
            torch.tensor([[1]]), torch.ones(1, 2), (4, 2), check_invariants=True
        )
        optimizer.step()
        expected = torch.full((4, 2), 1 - λ)
        expected[1] -= 0.1
        torch.testing.assert_close(p.detach(), expected, rtol=0, atol=1e-6)

    def test_a_checkpoint_of_the_inner_class_keeps_the_own_decay(self) -> None:
        inner = torch.optim.AdamW([parameter()], lr=0.01, weight_decay=0.7)
        weight = walk(inner, 1, 7)
        optimizer = unyoke.decouple(torch.optim.AdamW)(
            [torch.nn.Parameter(weight)], lr=0.02, weight_decay=λ
        )
        optimizer.load_state_dict(copy.deepcopy(inner.state_dict()))
        group = optimizer.param_groups[0]
        assert (group["lr"], group["base_lr"], group["weight_decay"]) == (0.01, 0.02, λ)
        assert group["updates"] == 7
        walk(optimizer, 8, 9)


class TestStrangers:
    def test_one_that_decays_in_its_own_words_is_found_out(self) -> None:
        with pytest.raises(ValueError, match=r"Stranger moves weights.*0\.013.*off="):
            unyoke.decouple(Stranger)([parameter()], weight_decay=λ)

    def test_and_told_how_not_to(self) -> None:
        made = unyoke.decouple(Stranger, off={"shrink": 0.0})
        optimizer = made([parameter()], lr=0.01, weight_decay=λ, power=3)
        torch.testing.assert_close(
            still(optimizer, 3), (1 - λ) ** 3 * parameter().detach(), rtol=1e-13, atol=0
        )
        assert optimizer.param_groups[0]["shrink"] == 0.0

    def test_or_taken_as_it_is(self) -> None:
        optimizer = unyoke.decouple(Stranger, off={})([parameter()], weight_decay=λ)
        torch.testing.assert_close(
            still(optimizer, 1), (1 - 0.001 - λ) * parameter().detach(), rtol=1e-13, atol=0
        )

    def test_torch_s_asgd_has_a_decay_of_its_own(self) -> None:
        with pytest.raises(ValueError, match=r"ASGD.*lambd"):
            unyoke.decouple(torch.optim.ASGD)([parameter()])
        made = unyoke.decouple(torch.optim.ASGD, off={"lambd": 0.0})
        torch.testing.assert_close(
            still(made([parameter()], weight_decay=λ), 2),
            (1 - λ) ** 2 * parameter().detach(),
            rtol=1e-13,
            atol=0,
        )

    def test_the_look_at_it_leaves_nothing_behind(self) -> None:
        p = parameter()
        state = torch.get_rng_state()
        unyoke.decouple(torch.optim.Adam)(iter([p]))
        assert torch.equal(torch.get_rng_state(), state)
        assert p.grad is None


class Copying(torch.optim.Optimizer):
    """Forms the weight from a copy of its own, of short weights only or every so many steps."""

    def __init__(
        self,
        params: Any,
        lr: float = 0.1,
        weight_decay: float = 0.0,
        short: bool = False,
        every: int = 1,
        part: float = 1.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})
        self.short, self.every, self.part, self.count = short, every, part, 0

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self.count += 1
        for group in self.param_groups:
            for weight in group["params"]:
                if self.short and weight.dtype != torch.bfloat16:
                    weight.sub_(weight.grad, alpha=group["lr"])
                    continue
                copy = self.state[weight].setdefault("copy", weight.detach().double().clone())
                copy.sub_(weight.grad, alpha=group["lr"])
                if self.count % self.every == 0:
                    weight.add_(copy.to(weight.dtype) - weight, alpha=self.part)


class ScheduleFree(Copying):
    """Refuses to step before train(), as schedule-free's do."""

    trains = False

    def train(self) -> None:
        self.trains = True

    def step(self, closure: Any = None) -> None:
        assert self.trains
        super().step(closure)


class TestSecondCopies:
    @pytest.mark.parametrize(
        ("cls", "dtype", "arguments", "back"),
        [
            (Copying, torch.float32, {}, "100%"),
            (Copying, torch.bfloat16, {"short": True}, "100%"),
            (Copying, torch.float32, {"every": 6, "part": 0.5}, "75%"),
            (ScheduleFree, torch.float32, {"part": 0.1}, "72%"),
        ],
    )
    def test_are_found_out(self, cls: Any, dtype: Any, arguments: Any, back: str) -> None:
        weight = torch.nn.Parameter(torch.ones(3, dtype=dtype))
        with pytest.raises(ValueError, match=f"{cls.__name__} keeps a second copy.*back {back}"):
            unyoke.decouple(cls)([weight], **arguments)

    def test_are_none_where_weights_are_long(self) -> None:
        unyoke.decouple(Copying)([parameter()], short=True)

    def test_may_be_taken_as_they_are(self) -> None:
        unyoke.decouple(Copying, off={})([parameter()])

    def test_are_found_where_the_decay_s_word_is_given(self) -> None:
        class Both(Copying):
            def __init__(self, params: Any, shrink: float = 0.1, **kwargs: Any) -> None:
                super().__init__(params, **kwargs)

        with pytest.raises(ValueError, match="keeps a second copy"):
            unyoke.decouple(Both, off={"shrink": 0.0})([parameter()])


class Distance(torch.optim.Optimizer):
    """Prodigy in small: SGD by the largest distance that the gradients have said so far."""

    def __init__(self, params: Any, lr: float = 1.0, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})
        self.d, self.sum, self.size = 1e-6, 0.0, 0.0

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for weight in self.param_groups[0]["params"]:
            start = self.state[weight].setdefault("start", weight.detach().clone())
            self.sum += self.d * float((weight.grad * (start - weight)).sum())
            self.size += self.d * float(weight.grad.abs().sum())
            self.d = max(self.d, self.sum / self.size)
            weight.sub_(weight.grad, alpha=self.d)


class TestDistances:
    def test_rates_that_are_found_by_the_distance_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"Distance finds its rate by how far.*weight_decay"):
            unyoke.decouple(Distance)([parameter()])

    def test_unless_they_are_taken_as_they_are(self) -> None:
        unyoke.decouple(Distance, off={})([parameter()])

    @pytest.mark.parametrize("cls", [torch.optim.Rprop, torch.optim.ASGD, torch.optim.Adafactor])
    def test_steps_that_depend_on_the_weights_are_taken(self, cls: Any) -> None:
        off = {"lambd": 0.0} if cls is torch.optim.ASGD else None
        unyoke.decouple(cls, off=off)([parameter()])


class TestRefusals:
    @pytest.mark.parametrize(
        ("cls", "says"),
        [
            (torch.optim.LBFGS, "curvature"),
            (unyoke.AdamW, "already"),
            (torch.nn.Linear, "not a subclass"),
            ("Adam", "not a subclass"),
        ],
    )
    def test_classes(self, cls: Any, says: str) -> None:
        with pytest.raises(ValueError, match=says):
            unyoke.decouple(cls)

    def test_twice(self) -> None:
        with pytest.raises(ValueError, match="already"):
            unyoke.decouple(unyoke.decouple(torch.optim.Adam))

    @pytest.mark.parametrize("decay", ["l2", "l2_first_moment", "l2_second_moment"])
    def test_penalties(self, decay: str) -> None:
        with pytest.raises(ValueError, match=f"{decay}.*into the gradient"):
            unyoke.decouple(torch.optim.Adam)([parameter()], decay=decay)

    @pytest.mark.parametrize(
        ("arguments", "error", "says"),
        [
            ({"weight_decay": -0.1}, ValueError, r"-0\.1"),
            ({"weight_decay": float("nan")}, ValueError, "nan"),
            ({"lr": -1.0}, ValueError, r"-1\.0"),
            ({"decay": "decopled"}, ValueError, "decoupled"),
            ({"schedule": 3}, ValueError, "schedule"),
            ({"differentiable": True}, ValueError, "differentiable"),
            ({"wieght_decay": 0.1}, TypeError, "wieght_decay"),
        ],
    )
    def test_arguments(self, arguments: dict[str, Any], error: Any, says: str) -> None:
        with pytest.raises(error, match=says):
            unyoke.decouple(torch.optim.Adam)([parameter()], **arguments)
        with pytest.raises((ValueError, TypeError)):
            unyoke.decouple(torch.optim.Adam)([])


HOSTILE: dict[str, tuple[Callable[[Any], Any], str]] = {
    **{
        f"{name} {value}": (put("param_groups", 1, name, value=value), f"group 1 .*{name}={value}")
        for name, value in [
            *(("lr", math.nan), ("weight_decay", -1.0), ("base_lr", None), ("updates", -5)),
            *(("updates", 2.5), ("weight_decay", True)),
        ]
    },
    "an unknown decay": (put("param_groups", 1, "decay", value="what"), "group 1 .*'what'"),
    "no decay at all": (put("param_groups", 1, "decay", value=5), "group 1 .*unknown decay 5"),
    "a decay of gradients": (put("param_groups", 1, "decay", value="l2"), "group 1 .*'l2'"),
    "no base_lr": (lambda saved: saved["param_groups"][1].pop("base_lr"), "group 1 .*no base_lr"),
    "no updates": (lambda saved: saved["param_groups"][1].pop("updates"), "group 1 .*no updates"),
    "an anchor that is a list": (put("state", 1, "initial_weight", value=[1.0]), "is a list"),
    "a short anchor": (put("state", 1, "initial_weight", value=torch.ones(1)), "shape"),
    "an anchor on meta": (
        put("state", 1, "initial_weight", value=torch.ones(4, 6, device="meta")),
        "meta device",
    ),
    "integers": (
        put("state", 1, "initial_weight", value=torch.ones(4, 6, dtype=torch.int64)),
        "torch.int64",
    ),
    "short state of the inner class": (put("state", 1, "prev", value=torch.ones(1)), "prev"),
    "no count": (put("state", 1, "step", value="x"), "step is 'x'"),
    "no state": (put("state", value=[1]), "'state' of the checkpoint is a list"),
    "no dictionary": (put("state", 1, value=[1]), "it is a list"),
    "no groups": (put("param_groups", value={}), "'param_groups'"),
}


@pytest.mark.parametrize("fault", HOSTILE)
def test_a_checkpoint_that_nobody_wrote_is_refused_whole(fault: str) -> None:
    def made() -> Any:
        groups = [
            {"params": [torch.nn.Parameter(torch.ones(4, 6, dtype=torch.float64))]},
            {"params": [torch.nn.Parameter(torch.ones(4, 6, dtype=torch.float64))]},
        ]
        cls: Any = unyoke.decouple(torch.optim.Rprop)
        optimizer = cls(groups, lr=0.01, weight_decay=1e-3, decay="toward_initial")
        walk(optimizer, 1, 2)
        return optimizer

    change, message = HOSTILE[fault]
    optimizer, twin = made(), made()
    saved = copy.deepcopy(optimizer.state_dict())
    saved["state"][0]["initial_weight"].fill_(9)
    change(saved)
    before = str(optimizer.state_dict())
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(saved)
    assert str(optimizer.state_dict()) == before
    assert torch.equal(walk(optimizer, 3, 4), walk(twin, 3, 4))


def test_a_decay_of_ones_own_may_be_the_default() -> None:
    def lasso(weight: torch.Tensor) -> torch.Tensor:
        return weight.sign()

    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = unyoke.decouple(torch.optim.SGD)(
        [weight], lr=0.1, weight_decay=0.25, decay=decay(lasso)
    )
    weight.grad = torch.zeros(2)
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([0.75, -1.75]))
    assert optimizer.param_groups[0]["decay"] == "lasso"
