"""from_torch: a run goes on here as if nothing had happened."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from continuing import (
    CASES,
    DECAY,
    assert_close,
    from_torch,
    make,
    moved,
    parameters,
    walk,
    weights,
)

import unyoke

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
