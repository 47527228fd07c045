"""from_torch and to_torch: a run goes on in the other library as if nothing had happened."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

import unyoke
from unyoke import directions, schedules

DECAY = {"lr": 0.02, "weight_decay": 0.1}
from_torch = functools.partial(unyoke.from_torch, backend="eager")  # the definition
CASES: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "SGD": (torch.optim.SGD, {}),
    "SGD momentum": (torch.optim.SGD, {"momentum": 0.9}),
    "SGD dampening": (torch.optim.SGD, {"momentum": 0.9, "dampening": 0.3}),
    "SGD nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "Adam": (torch.optim.Adam, {"betas": (0.8, 0.99), "eps": 1e-4}),
    "Adam amsgrad": (torch.optim.Adam, {"amsgrad": True}),
    "Adam decoupled": (torch.optim.Adam, {"decoupled_weight_decay": True}),
    "AdamW": (torch.optim.AdamW, {"betas": (0.8, 0.99), "eps": 1e-4}),
    "AdamW amsgrad": (torch.optim.AdamW, {"amsgrad": True}),
    "NAdam": (torch.optim.NAdam, {"momentum_decay": 0.01}),
    "NAdam decoupled": (torch.optim.NAdam, {"decoupled_weight_decay": True}),
    "RAdam": (torch.optim.RAdam, {}),
    "RAdam decoupled": (torch.optim.RAdam, {"decoupled_weight_decay": True}),
    "Adamax": (torch.optim.Adamax, {}),
    "Adagrad": (torch.optim.Adagrad, {"lr_decay": 0.01, "initial_accumulator_value": 0.2}),
    "Adadelta": (torch.optim.Adadelta, {"rho": 0.8}),
    "RMSprop": (torch.optim.RMSprop, {"alpha": 0.9}),
    "RMSprop centered": (torch.optim.RMSprop, {"centered": True, "alpha": 0.9}),
    "RMSprop momentum": (torch.optim.RMSprop, {"momentum": 0.8}),
    "RMSprop both": (torch.optim.RMSprop, {"momentum": 0.8, "centered": True}),
}
if hasattr(torch.optim, "Muon"):
    CASES["Muon"] = (torch.optim.Muon, {"momentum": 0.9})
    CASES["Muon plain"] = (torch.optim.Muon, {"nesterov": False})
    CASES["Muon matched"] = (torch.optim.Muon, {"adjust_lr_fn": "match_rms_adamw"})

MIXED: dict[str, tuple[type[torch.optim.Optimizer], list[dict[str, Any]], list[str]]] = {
    "Adam": (torch.optim.Adam, [{}, {"amsgrad": True}], ["adam", "amsgrad"]),
    "AdamW": (torch.optim.AdamW, [{"amsgrad": True}, {}], ["amsgrad", "adam"]),
    "SGD": (
        torch.optim.SGD,
        [{"momentum": 0.9, "nesterov": True}, {}, {"momentum": 0.8, "dampening": 0.1}],
        ["nesterov", "gradient", "momentum"],
    ),
    "RMSprop": (
        torch.optim.RMSprop,
        [{}, {"centered": True, "momentum": 0.5}, {"centered": True}],
        ["rmsprop", "rmsprop_centered_momentum", "rmsprop_centered"],
    ),
}
"""Classes of torch's whose groups run different algorithms."""

# What the other library rounds elsewhere: torch keeps NAdam's product of μ in float32, and runs
# Muon's Newton–Schulz steps in bfloat16 for float64 too.
MUON = ("Muon", "Muon plain", "Muon matched")
TOLERANCE = {"NAdam": 1e-6, "NAdam decoupled": 1e-6, **dict.fromkeys(MUON, 2e-2)}


def parameters(dtype: torch.dtype = torch.float64) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(7)
    shapes = ((4, 6), (5, 3))
    return [
        torch.nn.Parameter(torch.randn(s, generator=generator, dtype=torch.float64).to(dtype))
        for s in shapes
    ]


@functools.cache
def noise(t: int, n: int, shape: torch.Size) -> torch.Tensor:
    generator = torch.Generator().manual_seed(100 * t + n)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def walk(
    optimizer: torch.optim.Optimizer, first: int, last: int, after: Callable[[], object] = int
) -> None:
    """Updates first … last under a gradient that depends on weights and update."""
    for t in range(first, last + 1):
        for group in optimizer.param_groups:
            for n, p in enumerate(group["params"]):
                p.grad = (0.7 * p.detach() + noise(t, n, p.shape)).to(p.dtype)
        optimizer.step()
        after()


def weights(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [p.detach().clone() for group in optimizer.param_groups for p in group["params"]]


def moved(optimizer: torch.optim.Optimizer, factor: float) -> Callable[[], None]:
    """Something that moves lr after each update, as a scheduler would."""

    def move() -> None:
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] * factor

    return move


def make(name: str, dtype: torch.dtype = torch.float64, **more: Any) -> torch.optim.Optimizer:
    cls, own = CASES[name]
    return cls(parameters(dtype), **{**DECAY, **own, **more})


def assert_close(found: list[torch.Tensor], expected: list[torch.Tensor], tolerance: float) -> None:
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=tolerance * float(theirs.abs().max()))


@pytest.mark.parametrize("at", [0, 1, 10])
@pytest.mark.parametrize("name", CASES)
class TestContinue:
    """30 updates, converted after ``at`` of them, against 30 without a break."""

    def test_here_as_there(self, name: str, at: int) -> None:
        whole, first = make(name), make(name)
        walk(whole, 1, 30)
        walk(first, 1, at)
        before = copy.deepcopy(first.state_dict())
        ours = from_torch(first)
        assert ours.param_groups[0]["params"][0] is first.param_groups[0]["params"][0]
        walk(ours, at + 1, 30)
        assert str(before) == str(first.state_dict()), "the old optimizer's state was moved"
        assert_close(weights(ours), weights(whole), TOLERANCE.get(name, 1e-12))

    def test_there_as_here(self, name: str, at: int) -> None:
        whole, first = from_torch(make(name)), unyoke.from_torch(make(name))
        walk(whole, 1, 30)
        walk(first, 1, at)
        theirs = unyoke.to_torch(first)
        assert type(theirs) is type(make(name)) or "decoupled" in name
        walk(theirs, at + 1, 30)
        assert_close(weights(theirs), weights(whole), TOLERANCE.get(name, 1e-12))

    def test_while_the_rate_moves(self, name: str, at: int) -> None:
        """η_t·λ = lr_t·wd before and after, although lr at the change is not α."""
        whole, first = make(name), make(name)
        walk(whole, 1, 30, moved(whole, 0.9))
        walk(first, 1, at, moved(first, 0.9))
        ours = from_torch(first)
        walk(ours, at + 1, 20, moved(ours, 0.9))
        theirs = unyoke.to_torch(ours)
        walk(theirs, 21, 30, moved(theirs, 0.9))
        assert_close(weights(theirs), weights(whole), TOLERANCE.get(name, 1e-12))


@pytest.mark.parametrize("name", sorted(set(CASES) - {*MUON}))
def test_in_float32_to_rounding(name: str) -> None:
    """30 updates; both libraries round every product, in their own order."""
    whole, first = make(name, torch.float32), make(name, torch.float32)
    walk(whole, 1, 30)
    walk(first, 1, 10)
    ours = from_torch(first)
    walk(ours, 11, 30)
    assert_close(weights(ours), weights(whole), 2e-6)


@pytest.mark.parametrize("name", ["AdamW", "SGD momentum"])
def test_short_weights_go_on_with_float32_moments(name: str) -> None:
    first = make(name, torch.bfloat16)
    walk(first, 1, 5)
    ours = from_torch(first)
    for p in ours.param_groups[0]["params"]:
        for key, value in first.state[p].items():
            if key != "step" and value is not None:
                assert ours.state[p][key].dtype == torch.float32
                assert torch.equal(ours.state[p][key], value.float())
    back = unyoke.to_torch(ours)
    assert all(
        value.dtype == torch.bfloat16
        for state in back.state.values()
        for key, value in state.items()
        if key != "step"
    )
    walk(back, 6, 7)


class TestGroups:
    def test_keep_their_own_values_and_names(self) -> None:
        p, q, r = *parameters(), torch.nn.Parameter(torch.ones(3, dtype=torch.float64))

        def groups() -> list[dict[str, Any]]:
            return [
                {"params": [("a", p), ("b", q)], "weight_decay": 0.0, "tag": "first"},
                {"params": [("c", r)], "lr": 0.3, "betas": (0.5, 0.9), "maximize": True},
            ]

        ours = from_torch(torch.optim.AdamW(groups(), **DECAY))
        one, two = ours.param_groups
        assert (one["param_names"], two["param_names"]) == (["a", "b"], ["c"])
        assert (one["lr"], one["weight_decay"], one["tag"]) == (0.02, 0.0, "first")
        assert (two["lr"], two["weight_decay"]) == (0.3, pytest.approx(0.03))
        assert (two["betas"], two["maximize"], one["maximize"]) == ((0.5, 0.9), True, False)
        theirs = unyoke.to_torch(ours)
        assert theirs.param_groups[0]["tag"] == "first"
        assert theirs.param_groups[1]["param_names"] == ["c"]
        assert theirs.param_groups[1]["weight_decay"] == pytest.approx(0.1)
        assert theirs.param_groups[1]["maximize"] is True
        assert set(theirs.param_groups[0]) - {"tag"} == set(
            torch.optim.AdamW([("a", p)]).param_groups[0]
        )

    def test_each_walks_as_in_torch(self) -> None:
        def make() -> torch.optim.Optimizer:
            p, q = parameters()
            return torch.optim.SGD(
                [
                    {"params": [p], "momentum": 0.0, "dampening": 0.5},
                    {"params": [q], "momentum": 0.9, "dampening": 0.4, "maximize": True},
                ],
                **DECAY,
            )

        whole, first = make(), make()
        walk(whole, 1, 20)
        walk(first, 1, 10)
        ours = from_torch(first)
        assert ours.direction.name == "momentum"
        walk(ours, 11, 20)
        assert_close(weights(ours), weights(whole), 1e-12)

    @pytest.mark.parametrize("case", MIXED)
    @pytest.mark.parametrize("at", [0, 8])
    def test_run_different_algorithms(self, case: str, at: int) -> None:
        """There, from update 9 here, from 15 on there again."""
        cls, words, directions_here = MIXED[case]

        def mixed() -> torch.optim.Optimizer:
            pairs = zip(parameters() + parameters(), words, strict=False)
            return cls([{"params": [p], **own} for p, own in pairs], **DECAY)

        whole, first = mixed(), mixed()
        walk(whole, 1, 20)
        walk(first, 1, at)
        ours = from_torch(first)
        assert [group["direction"] for group in ours.param_groups] == directions_here
        walk(ours, at + 1, 14)
        theirs = unyoke.to_torch(ours)
        assert type(theirs) is cls
        walk(theirs, 15, 20)
        assert_close(weights(theirs), weights(whole), 1e-12)

    def test_of_several_classes_of_torch_s_are_refused(self) -> None:
        p, q = parameters()
        ours = unyoke.AdamW([{"params": [p]}, {"params": [q], "direction": "adamax"}])
        with pytest.raises(ValueError, match=r"adam, adamax.*no one optimizer.*of its own"):
            unyoke.to_torch(ours)

    def test_penalty_and_decoupled_decay_in_one_optimizer(self) -> None:
        def make() -> torch.optim.Optimizer:
            p, q = parameters()
            return torch.optim.Adam(
                [{"params": [p], "decoupled_weight_decay": True}, {"params": [q]}], **DECAY
            )

        whole, first = make(), make()
        walk(whole, 1, 20)
        ours = from_torch(first)
        assert [group["decay"] for group in ours.param_groups] == ["decoupled", "l2"]
        walk(ours, 1, 10)
        theirs = unyoke.to_torch(ours)
        assert type(theirs) is torch.optim.Adam
        walk(theirs, 11, 20)
        assert_close(weights(theirs), weights(whole), 1e-12)

    def test_parameters_that_had_no_gradient_yet(self) -> None:
        def make() -> torch.optim.Optimizer:
            return torch.optim.AdamW(parameters(), **DECAY)

        whole, first = make(), make()
        for optimizer in (whole, first):
            only = copy.copy(optimizer)
            only.param_groups = [{**optimizer.param_groups[0]}]
            only.param_groups[0]["params"] = optimizer.param_groups[0]["params"][:1]
            walk(only, 1, 5)
        walk(whole, 6, 20)
        ours = from_torch(first)
        walk(ours, 6, 12)
        theirs = unyoke.to_torch(ours)
        walk(theirs, 13, 20)
        assert_close(weights(theirs), weights(whole), 1e-12)


class TestRates:
    """What α is; and that nothing but the number shown depends on it."""

    def test_lambda_is_lr_times_weight_decay(self) -> None:
        group = from_torch(torch.optim.AdamW(parameters(), lr=3e-3)).param_groups[0]
        assert group["weight_decay"] == pytest.approx(3e-5)
        assert group["decay"] == "decoupled"
        coupled = from_torch(torch.optim.AdamW(parameters()), decay="lr_coupled")
        assert coupled.param_groups[0]["weight_decay"] == 0.01

    def test_a_large_lambda_from_torch_is_no_mistake(self) -> None:
        """No warning: warnings are errors here."""
        ours = from_torch(torch.optim.AdamW(parameters(), lr=0.5, weight_decay=0.1))
        assert ours.param_groups[0]["weight_decay"] == pytest.approx(0.05)

    @pytest.mark.parametrize("decay", ["decoupled", "lr_coupled"])
    @pytest.mark.parametrize("base_lr", [None, 0.02, 7.0])
    def test_any_alpha_makes_the_same_run(self, decay: Any, base_lr: float | None) -> None:
        whole, first = make("AdamW"), make("AdamW")
        walk(whole, 1, 30, moved(whole, 0.9))
        walk(first, 1, 10, moved(first, 0.9))
        ours = from_torch(first, base_lr=base_lr, decay=decay)
        expected = 0.02 * 0.9**10 if base_lr is None else base_lr
        assert ours.param_groups[0]["base_lr"] == pytest.approx(expected)
        walk(ours, 11, 30, moved(ours, 0.9))
        assert_close(weights(ours), weights(whole), 1e-12)

    def test_a_scheduler_s_initial_lr_is_alpha(self) -> None:
        first = make("AdamW")
        scheduler = lr_scheduler.ExponentialLR(first, 0.5)
        walk(first, 1, 3, scheduler.step)
        group = from_torch(first).param_groups[0]
        assert (group["lr"], group["base_lr"]) == (0.02 / 8, 0.02)
        assert group["weight_decay"] == pytest.approx(0.002)

    @pytest.mark.parametrize(
        "build",
        [
            lambda o, k: lr_scheduler.LambdaLR(o, schedules.cosine(40), last_epoch=k),
            lambda o, k: lr_scheduler.StepLR(o, 7, last_epoch=k),
            lambda o, k: lr_scheduler.OneCycleLR(
                o, max_lr=0.1, total_steps=60, cycle_momentum=False, last_epoch=k
            ),
        ],
        ids=["LambdaLR", "StepLR", "OneCycleLR"],
    )
    def test_a_scheduler_is_built_again_and_goes_on(self, build: Any) -> None:
        whole, first = make("AdamW"), make("AdamW")
        walk(whole, 1, 30, build(whole, -1).step)
        old = build(first, -1)
        walk(first, 1, 10, old.step)
        ours = from_torch(first)
        new = build(ours, 9)
        new.load_state_dict(old.state_dict())
        ours.param_groups[0]["lr"] = first.param_groups[0]["lr"]
        walk(ours, 11, 30, new.step)
        assert_close(weights(ours), weights(whole), 1e-12)

    def test_a_schedule_takes_the_place_of_the_scheduler(self) -> None:
        whole, first = make("AdamW"), make("AdamW")
        walk(whole, 1, 30, lr_scheduler.LambdaLR(whole, schedules.cosine(40)).step)
        walk(first, 1, 10, lr_scheduler.LambdaLR(first, schedules.cosine(40)).step)
        ours = from_torch(first, schedule=schedules.cosine(40))
        walk(ours, 11, 20)
        theirs = unyoke.to_torch(ours)
        after = lr_scheduler.LambdaLR(theirs, schedules.cosine(40), last_epoch=19)
        walk(theirs, 21, 30, after.step)
        assert_close(weights(theirs), weights(whole), 1e-12)

    def test_a_schedule_that_stands_elsewhere_is_refused(self) -> None:
        first = make("AdamW")
        walk(first, 1, 10)
        with pytest.raises(ValueError, match=r"lr=0\.02.*cosine.*10 updates.*base_lr="):
            from_torch(first, schedule=schedules.cosine(40))
        assert from_torch(first, schedule=schedules.cosine(40), updates=0)

    def test_torch_s_sgd_does_not_count(self) -> None:
        first = make("SGD momentum")
        scheduler = lr_scheduler.LambdaLR(first, schedules.cosine(40))
        walk(first, 1, 10, scheduler.step)
        with pytest.raises(ValueError, match="give updates="):
            from_torch(first, schedule=schedules.cosine(40))
        whole = make("SGD momentum")
        walk(whole, 1, 30, lr_scheduler.LambdaLR(whole, schedules.cosine(40)).step)
        ours = from_torch(first, schedule=schedules.cosine(40), updates=10)
        walk(ours, 11, 30)
        assert_close(weights(ours), weights(whole), 1e-12)

    def test_a_rate_of_zero_says_nothing_about_its_peak(self) -> None:
        first = make("AdamW", lr=0.0)
        with pytest.raises(ValueError, match="give base_lr="):
            from_torch(first)
        ours = from_torch(first, base_lr=0.02)
        assert (ours.param_groups[0]["lr"], ours.param_groups[0]["base_lr"]) == (0.0, 0.02)
        assert ours.param_groups[0]["weight_decay"] == pytest.approx(0.002)

    def test_base_lr_for_each_group(self) -> None:
        p, q = parameters()
        first = torch.optim.AdamW([{"params": [p]}, {"params": [q], "lr": 1.0}])
        ours = from_torch(first, base_lr=[0.1, 2.0])
        assert [group["base_lr"] for group in ours.param_groups] == [0.1, 2.0]
        with pytest.raises(ValueError, match="3 values"):
            from_torch(first, base_lr=[0.1, 2.0, 3.0])

    def test_tensor_rates_stay_the_tensors_they_are(self) -> None:
        def make() -> tuple[torch.Tensor, torch.optim.Optimizer]:
            lr = torch.tensor(0.02, dtype=torch.float64)
            return lr, torch.optim.AdamW(parameters(), lr=lr, weight_decay=0.1, foreach=False)

        (rate, whole), (own, first) = make(), make()
        walk(whole, 1, 30, lambda: rate.mul_(0.9))
        walk(first, 1, 10, lambda: own.mul_(0.9))
        ours = from_torch(first)
        assert ours.param_groups[0]["lr"] is own
        walk(ours, 11, 20, lambda: own.mul_(0.9))
        theirs = unyoke.to_torch(ours)
        walk(theirs, 21, 30, lambda: own.mul_(0.9))
        assert_close(weights(theirs), weights(whole), 1e-12)


class TestToTorch:
    def test_the_paper_s_sgd_at_a_constant_rate(self) -> None:
        whole = unyoke.SGDW(parameters(), decay="l2", **DECAY)
        first = unyoke.SGDW(parameters(), decay="l2", **DECAY)
        walk(whole, 1, 30)
        walk(first, 1, 10)
        theirs = unyoke.to_torch(first)
        walk(theirs, 11, 30)
        assert_close(weights(theirs), weights(whole), 1e-12)

    def test_a_run_under_a_schedule_goes_on_under_lambda_lr(self) -> None:
        schedule = schedules.cosine(40)
        whole, first = (
            unyoke.AdamW(parameters(), 0.02, weight_decay=0.002, schedule=schedule) for _ in "ab"
        )
        walk(whole, 1, 30)
        walk(first, 1, 10)
        theirs = unyoke.to_torch(first)
        assert theirs.param_groups[0]["initial_lr"] == 0.02
        walk(theirs, 11, 30, lr_scheduler.LambdaLR(theirs, schedule, last_epoch=9).step)
        assert_close(weights(theirs), weights(whole), 1e-12)

    def test_heavy_ball_under_a_schedule_is_refused(self) -> None:
        optimizer = unyoke.SGDW(parameters(), decay="l2", schedule=schedules.cosine(10))
        with pytest.raises(ValueError, match="inside its buffer"):
            unyoke.to_torch(optimizer)

    @pytest.mark.parametrize("direction", ["momentum", "gradient"])
    def test_torch_has_no_sgdw(self, direction: str) -> None:
        optimizer = unyoke.Optimizer(parameters(), direction=direction, decay="decoupled")
        with pytest.raises(ValueError, match=r"SGD.*no decay 'decoupled'.*weight_decay=0"):
            unyoke.to_torch(optimizer)
        optimizer.param_groups[0]["weight_decay"] = 0.0
        unyoke.to_torch(optimizer)

    @pytest.mark.parametrize(
        "decay", sorted({"cautious", "toward_initial"} & set(unyoke.decays.ALL))
    )
    def test_nor_rules_of_ours(self, decay: str) -> None:
        with pytest.raises(ValueError, match=decay):
            unyoke.to_torch(unyoke.AdamW(parameters(), decay=decay))

    @pytest.mark.parametrize(
        "direction",
        sorted(set(directions.ALL) & {"lion", "nesterov_adam", "adabayes", "adabayes_fp", "lamb"}),
    )
    def test_nor_directions(self, direction: str) -> None:
        optimizer = unyoke.Optimizer(parameters(), direction=direction, decay="none")
        with pytest.raises(ValueError, match=direction):
            unyoke.to_torch(optimizer)

    def test_nor_functions_of_t_nor_stacks(self) -> None:
        with pytest.raises(ValueError, match="function"):
            unyoke.to_torch(unyoke.AdamW(parameters(), weight_decay=lambda t: 1e-4))
        stacked = unyoke.AdamW(parameters()[:1], weight_decay=torch.full((4,), 1e-4))
        with pytest.raises(ValueError, match=r"shape \(4,\)"):
            unyoke.to_torch(stacked)
        with pytest.raises(ValueError, match="not an unyoke optimizer"):
            unyoke.to_torch(torch.optim.SGD(parameters()))  # type: ignore[arg-type]

    def test_no_decay_is_weight_decay_zero(self) -> None:
        theirs = unyoke.to_torch(unyoke.Adam(parameters(), decay="none", weight_decay=3.0))
        assert type(theirs) is torch.optim.Adam
        assert theirs.param_groups[0]["weight_decay"] == 0.0

    def test_its_checkpoint_is_torch_s(self) -> None:
        """to_torch(…).state_dict() is how a checkpoint goes to people without unyoke."""
        ours = unyoke.AdamW(parameters(), lr=0.02, weight_decay=0.002)
        walk(ours, 1, 10)
        saved = copy.deepcopy(unyoke.to_torch(ours).state_dict())
        theirs = torch.optim.AdamW(parameters())
        theirs.load_state_dict(saved)
        for p, q in zip(parameters(), weights(ours), strict=True):
            assert not torch.equal(p, q)
        for p, q in zip(theirs.param_groups[0]["params"], weights(ours), strict=True):
            p.data.copy_(q)
        walk(ours, 11, 20)
        walk(theirs, 11, 20)
        assert_close(weights(theirs), weights(ours), 1e-12)


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("Adafactor", "factored"),
            ("ASGD", "averages"),
            ("LBFGS", "several times"),
            ("Rprop", "step size"),
            ("SparseAdam", "lazy"),
        ],
    )
    def test_what_has_no_counterpart(self, name: str, says: str) -> None:
        theirs = getattr(torch.optim, name)(parameters())
        with pytest.raises(ValueError, match=f"{name}.*{says}.*decouple"):
            from_torch(theirs)

    def test_strangers(self) -> None:
        class Mine(torch.optim.AdamW):
            pass

        with pytest.raises(ValueError, match=r"Mine.*not one of torch's own.*decouple"):
            from_torch(Mine(parameters()))

    def test_ours(self) -> None:
        with pytest.raises(ValueError, match="already"):
            from_torch(unyoke.AdamW(parameters()))

    def test_bad_arguments(self) -> None:
        theirs = torch.optim.AdamW(parameters())
        with pytest.raises(ValueError, match="decay must be"):
            from_torch(theirs, decay="l2")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"-0\.1"):
            from_torch(theirs, base_lr=-0.1)
        with pytest.raises(ValueError, match="updates must be"):
            from_torch(theirs, updates=-1)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
def test_muon_in_float32_is_not_torch_s():
    p = torch.nn.Parameter(torch.ones(2, 3))
    ours = unyoke.MuonW([p], ns_dtype="float32")
    with pytest.raises(ValueError, match=r"ns_dtype='float32'.*are in bfloat16"):
        unyoke.to_torch(ours)
    ours.param_groups[0]["ns_dtype"] = "bfloat16"
    assert isinstance(unyoke.to_torch(ours), torch.optim.Muon)
