"""The optimizer as torch's tools see it: groups, rates, errors, copies."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import weakref
from typing import Any

import numpy as np
import oracle
import pytest
import torch
from following import assert_same_path, follow, no_gradient, noisy_quadratic, parameter, weights
from torch.optim import lr_scheduler

import unyoke
from unyoke import schedules

pytestmark = pytest.mark.usefixtures("definition")

CLASSES = [unyoke.SGD, unyoke.SGDW, unyoke.Adam, unyoke.AdamW]


def snapshot(optimizer: torch.optim.Optimizer) -> Any:
    return copy.deepcopy((optimizer.state_dict(), [p for g in groups(optimizer) for p in g]))


def groups(optimizer: torch.optim.Optimizer) -> list[list[torch.Tensor]]:
    return [list(group["params"]) for group in optimizer.param_groups]


class TestState:
    @pytest.mark.parametrize("cls", [c for c in CLASSES if c is not unyoke.SGD])
    def test_is_made_before_the_first_update_if_asked_for(self, cls: Any) -> None:
        p = parameter()
        optimizer = cls([p])
        assert not optimizer.state
        optimizer.init_state()
        state = optimizer.state[p]
        assert state["step"] == 0
        assert all((value == 0).all() for value in state.values())
        assert len(state) > 1

    @pytest.mark.parametrize("cls", CLASSES)
    def test_has_torch_s_layout(self, cls: Any) -> None:
        p = torch.nn.Parameter(torch.randn(3, 4, 5, 6).to(memory_format=torch.channels_last))
        optimizer = cls([p])
        optimizer.init_state()
        for name, value in optimizer.state[p].items():
            if name != "step":
                assert value.shape == p.shape
                assert value.stride() == p.stride()
        assert optimizer.state[p]["step"].shape == ()

    def test_is_dropped_with_its_optimizer(self) -> None:
        p = parameter()
        optimizer = unyoke.AdamW([p])
        p.grad = torch.zeros_like(p)
        optimizer.step()
        moment = weakref.ref(optimizer.state[p]["exp_avg"])
        del optimizer
        gc.collect()
        assert moment() is None


class TestGroups:
    def test_have_their_own_lr_weight_decay_and_decay(self) -> None:
        """Four groups of one optimizer walk as four optimizers would."""
        settings: list[dict[str, Any]] = [
            {},
            {"lr": 0.1},
            {"weight_decay": 0.002},
            {"lr": 0.005, "weight_decay": 0.2, "decay": "l2"},
            {"decay": "lr_coupled", "weight_decay": 0.3, "betas": (0.5, 0.9)},
        ]
        common = {"lr": 0.02, "weight_decay": 0.004, "schedule": schedules.cosine(60)}
        parameters = [parameter() for _ in settings]
        whole = unyoke.AdamW(
            [{"params": [p], **own} for p, own in zip(parameters, settings, strict=True)],
            **common,
        )
        for t in range(1, 51):
            for p in parameters:
                p.grad = torch.from_numpy(noisy_quadratic(p.detach().numpy(), t))
            whole.step()
        for p, own in zip(parameters, settings, strict=True):
            alone = follow(unyoke.AdamW([parameter()], **{**common, **own}), noisy_quadratic, 50)
            np.testing.assert_array_equal(p.detach().numpy(), alone[-1])

    def test_decay_of_a_group_follows_its_own_lr(self) -> None:
        """η_t is lr/α with the group's own α, not the constructor's."""
        p, q = parameter(), parameter()
        optimizer = unyoke.SGDW(
            [{"params": [p]}, {"params": [q], "lr": 10.0}], lr=0.1, weight_decay=0.003
        )
        scheduler = lr_scheduler.LambdaLR(optimizer, schedules.cosine(60))
        follow(optimizer, no_gradient, 60, after_each=scheduler.step)
        expected = math.prod(1 - oracle.cosine(60)(t) * 0.003 for t in range(60))
        for own in (p, q):
            np.testing.assert_allclose(own.detach().numpy(), expected * weights(), rtol=1e-12)

    def test_added_later_start_where_the_schedule_stands(self) -> None:
        p, q = parameter(), parameter()
        optimizer = unyoke.AdamW([p], lr=0.02, schedule=schedules.cosine(10))
        follow(optimizer, noisy_quadratic, 5)
        optimizer.add_param_group({"params": [q], "lr": 0.4})
        assert optimizer.param_groups[1]["lr"] == pytest.approx(0.4 * 0.5)
        assert optimizer.param_groups[1]["base_lr"] == 0.4
        follow(optimizer, noisy_quadratic, 1)
        assert optimizer.param_groups[1]["lr"] == pytest.approx(0.4 * oracle.cosine(10)(6))

    def test_hold_plain_values_only(self) -> None:
        """Numbers, strings, tensors: what weights_only loading and flat checkpoints accept."""
        optimizer = unyoke.AdamW(
            [parameter()],
            weight_decay=unyoke.normalized(0.05),
            schedule=schedules.warm_restarts(10),
        )
        plain = (int, float, bool, str, tuple, torch.Tensor)
        for name, value in optimizer.param_groups[0].items():
            assert name == "params" or isinstance(value, plain), name

    @pytest.mark.parametrize("params", [[], iter(())])
    def test_no_parameters_at_all_are_refused(self, params: Any) -> None:
        with pytest.raises(ValueError, match="empty"):
            unyoke.AdamW(params)

    def test_a_refused_group_leaves_no_trace(self) -> None:
        optimizer = unyoke.AdamW([parameter()])
        before = repr(optimizer)
        for bad in ({"params": [], "lr": -1.0}, {"params": [parameter()], "lr": -1.0}):
            with pytest.raises(ValueError, match=r"-1\.0"):
                optimizer.add_param_group(bad)
        shared = optimizer.param_groups[0]["params"][0]
        with pytest.raises(ValueError, match="more than one parameter group"):
            optimizer.add_param_group({"params": [shared]})
        assert repr(optimizer) == before
        follow(optimizer, noisy_quadratic, 1)


class TestLearningRate:
    def test_group_shows_the_coming_update_s(self) -> None:
        η = oracle.warm_restarts(7)
        p = parameter()
        optimizer = unyoke.AdamW([p], lr=0.02, schedule=schedules.warm_restarts(7))
        for t in range(30):
            assert optimizer.param_groups[0]["lr"] == pytest.approx(0.02 * η(t), rel=1e-13)
            assert optimizer.param_groups[0]["base_lr"] == 0.02
            p.grad = torch.ones_like(p)
            optimizer.step()

    def test_schedule_in_the_constructor_is_lambda_lr_with_it(self) -> None:
        make = {"lr": 0.02, "weight_decay": 0.004}
        inside = unyoke.AdamW([parameter()], **make, schedule=schedules.warm_restarts(9))
        outside = unyoke.AdamW([parameter()], **make)
        scheduler = lr_scheduler.LambdaLR(outside, schedules.warm_restarts(9))
        assert_same_path(
            follow(inside, noisy_quadratic, 60),
            follow(outside, noisy_quadratic, 60, after_each=scheduler.step),
        )

    @pytest.mark.parametrize("cls", CLASSES)
    @pytest.mark.parametrize("tensor", [False, True])
    def test_zero_moves_nothing(self, cls: Any, tensor: bool) -> None:
        """Decay and momentum included; and the weights move again when the rate is back."""
        p = parameter()
        lr = torch.tensor(0.1, dtype=torch.float64) if tensor else 0.1
        optimizer = cls([p], lr=lr, weight_decay=0.009)
        follow(optimizer, noisy_quadratic, 3)
        before = p.detach().clone()
        group = optimizer.param_groups[0]
        if tensor:
            group["lr"].fill_(0.0)
        else:
            group["lr"] = 0.0
        follow(optimizer, noisy_quadratic, 2)
        assert torch.equal(p.detach(), before)
        group["lr"] = lr.fill_(0.1) if isinstance(lr, torch.Tensor) else lr
        follow(optimizer, noisy_quadratic, 1)
        assert (p.detach() != before).all()

    def test_a_schedule_that_ends_at_zero_stops_everything(self) -> None:
        p = parameter()
        optimizer = unyoke.AdamW([p], lr=0.1, weight_decay=9e-3, schedule=schedules.cosine(5))
        path = follow(optimizer, noisy_quadratic, 8)
        assert (path[5] != path[4]).all()
        np.testing.assert_array_equal(path[6:], path[5:6].repeat(3, axis=0))

    def test_as_a_tensor_is_updated_in_place(self) -> None:
        lr = torch.tensor(0.02, dtype=torch.float64)
        p = parameter()
        optimizer = unyoke.AdamW([p], lr=lr, weight_decay=0.004)
        path = follow(optimizer, noisy_quadratic, 20)
        lr.mul_(0.5)
        path = np.concatenate([path, follow(optimizer, noisy_quadratic, 20, first=21)[1:]])
        expected = oracle.trajectory(
            weights(),
            noisy_quadratic,
            direction="adam",
            decay="decoupled",
            lr=0.02,
            weight_decay=0.004,
            schedule=lambda t: 1.0 if t < 20 else 0.5,
            updates=40,
        )
        assert_same_path(path, expected)

    def test_both_schedules_at_once_is_an_error_that_names_both(self) -> None:
        p = parameter()
        optimizer = unyoke.AdamW([p], lr=0.1, schedule=schedules.cosine(10))
        scheduler = lr_scheduler.StepLR(optimizer, 1)
        follow(optimizer, noisy_quadratic, 1)
        scheduler.step()
        before = snapshot(optimizer)
        with pytest.raises(RuntimeError, match=r"schedule=cosine.*lr_scheduler"):
            optimizer.step()
        assert str(snapshot(optimizer)) == str(before)


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("negative lr", {"lr": -1e-3}, r"-0\.001"),
    ("NaN lr", {"lr": float("nan")}, "nan"),
    ("infinite lr", {"lr": float("inf")}, "inf"),
    ("text as lr", {"lr": "fast"}, "fast"),
    ("negative weight_decay", {"weight_decay": -0.1}, r"-0\.1"),
    ("NaN weight_decay", {"weight_decay": float("nan")}, "nan"),
    ("text as weight_decay", {"weight_decay": "much"}, "much"),
    ("function giving a negative λ", {"weight_decay": lambda t: -1.0}, r"-1\.0"),
    ("beta of one", {"betas": (0.9, 1.0)}, r"1\.0"),
    ("negative beta", {"betas": (-0.1, 0.9)}, r"-0\.1"),
    ("NaN beta", {"betas": (0.9, float("nan"))}, "nan"),
    ("one beta", {"betas": (0.9,)}, "betas"),
    ("negative eps", {"eps": -1e-8}, "-1e-08"),
    ("NaN eps", {"eps": float("nan")}, "nan"),
    ("unknown decay", {"decay": "decopled"}, "decoupled"),
    ("unknown backend", {"backend": "egaer"}, "eager"),
    ("schedule that is no function", {"schedule": 0.5}, r"0\.5"),
]


class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "says"), [row[1:] for row in BAD], ids=[row[0] for row in BAD]
    )
    def test_constructor(self, arguments: dict[str, Any], says: str) -> None:
        with pytest.raises(ValueError, match=says):
            unyoke.AdamW([parameter()], **arguments)

    def test_momentum(self) -> None:
        for momentum in (-0.1, 1.1, float("nan")):  # torch takes 1
            with pytest.raises(ValueError, match=str(momentum)):
                unyoke.SGDW([parameter()], momentum=momentum)

    def test_unknown_keyword_lists_the_near_one(self) -> None:
        with pytest.raises(TypeError, match="betas"):
            unyoke.Optimizer([parameter()], direction="adam", beta=(0.9, 0.99))
        with pytest.raises(TypeError, match="wieght_decay"):
            unyoke.AdamW([parameter()], wieght_decay=0.1)

    def test_unknown_direction_lists_the_near_one(self) -> None:
        with pytest.raises(ValueError, match="adam"):
            unyoke.Optimizer([parameter()], direction="adamm")

    def test_what_is_no_parameter(self) -> None:
        with pytest.raises(TypeError):
            unyoke.AdamW(parameter())
        with pytest.raises(TypeError):
            unyoke.AdamW([1.0])
        leaf = parameter()
        with pytest.raises(ValueError, match="non-leaf"):
            unyoke.AdamW([leaf * 2])

    def test_sparse_gradients_change_nothing(self) -> None:
        embedding = torch.nn.Embedding(5, 3, sparse=True)
        other = parameter()
        optimizer = unyoke.AdamW([other, embedding.weight], lr=0.1)
        other.grad = torch.ones_like(other)
        embedding(torch.tensor([1, 2])).sum().backward()
        optimizer.init_state()
        before = snapshot(optimizer)
        with pytest.raises(RuntimeError, match="sparse"):
            optimizer.step()
        assert str(snapshot(optimizer)) == str(before)

    def test_lr_raised_from_a_zero_start_is_refused(self) -> None:
        """η = lr/α has no value for α = 0; group["base_lr"] gives it one."""
        p = parameter()
        optimizer = unyoke.AdamW([p], lr=0.0)
        optimizer.param_groups[0]["lr"] = 0.1
        p.grad = torch.ones_like(p)
        with pytest.raises(RuntimeError, match="base_lr"):
            optimizer.step()
        optimizer.param_groups[0]["base_lr"] = 0.1
        optimizer.step()


@pytest.mark.any_backend
class TestCopies:
    """A copy and a pickle go on as the original would, and share nothing with it."""

    @pytest.mark.parametrize("cls", CLASSES)
    @pytest.mark.parametrize("how", ["deepcopy", "pickle"])
    def test_continue_bit_for_bit(self, cls: Any, how: str) -> None:
        optimizer = cls(
            [parameter()],
            lr=0.02,
            weight_decay=unyoke.normalized(0.05),
            schedule=schedules.warm_restarts(7),
        )
        follow(optimizer, noisy_quadratic, 11)
        twin = (
            copy.deepcopy(optimizer) if how == "deepcopy" else pickle.loads(pickle.dumps(optimizer))
        )
        mine = follow(optimizer, noisy_quadratic, 20, first=12)
        its = follow(twin, noisy_quadratic, 20, first=12)
        np.testing.assert_array_equal(mine, its)
        assert twin.param_groups[0]["params"][0] is not optimizer.param_groups[0]["params"][0]

    def test_the_original_does_not_move_with_its_copy(self) -> None:
        optimizer = unyoke.AdamW([parameter(), parameter()], lr=0.02)
        follow(optimizer, noisy_quadratic, 3)
        before = str(snapshot(optimizer))
        twin = copy.deepcopy(optimizer)
        follow(twin, noisy_quadratic, 3)
        assert str(snapshot(optimizer)) == before


@pytest.mark.any_backend
class TestStateWrittenByOthers:
    """Whatever stands in optimizer.state when step() is called is what counts."""

    @pytest.mark.parametrize(
        "write",
        [
            lambda state, p: state[p]["step"].fill_(100.0),
            lambda state, p: state[p]["step"].data.fill_(100.0),
            lambda state, p: state[p]["step"].numpy().fill(100.0),
            lambda state, p: state[p].update(step=torch.tensor(100.0)),
            lambda state, p: state.update({p: {**state[p], "step": torch.tensor(100.0)}}),
        ],
        ids=["in place", "through data", "through numpy", "another tensor", "another dict"],
    )
    def test_step(self, write: Any) -> None:
        p, q = parameter(), parameter()
        optimizer = unyoke.Adam([p, q], lr=0.1)
        follow(optimizer, noisy_quadratic, 3)
        moments = {name: value.clone() for name, value in optimizer.state[p].items()}
        before = p.detach().numpy().copy()
        write(optimizer.state, p)
        follow(optimizer, noisy_quadratic, 1, first=4)
        g = noisy_quadratic(before, 4)
        m = (0.9 * moments["exp_avg"].numpy() + 0.1 * g) / (1 - 0.9**101)
        v = (0.999 * moments["exp_avg_sq"].numpy() + 0.001 * g**2) / (1 - 0.999**101)
        np.testing.assert_allclose(
            p.detach().numpy(), before - 0.1 * m / (np.sqrt(v) + 1e-8), rtol=1e-12
        )
        assert (optimizer.state[p]["step"], optimizer.state[q]["step"]) == (101, 4)

    def test_moments_and_weights(self) -> None:
        """Another tensor in the state, and other storage under the parameter."""
        p = parameter()
        optimizer = unyoke.SGDW([p], lr=0.1, momentum=0.5, weight_decay=0.0)
        follow(optimizer, noisy_quadratic, 2)
        optimizer.state[p]["momentum_buffer"] = torch.ones_like(p)
        p.data = torch.zeros(4, 6, dtype=torch.float64)
        p.grad = torch.zeros_like(p)
        optimizer.step()
        assert (p == -0.5).all()
        optimizer.state[p].clear()
        p.grad = torch.ones_like(p)
        optimizer.step()
        assert (p == -0.6).all()
        assert optimizer.state[p]["step"] == 1
