"""What torch's suite asks of schedulers beside the path of the rates, asked of our optimizers.

Each program runs around torch's optimizer and around ours, and tells what a user sees: rates,
warnings, errors, what is still alive. Both must tell the same, but for momenta above 1. In
brackets, where test/optim/test_lrscheduler.py asks it; the paths themselves are in
test_torch_schedulers.py.

    numbers given as tensors that the user changes later (test_constant_initial_params_…)
    rates that are tensors stay what they are (test_…_preserves_lr_type, test_…_does_not_alias_…)
    two schedulers that know nothing of each other (test_compound_…, test_cosine_then_cyclic)
    momenta from 1 to 22, which ours refuse (test_onecycle_lr_…, test_cycle_lr_…)
    the optimizer's state alone, and last_epoch= (test_lr_scheduler_checkpoint)
    a group added under ReduceLROnPlateau (test_add_param_group_…)
    a step that is overridden, a resumed scheduler first (test_old_pattern_warning_…)
    no cycle through the optimizer (test_no_cyclic_references_in_step)
    a weight that wants no gradient (test_sequentiallr4)
"""

from __future__ import annotations

import gc
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler as torchs
from torch.optim.swa_utils import SWALR

import unyoke

pytestmark = pytest.mark.skipif(
    torch.__version__ < (2, 10), reason="torch's own schedulers share tensors before 2.10"
)
Program = Callable[[Any, Any], Any]
"""What is seen of torch.optim.SGD and AdamW, or of ours."""

FROM_THE_START: dict[str, Callable[..., Any]] = {
    "ConstantLR": torchs.ConstantLR,
    "CosineAnnealingLR": lambda o, **given: torchs.CosineAnnealingLR(o, 10, **given),
    "CosineAnnealingWarmRestarts": lambda o, **given: torchs.CosineAnnealingWarmRestarts(
        o, 20, **given
    ),
    "CyclicLR": lambda o, **given: torchs.CyclicLR(o, 1e-4, 1e-3, **given),
    "ExponentialLR": lambda o, **given: torchs.ExponentialLR(o, 0.9, **given),
    "LambdaLR": lambda o, **given: torchs.LambdaLR(o, lambda t: 1 / (1 + t), **given),
    "LinearLR": torchs.LinearLR,
    "MultiStepLR": lambda o, **given: torchs.MultiStepLR(o, [30, 80], **given),
    "MultiplicativeLR": lambda o, **given: torchs.MultiplicativeLR(o, lambda t: 0.95, **given),
    "OneCycleLR": lambda o, **given: torchs.OneCycleLR(o, 1e-3, total_steps=10, **given),
    "PolynomialLR": torchs.PolynomialLR,
    "StepLR": lambda o, **given: torchs.StepLR(o, 30, **given),
    "SWALR": lambda o, **given: SWALR(o, 1e-4, **given),
}
MOMENTA = ("momentum", "base_momentum", "max_momentum")


def weight(shape: tuple[int, ...] = (2,)) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.ones(shape, dtype=torch.float64))


def update(optimizer: torch.optim.Optimizer, grad: float = 1.0) -> None:
    for group in optimizer.param_groups:
        for each in group["params"]:
            each.grad = torch.full_like(each, grad)
    optimizer.step()


def plain(group: dict[str, Any]) -> dict[str, Any]:
    """The numbers that schedulers write into a group; with the kind of the rate."""
    names = ("lr", "initial_lr", "max_lr", "min_lr", "swa_lr", *MOMENTA)
    numbers = {name: float(group[name]) for name in names if name in group}
    return numbers | {"kind": type(group["lr"]).__name__}


def warned(action: Callable[[], Any]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action()
    return [str(each.message) for each in caught]


def leaves(said: Any) -> Iterator[Any]:
    """Numbers, tensors and texts out of lists and dictionaries."""
    if isinstance(said, dict):
        yield from said
        said = list(said.values())
    for each in said if isinstance(said, list) else []:
        yield from leaves(each)
    if not isinstance(said, list):
        yield said


def same(program: Program) -> Any:
    """What both tell, which must be the same; numbers to the last digits."""
    theirs = program(torch.optim.SGD, torch.optim.AdamW)
    ours = program(unyoke.SGD, unyoke.AdamW)
    for mine, its in zip(leaves(ours), leaves(theirs), strict=True):
        if isinstance(its, str):
            assert mine == its
        else:
            torch.testing.assert_close(mine, its, rtol=1e-12, atol=1e-12)
    return ours


@pytest.mark.parametrize("name", sorted(set(FROM_THE_START) - {"CyclicLR", "OneCycleLR", "SWALR"}))
def test_the_user_s_tensor_is_not_the_scheduler_s(name: str) -> None:
    def program(sgd: Any, _: Any) -> Any:
        rate = torch.tensor(0.1, dtype=torch.float64)
        optimizer = sgd([weight()], lr=rate)
        scheduler = FROM_THE_START[name](optimizer)
        said = []
        for _ in range(3):
            update(optimizer)
            scheduler.step()
            rate.mul_(0.5)
            assert scheduler.base_lrs[0] is not optimizer.param_groups[0]["initial_lr"]
            said.append([plain(optimizer.param_groups[0]), float(scheduler.base_lrs[0])])
        return said

    assert same(program)[-1][1] == 0.1


@pytest.mark.parametrize("name", ["CyclicLR", "OneCycleLR", "SWALR"])
def test_hyperparameters_of_a_scheduler_may_be_tensors(name: str) -> None:
    def program(sgd: Any, _: Any) -> Any:
        numbers = 0.1, 0.2, 0.8, 0.9
        rate, peak, low, high = (torch.tensor(n, dtype=torch.float64) for n in numbers)
        only = weight()
        optimizer = sgd([only], lr=rate)
        momenta = {"base_momentum": low, "max_momentum": high}
        make: dict[str, Callable[[], Any]] = {
            "CyclicLR": lambda: torchs.CyclicLR(optimizer, rate, peak, **momenta),
            "OneCycleLR": lambda: torchs.OneCycleLR(optimizer, peak, total_steps=10, **momenta),
            "SWALR": lambda: SWALR(optimizer, swa_lr=peak),
        }
        scheduler = make[name]()
        said = []
        for _ in range(3):
            for tensor in (peak, low, high):
                tensor.mul_(0.5)
            update(optimizer)
            scheduler.step()
            said.append([plain(optimizer.param_groups[0]), only.detach().clone()])
        return said

    same(program)


def test_a_plateau_keeps_numbers_numbers_and_tensors_tensors() -> None:
    def program(sgd: Any, _: Any) -> Any:
        tensor = torch.tensor(0.5, dtype=torch.float64)
        optimizer = sgd([{"params": [weight()]}, {"params": [weight()], "lr": tensor}], lr=0.05)
        scheduler = torchs.ReduceLROnPlateau(optimizer, patience=0)
        for loss in (1.0, 2.0):
            update(optimizer)
            scheduler.step(loss)
        return [plain(group) for group in optimizer.param_groups]

    assert [each["kind"] for each in same(program)] == ["float", "Tensor"]


def test_one_scheduler_after_another_from_a_tensor() -> None:
    def program(sgd: Any, _: Any) -> Any:
        optimizer = sgd([weight()], lr=torch.tensor(2.0, dtype=torch.float64))
        lines = [torchs.LinearLR(optimizer, 0.1, 0.8, 4), torchs.LinearLR(optimizer, 0.8, 0.1, 4)]
        scheduler = torchs.SequentialLR(optimizer, lines, [4])
        said = []
        for _ in range(8):
            said.append(plain(optimizer.param_groups[0]))
            update(optimizer)
            scheduler.step()
        return said

    found = [each["lr"] for each in same(program)]
    assert found == pytest.approx([0.2, 0.55, 0.9, 1.25, 1.6, 1.25, 0.9, 0.55])


AT_ONCE: dict[str, Callable[[Any], list[Any]]] = {
    "a step and a line": lambda o: [torchs.StepLR(o, 3), torchs.LinearLR(o, 0.4, 0.9, 4)],
    "milestones and a power": lambda o: [
        torchs.MultiStepLR(o, [2, 5, 9]),
        torchs.ExponentialLR(o, 0.9),
    ],
    "a cosine and a constant": lambda o: [
        torchs.CosineAnnealingLR(o, 10, 1e-10),
        torchs.ConstantLR(o, 0.4, 4),
    ],
    "a plateau and milestones": lambda o: [
        torchs.ReduceLROnPlateau(o, patience=1),
        torchs.MultiStepLR(o, [3, 8]),
    ],
}


@pytest.mark.parametrize("name", AT_ONCE)
def test_schedulers_that_know_nothing_of_each_other(name: str) -> None:
    def program(sgd: Any, _: Any) -> Any:
        optimizer = sgd([weight()], lr=0.5, momentum=0.9)
        schedulers = AT_ONCE[name](optimizer)
        said = []
        for t in range(12):
            update(optimizer, 0.01)
            for each in schedulers:
                plateau = isinstance(each, torchs.ReduceLROnPlateau)
                each.step(*((10 - 0.0165 * t,) if plateau else ()))
            said.append(plain(optimizer.param_groups[0]))
        return [said, optimizer.param_groups[0]["params"][0].detach()]

    same(program)


def test_a_cosine_then_a_cycle() -> None:
    def program(sgd: Any, _: Any) -> Any:
        optimizer = sgd([weight()], lr=0.5)
        cosine = torchs.CosineAnnealingLR(optimizer, 20, 0.1)
        cycle = torchs.CyclicLR(optimizer, 0.1, 0.3, 1, 3)
        for t in range(40):
            update(optimizer, 0.01)
            (cosine if t <= 20 else cycle).step()
        return plain(optimizer.param_groups[0])

    assert same(program)["lr"] <= 0.3


def cycled(sgd: Any, **momenta: float) -> tuple[torch.nn.Parameter, Any]:
    only = weight()
    optimizer = sgd([only], lr=0.05)
    torchs.OneCycleLR(optimizer, 25, total_steps=10, final_div_factor=2, **momenta)
    return only, optimizer


def test_momenta_up_to_one() -> None:
    def program(sgd: Any, _: Any) -> Any:
        only = weight()
        optimizer = sgd([only], lr=0.05)
        momenta = {"base_momentum": 0.5, "max_momentum": 1}
        scheduler = torchs.OneCycleLR(optimizer, 25, total_steps=10, final_div_factor=2, **momenta)
        for _ in range(9):
            update(optimizer, 1e-6)
            scheduler.step()
        return [plain(optimizer.param_groups[0]), only.detach()]

    assert same(program)[0]["momentum"] == 1


def test_momenta_above_one_are_torch_s_and_are_refused_here() -> None:
    """What the constructor refuses is not taken from a scheduler either."""
    _, optimizer = cycled(torch.optim.SGD, base_momentum=1, max_momentum=22)
    update(optimizer)
    only, optimizer = cycled(unyoke.SGD, base_momentum=1, max_momentum=22)
    with pytest.raises(ValueError, match=r"group 0: Invalid momentum value: 22.*\[0, 1\]"):
        update(optimizer)
    assert only.eq(1).all()
    optimizer.param_groups[0]["momentum"] = 0.9
    update(optimizer)
    assert only.ne(1).all()


@pytest.mark.parametrize("name", FROM_THE_START)
def test_last_epoch_after_the_optimizer_s_state_alone(name: str) -> None:
    def program(_: Any, adamw: Any) -> Any:
        first = adamw([weight()])
        scheduler = FROM_THE_START[name](first)
        update(first)
        scheduler.step()
        second = adamw([weight()])
        second.load_state_dict(first.state_dict())
        resumed = FROM_THE_START[name](second, last_epoch=0)
        assert resumed.get_last_lr() == pytest.approx([first.param_groups[0]["lr"]])
        return resumed.get_last_lr()

    same(program)


@pytest.mark.parametrize("least", [0.0, [1e-5, 1e-4]], ids=["a number", "a list"])
def test_a_group_added_under_a_plateau(least: Any) -> None:
    def program(sgd: Any, _: Any) -> Any:
        optimizer = sgd([{"params": [weight()]}, {"params": [weight()]}], lr=0.5)
        settings = {"threshold": 0.1, "patience": 5, "cooldown": 5}
        scheduler = torchs.ReduceLROnPlateau(optimizer, min_lr=least, **settings)
        said = []
        for t, loss in enumerate([1.0] * 7 + [0.6] + [0.5] * 12):
            if t == 8:
                optimizer.add_param_group({"params": [weight((2, 3))], "lr": 0.05})
                if isinstance(least, list):
                    scheduler.min_lrs.append(1e-6)
            update(optimizer)
            scheduler.step(loss)
            said.append([plain(group) for group in optimizer.param_groups])
        return said

    assert [each["lr"] for each in same(program)[-1]] == pytest.approx([0.005] * 3)


def test_a_group_added_that_the_plateau_s_list_lacks() -> None:
    def program(sgd: Any, _: Any) -> Any:
        optimizer = sgd([{"params": [weight()]}, {"params": [weight()]}], lr=0.05)
        scheduler = torchs.ReduceLROnPlateau(optimizer, patience=0, min_lr=[1e-5, 1e-4])
        optimizer.add_param_group({"params": [weight()], "lr": 0.05})
        scheduler.step(1.0)
        with pytest.raises(RuntimeError) as caught:
            scheduler.step(1.3)
        return str(caught.value)

    assert "number of param groups" in same(program)


class TestWarnings:
    def test_a_step_put_in_place_of_the_optimizer_s(self) -> None:
        def program(sgd: Any, _: Any) -> Any:
            optimizer = sgd([weight()], lr=0.5)
            scheduler = torchs.StepLR(optimizer, 3)
            step = optimizer.step
            optimizer.step = types.MethodType(lambda _, *given: step(*given), optimizer)

            def loop() -> None:
                for _ in range(3):
                    optimizer.step()
                    scheduler.step()

            return warned(loop)

        (said,) = same(program)
        assert "has been overridden" in said

    @pytest.mark.parametrize("scheduler_first", [False, True])
    def test_a_resumed_scheduler(self, scheduler_first: bool) -> None:
        def program(sgd: Any, _: Any) -> Any:
            optimizer = sgd([{"params": [weight()], "initial_lr": 0.01}], lr=0.5)
            scheduler = torchs.StepLR(optimizer, 3, last_epoch=10)
            order = [scheduler.step, optimizer.step]
            return warned(lambda: [do() for do in (order if scheduler_first else order[::-1])])

        said = same(program)
        assert len(said) == scheduler_first


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_nothing_but_the_user_holds_an_optimizer_that_has_stepped() -> None:
    def program(sgd: Any, _: Any) -> Any:
        gc.collect()
        optimizer = sgd([weight()], lr=0.5, momentum=0.9)
        scheduler = torchs.LambdaLR(optimizer, lambda t: 1.0)
        for _ in range(3):
            update(optimizer)
            scheduler.step()
        del scheduler
        holders = len(gc.get_referrers(optimizer))
        gc.collect()
        del optimizer
        return [holders, gc.collect()]

    assert same(program) == [0, 0]


def test_a_weight_that_wants_no_gradient() -> None:
    def program(sgd: Any, _: Any) -> Any:
        optimizer = sgd([torch.tensor(0.5)], lr=0.1)
        both = [torchs.ConstantLR(optimizer, 1), torchs.ConstantLR(optimizer, 0.1)]
        torchs.SequentialLR(optimizer, both, [10])
        return plain(optimizer.param_groups[0])

    assert same(program)["lr"] == 0.1
