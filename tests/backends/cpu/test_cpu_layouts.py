"""Memory of any shape: the kernel runs through what is dense and alike, and touches no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from following_backends import normal

import unyoke
from unyoke.backends._native import tensor_layout

Tensors = tuple[torch.nn.Parameter, torch.Tensor]
CANARY = 7.0


def gen() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def values(*shape: int) -> torch.Tensor:
    return normal(shape, gen(), torch.float32)


def transposed() -> Tensors:
    return torch.nn.Parameter(values(5, 13).t()), values(5, 13).t() * 2


def channels_last() -> Tensors:
    last = torch.channels_last
    weight, grad = values(2, 3, 4, 5), 2 * values(2, 3, 4, 5)
    return torch.nn.Parameter(weight.to(memory_format=last)), grad.to(memory_format=last)


def ambiguous() -> Tensors:
    """Channels of size 1: other strides, the same order."""
    weight = torch.nn.Parameter(values(6, 4, 1, 1))
    return weight, (2 * values(6, 4, 1, 1)).to(memory_format=torch.channels_last)


def between_canaries() -> Tensors:
    memory = torch.full((60,), CANARY)
    memory[20:39] = values(19)
    return torch.nn.Parameter(memory[20:39]), values(19)


def unaligned() -> Tensors:
    """An address that is no multiple of four."""
    buffer = bytearray(4 * 30 + 1)
    weight = torch.frombuffer(buffer, dtype=torch.float32, offset=1, count=30)
    weight.copy_(values(30))
    return torch.nn.Parameter(weight), values(30)


def every_other() -> Tensors:
    memory = torch.stack([values(10, 6), torch.full((10, 6), CANARY)], dim=-1)
    return torch.nn.Parameter(memory[..., 0]), values(10, 6)


def other_order() -> Tensors:
    return torch.nn.Parameter(values(4, 9)), (2 * values(9, 4)).t()


def expanded() -> Tensors:
    return torch.nn.Parameter(values(4, 9)), torch.ones(1, 1).expand(4, 9)


def expanded_from_one_row() -> Tensors:
    return torch.nn.Parameter(values(4, 9)), values(9).expand(4, 9)


def negated_lazily() -> Tensors:
    z = torch.complex(torch.zeros(()), torch.tensor(0.5))
    return torch.nn.Parameter(torch.tensor(1.0)), z.conj().imag


FOR_THE_KERNEL = [transposed, channels_last, ambiguous, between_canaries, unaligned]
FOR_EAGER = [every_other, other_order, expanded, expanded_from_one_row, negated_lazily]


def run(make: Callable[[], Tensors], backend: str, **settings: Any) -> Any:
    weight, grad = make()
    optimizer = unyoke.SGDW([weight], lr=0.1, weight_decay=0.004, backend=backend, **settings)
    for _ in range(3):
        weight.grad = grad
        optimizer.step()
    return weight, optimizer


@pytest.mark.parametrize("make", FOR_THE_KERNEL)
def test_the_kernel_takes_what_is_dense_and_alike(make: Callable[[], Tensors]) -> None:
    (ours, _), (expected, _) = run(make, "cpu"), run(make, "eager")
    assert torch.equal(ours, expected)
    assert not torch.equal(ours, make()[0])


@pytest.mark.parametrize("make", FOR_EAGER)
def test_the_rest_is_refused_and_goes_to_eager(make: Callable[[], Tensors]) -> None:
    with pytest.raises(RuntimeError, match=r"shape \(.*\) (has|is)"):
        run(make, "cpu")
    (ours, optimizer), (expected, _) = run(make, "auto"), run(make, "eager")
    assert torch.equal(ours, expected)
    (plan,) = optimizer._stepper.plans.values()
    assert [backend.name for backend, _ in plan.assignments] == ["eager"]


@pytest.mark.parametrize("make", [between_canaries, every_other])
def test_neighbours_in_memory_stay(make: Callable[[], Tensors]) -> None:
    weight, _ = run(make, "auto")
    whole = torch.empty(0).set_(weight.untyped_storage())
    assert int((whole == CANARY).sum()) == len(whole) - weight.numel()


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
def test_complex_weights_go_to_eager(dtype: torch.dtype) -> None:
    weight = torch.nn.Parameter(torch.ones(3, dtype=dtype))
    weight.grad = torch.ones(3, dtype=dtype)
    with pytest.raises(RuntimeError, match="complex"):
        unyoke.AdamW([weight], backend="cpu").step()
    unyoke.AdamW([weight]).step()


@pytest.fixture(params=["compiled code asks", "Python asks"])
def _who_asks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "Python asks":
        monkeypatch.setattr(tensor_layout, "places", lambda: None)


@pytest.mark.usefixtures("_who_asks")
class TestBetweenSteps:
    """What happens to parameters between two steps is noticed at the next."""

    def start(self, *shapes: tuple[int, ...]) -> tuple[list[torch.nn.Parameter], Any]:
        """After some steps, the last in the short way where compiled code can ask."""
        weights = [torch.nn.Parameter(values(*shape)) for shape in shapes or [(50,), (4, 9)]]
        optimizer = unyoke.SGDW(weights, lr=0.1, weight_decay=0.004, backend="cpu")
        for _ in range(3):
            self.step(weights, optimizer)
        assert (optimizer._stepper.replay is not None) == (tensor_layout.places() is not None)
        with torch.no_grad():
            for weight in weights:
                optimizer.state[weight]["momentum_buffer"].fill_(0.1)
        return weights, optimizer

    def step(self, weights: list[torch.nn.Parameter], optimizer: Any) -> None:
        for weight in weights:
            weight.grad = torch.ones_like(weight)
        optimizer.step()

    def moves_by(self, weight: torch.Tensor, before: torch.Tensor, momentum: Any) -> None:
        expected = before - (0.9 * momentum + 0.1) - 0.004 * before
        torch.testing.assert_close(weight.detach(), expected, rtol=1e-6, atol=1e-6)

    def test_moved(self) -> None:
        weights, optimizer = self.start()
        old = weights[0].data
        weights[0].data = old.clone()
        kept = old.clone()
        self.step(weights, optimizer)
        assert torch.equal(old, kept)
        self.moves_by(weights[0], kept, 0.1)

    def test_moved_to_the_same_place_in_another_order(self) -> None:
        """The address stays and the strides change: the state is in another order now."""
        weights, optimizer = self.start((6, 6))
        weights[0].data = weights[0].data.t()
        optimizer.state[weights[0]]["momentum_buffer"].copy_(values(6, 6))
        before = weights[0].detach().clone()
        with pytest.raises(RuntimeError, match="strides"):
            self.step(weights, optimizer)
        optimizer.backend = "auto"
        self.step(weights, optimizer)
        self.moves_by(weights[0], before, values(6, 6))

    def test_resized(self) -> None:
        weights, optimizer = self.start((50,))
        weights[0].data = weights[0].data[:20]  # at the same address
        before = weights[0].detach().clone()
        with pytest.raises(ValueError, match=r"\(50,\).*\(20,\)"):
            self.step(weights, optimizer)
        assert torch.equal(weights[0], before)
        state = optimizer.state[weights[0]]
        state["momentum_buffer"] = state["momentum_buffer"][:20].clone()
        self.step(weights, optimizer)
        self.moves_by(weights[0], before, 0.1)

    def test_one_more_dimension(self) -> None:
        weights, optimizer = self.start((50,))
        weights[0].data = weights[0].data[:, None]
        with pytest.raises(ValueError, match=r"\(50,\).*\(50, 1\)"):
            self.step(weights, optimizer)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
    def test_another_dtype(self, dtype: torch.dtype) -> None:
        """In as many bytes at least, so that these say nothing."""
        weights, optimizer = self.start()
        weights[0].data = torch.cat([weights[0].data] * 2).to(dtype)[:50]
        before = weights[0].detach().clone()
        self.step(weights, optimizer)
        wide = before.to(torch.promote_types(dtype, torch.float32))
        expected = wide - (0.9 * 0.1 + 0.1) - 0.004 * wide
        assert weights[0].dtype == dtype
        torch.testing.assert_close(weights[0].detach(), expected.to(dtype), rtol=1e-7, atol=1e-8)

    def test_replaced_in_the_group(self) -> None:
        weights, optimizer = self.start()
        other = torch.nn.Parameter(values(50))
        optimizer.param_groups[0]["params"][0] = other
        old = weights[0].detach().clone()
        self.step([other, weights[1]], optimizer)
        assert torch.equal(weights[0], old)
        self.moves_by(other, values(50), 0.0)

    def test_swapped(self) -> None:
        """As Module.to does under torch.__future__.set_swap_module_params_on_conversion."""
        weights, optimizer = self.start()
        weights[0].grad = None
        torch.utils.swap_tensors(weights[0], torch.nn.Parameter(values(50) + 1))
        self.step(weights, optimizer)
        self.moves_by(weights[0], values(50) + 1, 0.1)

    @pytest.mark.parametrize("through_data", [False, True])
    def test_state_put_elsewhere(self, through_data: bool) -> None:
        weights, optimizer = self.start()
        state, before = optimizer.state[weights[0]], weights[0].detach().clone()
        old, new = state["momentum_buffer"].detach(), torch.full((50,), 2.0)
        kept = old.clone()
        if through_data:
            state["momentum_buffer"].data = new
        else:
            state["momentum_buffer"] = new
        self.step(weights, optimizer)
        self.moves_by(weights[0], before, 2.0)
        assert torch.equal(old, kept) or through_data

    def test_state_of_another_shape_is_refused_again_and_again(self) -> None:
        weights, optimizer = self.start((50,))
        optimizer.state[weights[0]]["momentum_buffer"].data = torch.ones(20)
        before = weights[0].detach().clone()
        for _ in range(3):
            with pytest.raises(RuntimeError, match=r"\(50,\).*\(20,\)"):
                self.step(weights, optimizer)
        assert torch.equal(weights[0], before)

    @pytest.mark.parametrize("name", ["weight", "momentum_buffer"])
    def test_memory_that_a_lazy_copy_shares(self, name: str) -> None:
        """torch copies it before it is written; so must whoever writes without asking torch."""
        weights, optimizer = self.start((50,))
        written = weights[0].detach() if name == "weight" else optimizer.state[weights[0]][name]
        before, momentum = weights[0].detach().clone(), 0.1
        lazily, kept = torch._lazy_clone(written), written.clone()
        self.step(weights, optimizer)
        assert torch.equal(lazily, kept)
        self.moves_by(weights[0], before, momentum)

    @pytest.mark.parametrize("name", ["weight", "gradient", "momentum_buffer"])
    @pytest.mark.parametrize("left", [0, 196])
    def test_memory_that_was_taken_away(self, name: str, left: int) -> None:
        weights, optimizer = self.start((50,))
        weights[0].grad = torch.ones(50)
        tensors = {"weight": weights[0].data, "gradient": weights[0].grad}
        tensors["momentum_buffer"] = optimizer.state[weights[0]]["momentum_buffer"]
        tensors[name].untyped_storage().resize_(left)
        with pytest.raises(RuntimeError, match=f"storage of {left} bytes and needs 200"):
            optimizer.step()
        tensors[name].untyped_storage().resize_(200)
        for tensor, number in zip(tensors.values(), (1.0, 1.0, 0.1), strict=True):
            tensor.fill_(number)
        optimizer.step()
        self.moves_by(weights[0], torch.ones(50), 0.1)

    def test_gradients_of_another_layout(self) -> None:
        weights, optimizer = self.start((4, 9))
        optimizer.backend = "auto"
        for grad in (values(4, 9), values(9, 4).t(), values(4, 9)):
            before = weights[0].detach().clone()
            momentum = optimizer.state[weights[0]]["momentum_buffer"].clone()
            weights[0].grad = grad
            optimizer.step()
            expected = before - (0.9 * momentum + 0.1 * grad) - 0.004 * before
            torch.testing.assert_close(weights[0].detach(), expected, rtol=1e-6, atol=1e-6)

    def test_a_gradient_that_is_negated_lazily(self) -> None:
        weights, optimizer = self.start(())
        optimizer.backend = "auto"
        _, weights[0].grad = negated_lazily()
        assert weights[0].grad.is_neg()
        before = weights[0].detach().clone()
        optimizer.step()
        torch.testing.assert_close(
            weights[0].detach(), before - (0.9 * 0.1 - 0.1 * 0.5) - 0.004 * before
        )


class Subclass(torch.Tensor):
    """A type of somebody's own, without a dispatch of its own."""


def other_format(weight: torch.nn.Parameter, state: dict[str, Any]) -> None:
    state["exp_avg"] = state["exp_avg"].bfloat16()


def other_type(weight: torch.nn.Parameter, state: dict[str, Any]) -> None:
    state["exp_avg"] = state["exp_avg"].as_subclass(Subclass)


def lazy_copy(weight: torch.nn.Parameter, state: dict[str, Any]) -> None:
    state["lazy copy"] = torch._lazy_clone(weight.detach())


def other_order_of_state(weight: torch.nn.Parameter, state: dict[str, Any]) -> None:
    state["exp_avg"] = state["exp_avg"].t().contiguous().t()


def other_order_of_gradient(weight: torch.nn.Parameter, state: dict[str, Any]) -> None:
    assert weight.grad is not None
    weight.grad = weight.grad.t().contiguous().t()


@pytest.mark.usefixtures("_who_asks")
@pytest.mark.parametrize(
    ("change", "backends"),
    [
        *((each, ["cpu"]) for each in (other_format, other_type, lazy_copy)),
        *((each, ["cpu", "eager"]) for each in (other_order_of_state, other_order_of_gradient)),
    ],
)
def test_of_parameters_whose_weights_are_alike_one_is_different(
    change: Callable[[torch.nn.Parameter, dict[str, Any]], None], backends: list[str]
) -> None:
    """They are looked at as one; what is not alike is noticed, and nobody gets other numbers."""
    start = [values(4, 9) * k for k in range(1, 6)]
    together, apart = ([torch.nn.Parameter(each.clone()) for each in start] for _ in range(2))
    # random bits are drawn by a parameter's name
    named = [[(f"weight {k}", each) for k, each in enumerate(w)] for w in (together, apart)]
    optimizers = [unyoke.AdamW(named[0]), *(unyoke.AdamW([each]) for each in named[1])]
    for optimizer in optimizers:
        optimizer.init_state()
    for weights, of_odd in ((together, optimizers[0]), (apart, optimizers[3])):
        for weight in weights:
            weight.grad = values(4, 9)
        change(weights[2], of_odd.state[weights[2]])
    for _ in range(3):
        for optimizer in optimizers:
            optimizer.step()
    for one, other, before in zip(together, apart, start, strict=True):
        assert torch.equal(one, other)
        assert not torch.equal(one, before)
    if (copy := optimizers[0].state[together[2]].get("lazy copy")) is not None:
        assert torch.equal(copy, start[2])
    (plan,) = optimizers[0]._stepper.plans.values()
    assert [backend.name for backend, _ in plan.assignments] == backends
