"""Coefficients formed on the device: the same updates, in eager and in Triton's interpreter.

What a GPU adds, recording and replaying, is measured by benchmarks/gpu.py; that no value passes
through the host on the way is held here, by tensors that refuse to be read.
"""

from __future__ import annotations

import gc
import weakref
from types import FunctionType
from typing import Any

import pytest
import torch
from interpreting import interpret
from stepping import difference, random, refusal, stepped
from torch.utils._python_dispatch import TorchDispatchMode

import unyoke
from unyoke import backends, directions, schedules
from unyoke.backends.gpu.coefficients import CoefficientKernel
from unyoke.backends.symbols import Unwritable
from unyoke.equation import direction

pytestmark = pytest.mark.filterwarnings("ignore:weight_decay=.* is per update")

F64 = 1e-12
ELEMENTWISE = [name for name in directions.ALL if refusal(name, "decoupled") is None]


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    interpret(monkeypatch)


def check(backend: str = "eager", tolerance: float = F64, **options: Any) -> None:
    options = {"dtype": torch.float64, "updates": 4, **options}
    found = stepped(backend, capturable=True, **options)
    assert difference(found, stepped("eager", **options)) <= tolerance


@pytest.mark.parametrize("direction", ELEMENTWISE)
def test_every_direction(direction: str) -> None:
    check(direction=direction)


@pytest.mark.parametrize(
    "options",
    [
        {"schedule": schedules.cosine(4)},
        {"schedule": schedules.warm_restarts(2, 2)},
        {"schedule": schedules.cosine(6), "lr": torch.tensor(0.02, dtype=torch.float64)},
        {"weight_decay": lambda t: 0.01 / (1 + t)},
        {"weight_decay": unyoke.normalized(0.02), "schedule": schedules.cosine(6)},
        {"lr": torch.tensor(0.02, dtype=torch.float64)},
    ],
    ids=["cosine", "restarts", "tensor", "decay", "normalized", "rate"],
)
def test_schedules(options: dict[str, Any]) -> None:
    check(**options)


def test_parameters_at_different_updates() -> None:
    check(grad=lambda grad, t, number: None if t == 0 and number == 1 else grad)


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("direction", ["adam", "heavy_ball", "nadam"])
def test_in_the_interpreter(direction: str) -> None:
    check("gpu", direction=direction, updates=2, schedule=schedules.cosine(6))


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("name", ["count", "old", "numbers"])
def test_a_scalar_may_be_called_as_the_kernels_text_calls_something(name: str) -> None:
    """What a formula calls its numbers is the user's affair."""

    def coefficients(lr: Any, **scalars: Any) -> dict[str, Any]:
        return {"lr": lr * scalars[name], name: scalars[name] * 0.5}

    forming: Any = FunctionType(
        compile(
            f"def form(lr, {name}): return coefficients(lr, {name}={name})", "form", "exec"
        ).co_consts[0],
        {"coefficients": coefficients},
    )

    @direction(scalars=(name,), coefficients=forming)
    def halving(grad: Any, lr: Any) -> Any:
        return lr * grad

    check("gpu", direction=halving, updates=3)


class Arithmetic(TorchDispatchMode):
    """Counts what torch computes; the interpreter itself only copies."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        words = ("add", "sub", "rsub", "mul", "div", "reciprocal", "pow", "sqrt", "where")
        self.count += func.overloadpacket.__name__.rstrip("_") in words
        return func(*args, **(kwargs or {}))


@pytest.mark.slow
@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"schedule": schedules.warm_restarts(2, 2), "weight_decay": lambda t: 0.01 / (1 + t)},
        {"lr": torch.tensor(0.02, dtype=torch.float64)},
    ],
    ids=["numbers", "tables", "tensor"],
)
@pytest.mark.parametrize("direction", ELEMENTWISE)
def test_one_kernel_forms_all_numbers(
    monkeypatch: pytest.MonkeyPatch, direction: str, options: dict[str, Any]
) -> None:
    """From the second step on torch does nothing, but for expm1, which Triton has no word for."""
    copied = lambda tensor: tensor.clone().numpy().tolist()  # noqa: E731 (as from a GPU)
    monkeypatch.setattr(torch.Tensor, "tolist", copied, raising=False)
    settings: dict[str, Any] = {"dtype": torch.float64, "direction": direction, **options}
    found = stepped("gpu", updates=4, capturable=True, **settings)
    assert difference(found, stepped("eager", updates=4, **settings)) <= F64
    second = stepped("gpu", updates=1, capturable=True, **settings)
    with Arithmetic() as made:
        second.step()
    assert (made.count == 0) == (direction != "adabayes")


@pytest.mark.usefixtures("interpreted")
def test_numbers_may_change_between_steps() -> None:
    """None of them is part of the kernel; what is not a number makes another one."""

    def run(backend: str, **options: Any) -> unyoke.Optimizer:
        optimizer = stepped(backend, dtype=torch.float64, **options)
        group = optimizer.param_groups[0]
        for name, value in (
            ("lr", 0.003),
            ("weight_decay", 0.01),
            ("betas", (0.8, 0.99)),
            ("betas", (0, 0.9)),
            ("lr", torch.tensor(0.002, dtype=torch.float64)),
        ):
            group[name] = value
            optimizer.step()
        optimizer.state[group["params"][0]]["step"].fill_(9.0)  # one of them, by hand
        optimizer.step()
        return optimizer

    assert difference(run("gpu", capturable=True), run("eager")) <= F64


@pytest.mark.usefixtures("interpreted")
def test_betas_in_a_list_may_change_in_place() -> None:
    def run(backend: str, **options: Any) -> unyoke.Optimizer:
        optimizer = stepped(backend, dtype=torch.float64, betas=[0.9, 0.99], **options)
        optimizer.param_groups[0]["betas"][0] = 0.5
        optimizer.step()
        optimizer.step()
        return optimizer

    assert difference(run("gpu", capturable=True), run("eager")) <= F64


@pytest.mark.usefixtures("interpreted")
def test_a_tensor_that_goes_to_another_backend_in_between() -> None:
    """The others' numbers are then formed in another way, and must not stay what they were."""

    def run(backend: str, **options: Any) -> unyoke.Optimizer:
        settings: dict[str, Any] = {"schedule": schedules.cosine(20), **options}
        optimizer = stepped(backend, ((4, 6), (5,)), dtype=torch.float64, updates=3, **settings)
        weight, _ = optimizer.param_groups[0]["params"]
        grad = weight.grad
        for odd in (True, True, False, False):
            weight.grad = grad.t().contiguous().t() if odd else grad
            optimizer.step()
        return optimizer

    assert difference(run("auto", capturable=True), run("eager")) <= F64


@pytest.mark.usefixtures("interpreted")
def test_what_a_graph_reads_lives_on() -> None:
    optimizer = stepped("gpu", capturable=True)
    plan: Any = optimizer._stepper.plans[0]
    kernel = weakref.ref(plan._coefficient_kernel)
    plan.is_recorded = True  # as when its step is recorded
    optimizer.param_groups[0]["lr"] = torch.tensor(0.02)  # another kind of number
    optimizer.step()
    gc.collect()
    assert kernel() is not None
    assert plan._coefficient_kernel is not kernel()


@pytest.mark.usefixtures("interpreted")
def test_what_cannot_be_written_down_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    optimizer = stepped("gpu", capturable=True, direction="adabayes", updates=1)
    made: list[Any] = []
    gpu = type(backends.ALL["gpu"])
    monkeypatch.setattr(gpu, "coefficient_kernel", lambda *args: made.append(args))
    optimizer.step()
    assert not made


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize(
    "formula",
    [
        lambda x: torch.div(x, 2.0, rounding_mode="floor"),
        lambda x: x**3,
        lambda x: x.to(torch.bfloat16),
        lambda x: x * float("inf"),
        lambda x: torch.expm1(x),
        lambda x: torch.add(x, x, alpha=2),
        lambda x: x * float(x),
    ],
)
def test_a_formula_without_words_is_refused(formula: Any) -> None:
    with pytest.raises(Unwritable):
        formed(lambda t, scalars, values, now: {"x": formula(values["x"])}, 3.0)


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize(
    "value", [torch.zeros(2), torch.zeros((), dtype=torch.float16), torch.zeros((), device="meta")]
)
def test_a_number_that_no_kernel_reads_is_refused(value: torch.Tensor) -> None:
    with pytest.raises(Unwritable):
        formed(lambda t, scalars, values, now: {"x": t * values["x"]}, value)


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize(
    "formula",
    [
        lambda x: x**0 + x**1 + x**2,
        lambda x: 0.5**x + abs(-x) ** x,
        lambda x: torch.log(x) - torch.exp(x),
        lambda x: torch.where((x > 2.0) & ~(x > 4.0), x, 1.0 / x),
    ],
)
@pytest.mark.parametrize("x", [3.0, torch.tensor(3.0)])
def test_a_formula_with_words_gives_torchs_number(formula: Any, x: Any) -> None:
    kernel = formed(lambda t, scalars, values, now: {"x": formula(values["x"])}, x)
    kernel.run(None, 0)
    found = kernel.device_coefficients.tables[torch.float64]
    torch.testing.assert_close(found[0], formula(torch.tensor(3.0, dtype=torch.float64)))


def formed(form: Any, x: Any) -> CoefficientKernel:
    """A kernel that forms a coefficient ``x`` of a value ``x``."""
    counters = {"step": torch.zeros(3)}
    runtime = backends.ALL["gpu"]._runtime
    return CoefficientKernel(runtime, form, ["x"], {"x": x}, torch.tensor(0), counters, False)


@pytest.mark.usefixtures("interpreted")
def test_an_lr_that_nothing_explains_is_refused_here_too() -> None:
    optimizer = stepped("gpu", capturable=True, lr=0.0)
    optimizer.param_groups[0]["lr"] = 0.1
    with pytest.raises(RuntimeError, match="lr"):
        optimizer.step()


@pytest.mark.slow
@pytest.mark.parametrize("rounding", ["kahan", "stochastic"])
@pytest.mark.parametrize("backend", ["eager", "gpu"])
@pytest.mark.usefixtures("interpreted")
def test_random_bits_follow_the_devices_count(backend: str, rounding: str) -> None:
    options: dict[str, Any] = {"dtype": torch.bfloat16, "rounding": rounding, "updates": 4}
    options |= {"state_dtype": "int8", "shapes": ((4100,),)}
    found = stepped(backend, capturable=True, **options)
    assert difference(found, stepped(backend, **options)) <= 1e-6


class NothingIsRead(TorchDispatchMode):
    """Fails where a tensor's value would go to the host; tolist is not seen."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func is not torch.ops.aten._local_scalar_dense.default, "a value goes to the host"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("direction", ELEMENTWISE)
def test_no_value_goes_to_the_host(direction: str) -> None:
    optimizer = stepped(
        "eager",
        updates=1,
        capturable=True,
        direction=direction,
        schedule=schedules.cosine(6),
        lr=torch.tensor(0.02),
        weight_decay=lambda t: 0.001 * t,
    )
    with NothingIsRead():
        optimizer.step()


def test_checkpoints_count_what_the_device_has_made() -> None:
    optimizer = stepped("eager", capturable=True, updates=3, schedule=schedules.cosine(9))
    optimizer.param_groups[0]["updates"] = 0  # as after replays, which run no Python
    assert optimizer.state_dict()["param_groups"][0]["updates"] == 3


# GradScaler


def scaled_step(
    optimizer: unyoke.Optimizer, grads: list[torch.Tensor], scaler: torch.amp.GradScaler
) -> None:
    """One step as a training makes it; these are the gradients that the loss itself has."""
    factor = float(scaler.scale(torch.ones(())))
    for weight, grad in zip(optimizer.param_groups[0]["params"], grads, strict=True):
        weight.grad = factor * grad
    scaler.step(optimizer)
    scaler.update()


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("direction", ["adam", "nadam", "heavy_ball"])
def test_scale_and_verdict_are_taken_on_the_device(direction: str) -> None:
    """An infinity skips the whole update: weights, decay, state, count and schedule."""
    options: dict[str, Any] = {"direction": direction, "schedule": schedules.cosine(9)}
    found = stepped("gpu", updates=1, capturable=True, **options)
    expected = stepped("eager", updates=1, **options)
    assert found._step_supports_amp_scaling
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for t in range(3):
        shapes = [tuple(weight.shape) for weight in found.param_groups[0]["params"]]
        grads = [random(shape, 50 + t) for shape in shapes]
        if t == 1:
            grads[0].view(-1)[0] = float("inf")
        scaled_step(found, grads, scaler)
        if t != 1:
            for weight, grad in zip(expected.param_groups[0]["params"], grads, strict=True):
                weight.grad = grad
            expected.step()
    assert scaler.get_scale() == 512.0
    assert difference(found, expected) <= 1e-6
    assert found.state_dict()["param_groups"][0]["updates"] == 3


@pytest.mark.usefixtures("interpreted")
def test_gradients_that_were_unscaled_for_clipping_are_not_unscaled_again() -> None:
    found = stepped("gpu", updates=0, capturable=True)
    expected = stepped("eager", updates=0)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for optimizer, factor in ((found, 1024.0), (expected, 1.0)):
        for k, weight in enumerate(optimizer.param_groups[0]["params"]):
            weight.grad = factor * random(tuple(weight.shape), k)
    scaler.scale(torch.ones(()))
    scaler.unscale_(found)
    for optimizer in (found, expected):
        torch.nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], 0.5)
    scaler.step(found)
    expected.step()
    assert difference(found, expected) <= 1e-6


@pytest.mark.usefixtures("interpreted")
def test_a_tensor_that_the_gpu_backend_cannot_take_is_refused() -> None:
    optimizer = stepped("auto", ((4, 6),), updates=1, capturable=True)
    (weight,) = optimizer.param_groups[0]["params"]
    weight.grad = random((6, 4), 1).t()
    optimizer.grad_scale, optimizer.found_inf = torch.tensor(1.0), torch.tensor(0.0)
    before = weight.detach().clone()
    with pytest.raises(RuntimeError, match=r"GradScaler has left its scale.*capturable=False"):
        optimizer.step()
    assert torch.equal(weight.detach(), before)


def test_grad_scaler_skips_by_itself_where_no_kernel_would() -> None:
    assert not stepped("eager", updates=0, capturable=True)._step_supports_amp_scaling
    assert not stepped("auto", updates=0)._step_supports_amp_scaling
