"""torch's learning-rate schedulers around our optimizers: what its own suite asks of them.

Each scheduler is built twice, around one of torch's optimizers and around ours, and what it leaves
in the groups is compared at every epoch. In brackets, where test/optim/test_lrscheduler.py asks it.

    rates and momenta, in two groups with rates of their own (test_step_lr … test_onecycle_lr)
    several schedulers after one another and at once (test_chained_…, test_sequentiallr…)
    an epoch that is given (test_closed_form_…)
    state dicts, into schedulers made anew (test_…_state_dict, test_…_is_serializable)
    rates that are tensors (test_lr_scheduler_with_tensor_lr, test_constant_initial_lr)
    last_epoch= with initial_lr in the groups (test_…_resume, test_error_when_…)
    warnings of steps in the wrong order (test_old_pattern_warning, test_new_pattern_no_warning)
    an optimizer that nobody holds is gone at once (test_no_cyclic_references)

What it asks beside these paths is in test_scheduler_habits.py.
"""

from __future__ import annotations

import copy
import gc
import io
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler as torchs
from torch.optim.swa_utils import SWALR

import unyoke

# torch's SequentialLR before 2.10 gives its schedulers an epoch
pytestmark = pytest.mark.filterwarnings("ignore:The epoch parameter in")
EPOCHS = 12
SCHEDULERS: dict[str, Callable[[Any], Any]] = {
    "ConstantLR": lambda o: torchs.ConstantLR(o, 0.5, 4),
    "CosineAnnealingLR": lambda o: torchs.CosineAnnealingLR(o, 5, eta_min=1e-3),
    "CosineAnnealingWarmRestarts": lambda o: torchs.CosineAnnealingWarmRestarts(o, 3, 2),
    "CyclicLR": lambda o: torchs.CyclicLR(o, [0.01, 0.02], [0.05, 0.5], 3, 2, mode="exp_range"),
    "ExponentialLR": lambda o: torchs.ExponentialLR(o, 0.9),
    "LambdaLR": lambda o: torchs.LambdaLR(o, [lambda t: 0.9**t, lambda t: 1 / (1 + t)]),
    "LinearLR": lambda o: torchs.LinearLR(o, 0.25, 0.75, 5),
    "MultiStepLR": lambda o: torchs.MultiStepLR(o, [2, 5, 9], 0.3),
    "MultiplicativeLR": lambda o: torchs.MultiplicativeLR(o, lambda t: 0.95),
    "OneCycleLR": lambda o: torchs.OneCycleLR(o, [0.05, 0.5], total_steps=EPOCHS + 1),
    "PolynomialLR": lambda o: torchs.PolynomialLR(o, 10, 2.0),
    "StepLR": lambda o: torchs.StepLR(o, 3, 0.3),
    "SWALR": lambda o: SWALR(o, [0.01, 0.02], 4),
    "ReduceLROnPlateau": lambda o: torchs.ReduceLROnPlateau(
        o, factor=0.5, patience=1, min_lr=[0.01, 0.2]
    ),
    "ChainedScheduler": lambda o: torchs.ChainedScheduler(
        [torchs.ConstantLR(o, 0.5, 4), torchs.ExponentialLR(o, 0.9), torchs.StepLR(o, 3)]
    ),
    "SequentialLR": lambda o: torchs.SequentialLR(
        o,
        [torchs.LinearLR(o, 0.2, 1.0, 4), torchs.ExponentialLR(o, 0.9), torchs.StepLR(o, 2)],
        [4, 8],
    ),
}
PAIRS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "SGD": (torch.optim.SGD, unyoke.SGD, {"momentum": 0.9}),
    "SGD without momentum": (torch.optim.SGD, unyoke.SGD, {}),
    "Adam": (torch.optim.Adam, unyoke.Adam, {}),
    "RMSprop": (torch.optim.RMSprop, unyoke.RMSprop, {}),
}
SHOWN = (
    "lr",
    "initial_lr",
    "max_lr",
    "min_lr",
    "momentum",
    "base_momentum",
    "max_momentum",
    "betas",
)
BASES = ("LRScheduler", "_LRScheduler")


def optimizers(pair: str, tensor: bool = False) -> list[torch.optim.Optimizer]:
    """torch's and ours, each with two groups that have rates of their own."""
    *classes, options = PAIRS[pair]

    def rate(lr: float) -> Any:
        return torch.tensor(lr, dtype=torch.float64) if tensor else lr

    made = []
    for cls in classes:
        weights = [torch.nn.Parameter(torch.ones(3, dtype=torch.float64)) for _ in range(2)]
        groups = [{"params": [weights[0]]}, {"params": [weights[1]], "lr": rate(0.5)}]
        own = {"capturable": True} if tensor and cls is torch.optim.Adam else {}
        made.append(cls(groups, lr=rate(0.05), **options, **own))
    return made


def epoch(optimizer: torch.optim.Optimizer, scheduler: Any, number: int, **given: Any) -> None:
    for group in optimizer.param_groups:
        for weight in group["params"]:
            weight.grad = torch.full_like(weight, 0.1 * number)
    optimizer.step()
    if isinstance(scheduler, torchs.ReduceLROnPlateau):
        scheduler.step(1.0 if number < 3 else 2.0)
    else:
        scheduler.step(**given)


def shown(optimizer: torch.optim.Optimizer, scheduler: Any) -> list[Any]:
    """What a scheduler has left in the groups, and what it says."""
    groups = [{n: group[n] for n in SHOWN if n in group} for group in optimizer.param_groups]
    return copy.deepcopy([groups, scheduler.get_last_lr()])


def walked(optimizer: Any, scheduler: Any, first: int = 0, last: int = EPOCHS) -> list[Any]:
    path = [shown(optimizer, scheduler)]
    for number in range(first, last):
        epoch(optimizer, scheduler, number)
        path.append(shown(optimizer, scheduler))
    return path


def weights(optimizer: torch.optim.Optimizer) -> torch.Tensor:
    return torch.cat([w.detach() for group in optimizer.param_groups for w in group["params"]])


def fits(name: str, pair: str) -> Callable[[Any], Any]:
    """The scheduler; those that move momenta need to be told where there is none."""
    if pair == "RMSprop" and name == "CyclicLR":
        return lambda o: torchs.CyclicLR(o, 0.01, [0.05, 0.5], 3, cycle_momentum=False)
    return SCHEDULERS[name]


def test_every_scheduler_of_torch_s_is_here() -> None:
    there = {
        name
        for name, cls in vars(torchs).items()
        if isinstance(cls, type) and issubclass(cls, torchs.LRScheduler) and name not in BASES
    }
    assert there | {"SWALR"} == set(SCHEDULERS)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("name", SCHEDULERS)
def test_groups_show_at_each_epoch_what_they_show_in_torch(name: str, pair: str) -> None:
    theirs, ours = optimizers(pair)
    paths = [walked(o, fits(name, pair)(o)) for o in (theirs, ours)]
    assert paths[1] == paths[0]
    assert len({str(each) for each in paths[0]}) > 1
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", sorted(set(SCHEDULERS) - {"ReduceLROnPlateau"}))
def test_tensors_of_rates_are_filled_and_stay_the_tensors_they_are(name: str) -> None:
    theirs, ours = optimizers("SGD", tensor=True)
    rates = [group["lr"] for group in ours.param_groups]
    for optimizer in (theirs, ours):
        walked(optimizer, SCHEDULERS[name](optimizer), last=5)
    for group, other, rate in zip(ours.param_groups, theirs.param_groups, rates, strict=True):
        assert float(group["lr"]) == float(other["lr"])
        if torch.__version__ >= (2, 10):  # before, some of torch's put other tensors there
            assert group["lr"] is rate
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-12, atol=1e-12)


CLOSED = (
    *(
        "ConstantLR",
        "CosineAnnealingLR",
        "CosineAnnealingWarmRestarts",
        "ExponentialLR",
        "LambdaLR",
    ),
    *("LinearLR", "MultiStepLR", "PolynomialLR", "StepLR"),
)


@pytest.mark.parametrize("name", CLOSED)
def test_an_epoch_may_be_given(name: str) -> None:
    paths = []
    for optimizer in optimizers("SGD"):
        scheduler = SCHEDULERS[name](optimizer)
        for number in (1, 2, 7, 3):
            epoch(optimizer, scheduler, number, epoch=number)
            paths.append(shown(optimizer, scheduler))
    assert paths[4:] == paths[:4]


@pytest.mark.parametrize("name", SCHEDULERS)
def test_state_goes_into_a_scheduler_made_anew(name: str) -> None:
    """Through a file; the optimizer's with it, in either order of loading."""
    _, whole = optimizers("SGD")
    path = walked(whole, SCHEDULERS[name](whole))
    for optimizer_first in (True, False):
        _, begun = optimizers("SGD")
        scheduler = SCHEDULERS[name](begun)
        walked(begun, scheduler, last=5)
        file = io.BytesIO()
        torch.save((begun.state_dict(), scheduler.state_dict()), file)
        file.seek(0)
        saved = torch.load(file, weights_only=False)  # CyclicLR keeps a function
        _, resumed = optimizers("SGD")
        with torch.no_grad():
            for new, old in zip(resumed.param_groups, begun.param_groups, strict=True):
                new["params"][0].copy_(old["params"][0])
        again = SCHEDULERS[name](resumed)
        parts = [(resumed, saved[0]), (again, saved[1])]
        for part, state in parts if optimizer_first else reversed(parts):
            part.load_state_dict(state)
        assert walked(resumed, again, 5) == path[5:]
        torch.testing.assert_close(weights(resumed), weights(whole), rtol=0, atol=0)


def test_last_epoch_goes_on_where_the_groups_stand() -> None:
    """initial_lr is in the groups; without it torch's error names it."""
    theirs, ours = optimizers("SGD")
    for optimizer in (theirs, ours):
        walked(optimizer, torchs.StepLR(optimizer, 3, 0.3), last=5)
    paths = [walked(o, torchs.StepLR(o, 3, 0.3, last_epoch=4), 5) for o in (theirs, ours)]
    assert paths[1] == paths[0]
    with pytest.raises(KeyError, match="initial_lr"):
        torchs.StepLR(optimizers("SGD")[1], 3, last_epoch=4)


class TestOrderOfSteps:
    def test_the_scheduler_first_warns(self) -> None:
        _, ours = optimizers("SGD")
        scheduler = torchs.StepLR(ours, 3)
        with pytest.warns(UserWarning, match=r"`lr_scheduler.step\(\)` before"):
            scheduler.step()

    @pytest.mark.parametrize("overridden", [False, True])
    def test_the_optimizer_first_does_not(self, overridden: bool) -> None:
        _, ours = optimizers("SGD")
        scheduler = torchs.StepLR(ours, 3)
        if overridden:  # as some users do, and torch allows for
            step = ours.step
            ours.step = lambda *args: step(*args)  # type: ignore[method-assign]
            ours.step._wrapped_by_lr_sched = True  # type: ignore[attr-defined]
            ours._opt_called = True
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            walked(ours, scheduler)

    def test_several_schedulers_see_the_steps_of_their_own_optimizers(self) -> None:
        _, first = optimizers("SGD")
        _, second = optimizers("Adam")
        schedulers = torchs.StepLR(first, 3), torchs.StepLR(second, 3)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            epoch(first, schedulers[0], 1)
        with pytest.warns(UserWarning, match=r"`lr_scheduler.step\(\)` before"):
            schedulers[1].step()


@pytest.mark.parametrize("name", SCHEDULERS)
def test_an_optimizer_that_nobody_holds_is_gone(name: str) -> None:
    """The scheduler holds the optimizer, and nothing holds both."""
    _, ours = optimizers("SGD")
    scheduler = SCHEDULERS[name](ours)
    walked(ours, scheduler, last=2)
    gc.collect()
    gone = weakref.ref(ours)
    gc.disable()
    try:
        del ours, scheduler
        assert gone() is None
    finally:
        gc.enable()
