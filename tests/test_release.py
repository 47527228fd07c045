"""Gradient release: the same updates, made inside the backward pass."""

from __future__ import annotations

import gc
import io
import weakref
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

import unyoke
from unyoke import schedules
from unyoke.releasing import ReleasedGradient

FORMATS: list[dict[str, Any]] = [
    {},
    {"state_dtype": "int8", "rounding": "kahan"},
    {"state_dtype": torch.bfloat16, "rounding": "stochastic"},
]


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 80), nn.Tanh(), nn.Linear(80, 60), nn.Linear(60, 3))


def loss(net: nn.Module, t: int) -> torch.Tensor:
    x = torch.randn(8, 20, generator=torch.Generator().manual_seed(t))
    out: torch.Tensor = net(x).square().mean()
    return out


def pair(**options: Any) -> tuple[nn.Module, unyoke.Optimizer, nn.Module, unyoke.Optimizer]:
    one, two = model(), model()
    options = {"lr": 1e-2, "backend": "eager", **options}
    return (
        one,
        unyoke.AdamW(one.parameters(), **options),
        two,
        unyoke.AdamW(two.parameters(), **options),
    )


def same(one: nn.Module, two: nn.Module) -> bool:
    return all(torch.equal(p, q) for p, q in zip(one.parameters(), two.parameters(), strict=True))


def plain_steps(net: nn.Module, optimizer: unyoke.Optimizer, updates: range) -> None:
    for t in updates:
        optimizer.zero_grad()
        loss(net, t).backward()
        optimizer.step()


class TestUpdates:
    @pytest.mark.parametrize("formats", FORMATS)
    @pytest.mark.parametrize("backend", ["eager", "auto"])
    def test_are_those_of_step_bit_for_bit(self, formats: Any, backend: str) -> None:
        one, plain, two, released = pair(
            schedule=schedules.cosine(12),
            backend=backend,
            weight_decay=unyoke.normalized(1e-3),
            **formats,
        )
        plain_steps(one, plain, range(8))
        with unyoke.release(released):
            for t in range(8):
                loss(two, t).backward()
                released.step()
        assert same(one, two)
        assert not same(one, model())
        for name in ("lr", "weight_decay", "updates"):
            assert plain.param_groups[0][name] == released.param_groups[0][name]

    def test_follow_torch_s_schedulers(self) -> None:
        one, plain, two, released = pair()
        schedulers = [lr_scheduler.StepLR(o, 2, 0.3) for o in (plain, released)]
        unyoke.release(released)
        for t in range(6):
            plain_steps(one, plain, range(t, t + 1))
            loss(two, t).backward()
            released.step()
            for scheduler in schedulers:
                scheduler.step()
        assert same(one, two)
        assert plain.param_groups[0]["lr"] == pytest.approx(1e-2 * 0.3**3)

    @pytest.mark.parametrize("way", ["every", "accumulating"])
    def test_of_accumulated_gradients(self, way: str) -> None:
        one, plain, two, released = pair(schedule=schedules.cosine(5))
        handle = unyoke.release(released, every=3 if way == "every" else 1)
        for t in range(0, 9, 3):
            plain.zero_grad()
            for part in range(3):
                loss(one, t + part).backward()
                if way == "accumulating" and part < 2:
                    with handle.accumulating():
                        loss(two, t + part).backward()
                else:
                    loss(two, t + part).backward()
                released.step()
            plain.step()
            assert same(one, two)
            assert released.param_groups[0]["updates"] == plain.param_groups[0]["updates"]

    def test_reach_gradients_of_earlier_passes_only(self) -> None:
        """A parameter that the last of several passes does not use."""
        one, plain, two, released = pair()
        handle = unyoke.release(released)
        for net, optimizer in ((one, plain), (two, released)):
            if optimizer is released:
                with handle.accumulating():
                    loss(net, 0).backward()
            else:
                loss(net, 0).backward()
            net[3].weight.square().sum().backward()
            optimizer.step()
        assert same(one, two)
        assert not torch.equal(two[0].weight, model()[0].weight)

    def test_of_tied_and_frozen_parameters(self) -> None:
        class Tied(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                torch.manual_seed(0)
                self.inner, self.outer = nn.Linear(20, 20), nn.Linear(20, 20)
                self.outer.weight = self.inner.weight
                self.outer.bias.requires_grad_(False)

            def forward(self, x: torch.Tensor) -> Any:
                return self.outer(self.inner(x).tanh())

        nets = Tied(), Tied()
        plain, released = (unyoke.SGDW(net.parameters(), lr=0.1) for net in nets)
        unyoke.release(released)
        plain_steps(nets[0], plain, range(4))
        for t in range(4):
            loss(nets[1], t).backward()
        assert same(*nets)
        assert torch.equal(nets[1].outer.bias, Tied().outer.bias)

    def test_go_on_from_a_checkpoint(self) -> None:
        options: dict[str, Any] = {"schedule": schedules.cosine(20), "state_dtype": "int8"}
        one, plain, two, released = pair(**options)
        plain_steps(one, plain, range(8))
        unyoke.release(released)
        for t in range(4):
            loss(two, t).backward()
        file = io.BytesIO()
        torch.save((released.state_dict(), two.state_dict()), file)
        file.seek(0)
        saved, weights = torch.load(file, weights_only=True)
        three = model()
        three.load_state_dict(weights)
        resumed = unyoke.AdamW(three.parameters(), backend="eager", **options)
        unyoke.release(resumed)
        resumed.load_state_dict(saved)
        for t in range(4, 8):
            loss(three, t).backward()
        assert same(one, three)

    def test_failing_midway_do_not_confuse_the_next_pass(self) -> None:
        _, _, two, released = pair()
        unyoke.release(released)

        def fail(grad: torch.Tensor) -> None:
            raise ArithmeticError

        hook = two[0].weight.register_hook(fail)
        with pytest.raises(ArithmeticError):
            loss(two, 0).backward()
        hook.remove()
        assert released.param_groups[0]["updates"] == 0
        loss(two, 1).backward()
        assert released.param_groups[0]["updates"] == 1


class TestGradients:
    def test_are_freed_as_they_come(self) -> None:
        """At no time do more than two gradients live."""
        _, _, two, released = pair()
        unyoke.release(released)
        alive: list[int] = []

        def count(grad: torch.Tensor) -> None:
            grads = [p.grad for p in two.parameters()]
            alive.append(sum(g is not None and not isinstance(g, ReleasedGradient) for g in grads))

        for p in two.parameters():
            p.register_post_accumulate_grad_hook(lambda p: count(p))
        loss(two, 0).backward()
        assert len(alive) == 6
        assert max(alive) == 0  # the release came first
        assert all(p.grad.untyped_storage().nbytes() == 4 for p in two.parameters())

    @pytest.mark.parametrize("backend", ["eager", "auto"])
    @pytest.mark.parametrize("releases", [True, False])
    def test_nobody_keeps_them(self, backend: str, releases: bool) -> None:
        _, _, two, optimizer = pair(backend=backend)
        seen: list[weakref.ref[torch.Tensor]] = []
        for p in two.parameters():
            p.register_post_accumulate_grad_hook(lambda p: seen.append(weakref.ref(p.grad)))
        if releases:
            unyoke.release(optimizer)
        for t in range(2):
            loss(two, t).backward()
            optimizer.step()
            optimizer.zero_grad()
            assert len(seen) == 6 * (t + 1)
            assert not any(ref() is not None for ref in seen)

    @pytest.mark.parametrize("set_to_none", [True, False])
    def test_may_be_zeroed(self, set_to_none: bool) -> None:
        one, plain, two, released = pair()
        unyoke.release(released)
        plain_steps(one, plain, range(3))
        for t in range(3):
            loss(two, t).backward()
            released.step()
            released.zero_grad(set_to_none=set_to_none)
            two.zero_grad(set_to_none=set_to_none)
        assert same(one, two)

    @pytest.mark.parametrize(
        "use",
        [
            lambda ps: nn.utils.clip_grad_norm_(ps, 1.0),
            lambda ps: nn.utils.clip_grad_norm_(ps, 1.0, foreach=False),
            lambda ps: nn.utils.clip_grad_value_(ps, 1.0),
            lambda ps: ps[0].grad.norm(),
            lambda ps: ps[0].grad + 1,
            lambda ps: ps[0].grad.clone(),
        ],
    )
    def test_explain_themselves_to_whoever_reads_them(self, use: Any) -> None:
        _, _, two, released = pair()
        unyoke.release(released)
        loss(two, 0).backward()
        with pytest.raises(RuntimeError, match=r"was released.*clip_grad_norm_.*remove\(\)"):
            use(list(two.parameters()))


class TestFrameworks:
    """Lightning, Accelerate and torch.distributed around the model or the optimizer."""

    @pytest.fixture
    def group(self, tmp_path: Any) -> Any:
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1
        )
        yield
        torch.distributed.destroy_process_group()

    @pytest.mark.parametrize("move", [nn.Module.cpu, nn.Module.double, lambda m: m.to("cpu")])
    def test_a_model_that_is_moved_or_cast_goes_on(self, move: Any) -> None:
        """Lightning's fit ends with model.cpu()."""
        one, plain, two, released = pair()
        unyoke.release(released)
        for t in range(4):
            if t == 2:
                move(one)
                move(two)
            x = torch.randn(8, 20, generator=torch.Generator().manual_seed(t))
            for net, optimizer in ((one, plain), (two, released)):
                optimizer.zero_grad()
                net(x.to(next(net.parameters()).dtype)).square().mean().backward()
                optimizer.step()
        assert same(one, two)
        assert all(isinstance(p.grad, ReleasedGradient) for p in two.parameters())

    def test_the_optimizer_inside_a_wrapper_is_released(self) -> None:
        class Wrapper:
            """What Lightning's does: isinstance passes, and attributes stay outside."""

            def __init__(self, optimizer: Any) -> None:
                self._optimizer = optimizer
                self.__class__ = type("LightningAdamW", (Wrapper, type(optimizer)), {})

            def step(self, closure: Any = None) -> Any:
                return self._optimizer.step(closure)

            def __getattr__(self, name: str) -> Any:
                return getattr(self._optimizer, name)

        one, plain, two, released = pair()
        wrapper: Any = Wrapper(released)
        assert isinstance(wrapper, unyoke.Optimizer)
        unyoke.release(wrapper)
        plain_steps(one, plain, range(3))
        for t in range(3):
            loss(two, t).backward()
            wrapper.step()
        assert released.param_groups[0]["updates"] == 3
        assert same(one, two)

    def test_step_after_several_updates_says_so(self) -> None:
        _, _, two, released = pair()
        unyoke.release(released)
        for t in range(4):
            loss(two, t).backward()
            if t == 0:
                released.step()
        with pytest.raises(RuntimeError, match=r"3 backward passes .* 3 updates.*every=k"):
            released.step()

    @pytest.mark.parametrize("late", [False, True])
    def test_ddp_is_refused_before_anything_moves(self, group: Any, late: bool) -> None:
        one, _, two, released = pair()
        if late:
            unyoke.release(released)
        parallel = nn.parallel.DistributedDataParallel(two)
        with pytest.raises(RuntimeError, match="DistributedDataParallel averages"):
            loss(parallel, 0).backward() if late else unyoke.release(released)
        assert same(one, two)

    @pytest.mark.filterwarnings("ignore")  # torch's, that one process shards nothing
    @pytest.mark.parametrize("original", [False, True])
    def test_fsdp1_is_refused(self, group: Any, original: bool) -> None:
        from torch.distributed.fsdp import FullyShardedDataParallel

        sharded = FullyShardedDataParallel(
            model(), use_orig_params=original, device_id=torch.device("cpu")
        )
        with pytest.raises(ValueError, match=r"FSDP1.*fully_shard"):
            unyoke.groups.split(sharded)
        with pytest.raises(RuntimeError, match=r"FSDP1.*no weight would move"):
            unyoke.release(unyoke.AdamW(sharded.parameters()))

    def test_another_model_s_ddp_is_nobody_s_business(self, group: Any) -> None:
        parallel = nn.parallel.DistributedDataParallel(model())
        _, _, two, released = pair()
        unyoke.release(released)
        loss(two, 0).backward()
        assert released.param_groups[0]["updates"] == 1
        del parallel


class TestHandle:
    def test_gives_everything_back(self) -> None:
        one, plain, two, released = pair()
        handle = unyoke.release(released)
        loss(two, 0).backward()
        handle.remove()
        assert all(p.grad is None for p in two.parameters())
        plain_steps(one, plain, range(4))
        plain_steps(two, released, range(1, 4))
        assert same(one, two)
        loss(two, 9).backward()
        assert same(one, two)
        unyoke.release(released).remove()

    def test_refuses_what_it_cannot_do(self) -> None:
        _, _, two, released = pair()
        with pytest.raises(TypeError, match="not an unyoke optimizer"):
            unyoke.release(torch.optim.SGD(two.parameters()))  # type: ignore[arg-type]
        for every in (0, -1, 1.5, True):
            with pytest.raises(ValueError, match="whole number"):
                unyoke.release(released, every=every)  # type: ignore[arg-type]
        unyoke.release(released)
        with pytest.raises(RuntimeError, match="already"):
            unyoke.release(released)
        recorded = unyoke.AdamW(model().parameters(), differentiable=True)
        with pytest.raises(ValueError, match="autograd"):
            unyoke.release(recorded)

    def test_notices_parameters_that_came_later(self) -> None:
        _, _, two, released = pair()
        unyoke.release(released)
        late = nn.Parameter(torch.ones(3))
        released.add_param_group({"params": [late]})
        (loss(two, 0) + late.sum()).backward()
        with pytest.raises(RuntimeError, match="parameter 0 of group 1 was added after"):
            released.step()

    def test_leaves_nothing_behind(self) -> None:
        _, _, two, released = pair()
        handle = unyoke.release(released)
        loss(two, 0).backward()
        handle.remove()
        del handle
        gc.collect()
        assert released.released is None
        assert not two[0].weight._backward_hooks
