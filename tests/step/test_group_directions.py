"""A direction for each group of one optimizer: each walks as an optimizer of its own would."""

from __future__ import annotations

import copy
import io
from typing import Any, ClassVar

import pytest
import torch

import unyoke
from unyoke import directions, groups, schedules
from unyoke.equation import direction
from unyoke.optimizers import Named

pytestmark = pytest.mark.usefixtures("definition")

PAIRS = [("muon", "adam"), ("adam", "muon"), ("lion", "heavy_ball"), ("nadam", "gradient")]


def matrix(seed: int = 0) -> torch.nn.Parameter:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.Parameter(torch.randn(4, 6, generator=generator, dtype=torch.float64))


def walk(optimizers: list[Any], weights: list[Any], first: int, last: int) -> None:
    for t in range(first, last):
        for number, weight in enumerate(weights):
            generator = torch.Generator().manual_seed(100 * t + number)
            weight.grad = torch.randn(4, 6, generator=generator, dtype=torch.float64)
        for optimizer in optimizers:
            optimizer.step()


def together(first: str, second: str, **more: Any) -> tuple[unyoke.Optimizer, list[Any]]:
    p, q = matrix(0), matrix(1)
    made = [{"params": [p]}, {"params": [q], "direction": second}]
    return unyoke.Optimizer(made, lr=0.02, weight_decay=1e-3, direction=first, **more), [p, q]


def apart(*names: str, **more: Any) -> tuple[list[unyoke.Optimizer], list[Any]]:
    weights = [matrix(number) for number in range(len(names))]
    made = [
        unyoke.Optimizer([weight], lr=0.02, weight_decay=1e-3, direction=name, **more)
        for weight, name in zip(weights, names, strict=True)
    ]
    return made, weights


@pytest.mark.parametrize("pair", PAIRS, ids=str)
@pytest.mark.parametrize("schedule", [None, schedules.cosine(30)], ids=repr)
@pytest.mark.parametrize("backend", ["auto", "eager"])
@pytest.mark.any_backend
def test_each_walks_as_alone(pair: tuple[str, str], schedule: Any, backend: str) -> None:
    one, weights = together(*pair, schedule=schedule, backend=backend)
    several, expected = apart(*pair, schedule=schedule, backend=backend)
    walk([one], weights, 0, 30)
    walk(several, expected, 0, 30)
    for found, alone in zip(weights, expected, strict=True):
        torch.testing.assert_close(found, alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_checkpoints_go_on(pair: tuple[str, str]) -> None:
    whole, expected = together(*pair)
    walk([whole], expected, 0, 20)
    first, weights = together(*pair)
    walk([first], weights, 0, 10)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second, others = together(*pair)
    for other, weight in zip(others, weights, strict=True):
        other.data.copy_(weight.data)
    second.load_state_dict(torch.load(file, weights_only=True))
    walk([copy.deepcopy(second)], others, 10, 10)
    walk([second], others, 10, 20)
    assert all(torch.equal(a, b) for a, b in zip(others, expected, strict=True))


def test_a_checkpoint_of_other_directions_is_refused() -> None:
    one, _ = together("adam", "lion")
    other, _ = together("adam", "heavy_ball")
    with pytest.raises(ValueError, match="of direction 'lion', this optimizer's is 'heavy_ball'"):
        other.load_state_dict(one.state_dict())


def test_a_group_has_its_direction_s_defaults_and_its_own_numbers() -> None:
    made = [
        {"params": [matrix()]},
        {"params": [matrix()], "direction": "muon", "lr": 0.02, "momentum": 0.5},
        {"params": [matrix()], "direction": "amsgrad", "betas": (0.5, 0.9)},
    ]
    optimizer = unyoke.AdamW(made, lr=1e-3, eps=1e-4)
    adam, muon, amsgrad = optimizer.param_groups
    assert [group["direction"] for group in optimizer.param_groups] == ["adam", "muon", "amsgrad"]
    assert (adam["eps"], muon["eps"], amsgrad["eps"]) == (1e-4, 1e-7, 1e-4)  # a word of AdamW's
    assert (muon["momentum"], muon["lr"], amsgrad["betas"]) == (0.5, 0.02, (0.5, 0.9))
    assert amsgrad["amsgrad"] is True


def test_numbers_are_checked_by_the_group_s_own_direction() -> None:
    for wrong, says in (
        ({"direction": "muon", "momentum": -1.0}, "momentum.*-1"),
        ({"direction": "moun"}, "unknown direction 'moun': did you mean 'muon'"),
    ):
        with pytest.raises(ValueError, match=says):
            unyoke.AdamW([{"params": [matrix()], **wrong}])
    with pytest.raises(ValueError, match=r"parameter group 0, parameter 0.*muon.*AdamW"):
        unyoke.AdamW([{"params": [torch.nn.Parameter(torch.ones(3))], "direction": "muon"}])
    with pytest.raises(ValueError, match="use decay='none'"):
        unyoke.AdamW([{"params": [matrix()], "direction": "nd_adam"}])


def test_somebody_s_own_direction() -> None:
    @direction(coefficients=lambda lr: {"lr": lr})
    def backwards(grad: Any, lr: Any) -> Any:
        return -lr * grad

    p, q = matrix(0), matrix(1)
    optimizer = unyoke.SGDW(
        [{"params": [p]}, {"params": [q], "direction": backwards}], lr=0.5, weight_decay=0.0
    )
    before = q.detach().clone()
    walk([optimizer], [p, q], 0, 1)
    torch.testing.assert_close(q.detach(), before + 0.5 * q.grad)
    assert optimizer.param_groups[1]["direction"] == "backwards"
    again = unyoke.SGDW([{"params": [p]}, {"params": [q], "direction": backwards}])
    again.load_state_dict(optimizer.state_dict())


def test_explain_and_tables_name_each() -> None:
    optimizer, _ = together("adam", "muon")
    assert [group.direction for group in optimizer.explain().groups] == ["adam", "muon"]


def test_to_torch_names_what_it_cannot_do() -> None:
    optimizer, _ = together("adam", "muon")
    with pytest.raises(ValueError, match=r"directions adam, muon.*an optimizer of its own"):
        unyoke.to_torch(optimizer)


class TestSplit:
    def model(self) -> torch.nn.Sequential:
        return torch.nn.Sequential(
            torch.nn.Embedding(10, 4),
            torch.nn.Linear(4, 8),
            torch.nn.LayerNorm(8),
            torch.nn.Linear(8, 8, bias=False),
            torch.nn.Linear(8, 2),
        )

    def test_hidden_matrices_go_to_muon(self) -> None:
        model = self.model()
        rule = groups.hidden_matrices(model, {"direction": "muon", "lr": 0.02})
        split = groups.split(model, weight_decay=1e-4, directions=rule)
        names = [[name for name, _ in group["params"]] for group in split]
        keys = [(group["direction"], group["weight_decay"]) for group in split]
        by_direction = dict(zip(keys, names, strict=True))
        assert by_direction == {
            ("adam", 0.0): ["0.weight", "1.bias", "2.weight", "2.bias", "4.bias"],
            ("muon", 1e-4): ["1.weight", "3.weight"],
            ("adam", 1e-4): ["4.weight"],
        }
        optimizer = unyoke.AdamW(split, lr=3e-4)
        assert {g["direction"]: g["lr"] for g in optimizer.param_groups} == {
            "adam": 3e-4,
            "muon": 0.02,
        }
        model(torch.tensor([1, 2])).sum().backward()
        optimizer.step()

    def test_print_shows_what_a_group_s_direction_uses(self) -> None:
        """The entries are there all the same: torch puts them there, and schedulers write them."""
        model = self.model()
        rule = groups.hidden_matrices(model, {"direction": "muon", "lr": 0.02})
        optimizer = unyoke.AdamW(groups.split(model, directions=rule), lr=3e-4)
        shown = {
            part.split("direction: ")[1].split("\n")[0]: part
            for part in repr(optimizer).split("Parameter Group ")[1:]
        }
        for name in ("betas", "amsgrad"):
            assert f"    {name}: " in shown["adam"]
            assert f"    {name}: " not in shown["muon"]
        for name in ("ns_steps: 5", "momentum: 0.95", "eps: 1e-07", "lr: 0.02", "weight_decay: "):
            assert f"    {name}" in shown["muon"]
        assert all("betas" in group for group in optimizer.param_groups)

    def test_a_family_s_entries_are_shown_whichever_of_them_it_is(self) -> None:
        optimizer = unyoke.SGD([{"params": [matrix()], "momentum": 0.0}], lr=0.1)
        assert "    nesterov: False" in repr(optimizer)
        assert "    momentum: 0.0" in repr(optimizer)

    def test_a_gpt_trains_with_both_and_goes_on_from_a_checkpoint(self) -> None:
        """Two blocks, as nn.TransformerEncoderLayer has them: Muon in stacks, Adam for the rest."""

        def made() -> tuple[torch.nn.Module, unyoke.AdamW]:
            torch.manual_seed(0)
            block = torch.nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
            model = torch.nn.Sequential(
                torch.nn.Embedding(20, 16),
                torch.nn.TransformerEncoder(block, 2, enable_nested_tensor=False),
                torch.nn.Linear(16, 20),
            )
            rule = groups.hidden_matrices(model, {"direction": "muon", "lr": 0.02}, rest="adam")
            split = groups.split(model, weight_decay=1e-5, directions=rule)
            return model, unyoke.AdamW(split, lr=1e-2, schedule=unyoke.schedules.cosine(40))

        def train(model: torch.nn.Module, optimizer: unyoke.AdamW, updates: int) -> list[float]:
            losses = []
            tokens = torch.arange(12).view(1, 12)
            for _ in range(updates):
                optimizer.zero_grad()
                logits = model(tokens)
                loss = torch.nn.functional.cross_entropy(logits[0, :-1], tokens[0, 1:])
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            return losses

        model, optimizer = made()
        losses = train(model, optimizer, 20)
        assert losses[-1] < 0.3 * losses[0]
        muon = [g for g in optimizer.param_groups if g["direction"] == "muon"]
        assert sum(len(group["params"]) for group in muon) == 8
        assert all("momentum_buffer" in optimizer.state[p] for g in muon for p in g["params"])
        again, resumed = made()
        again.load_state_dict(model.state_dict())
        file = io.BytesIO()
        torch.save(optimizer.state_dict(), file)
        file.seek(0)
        resumed.load_state_dict(torch.load(file, weights_only=True))
        assert train(again, resumed, 10) == train(model, optimizer, 10)

    def test_the_head_can_be_named(self) -> None:
        model = self.model()
        rule = groups.hidden_matrices(model, head=model[1])
        decisions = groups.split(model, directions=rule).decisions
        muon = [decision.names for decision in decisions if decision.direction == "muon"]
        assert muon == [("3.weight",), ("4.weight",)]

    def test_a_rule_of_ones_own_with_layer_decay(self) -> None:
        model = self.model()
        split = groups.split(
            model,
            lr=0.1,
            layer_decay=0.5,
            directions=lambda name, weight, module: directions.lion if weight.dim() == 2 else None,
        )
        (last,) = (d for d in split.decisions if d.names == ("4.weight",))
        (first,) = (d for d in split.decisions if d.names == ("0.weight",))
        assert (last.lr, first.lr, last.direction) == (0.1, 0.1 * 0.5**4, "lion")
        assert all(group.get("direction") in (directions.lion, None) for group in split)
        unyoke.AdamW(split)

    def test_what_is_refused(self) -> None:
        model = self.model()
        with pytest.raises(ValueError, match="did you mean 'muon'"):
            groups.split(model, directions=lambda *place: "moun")
        with pytest.raises(ValueError, match="is no module of"):
            groups.hidden_matrices(model, head=torch.nn.Linear(2, 2))
        with pytest.raises(ValueError, match="no matrix"):
            groups.hidden_matrices(torch.nn.LayerNorm(3))
        with pytest.raises(ValueError, match="learning rate"):
            groups.split(model, directions=lambda *place: {"direction": "muon", "lr": -1.0})


class Flipped(Named, direction="adam"):
    """An optimizer of somebody's own, with a word of its own that chooses the direction."""

    words = ("flip",)
    forms: ClassVar = {"adam": {"flip": False}, "amsgrad": {"flip": True}}


@pytest.mark.any_backend
@pytest.mark.parametrize("backend", ["auto", "eager"])
@pytest.mark.parametrize("first", [1, 2, 5])
def test_a_word_of_ones_own_is_heard_in_mid_run(backend: str, first: int) -> None:
    """It is guarded like ours, where a replay would go on without asking."""
    weight, expected = matrix(), matrix()
    own, amsgrad = Flipped([weight], backend=backend), unyoke.AdamW([expected], backend=backend)
    for t in range(12):
        if t == first:
            own.param_groups[0]["flip"] = amsgrad.param_groups[0]["amsgrad"] = True
        weight.grad = torch.full_like(weight, 2.0 ** -(t % 4))
        expected.grad = weight.grad.clone()
        own.step(), amsgrad.step()
    assert own.param_groups[0]["direction"] == "amsgrad"
    assert torch.equal(weight, expected)
