"""Steps in the short way are those in the long way, whatever a program does between two of them."""

from __future__ import annotations

import copy
import gc
import subprocess
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from following_backends import assert_same_bits, everything, normal

import unyoke
from unyoke import backends
from unyoke._step.replay import Replay
from unyoke.backends.guards import Guards
from unyoke.equation import direction

pytestmark = pytest.mark.usefixtures("looks_into_objects")

SHORT = 4
"""Updates after which a step is made in the short way."""
AFTER = 3
ROUNDED_AT_RANDOM = {"rounding": "stochastic"}


class Training:
    """Two groups, of which one parameter has no gradient at first; gradients from a fixed seed."""

    def __init__(self, **settings: Any) -> None:
        self.generator = torch.Generator().manual_seed(11)
        self.weights = [self.parameter(9), self.parameter(4, 3), self.parameter(1)]
        self.frozen = [self.parameter(5), self.parameter(6)]
        self.all = [*self.weights, *self.frozen]
        groups = [
            {"params": [*self.weights[:2], self.frozen[0]]},
            {"params": self.weights[2:], "weight_decay": 0.002},
            {"params": self.frozen[1:]},
        ]
        settings = {"lr": 0.05, "weight_decay": 0.001, "seed_of_all": 3} | settings
        torch.manual_seed(settings.pop("seed_of_all"))
        self.optimizer = unyoke.AdamW(groups, **settings)

    def parameter(self, *shape: int) -> torch.nn.Parameter:
        return torch.nn.Parameter(normal(shape, self.generator, torch.float32))

    def step(self, updates: int) -> None:
        for _ in range(updates):
            for weight in self.weights:
                weight.grad = normal(weight.shape, self.generator, torch.float32)
            self.optimizer.step()

    def everything(self) -> list[torch.Tensor]:
        """Also parameters that are in no group any more."""
        return [*self.all, *everything(self.optimizer)]

    @property
    def is_short(self) -> bool:
        """Whether the coming step will be made in the short way."""
        return self.optimizer._stepper.replay is not None


Change = Callable[[Training], None]
Expected = Callable[[Change, Any], Training]


def nothing(training: Training) -> None:
    pass


def group_values(**values: Any) -> Change:
    def change(training: Training) -> None:
        training.optimizer.param_groups[0].update(values)

    change.__name__ = "_".join(values)
    return change


def rates_in_tensors(training: Training) -> None:
    for group in training.optimizer.param_groups:
        group["lr"] = torch.tensor(0.02)


def a_rate_that_autograd_follows(training: Training) -> None:
    training.optimizer.param_groups[0]["lr"] = torch.tensor(0.02, requires_grad=True)


def a_gradient_more(training: Training) -> None:
    training.weights.insert(2, training.frozen[0])


def an_idle_group_wakes(training: Training) -> None:
    training.weights.append(training.frozen[1])


def a_gradient_less(training: Training) -> None:
    training.weights.pop(0).grad = None


def no_gradients(training: Training) -> None:
    for weight in training.weights:
        weight.grad = None
    training.weights = []


def one_group_more(training: Training) -> None:
    training.weights.append(training.parameter(3))
    training.optimizer.add_param_group({"params": training.weights[-1:], "lr": 0.3})


def other_groups(training: Training) -> None:
    first, *others = training.optimizer.param_groups
    training.optimizer.param_groups = [dict(first, lr=0.01), *others]


def one_group_less(training: Training) -> None:
    training.optimizer.param_groups.pop(1)


def an_equal_group(training: Training) -> None:
    training.optimizer.param_groups[0] = dict(training.optimizer.param_groups[0], lr=0.01)


def a_parameter_less(training: Training) -> None:
    training.optimizer.param_groups[0]["params"].pop(0)


def other_parameters(training: Training) -> None:
    group = training.optimizer.param_groups[0]
    group["params"] = group["params"][1:]


def a_checkpoint(training: Training) -> None:
    other = Training()
    other.step(2)
    training.optimizer.load_state_dict(copy.deepcopy(other.optimizer.state_dict()))


def an_update_counted_elsewhere(training: Training) -> None:
    training.optimizer.state[training.weights[0]]["step"].fill_(100)


def every_update_counted_elsewhere(training: Training) -> None:
    for weight in training.weights:
        training.optimizer.state[weight]["step"].fill_(100)


def state_forgotten(training: Training) -> None:
    training.optimizer.state.clear()


def another_mapping_of_state(training: Training) -> None:
    optimizer = training.optimizer
    optimizer.state = type(optimizer.state)(
        dict, {key: copy.deepcopy(value) for key, value in optimizer.state.items()}
    )


def another_backend(training: Training) -> None:
    training.optimizer.backend = "eager"


def a_schedule(training: Training) -> None:
    training.optimizer.schedule = unyoke.schedules.constant()


def released(training: Training) -> None:
    handle = unyoke.release(training.optimizer)
    sum(weight.square().sum() for weight in training.weights).backward()
    handle.remove()


def negated_lazily(training: Training) -> None:
    training.step(1)
    single = training.weights[2]
    single.grad = torch._neg_view(torch.ones(1))
    training.optimizer.step()


def moved(training: Training) -> None:
    training.weights[0].data = training.weights[0].data.clone()


def another_direction(training: Training) -> None:
    training.optimizer.direction = unyoke.directions.nesterov_adam


def a_verdict_once(training: Training) -> None:
    """As a GradScaler that writes on the device would leave it."""
    training.optimizer.found_inf = torch.zeros(())
    training.step(1)
    training.optimizer.found_inf = None


def counters_elsewhere(training: Training) -> None:
    """As state that was sent to another device and back."""
    for state in training.optimizer.state.values():
        state["step"].data = state["step"].data + 5.0


def counters_in_shared_memory(training: Training) -> None:
    for state in training.optimizer.state.values():
        state["step"].share_memory_()


CHANGES = [
    *(
        nothing,
        rates_in_tensors,
        a_rate_that_autograd_follows,
        a_gradient_more,
        an_idle_group_wakes,
        a_gradient_less,
    ),
    *(no_gradients, one_group_more, one_group_less, other_groups, an_equal_group),
    *(a_parameter_less, other_parameters, a_checkpoint, an_update_counted_elsewhere),
    *(every_update_counted_elsewhere, state_forgotten, another_mapping_of_state),
    *(another_backend, a_schedule, released, negated_lazily, moved),
    *(group_values(lr=0.02), group_values(lr=0.0), group_values(weight_decay=0.003)),
    *(group_values(betas=(0.5, 0.6)), group_values(eps=1.0), group_values(decay="l2")),
    *(group_values(maximize=True), group_values(seed=77), group_values(updates=500)),
    *(
        group_values(base_lr=0.4),
        group_values(rounding="stochastic"),
        group_values(updates=1 << 70),
    ),
    *(another_direction, a_verdict_once, counters_elsewhere, counters_in_shared_memory),
]


@pytest.fixture(params=[{}, ROUNDED_AT_RANDOM], ids=["to nearest", "at random"])
def settings(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def in_the_long_way(monkeypatch: pytest.MonkeyPatch) -> Expected:
    def expected(change: Change, settings: Any) -> Training:
        with monkeypatch.context() as patch:
            patch.setattr(Replay, "of", lambda *arguments: None)
            patch.setattr(Guards, "holds", lambda guards: False)  # nothing is kept
            training = Training(**settings)
            training.step(SHORT)
            change(training)
            training.step(AFTER)
            assert not training.is_short
            return training

    return expected


@pytest.mark.parametrize("change", CHANGES)
def test_the_same_comes_of_any_change(
    change: Change, settings: Any, in_the_long_way: Expected
) -> None:
    expected = in_the_long_way(change, settings)
    training = Training(**settings)
    training.step(SHORT)
    assert training.is_short
    change(training)
    training.step(AFTER)
    assert_same_bits(training.everything(), expected.everything())
    for one, other in zip(
        training.optimizer.param_groups, expected.optimizer.param_groups, strict=True
    ):
        assert one["updates"] == other["updates"]
        assert one["lr"] == other["lr"]


@pytest.mark.parametrize("change", [an_idle_group_wakes, a_checkpoint, group_values(maximize=True)])
def test_the_short_way_is_found_again(change: Change) -> None:
    training = Training()
    training.step(SHORT)
    change(training)
    training.step(1)
    assert not training.is_short
    training.step(SHORT)
    assert training.is_short


@pytest.mark.parametrize("change", [group_values(lr=0.02), group_values(betas=(0.5, 0.6))])
def test_other_numbers_do_not_take_the_long_way(change: Change) -> None:
    training = Training()
    training.step(SHORT)
    replay = training.optimizer._stepper.replay
    change(training)
    training.step(AFTER)
    assert training.optimizer._stepper.replay is replay


def test_nothing_is_put_together_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be repeated is not tried at each step."""
    training = Training()
    training.step(SHORT)
    another_backend(training)
    asked: list[Any] = []
    monkeypatch.setattr(backends, "replay_call", lambda *arguments: asked.append(1))
    training.step(AFTER)
    assert not asked


@pytest.mark.parametrize("switch", ["differentiable", "capturable"])
def test_other_kinds_of_steps_are_made_in_the_long_way(switch: str) -> None:
    training = Training()
    training.step(SHORT)
    training.optimizer.param_groups[1][switch] = True
    assert not training.optimizer._stepper.replayed(training.optimizer)


def test_released_gradients_are_left_alone() -> None:
    training = Training()
    training.step(SHORT)
    before = [tensor.clone() for tensor in training.everything()]
    handle = unyoke.release(training.optimizer)
    training.optimizer.step()
    assert_same_bits(training.everything(), before)
    handle.remove()
    training.optimizer.step()
    assert not torch.equal(training.weights[0], before[0])


def test_a_verdict_on_a_device_is_not_passed_over() -> None:
    training = Training(backend="cpu")
    training.step(SHORT)
    training.optimizer.found_inf = torch.ones(())
    with pytest.raises(RuntimeError, match="GradScaler's verdict"):
        training.optimizer.step()


def test_a_sparse_gradient_is_refused_and_changes_nothing() -> None:
    training = Training()
    training.step(SHORT)
    before = [tensor.clone() for tensor in training.everything()]
    training.weights[1].grad = torch.eye(4, 3).to_sparse()
    with pytest.raises(RuntimeError, match="sparse"):
        training.optimizer.step()
    assert_same_bits(training.everything(), before)
    training.step(AFTER)


def test_a_group_less_is_refused_where_decays_would_be_mixed_up() -> None:
    training = Training(weight_decay=unyoke.normalized(0.05, updates=100))
    training.step(SHORT)
    training.optimizer.param_groups.pop(0)
    before = [tensor.clone() for tensor in training.everything()]
    with pytest.raises(RuntimeError, match="2 parameter groups and there were 3"):
        training.optimizer.step()
    assert_same_bits(training.everything(), before)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"schedule": unyoke.schedules.cosine(150)},
        {"schedule": unyoke.schedules.warm_restarts(10), "lr": 1.0},
        {
            "schedule": unyoke.schedules.warm_restarts(first=20, growth=2),
            "weight_decay": unyoke.normalized(0.05),
        },
        {"schedule": lambda t: 1 / (1 + t)},
        {"weight_decay": lambda t: 0.01 / (1 + t)},
        {"weight_decay": 0, "lr": 1},
        {"lr": torch.tensor(0.05)},
    ],
)
def test_rates_are_followed(settings: dict[str, Any]) -> None:
    """Through restarts, and past the schedules' ends."""
    training, expected = Training(**settings), Training(backend="eager", **settings)
    for _ in range(40):
        for each in (training, expected):
            each.step(4)
        assert training.is_short
        for one, other in zip(
            training.optimizer.param_groups, expected.optimizer.param_groups, strict=True
        ):
            assert (one["lr"], one["weight_decay"]) == (other["lr"], other["weight_decay"])
    assert_close(training, expected)


def test_hyperparameters_that_change_in_place() -> None:
    found = []
    for backend in ("cpu", "eager"):
        training = Training(backend=backend)
        betas = [0.9, 0.999]
        training.optimizer.param_groups[0]["betas"] = betas
        training.step(SHORT)
        betas[0] = 0.5
        training.step(AFTER)
        found.append(training)
    assert_close(*found)


@pytest.mark.parametrize("direction", ["nadam", "radam", "lion", "heavy_ball", "adabayes"])
def test_directions_of_every_kind(direction: str) -> None:
    """With numbers of their own per parameter, without, and with a first step unlike the rest."""
    found = []
    for backend in ("cpu", "eager"):
        torch.manual_seed(0)
        generator = torch.Generator().manual_seed(4)
        weight = torch.nn.Parameter(normal((7,), generator, torch.float64))
        optimizer = unyoke.Optimizer([weight], lr=0.01, direction=direction, backend=backend)
        for _ in range(30):
            weight.grad = normal((7,), generator, torch.float64)
            optimizer.step()
        found.append(everything(optimizer))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_torch_s_schedulers_are_followed() -> None:
    found = []
    for backend in ("cpu", "eager"):
        training = Training(backend=backend)
        scheduler = torch.optim.lr_scheduler.StepLR(training.optimizer, step_size=9, gamma=0.5)
        for _ in range(40):
            training.step(1)
            scheduler.step()
        found.append(training)
    assert_close(*found)


def test_autograd_hears_of_every_update() -> None:
    training = Training()
    training.step(SHORT)
    versions = [weight._version for weight in training.weights]
    training.step(1)
    assert [weight._version for weight in training.weights] == [v + 1 for v in versions]


def test_a_closure_hooks_and_an_error_between() -> None:
    training = Training()
    training.step(SHORT)
    seen: list[str] = []
    handle = training.optimizer.register_step_pre_hook(lambda *arguments: seen.append("hook"))
    assert training.optimizer.step(lambda: seen.append("closure") or 2.5) == 2.5
    assert seen == ["hook", "closure"]
    handle.remove()
    training.optimizer.schedule = unyoke.schedules.cosine(50)
    before = [tensor.clone() for tensor in everything(training.optimizer)]
    training.optimizer.param_groups[1]["lr"] = 0.7
    with pytest.raises(RuntimeError, match="use one of the two"):
        training.optimizer.step()
    assert_same_bits(everything(training.optimizer), before)


def test_counts_that_have_become_equal(in_the_long_way: Expected) -> None:
    """The kernels' tables are set to the coefficients that each parameter had last."""

    def equal_counts(training: Training) -> None:
        training.weights.append(training.frozen[0])
        training.step(12)
        for state in training.optimizer.state.values():
            state["step"].fill_(7.0)

    expected = in_the_long_way(equal_counts, {})
    training = Training()
    training.step(SHORT)
    equal_counts(training)
    training.step(AFTER)
    assert_same_bits(training.everything(), expected.everything())
    training.step(SHORT)
    assert training.is_short
    assert not any(weight.isnan().any() for weight in training.weights)


def test_state_of_another_form_at_the_same_place() -> None:
    one, other = (Training(backend=backend) for backend in ("cpu", "eager"))
    for training in (one, other):
        training.weights = [training.parameter(5, 5)]
        training.optimizer.add_param_group({"params": training.weights})
        training.step(SHORT)
        state = training.optimizer.state[training.weights[0]]
        state["exp_avg_sq"].data = state["exp_avg_sq"].data.t()
        training.optimizer.backend = "auto"
        training.step(AFTER)
    assert_close(one, other)


def test_somebody_elses_function_is_asked_at_each_update() -> None:
    number = [0]

    @direction(coefficients=lambda lr: {"rate": lr * number[0]})
    def own(grad: Any, rate: Any) -> Any:
        return rate * grad

    weight = torch.nn.Parameter(torch.zeros(3))
    optimizer = unyoke.Optimizer([weight], lr=1.0, direction=own, weight_decay=0.0, decay="none")
    for update in range(SHORT + AFTER):
        before, number[0] = weight[0].item(), update
        weight.grad = torch.ones(3)
        optimizer.step()
        assert before - weight[0].item() == update


def test_the_rate_of_a_group_without_gradients_is_looked_at() -> None:
    training = Training(schedule=unyoke.schedules.cosine(50))
    training.step(SHORT)
    training.optimizer.param_groups[2]["lr"] = 0.7
    before = [tensor.clone() for tensor in everything(training.optimizer)]
    with pytest.raises(RuntimeError, match="use one of the two"):
        training.step(1)
    assert_same_bits(everything(training.optimizer), before)


def test_a_group_put_in_by_hand_is_refused() -> None:
    training = Training()
    training.step(SHORT)
    first = training.optimizer.param_groups[0]
    training.optimizer.param_groups.append({**first, "params": [training.parameter(3)]})
    before = [tensor.clone() for tensor in training.everything()]
    for _ in range(2):
        with pytest.raises(RuntimeError, match="add_param_group"):
            training.step(1)
    assert_same_bits(training.everything(), before)


def test_a_deleted_optimizer_is_freed_at_once() -> None:
    training = Training()
    training.step(SHORT)
    state = weakref.ref(training.optimizer.state[training.weights[0]]["exp_avg"])
    weight = weakref.ref(training.weights[0])
    gc.disable()
    try:
        del training
        assert state() is None
        assert weight() is None
    finally:
        gc.enable()


def test_a_step_between_two_graphs() -> None:
    training = Training()
    training.step(SHORT)
    weight = training.weights[0]

    def one_iteration(inputs: torch.Tensor) -> None:
        (weight * inputs).sum().backward()
        training.optimizer.step()

    expected = copy.deepcopy(training)
    for kept in (training, expected):
        kept.optimizer.zero_grad()
    torch.compile(one_iteration, backend="eager")(torch.ones(9))
    expected.weights[0].grad = torch.ones(9)
    expected.optimizer.step()
    assert_same_bits([weight], [expected.weights[0]])


THREADS = """
import threading
import torch
import unyoke

barrier = threading.Barrier(8)
optimizers = []

def train():
    weight = torch.nn.Parameter(torch.ones(9))
    optimizer = unyoke.AdamW([weight])
    weight.grad = torch.ones(9)
    barrier.wait()
    for _ in range(12):
        optimizer.step()
    optimizers.append(optimizer)

threads = [threading.Thread(target=train) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
junk = [bytes([255]) * size for size in range(1, 200) for _ in range(300)]
for optimizer in optimizers:
    for _ in range(10):
        optimizer.step()
print(len(optimizers))
"""


@pytest.mark.slow
def test_threads_that_begin_together() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", THREADS], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout.strip()) == (0, "8"), ended.stderr


def assert_close(one: Training, other: Training) -> None:
    """torch's square root is not always the nearest number, so nearly equal is what there is."""
    pairs = zip(everything(one.optimizer), everything(other.optimizer), strict=True)
    for found, expected in pairs:
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
