"""State dicts: through torch.save, bit for bit; other shapes and other optimizers refused."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from following import assert_same_path, follow, noisy_quadratic, parameter, weights
from pairs import some_decay
from saving import through_a_file

import unyoke
from unyoke import directions, schedules

pytestmark = pytest.mark.usefixtures("definition")

CLASSES = [unyoke.SGD, unyoke.SGDW, unyoke.Adam, unyoke.AdamW]


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {"weight_decay": 0.004},
    "schedule": {"weight_decay": 0.004, "schedule": schedules.cosine(40)},
    "restarts": {
        "weight_decay": unyoke.normalized(0.05),
        "schedule": schedules.warm_restarts(7),
    },
    "λ of t": {"weight_decay": lambda t: 0.009 / (1 + t)},
    "tensor lr": {"lr": torch.tensor(0.02), "weight_decay": torch.tensor(0.004)},
}


def fresh(cls: Any, settings: str, start: Any = None) -> Any:
    arguments = {"lr": 0.02, **copy.deepcopy(SETTINGS[settings])}
    return cls([parameter(start), parameter()], **arguments)


@pytest.mark.any_backend
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("cls", CLASSES)
def test_a_resumed_run_continues_bit_for_bit(cls: Any, settings: str) -> None:
    whole = follow(fresh(cls, settings), noisy_quadratic, 30)
    first = fresh(cls, settings)
    path = follow(first, noisy_quadratic, 13)
    second = fresh(cls, settings, path[-1])
    second.param_groups[0]["params"][1].data.copy_(first.param_groups[0]["params"][1].data)
    second.load_state_dict(through_a_file(first.state_dict()))
    rest = follow(second, noisy_quadratic, 17, first=14)
    np.testing.assert_array_equal(rest, whole[13:])


@pytest.mark.parametrize("direction", directions.ALL)
def test_every_direction_resumes_bit_for_bit(direction: str) -> None:
    def make(start: Any = None) -> Any:
        decay = some_decay(direction)
        return unyoke.Optimizer([parameter(start)], lr=0.02, direction=direction, decay=decay)

    whole = follow(make(), noisy_quadratic, 20)
    first = make()
    path = follow(first, noisy_quadratic, 9)
    second = make(path[-1])
    second.load_state_dict(through_a_file(first.state_dict()))
    np.testing.assert_array_equal(follow(second, noisy_quadratic, 11, first=10), whole[9:])


def test_loaded_state_is_the_optimizer_s_own() -> None:
    """Stepping the loader leaves the loaded dictionary as it was."""
    optimizer = unyoke.AdamW([parameter()])
    follow(optimizer, noisy_quadratic, 2)
    saved = optimizer.state_dict()
    kept = copy.deepcopy(saved)
    other = unyoke.AdamW([parameter()])
    other.load_state_dict(saved)
    follow(other, noisy_quadratic, 2)
    assert str(saved) == str(kept)


def test_state_keeps_its_own_dtype() -> None:
    """TRAPS 14: torch casts float state to the parameter's dtype on loading."""
    short = parameter(dtype=torch.bfloat16)
    optimizer = unyoke.AdamW([short])
    optimizer.state[short]["exp_avg"] = torch.full((4, 6), 1 + 2.0**-20)
    optimizer.state[short]["exp_avg_sq"] = torch.ones(4, 6)
    q = parameter(dtype=torch.bfloat16)
    other = unyoke.AdamW([q])
    other.load_state_dict(through_a_file(optimizer.state_dict()))
    assert other.state[q]["exp_avg"].dtype == torch.float32
    assert (other.state[q]["exp_avg"] == 1 + 2.0**-20).all()


def test_the_checkpoint_s_numbers_replace_the_constructor_s() -> None:
    """TRAPS 15, as torch does it."""
    optimizer = unyoke.AdamW([parameter()], lr=0.5, weight_decay=0.004, betas=(0.5, 0.6))
    other = unyoke.AdamW([parameter()])
    other.load_state_dict(through_a_file(optimizer.state_dict()))
    group = other.param_groups[0]
    assert (group["lr"], group["base_lr"], group["weight_decay"]) == (0.5, 0.5, 0.004)
    assert tuple(group["betas"]) == (0.5, 0.6)


def test_a_decay_schedule_is_restored_where_it_stood() -> None:
    """TRAPS 9: not lost on resume, and in force for the first update after it."""
    make = lambda: unyoke.SGDW(  # noqa: E731 (three optimizers of one kind)
        [parameter()],
        weight_decay=unyoke.normalized(0.05),
        schedule=schedules.warm_restarts(4),
    )
    first, second = make(), make()
    follow(first, noisy_quadratic, 6)
    second.load_state_dict(through_a_file(first.state_dict()))
    assert second.param_groups[0]["weight_decay"] == pytest.approx(0.05 / 8**0.5)
    assert second.param_groups[0]["lr"] == first.param_groups[0]["lr"]


def test_functions_are_the_constructor_s_at_the_checkpoint_s_t() -> None:
    """A schedule and a λ of t that the saved run did not have hold from where it stood."""
    first = unyoke.SGDW([parameter()], lr=0.02, weight_decay=0.004)
    path = follow(first, noisy_quadratic, 5)
    second = unyoke.SGDW(
        [parameter(path[-1])],
        lr=0.02,
        weight_decay=lambda t: 0.001 * t,
        schedule=schedules.cosine(10),
    )
    second.load_state_dict(through_a_file(first.state_dict()))
    group = second.param_groups[0]
    assert group["lr"] == pytest.approx(0.02 * 0.5)
    assert group["weight_decay"] == pytest.approx(0.005)
    follow(second, noisy_quadratic, 1, first=6)
    assert group is second.param_groups[0]
    assert group["lr"] == pytest.approx(0.02 * schedules.cosine(10)(6))


class TestFromTorch:
    """torch's own state dicts load where the names coincide."""

    @pytest.mark.parametrize(
        ("torchs", "own", "ours", "arguments"),
        [
            (torch.optim.Adam, {}, unyoke.Adam, {}),
            (torch.optim.SGD, {"momentum": 0.9}, unyoke.SGD, {}),
            (
                torch.optim.SGD,
                {"momentum": 0.9, "nesterov": True},
                unyoke.SGD,
                {},
            ),
            (torch.optim.AdamW, {}, unyoke.AdamW, {}),
        ],
    )
    def test_the_run_goes_on(self, torchs: Any, own: Any, ours: Any, arguments: Any) -> None:
        settings = {"lr": 0.02, "weight_decay": 0.0}
        whole = follow(torchs([parameter()], **settings, **own), noisy_quadratic, 30)
        begun = torchs([parameter()], **settings, **own)
        path = follow(begun, noisy_quadratic, 12)
        resumed = ours([parameter(path[-1])], **settings, **arguments)
        resumed.load_state_dict(through_a_file(begun.state_dict()))
        rest = follow(resumed, noisy_quadratic, 18, first=13)
        assert_same_path(rest, whole[12:])

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("Adam", [{"amsgrad": True}, {}]),
            ("SGD", [{"momentum": 0.9, "nesterov": True}, {"momentum": 0.8}, {}]),
            ("RMSprop", [{"centered": True}, {"momentum": 0.5}, {}]),
        ],
    )
    def test_groups_that_run_different_algorithms_go_on(self, name: str, words: Any) -> None:
        """Also into an optimizer whose groups were made without these words."""
        theirs = getattr(torch.optim, name)
        settings = {"lr": 0.02, "weight_decay": 0.0}
        whole, begun = (
            theirs([{"params": [parameter()], **own} for own in words], **settings)
            for _ in range(2)
        )
        follow(whole, noisy_quadratic, 20)
        follow(begun, noisy_quadratic, 8)
        for own_words in (words, [{}] * len(words)):
            weights = [parameter(g["params"][0].detach().clone()) for g in begun.param_groups]
            resumed = getattr(unyoke, name)(
                [{"params": [w], **own} for w, own in zip(weights, own_words, strict=True)],
                **settings,
            )
            resumed.load_state_dict(through_a_file(begun.state_dict()))
            follow(resumed, noisy_quadratic, 12, first=9)
            for found, group in zip(weights, whole.param_groups, strict=True):
                torch.testing.assert_close(found, group["params"][0], rtol=1e-12, atol=1e-12)

    def test_the_learning_rate_outside_the_buffer_is_not_taken_for_one_inside(self) -> None:
        begun = torch.optim.SGD([p := parameter()], lr=0.02, momentum=0.9)
        follow(begun, noisy_quadratic, 2)
        optimizer = unyoke.SGDW([q := parameter()], lr=0.02)
        optimizer.load_state_dict(begun.state_dict())
        inside = optimizer.state[q]["momentum_buffer"]
        torch.testing.assert_close(inside, 0.02 * begun.state[p]["momentum_buffer"])


class TestRefusals:
    """Both sides are named, and the optimizer is as it was."""

    def refused(self, optimizer: Any, saved: Any, says: str) -> None:
        follow(optimizer, noisy_quadratic, 2)
        before = str(copy.deepcopy(optimizer.state_dict()))
        with pytest.raises(ValueError, match=says):
            optimizer.load_state_dict(saved)
        assert str(optimizer.state_dict()) == before
        follow(optimizer, noisy_quadratic, 1)

    def state_of(self, optimizer: Any) -> Any:
        follow(optimizer, noisy_quadratic, 1)
        return through_a_file(optimizer.state_dict())

    def test_another_optimizer_s_state(self) -> None:
        saved = self.state_of(unyoke.SGDW([parameter()]))
        self.refused(unyoke.AdamW([parameter()]), saved, r"heavy_ball.*adam")

    def test_another_shape(self) -> None:
        saved = self.state_of(unyoke.AdamW([parameter(weights(shape=(2, 3)))]))
        self.refused(unyoke.AdamW([parameter()]), saved, r"\(2, 3\).*\(4, 6\)")

    def test_another_number_of_parameters(self) -> None:
        saved = self.state_of(unyoke.AdamW([parameter(), parameter()]))
        self.refused(unyoke.AdamW([parameter()]), saved, r"2 parameters.*1 here")

    def test_another_number_of_groups(self) -> None:
        saved = self.state_of(unyoke.AdamW([{"params": [parameter()]}, {"params": [parameter()]}]))
        self.refused(unyoke.AdamW([parameter()]), saved, r"2 parameter groups")


def test_named_parameters_in_another_order_are_matched_by_name() -> None:
    a, b = parameter(weights(1, (2, 3))), parameter(weights(2, (2, 3)))
    optimizer = unyoke.AdamW([("a", a), ("b", b)])
    follow(optimizer, noisy_quadratic, 3)
    c, d = parameter(weights(2, (2, 3))), parameter(weights(1, (2, 3)))
    other = unyoke.AdamW([("b", c), ("a", d)])
    other.load_state_dict(through_a_file(optimizer.state_dict()))
    assert torch.equal(other.state[d]["exp_avg"], optimizer.state[a]["exp_avg"])
    assert torch.equal(other.state[c]["exp_avg"], optimizer.state[b]["exp_avg"])
    assert not torch.equal(other.state[c]["exp_avg"], other.state[d]["exp_avg"])
