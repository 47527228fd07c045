"""Where each trap of what goes wrong elsewhere has its test; and tests of those without a place.

Traps about optimizers, schedules, parameter groups and state, by number:

     1  decay rounded away in 1 − lr·wd         optimizers/test_traps.py, test_explain.py (the flag)
     2  ε inside the bias correction            optimizers/test_traps.py
     3  8-bit m over a vanished v               optimizers/test_traps.py, test_storage.py
     4  stochastic rounding from {0}            test_storage.py
     5  strides of parameter and gradient       optimizers/test_traps.py
     6  empty, 0-d, listed twice, tied, frozen  optimizers/test_traps.py, test_groups.py
     7  initial_lr and max_lr overwritten       optimizers/test_traps.py, test_decouple.py,
                                                test_convert.py (a scheduler is built again)
     8  restarts by logarithm                   optimizers/test_traps.py
     9  a decay schedule lost on resume         checkpoint/test_checkpoint.py, test_state_dicts.py,
                                                test_decouple.py (a checkpoint continues)
    10  schedulers stepped too seldom or often  here
    11  groups added after a scheduler          optimizers/test_traps.py, here (what we do)
    12  groups by name                          test_groups.py
    13  the dummy step of distributed saving    optimizers/test_traps.py, test_state_dicts.py
    14  state cast to the parameter's dtype     checkpoint/test_checkpoint.py
    15  keys missing in an old checkpoint       here, checkpoint/test_checkpoint.py (its λ)
    16  enums, lambdas, None in state           optimizers/test_traps.py, test_state_dicts.py (flat)
    17  a wrapper that skips __init__           here
    18  GradScaler                              optimizers/test_traps.py, test_decouple.py (fused)
    19  FSDP2                                   test_state_dicts.py
    20  closures                                optimizers/test_traps.py, torch_suite
    27  tests without power                     optimizers/test_traps.py; tolerances here are 1e-12

21 (torch.compile) is the compile backend's, 22–26 the study's.

What was believed at construction, or broke where others drop in; each as it should be:

    28  Kahan's compensation after a cast      step/test_late_casts.py, checkpoint/test_loading.py
    29  a model moved, cast, sharded later     step/test_late_state.py, step/test_late_casts.py,
                                               step/test_cast_product.py, step/test_move_product.py,
        parameters exchanged (Accelerate)      step/test_late_state.py, check_accelerate.py
    30  anchors before the weights are loaded  step/test_late_state.py (TestAnchors)
    31  seeds of the ranks                     step/test_seeds.py
    32  lr set after construction              optimizers/test_unit_warnings.py (TestEtaAboveOne)
    33  λ in torch's units, written or loaded  optimizers/test_unit_warnings.py
    34  gradients that come and go             step/test_gradients_come_and_go.py
    35  a count in shared memory               step/test_shared_and_empty.py
    36  an interrupt under a schedule          step/test_signals.py, step/test_interrupts.py
    37  a refused checkpoint changes nothing   checkpoint/test_loading.py
    38  numbers of a checkpoint                checkpoint/test_loading.py
    39  the last digits of a rate              step/test_signals.py (TestTheSameNumber)
    40  a population's checkpoint              population/test_resuming.py
    41  release() under DDP, FSDP1, wrappers,  test_release.py (TestFrameworks),
        and a model moved afterwards           backends/test_sharded_meshes.py
    42  shards through the kernels             backends/test_shards.py
    43  groups.split: FSDP1, timm, wrapped     test_groups.py, test_release.py (TestFrameworks)
    44  norms of FSDP1's shards                backends/test_shards.py (rules on whole tensors)
    45  an empty group                         step/test_shared_and_empty.py
    46  a scheduler that insists               schedules/test_follow.py, check_transformers.py
    47  a wrapper's keys and state             checkpoint/test_foreign.py
    48  decouple() and second copies           interchange/test_decouple.py (TestSecondCopies)
    49  torch's arguments, order, defaults     optimizers/test_drop_in.py
    50  numbers of NumPy; momentum at 0        optimizers/test_drop_in.py (TestNumbers), torch_suite

A parameter that is sparse itself is refused, here; 51–60 are the study's and the backends'.
"""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler, swa_utils

import unyoke
from unyoke import schedules

HERE = Path(__file__).parent
λ = 0.004


def parameter() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.linspace(1, 2, 12, dtype=torch.float64).reshape(3, 4))


def made(**arguments: Any) -> unyoke.Optimizer:
    return unyoke.SGDW([parameter()], lr=0.1, weight_decay=λ, backend="eager", **arguments)


def share_kept(optimizer: torch.optim.Optimizer, updates: int, after: Any = int) -> float:
    """What is left of the weights after so many updates without gradient."""
    (p,) = optimizer.param_groups[0]["params"]
    start = p.detach().clone()
    for _ in range(updates):
        p.grad = torch.zeros_like(p)
        optimizer.step()
        after()
    return float((p.detach() / start).mean())


def test_every_file_of_the_map_is_there() -> None:
    there = {str(file.relative_to(HERE)) for file in HERE.rglob("*.py")}
    there |= {Path(file).name for file in there}
    named = re.findall(r"[\w/]+\.py", str(__doc__))
    assert len(named) > 40
    assert sorted(set(named) - there) == []


class TestTrap10:
    """Lightning steps a scheduler once per epoch, Accelerate num_processes times per step."""

    def test_the_decay_follows_what_the_scheduler_did(self) -> None:
        """η is read from lr: right for the rate in force, however often it was moved."""
        for every in (5, 1):
            for times in (1, 4):
                optimizer = made()
                scheduler = lr_scheduler.ExponentialLR(optimizer, 0.9)
                expected, eta = 1.0, 1.0
                for update in range(1, 21):
                    expected *= 1 - eta * λ
                    share_kept(optimizer, 1)
                    if update % every == 0:
                        for _ in range(times):
                            scheduler.step()
                            eta *= 0.9
                found = optimizer.param_groups[0]["params"][0].detach() / parameter().detach()
                assert float(found.mean()) == pytest.approx(expected, rel=1e-12)

    def test_a_schedule_in_the_constructor_cannot_be_forgotten_or_doubled(self) -> None:
        expected = 1.0
        for t in range(20):
            expected *= 1 - schedules.cosine(20)(t) * λ
        assert share_kept(made(schedule=schedules.cosine(20)), 20) == pytest.approx(expected)


def test_trap_11_a_late_group_and_how_to_have_one() -> None:
    """torch's scheduler does not know the new group; a schedule in the constructor does."""
    optimizer = made()
    scheduler = lr_scheduler.LambdaLR(optimizer, schedules.cosine(10))
    share_kept(optimizer, 2, scheduler.step)
    optimizer.add_param_group({"params": [parameter()], "lr": 0.4})
    late = optimizer.param_groups[1]
    assert (late["lr"], late["base_lr"], late["updates"]) == (0.4, 0.4, 2)
    share_kept(optimizer, 1)
    if torch.__version__ >= (2, 10):
        with pytest.raises((ValueError, KeyError, IndexError)):
            scheduler.step()
    else:
        scheduler.step()
        assert late["lr"] == 0.4
    scheduled = made(schedule=schedules.cosine(10))
    share_kept(scheduled, 2)
    scheduled.add_param_group({"params": [parameter()], "lr": 0.4})
    share_kept(scheduled, 1)
    assert scheduled.param_groups[1]["lr"] == pytest.approx(0.4 * schedules.cosine(10)(3))


class TestTrap15:
    @pytest.mark.parametrize("missing", ["betas", "maximize", "differentiable", "decay"])
    def test_a_key_that_an_old_checkpoint_lacks_is_the_constructor_s(self, missing: str) -> None:
        saved = copy.deepcopy(unyoke.AdamW([parameter()], betas=(0.5, 0.6)).state_dict())
        del saved["param_groups"][0][missing]
        optimizer = unyoke.AdamW([parameter()], betas=(0.7, 0.8), backend="eager")
        optimizer.load_state_dict(saved)
        expected = (0.7, 0.8) if missing == "betas" else (0.5, 0.6)
        assert tuple(optimizer.param_groups[0]["betas"]) == expected
        assert optimizer.param_groups[0]["decay"] == "decoupled"
        share_kept(optimizer, 1)

    def test_so_does_a_pickle(self) -> None:
        optimizer = unyoke.AdamW([parameter()], backend="eager")
        state = optimizer.__getstate__()
        for name in ("maximize", "base_lr", "updates"):
            del state["param_groups"][0][name]
        again = unyoke.AdamW.__new__(unyoke.AdamW)
        again.__setstate__(copy.deepcopy(state))
        assert again.param_groups[0]["base_lr"] == 1e-3
        share_kept(again, 1)


class Wrapper(torch.optim.Optimizer):
    """As Accelerate's: an Optimizer whose __init__ was never called."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer

    @property
    def param_groups(self) -> Any:
        return self.optimizer.param_groups

    @param_groups.setter
    def param_groups(self, value: Any) -> None:
        self.optimizer.param_groups = value

    @property
    def state(self) -> Any:
        return self.optimizer.state

    @property
    def defaults(self) -> Any:
        return self.optimizer.defaults

    def step(self, closure: Any = None) -> Any:  # type: ignore[override]
        return self.optimizer.step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.optimizer.zero_grad(set_to_none)


class TestTrap17:
    @pytest.mark.parametrize("inner", ["ours", "decoupled"])
    def test_schedulers_on_the_wrapper_move_what_is_inside(self, inner: str) -> None:
        optimizer: torch.optim.Optimizer = (
            made()
            if inner == "ours"
            else unyoke.decouple(torch.optim.SGD)([parameter()], lr=0.1, weight_decay=λ)
        )
        wrapper = Wrapper(optimizer)
        scheduler = lr_scheduler.LambdaLR(wrapper, schedules.cosine(20))
        expected = 1.0
        for t in range(20):
            expected *= 1 - schedules.cosine(20)(t) * λ
        assert share_kept(wrapper, 20, scheduler.step) == pytest.approx(expected, rel=1e-12)

    def test_groups_are_all_that_is_needed_of_it(self) -> None:
        wrapper = Wrapper(made())
        wrapper.param_groups[0]["lr"] = 0.0
        assert share_kept(wrapper, 3) == 1.0

    def test_conversion_asks_for_the_optimizer_inside(self) -> None:
        with pytest.raises(ValueError, match=r"Wrapper.*of a wrapper, give the optimizer inside"):
            unyoke.from_torch(Wrapper(torch.optim.AdamW([parameter()])))
        with pytest.raises(ValueError, match="Wrapper"):
            unyoke.to_torch(Wrapper(made()))  # type: ignore[arg-type]


@pytest.mark.parametrize("cls", [unyoke.SGD, unyoke.AdamW])
def test_a_parameter_that_is_sparse_itself_is_refused_by_name(cls: Any) -> None:
    """By the constructor, and by the step where it became so later; torch's SGD takes it."""
    sparse = torch.nn.Parameter(torch.eye(3).to_sparse())
    says = r"parameter 0 \(w\) of shape \(3, 3\): its layout is torch.sparse_coo, .*must be dense"
    with pytest.raises(ValueError, match=says):
        cls([("w", sparse)], lr=0.1)
    later = torch.nn.Parameter(torch.eye(3))
    optimizer = cls([("w", later)], lr=0.1)
    torch.utils.swap_tensors(later, sparse)
    later.grad = torch.eye(3).to_sparse()
    with pytest.raises(ValueError, match=r"parameter 'w'.*its layout is torch.sparse_coo"):
        optimizer.step()
    assert torch.equal(later.to_dense(), torch.eye(3))


class TestAveraging:
    """torch.optim.swa_utils beside our optimizers."""

    def test_swa_lr_anneals_the_rate_and_the_decay_with_it(self) -> None:
        optimizer = made()
        swa = swa_utils.SWALR(optimizer, swa_lr=0.02, anneal_epochs=4)
        expected = 1.0
        for _ in range(8):
            expected *= 1 - optimizer.param_groups[0]["lr"] / 0.1 * λ
            share_kept(optimizer, 1)
            swa.step()
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.02)
        found = optimizer.param_groups[0]["params"][0].detach() / parameter().detach()
        assert float(found.mean()) == pytest.approx(expected, rel=1e-12)

    def test_averaged_model_sees_the_weights_after_each_step(self) -> None:
        model = torch.nn.Linear(3, 2).double()
        average = swa_utils.AveragedModel(model)
        optimizer = unyoke.AdamW(model.parameters(), lr=0.1, backend="eager")
        seen = []
        for _ in range(3):
            model(torch.ones(1, 3, dtype=torch.float64)).sum().backward()
            optimizer.step()
            average.update_parameters(model)
            seen.append(model.weight.detach().clone())
        torch.testing.assert_close(average.module.weight, torch.stack(seen).mean(0))
