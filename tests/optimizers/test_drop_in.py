"""Names that torch.optim has mean what they mean there: arguments, order, defaults, numbers."""

from __future__ import annotations

import fractions
import inspect
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR

import unyoke
from unyoke import optimizers, schedules

NAMES = [name for name in optimizers.ALL if hasattr(torch.optim, name)]
PLACED = inspect.Parameter.POSITIONAL_OR_KEYWORD


def parameter(seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.nn.Parameter:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.Parameter(torch.randn(4, 6, generator=generator, dtype=dtype))


def walk(make: Any, updates: int = 30, after: Any = None) -> torch.Tensor:
    p = parameter()
    optimizer = make([p])
    scheduler = None if after is None else after(optimizer)
    generator = torch.Generator().manual_seed(1)
    for _ in range(updates):
        noise = torch.randn(p.shape, generator=generator, dtype=torch.float64)
        p.grad = 0.5 * p.detach() + noise
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return p.detach()


def test_all_of_torch_s_that_have_a_counterpart_are_here() -> None:
    assert set(NAMES) >= {
        *("Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "SGD")
    }


@pytest.mark.parametrize("name", NAMES)
class TestSignature:
    """Against the torch that is installed."""

    def test_order_by_place(self, name: str) -> None:
        ours, theirs = (
            [p.name for p in inspect.signature(cls).parameters.values() if p.kind is PLACED]
            for cls in (getattr(unyoke, name), getattr(torch.optim, name))
        )
        assert ours == theirs

    def test_every_argument_is_taken_with_torch_s_default(self, name: str) -> None:
        ours = inspect.signature(getattr(unyoke, name)).parameters
        for argument, theirs in inspect.signature(getattr(torch.optim, name)).parameters.items():
            if argument == "params" or (name, argument) == ("AdamW", "weight_decay"):
                continue  # λ = lr·weight_decay_torch
            getattr(unyoke, name)([parameter()], **{argument: theirs.default})
            if argument in ours:
                assert ours[argument].default == theirs.default

    def test_groups_have_torch_s_numbers(self, name: str) -> None:
        ours, theirs = (
            cls([parameter()]).param_groups[0]
            for cls in (getattr(unyoke, name), getattr(torch.optim, name))
        )
        words = {"foreach", "fused", "decoupled_weight_decay", "adjust_lr_fn", "params"}
        if name == "AdamW":
            words.add("weight_decay")
        assert {n: ours[n] for n in theirs.keys() - words if n in ours} == {
            n: theirs[n] for n in theirs.keys() - words
        }


CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("SGD", (), {}),
    ("SGD", (0.1, 0.5), {}),  # by place: momentum
    ("SGD", (0.1, 0.9, 0.5, 0.01), {}),  # momentum, dampening, weight_decay
    ("SGD", (0.1, 0.9, 0, 0.01, True), {}),
    ("SGD", (), {"momentum": 1.0, "lr": 1e-3}),
    ("SGD", (), {"dampening": 0.5}),  # without momentum it does nothing
    ("SGD", (), {"momentum": 0.9, "maximize": True}),
    ("Adam", (1e-2, (0.8, 0.9), 1e-6, 0.1, True), {}),
    ("Adam", (), {"decoupled_weight_decay": True, "weight_decay": 0.1}),
    ("NAdam", (1e-2, (0.8, 0.9), 1e-6, 0.1, 0.01, True), {}),
    ("RAdam", (1e-2, (0.8, 0.9), 1e-6, 0.1, True), {}),
    ("Adamax", (1e-2, (0.8, 0.9), 1e-6, 0.1, False), {}),
    ("Adagrad", (1e-2, 0.01, 0.1, 0.2, 1e-8, False), {}),
    ("Adadelta", (0.5, 0.8, 1e-5, 0.1, False), {}),
    ("Adadelta", (), {"rho": 1.0}),
    ("RMSprop", (1e-2, 0.9, 1e-6, 0.1, 0.5, True, False, False, True), {}),
]


@pytest.mark.parametrize(("name", "placed", "named"), CASES, ids=str)
def test_same_arguments_same_numbers(
    name: str, placed: tuple[Any, ...], named: dict[str, Any]
) -> None:
    ours, theirs = (
        walk(lambda params, cls=cls: cls(params, *placed, **named))
        for cls in (getattr(unyoke, name), getattr(torch.optim, name))
    )
    tolerance = 1e-6 if name == "NAdam" else 1e-12  # torch keeps a product in float32
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("amsgrad", [False, True])
def test_adamw_s_numbers_in_its_own_units(amsgrad: bool) -> None:
    theirs = walk(lambda p: torch.optim.AdamW(p, 1e-2, weight_decay=0.1, amsgrad=amsgrad))
    ours = walk(lambda p: unyoke.AdamW(p, 1e-2, weight_decay=1e-3, amsgrad=amsgrad))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


class TestWordsThatChoose:
    """nesterov, amsgrad, centered and a momentum of 0 choose the direction of each group."""

    @pytest.mark.parametrize(
        ("cls", "words", "direction"),
        [
            (unyoke.SGD, {}, "gradient"),
            (unyoke.SGD, {"momentum": 0.5}, "momentum"),
            (unyoke.SGD, {"momentum": 0.5, "nesterov": True}, "nesterov"),
            (unyoke.SGDW, {}, "heavy_ball"),
            (unyoke.SGDW, {"momentum": 0}, "gradient"),
            (unyoke.SGDW, {"direction": "gradient"}, "gradient"),
            (unyoke.SGDW, {"direction": "nesterov"}, "nesterov"),
            (unyoke.Adam, {"amsgrad": True}, "amsgrad"),
            (unyoke.AdamW, {"amsgrad": True}, "amsgrad"),
            (unyoke.RMSprop, {}, "rmsprop"),
            (unyoke.RMSpropW, {"momentum": 0.5}, "rmsprop_momentum"),
            (unyoke.RMSprop, {"centered": True}, "rmsprop_centered"),
            (unyoke.RMSpropW, {"momentum": 0.5, "centered": True}, "rmsprop_centered_momentum"),
            (unyoke.Muon, {"nesterov": False}, "muon_momentum"),
        ],
    )
    def test_of_the_optimizer_and_of_a_group(
        self, cls: Any, words: dict[str, Any], direction: str
    ) -> None:
        optimizer = cls([parameter()], **words)
        assert optimizer.direction.name == direction
        assert optimizer.param_groups[0]["direction"] == direction
        group = cls([{"params": [parameter()], **words}]).param_groups[0]
        assert group["direction"] == direction
        assert {name: group[name] for name in words} == words

    def test_nesterov_needs_momentum_and_no_dampening(self) -> None:
        for wrong in ({}, {"momentum": 0.9, "dampening": 0.1}):
            with pytest.raises(ValueError, match="Nesterov momentum requires"):
                unyoke.SGD([parameter()], nesterov=True, **wrong)
            with pytest.raises(ValueError, match="Nesterov momentum requires"):
                unyoke.SGD([{"params": [parameter()], "nesterov": True, **wrong}])

    def test_a_direction_that_needs_a_number(self) -> None:
        with pytest.raises(ValueError, match="direction 'momentum' needs momentum > 0"):
            unyoke.SGD([parameter()], direction="momentum")

    @pytest.mark.parametrize("groups", [False, True])
    def test_checkpoints_of_torch_bring_their_words(self, groups: bool) -> None:
        theirs = torch.optim.SGD([p := parameter()], lr=0.1, momentum=0.9, nesterov=True)
        p.grad = torch.ones_like(p)
        theirs.step()
        ours = unyoke.SGD([{"params": [parameter()]}] if groups else [parameter()])
        ours.load_state_dict(theirs.state_dict())
        group = ours.param_groups[0]
        assert (group["direction"], group["momentum"], group["lr"]) == ("nesterov", 0.9, 0.1)

    def test_a_word_that_is_written_later_chooses_again(self) -> None:
        for backend in ("auto", "eager"):
            p, q = parameter(), parameter()
            ours = unyoke.SGD([p], lr=0.1, backend=backend)
            theirs = torch.optim.SGD([q], lr=0.1)
            for update in range(8):
                if update == 4:
                    ours.param_groups[0]["momentum"] = theirs.param_groups[0]["momentum"] = 0.9
                p.grad, q.grad = torch.full_like(p, update), torch.full_like(q, update)
                ours.step()
                theirs.step()
            torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-12)
            assert ours.param_groups[0]["direction"] == "momentum"


@pytest.mark.parametrize("cls", [unyoke.SGD, unyoke.SGDW, unyoke.RMSprop])
class TestSchedulersThatCycleMomentum:
    """Their defaults ask for ``momentum``, also where it is 0, and write it."""

    def test_one_cycle(self, cls: Any) -> None:
        def scheduler(optimizer: Any) -> Any:
            return OneCycleLR(optimizer, max_lr=0.1, total_steps=40)

        theirs = {unyoke.RMSprop: torch.optim.RMSprop}.get(cls, torch.optim.SGD)
        ours = walk(lambda p: cls(p, lr=0.1, momentum=0.0), after=scheduler)
        if cls is not unyoke.SGDW:  # whose rate is inside the buffer
            torch.testing.assert_close(
                ours, walk(lambda p: theirs(p, lr=0.1), after=scheduler), rtol=1e-12, atol=1e-12
            )

    def test_cyclic(self, cls: Any) -> None:
        CyclicLR(cls([parameter()], lr=0.1, momentum=0.0), base_lr=0.01, max_lr=0.1)


class TestWhatToWrite:
    """A word of torch's that is not this optimizer's: the message says what is."""

    @pytest.mark.parametrize(
        ("make", "says"),
        [
            (lambda p: unyoke.SGDW(p, nesterov=True), "direction='nesterov'"),
            (lambda p: unyoke.LionW(p, amsgrad=True), "direction='amsgrad'"),
            (lambda p: unyoke.AdamW(p, decoupled_weight_decay=True), "decay='lr_coupled'"),
            (lambda p: unyoke.AdamW(p, schedul=1), "did you mean 'schedule'"),
            (lambda p: unyoke.AdamW([{"params": p, "nesterov": True}]), "direction='nesterov'"),
            (
                lambda p: unyoke.Adam([{"params": p, "decoupled_weight_decay": True}]),
                "decay='lr_coupled'",
            ),
            (
                lambda p: unyoke.Adam(p, decoupled_weight_decay=True, decay="l2"),
                "leave one out",
            ),
            (lambda p: unyoke.SGDW(p, direction="gradient", momentum=0.5), "no momentum"),
        ],
    )
    def test_in_arguments_and_groups(self, make: Any, says: str) -> None:
        with pytest.raises(TypeError, match=says):
            make([parameter()])

    def test_a_schedule_by_name(self) -> None:
        with pytest.raises(ValueError, match=r"unyoke\.schedules\.cosine.*not 'cosine'"):
            unyoke.AdamW([parameter()], schedule="cosine")  # type: ignore[arg-type]

    @pytest.mark.parametrize("cls", [unyoke.SGD, unyoke.SGDW])
    def test_the_advice_for_sparse_gradients_works(self, cls: Any) -> None:
        embedding = torch.nn.Embedding(10, 3, sparse=True)
        optimizer = cls(embedding.parameters(), lr=0.1, weight_decay=0, direction="gradient")
        before = embedding.weight.detach().clone()
        embedding(torch.tensor([1, 2])).sum().backward()
        optimizer.step()
        changed = (embedding.weight.detach() != before).any(1)
        assert changed.nonzero().flatten().tolist() == [1, 2]


NUMBERS = [
    np.float32(0.125),
    np.float64(0.125),
    np.float16(0.125),
    np.array(0.125),
    fractions.Fraction(1, 8),
    torch.tensor(0.125),
]


class TestNumbers:
    """Whatever float() takes is a number, wherever one is given or written."""

    @pytest.mark.parametrize("number", NUMBERS, ids=repr)
    @pytest.mark.filterwarnings("ignore:weight_decay=.* is per update")
    def test_in_every_place(self, number: Any) -> None:
        for name in ("lr", "weight_decay", "eps"):
            if name == "eps" and isinstance(number, torch.Tensor):
                continue
            found, expected = (
                walk(lambda p, own={name: n}: unyoke.AdamW(p, **own), updates=3)
                for n in (number, 0.125)
            )
            torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-14)
        for group in ({"lr": number}, {"betas": (number, number)}):
            if not isinstance(number, torch.Tensor):
                optimizer = unyoke.AdamW([{"params": [parameter()], **group}])
                (value,) = group
                assert optimizer.param_groups[0][value] == {"lr": 0.125}.get(value, (0.125, 0.125))
                assert type(optimizer.param_groups[0]["lr"]) is float

    @pytest.mark.parametrize("number", [np.int64(1), np.array(1), 1], ids=repr)
    def test_integers(self, number: Any) -> None:
        group = unyoke.AdamW([parameter()], lr=number).param_groups[0]
        assert type(group["lr"]) is int

    @pytest.mark.parametrize("backend", ["auto", "eager"])
    def test_written_into_a_group(self, backend: str) -> None:
        p, q = (parameter(dtype=torch.float32) for _ in range(2))
        optimizers = [unyoke.AdamW([w], lr=1.0, backend=backend) for w in (p, q)]
        for number in (0.125, np.float32(0.125), np.array(0.125), 1, np.float64(0.0)):
            for weight, optimizer, lr in zip(
                (p, q), optimizers, (number, float(number)), strict=True
            ):
                optimizer.param_groups[0]["lr"] = lr
                weight.grad = torch.ones_like(weight)
                optimizer.step()
        assert torch.equal(p, q)

    def test_a_tensor_of_one_element_is_a_number(self) -> None:
        """As in torch; whoever writes into the tensor writes the rate."""
        lr, q = torch.tensor([0.125], dtype=torch.float64), parameter()
        p = parameter()
        ours = unyoke.Adam([p], lr=lr, weight_decay=torch.tensor([0.1]))
        theirs = torch.optim.Adam([q], lr=0.125, weight_decay=0.1)
        for rate in (0.125, 0.5):
            ours.param_groups[0]["lr"].fill_(rate)
            theirs.param_groups[0]["lr"] = rate
            p.grad, q.grad = torch.ones_like(p), torch.ones_like(q)
            ours.step()
            theirs.step()
        torch.testing.assert_close(p, q, rtol=1e-7, atol=1e-7)  # 0.1 was given in float32
        assert float(lr) == 0.5

    @pytest.mark.parametrize("wrong", ["1e-3", None, [1e-3], True, np.array([1e-3, 1.0]), 1j])
    def test_what_is_none(self, wrong: Any) -> None:
        for name in ("lr", "weight_decay", "eps"):
            with pytest.raises(ValueError, match="Invalid"):
                unyoke.AdamW([parameter()], **{name: wrong})

    def test_groups_stay_plain(self) -> None:
        """So that torch.load(weights_only=True) reads them."""
        optimizer = unyoke.AdamW(
            [parameter()], np.float32(0.5), betas=(np.float32(0.5), 0.75), eps=np.array(0.25)
        )
        plain = {float, int, bool, str, tuple, list, type(None), torch.dtype}
        assert {type(value) for value in optimizer.param_groups[0].values()} <= plain
        assert {type(beta) for beta in optimizer.param_groups[0]["betas"]} == {float}


def test_the_paper_s_sgd_with_l2_has_the_rate_inside_its_buffer() -> None:
    """SGDW(decay="l2"): as torch's while the rate stands still, and not under a schedule."""
    arguments = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}
    theirs = walk(lambda p: torch.optim.SGD(p, **arguments))
    ours = walk(lambda p: unyoke.SGDW(p, decay="l2", **arguments))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    cosine = {"schedule": schedules.cosine(40)}
    moved = [
        walk(lambda p, cls=cls, more=more: cls(p, **arguments, **more, **cosine))
        for cls, more in ((unyoke.SGDW, {"decay": "l2"}), (unyoke.SGD, {}))
    ]
    assert (moved[0] - moved[1]).abs().max() > 1e-4


def test_a_model_or_a_schedule_that_was_not_called_is_refused() -> None:
    model = torch.nn.Linear(2, 2)
    with pytest.raises(TypeError, match=r"AdamW takes parameters, not a Linear: give model\.par"):
        unyoke.AdamW(model)  # type: ignore[arg-type]
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR
    with pytest.raises(TypeError, match="schedule=CosineAnnealingLR is a scheduler of torch's"):
        unyoke.AdamW(model.parameters(), schedule=cosine)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="schedule=cosine is a class: call it"):
        unyoke.AdamW(model.parameters(), schedule=unyoke.schedules.cosine)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="takes an optimizer of torch's, not Linear"):
        unyoke.from_torch(model)  # type: ignore[arg-type]


def test_integrations_are_there_without_an_import_of_their_own() -> None:
    assert callable(unyoke.integrations.lightning.configure)
    assert {"lightning", "timm", "transformers"} <= set(dir(unyoke.integrations))
