"""Which parameters decay: by module type, printed, with every decision checked."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import nn

import unyoke
from unyoke import groups


class Model(nn.Module):
    """Names that mislead: a norm called ln_1, a Linear called norm_head."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(11, 4)
        self.position = nn.Parameter(torch.zeros(1, 3, 4))
        self.temperature = nn.Parameter(torch.tensor(1.0))
        self.blocks = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))
        self.ln_1 = nn.LayerNorm(4)
        self.norm_head = nn.Linear(4, 11)


def decisions(model: nn.Module, **arguments: Any) -> dict[str, bool | None]:
    found = groups.split(model, **arguments)
    return {name: d.decays for d in found.decisions for name in d.names}


class TestByModuleType:
    def test_weights_decay_and_the_rest_does_not(self) -> None:
        assert decisions(Model()) == {
            "position": True,
            "temperature": False,
            "tokens.weight": False,
            "blocks.0.weight": True,
            "blocks.0.bias": False,
            "blocks.1.weight": True,
            "blocks.1.bias": False,
            "ln_1.weight": False,
            "ln_1.bias": False,
            "norm_head.weight": True,
            "norm_head.bias": False,
        }

    @pytest.mark.parametrize(
        "norm",
        [
            nn.BatchNorm1d(4),
            nn.BatchNorm2d(4),
            nn.BatchNorm3d(4),
            nn.SyncBatchNorm(4),
            nn.InstanceNorm2d(4, affine=True),
            nn.GroupNorm(2, 4),
            nn.LayerNorm([3, 4]),
            nn.RMSNorm([3, 4]),
        ],
        ids=lambda norm: type(norm).__name__,
    )
    def test_every_norm_of_torch_whatever_its_dimensions(self, norm: nn.Module) -> None:
        found = groups.split(nn.Sequential(norm, nn.Linear(4, 4)))
        own = [d for d in found.decisions if d.names[0].startswith("0.")]
        assert own
        assert all(d.decays is False and "is a norm" in d.why for d in own)

    def test_a_subclass_of_a_norm_is_one(self) -> None:
        class Mine(nn.LayerNorm):
            pass

        assert decisions(nn.Sequential(Mine([2, 3]), nn.Linear(3, 3)))["0.weight"] is False

    def test_a_norm_of_ones_own_is_named_by_its_class(self) -> None:
        class Scale(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.gain = nn.Parameter(torch.ones(3, 3))

        model = nn.Sequential(Scale(), nn.Linear(3, 3))
        assert decisions(model)["0.gain"] is True
        assert decisions(model, norms=(Scale,))["0.gain"] is False

    def test_rule_comes_before_types_and_may_pass(self) -> None:
        def rule(name: str, weight: nn.Parameter, module: nn.Module) -> bool | None:
            if isinstance(module, nn.Embedding):
                return True
            return False if name == "position" else None

        found = decisions(Model(), rule=rule)
        assert found["tokens.weight"] is True
        assert found["position"] is False
        assert found["blocks.0.weight"] is True
        assert found["blocks.0.bias"] is False

    def test_reparametrized_weights_belong_to_their_module(self) -> None:
        norm = torch.nn.utils.parametrizations.weight_norm(nn.Embedding(5, 3), "weight")
        found = decisions(nn.Sequential(norm, nn.Linear(3, 3)))
        assert found["0.parametrizations.weight.original1"] is False


class TestHook:
    def test_no_weight_decay_as_timm_has_it(self) -> None:
        class Vision(Model):
            def no_weight_decay(self) -> set[str]:
                return {"position"}

        assert decisions(Vision())["position"] is False
        assert decisions(Vision())["norm_head.weight"] is True

    def test_names_of_a_part_are_relative_to_it(self) -> None:
        class Vision(Model):
            def no_weight_decay(self) -> set[str]:
                return {"position", "norm_head.weight"}

        found = decisions(nn.ModuleDict({"tower": Vision(), "head": nn.Linear(2, 2)}))
        assert found["tower.position"] is False
        assert found["tower.norm_head.weight"] is False
        assert found["head.weight"] is True

    def test_names_that_this_variant_lacks_are_passed_over_with_a_line_in_the_table(self) -> None:
        class Vision(Model):
            def no_weight_decay(self) -> set[str]:
                return {"position", "reg_token", "dist_token"}

        found = groups.split(Vision())
        assert decisions(Vision())["position"] is False
        line = "no_weight_decay() of Vision names dist_token, reg_token: no such parameter"
        assert [line in note for note in found.notes] == [True]
        assert repr(found).endswith(found.notes[0])

    def test_names_may_be_patterns(self) -> None:
        class Vision(Model):
            def no_weight_decay(self) -> set[str]:
                return {"blocks.*.weight"}

        found = decisions(Vision())
        assert (found["blocks.0.weight"], found["norm_head.weight"]) == (False, True)

    def test_a_wrapper_that_answers_for_the_model_inside_is_asked_once(self) -> None:
        class Vision(Model):
            def no_weight_decay(self) -> set[str]:
                return {"position"}

        found = groups.split(torch.compile(Vision(), backend="eager"))  # type: ignore[arg-type]
        answers = {name: d.decays for d in found.decisions for name in d.names}
        assert answers["_orig_mod.position"] is False
        assert found.notes == ()


class TestTiedAndFrozen:
    def test_tied_weights_are_one_parameter_that_the_stricter_place_decides(self) -> None:
        model = Model()
        model.norm_head.weight = model.tokens.weight
        found = groups.split(model)
        tied = [d for d in found.decisions if "tokens.weight" in d.names]
        assert [(d.names, d.decays) for d in tied] == [
            (("tokens.weight", "norm_head.weight"), False)
        ]
        listed = [weight for group in found for _, weight in group["params"]]
        assert len(listed) == len(set(listed)) == len(list(model.parameters()))

    def test_a_module_used_twice_is_listed_once(self) -> None:
        layer = nn.Linear(3, 3)
        found = groups.split(nn.Sequential(layer, layer))
        assert [d.names for d in found.decisions] == [
            ("0.weight", "1.weight"),
            ("0.bias", "1.bias"),
        ]
        assert sum(len(group["params"]) for group in found) == 2

    def test_frozen_parameters_are_listed_and_in_no_group(self) -> None:
        model = Model()
        model.tokens.weight.requires_grad_(False)
        found = groups.split(model)
        assert decisions(model)["tokens.weight"] is None
        assert all(weight is not model.tokens.weight for g in found for _, weight in g["params"])
        assert "1 frozen, in no group" in repr(found)


class TestLayers:
    def test_each_layer_learns_slower_than_the_next(self) -> None:
        found = groups.split(Model(), lr=0.1, layer_decay=0.5)
        rates = {name: d.lr for d in found.decisions for name in d.names}
        assert rates["norm_head.weight"] == rates["norm_head.bias"] == 0.1
        assert rates["ln_1.weight"] == pytest.approx(0.05)
        assert rates["blocks.1.weight"] == pytest.approx(0.025)
        assert rates["blocks.0.bias"] == pytest.approx(0.0125)
        assert rates["tokens.weight"] == rates["position"] == pytest.approx(0.00625)

    def test_layers_may_be_given(self) -> None:
        model = Model()
        layers = [model.tokens, model.blocks, model.norm_head]
        found = groups.split(model, lr=1.0, layer_decay=0.1, layers=layers)
        rates = {name: d.lr for d in found.decisions for name in d.names}
        assert rates["blocks.0.weight"] == rates["blocks.1.weight"] == pytest.approx(0.1)
        assert rates["ln_1.weight"] == rates["position"] == pytest.approx(0.01)

    def test_the_rates_reach_the_optimizer(self) -> None:
        model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        found = groups.split(model, 1e-4, lr=0.1, layer_decay=0.5)
        optimizer = unyoke.AdamW(found, lr=7.0)
        rates = {
            name: group["base_lr"]
            for group in optimizer.param_groups
            for name in group["param_names"]
        }
        assert rates == pytest.approx(
            {"0.weight": 0.05, "0.bias": 0.05, "1.weight": 0.1, "1.bias": 0.1}
        )


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        self.norm = nn.LayerNorm(4)


class Vision(nn.Module):
    """timm's layout."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Linear(4, 4)
        self.blocks = nn.Sequential(*(Block() for _ in range(4)))
        self.head = nn.Linear(4, 2)


class Holder(nn.Module):
    """A LightningModule's layout, with a loss that learns."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.loss = nn.Linear(1, 1)


def encoder_decoder() -> nn.Module:
    """Hugging Face's layout."""
    stack = lambda: nn.ModuleDict({"block": nn.ModuleList([Block(), Block()])})  # noqa: E731
    inside = {"shared": nn.Embedding(5, 4), "encoder": stack(), "decoder": stack()}
    return nn.ModuleDict({"transformer": nn.ModuleDict(inside), "lm_head": nn.Linear(4, 5)})


class TestLayersFound:
    def rates(self, model: Any) -> list[float]:
        found = groups.split(model, lr=1.0, layer_decay=0.5)
        return sorted({d.lr for d in found.decisions if d.lr is not None})

    @pytest.mark.parametrize(
        ("wrap", "layers"),
        [
            (lambda: Vision(), 6),
            (lambda: torch.compile(Vision(), backend="eager"), 6),
            (lambda: nn.DataParallel(Vision()), 6),
            (lambda: nn.DataParallel(torch.compile(Vision(), backend="eager")), 6),
            (lambda: Holder(Vision()), 7),
            (lambda: nn.ModuleDict({"model": Vision()}), 6),
            (encoder_decoder, 6),
            (lambda: nn.Sequential(Block(), Block(), Block()), 3),
        ],
    )
    @pytest.mark.filterwarnings("ignore")  # DataParallel's, on some machines
    def test_through_whatever_holds_them(self, wrap: Any, layers: int) -> None:
        assert self.rates(wrap()) == [0.5**n for n in reversed(range(layers))]

    def test_the_table_names_the_first_and_the_last(self) -> None:
        found = groups.split(encoder_decoder(), lr=1.0, layer_decay=0.5)
        says = "layer_decay=0.5: 6 layer(s) found: transformer.shared … lm_head"
        assert repr(found).endswith(says)

    def test_one_layer_is_said(self) -> None:
        with pytest.warns(UserWarning, match=r"1 layer\(s\) found in Linear.*give layers="):
            assert self.rates(nn.Linear(2, 2)) == [1.0]


class TestUse:
    def test_without_names_as_zero_wants_them(self) -> None:
        found = groups.split(Model(), named=False)
        inside = [weight for group in found for weight in group["params"]]
        assert all(isinstance(weight, torch.Tensor) for weight in inside)
        named = [weight for group in groups.split(Model()) for _, weight in group["params"]]
        assert len(inside) == len(named)
        unyoke.AdamW(found)

    @pytest.mark.filterwarnings("ignore:weight_decay=0.25 is per update")
    @pytest.mark.parametrize("cls", [unyoke.AdamW, unyoke.SGDW, torch.optim.AdamW])
    def test_an_optimizer_takes_them(self, cls: Any) -> None:
        """Under zero gradients exactly the chosen weights shrink, in our optimizers and torch's."""
        model = Model()
        with torch.no_grad():
            for weight in model.parameters():
                weight.fill_(1.0)
        found = groups.split(model, weight_decay=0.25)
        optimizer = cls(found, lr=1.0)
        for weight in model.parameters():
            weight.grad = torch.zeros_like(weight)
        optimizer.step()
        for name, weight in model.named_parameters():
            expected = 0.75 if decisions(model)[name] else 1.0
            assert torch.equal(weight, torch.full_like(weight, expected)), name

    def test_weight_decay_may_be_normalized(self) -> None:
        found = groups.split(Model(), unyoke.normalized(0.05, updates=400))
        optimizer = unyoke.AdamW(found)
        assert sorted(group["weight_decay"] for group in optimizer.param_groups) == [0.0, 0.0025]

    def test_they_may_be_used_again(self) -> None:
        found = groups.split(Model(), 1e-4)
        before = repr(found)
        for _ in range(2):
            unyoke.AdamW(found)
        assert repr(found) == before

    def test_prints_every_decision(self) -> None:
        table = repr(groups.split(Model(), 1e-4)).splitlines()
        assert len(table) == 1 + 11 + 1
        row = next(line for line in table if line.startswith("tokens.weight"))
        assert re.search(r"\(11, 4\)\s+Embedding\s+no\s+Embedding is an embedding", row)
        assert table[-1] == "2 group(s): 4 parameter(s) decay, 7 do not"


class TestBadInput:
    @pytest.mark.parametrize("weight_decay", [-1.0, float("nan"), "much"])
    def test_weight_decay(self, weight_decay: Any) -> None:
        with pytest.raises(ValueError, match="weight_decay"):
            groups.split(Model(), weight_decay)

    def test_nothing_to_train(self) -> None:
        for model in (nn.ReLU(), nn.Linear(2, 2).requires_grad_(False)):
            with pytest.raises(ValueError, match="nothing to train"):
                groups.split(model)

    @pytest.mark.parametrize("layer_decay", [0.0, -0.5, 1.5, float("nan")])
    def test_layer_decay(self, layer_decay: float) -> None:
        with pytest.raises(ValueError, match="layer_decay"):
            groups.split(Model(), lr=0.1, layer_decay=layer_decay)

    def test_layer_decay_without_a_rate_or_layers_without_it(self) -> None:
        with pytest.raises(ValueError, match="give lr="):
            groups.split(Model(), layer_decay=0.5)
        with pytest.raises(ValueError, match="layer_decay="):
            groups.split(Model(), layers=[])

    @pytest.mark.filterwarnings("ignore:Lazy modules")
    def test_parameters_instead_of_the_model(self) -> None:
        with pytest.raises(TypeError, match=r"give it the model, as in split\(model\), not gene"):
            groups.split(Model().parameters())  # type: ignore[arg-type]

    def test_a_lazy_module(self) -> None:
        with pytest.raises(ValueError, match=r"0\.weight.*run the model once"):
            groups.split(nn.Sequential(nn.LazyLinear(3)))
