"""The named optimizers as a family: what each is, its signature, and the tables made of them."""

from __future__ import annotations

import copy
import importlib.util
import inspect
import pickle
import re
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from programs import tool

import unyoke
from unyoke import decays, directions, optimizers
from unyoke.equation import decay, direction

ROOT = Path(__file__).parents[2]
NAMED = optimizers.ALL.items()
IDS = list(optimizers.ALL)
TORCH_WORDS = {"foreach", "fused", "decoupled_weight_decay"}
SWITCHES = {"capturable", "maximize", "differentiable"}


def parameter() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.ones(3, 4))


def arguments(cls: Any) -> dict[str, Any]:
    """The constructor's arguments with their default values."""
    found = inspect.signature(cls).parameters.values()
    return {p.name: p.default for p in found if p.default is not p.empty}


def positional(cls: Any) -> list[str]:
    found = inspect.signature(cls).parameters.values()
    return [p.name for p in found if p.kind is p.POSITIONAL_OR_KEYWORD]


def other_than(name: str, default: Any) -> Any:
    """A value that is not the default and is in range."""
    if isinstance(default, bool):
        return not default
    if isinstance(default, tuple):
        return tuple(0.9 * x for x in default)
    if name == "adjust_lr_fn":
        return "match_rms_adamw"
    if name == "ns_dtype":
        return "float32"
    return 7 if isinstance(default, int) else 0.9 * default + 1e-3


@pytest.mark.parametrize(("name", "cls"), NAMED, ids=IDS)
class TestEach:
    def test_is_public(self, name: str, cls: Any) -> None:
        assert getattr(unyoke, name) is cls
        assert name in unyoke.__all__
        assert name in dir(unyoke)

    def test_is_the_direction_and_decay_of_the_table(self, name: str, cls: Any) -> None:
        optimizer = cls([parameter()])
        row = next(row for row in optimizers.rows() if row.name == name)
        assert optimizer.direction is directions.get(row.direction)
        assert optimizer.param_groups[0]["decay"] == decays.get(row.decay).name
        assert name.endswith("W") == (row.decay == "decoupled") or name.startswith("AdaBayes")

    def test_has_the_direction_s_hyperparameters_and_defaults(self, name: str, cls: Any) -> None:
        """Every one is an argument, and every argument is one, or a word of torch's."""
        own, found = cls([parameter()]).direction.defaults, arguments(cls)
        same = {n: found[n] for n in own if n != "adjust_lr_fn"}  # None, as in torch
        assert same == {n: own[n] for n in same}
        known = {"lr", "weight_decay", "direction", *own, *cls.words, *SWITCHES, *TORCH_WORDS}
        assert set(found) <= known

    def test_constructor_passes_every_argument_on(self, name: str, cls: Any) -> None:
        for argument, default in arguments(cls).items():
            if argument in ("direction", "ns_coefficients", *TORCH_WORDS):
                continue
            other = other_than(argument, default)
            given = {argument: other, **({"momentum": 0.5} if argument == "nesterov" else {})}
            assert cls([parameter()], **given).param_groups[0][argument] == other

    def test_a_decay_can_be_chosen(self, name: str, cls: Any) -> None:
        decay = "none" if name == "NDAdam" else "l2"
        optimizer = cls([parameter()], decay=decay)
        assert optimizer.param_groups[0]["decay"] == decay

    def test_unknown_keywords_are_refused(self, name: str, cls: Any) -> None:
        with pytest.raises(TypeError, match=f"{name} .*no hyperparameter 'nonsense'"):
            cls([parameter()], nonsense=1)

    def test_numbers_out_of_range_are_refused(self, name: str, cls: Any) -> None:
        for argument, default in arguments(cls).items():
            numeric = isinstance(default, (int, float)) and not isinstance(default, bool)
            for wrong in (-1.0, float("nan")) if numeric else ():
                with pytest.raises(ValueError, match=re.escape(str(wrong))):
                    cls([parameter()], **{argument: wrong})

    def test_torch_s_words_for_its_loops_change_nothing(self, name: str, cls: Any) -> None:
        ends = []
        for words in ({}, {"foreach": True}, {"fused": True}, {"foreach": False, "fused": None}):
            p = parameter()
            optimizer = cls([p], **words)
            p.grad = torch.linspace(-1, 1, 12).view(3, 4)
            optimizer.step()
            ends.append(p.detach().clone())
        assert all(torch.equal(end, ends[0]) for end in ends)

    def test_pickles_copies_and_subclasses(self, name: str, cls: Any) -> None:
        optimizer = cls([parameter()])
        for twin in (pickle.loads(pickle.dumps(optimizer)), copy.deepcopy(optimizer)):
            assert type(twin) is cls
            assert str(twin) == str(optimizer)

        class Own(cls):  # type: ignore[misc]  # somebody's subclass keeps what it inherits
            def __init__(self, params: Any) -> None:
                super().__init__(params, lr=0.5)

        own = Own([parameter()])
        assert own.direction is optimizer.direction
        assert own.param_groups[0]["lr"] == 0.5
        assert own.param_groups[0]["decay"] == optimizer.param_groups[0]["decay"]


@pytest.mark.parametrize(("name", "cls"), NAMED, ids=IDS)
class TestDocumentation:
    """Each docstring is complete in itself: nobody has to read another one first."""

    def test_has_one_line_and_a_source(self, name: str, cls: Any) -> None:
        line = optimizers.names()[name]
        assert line.endswith(".")
        assert len(line) < 100
        assert re.search(r"^Source: .*\d", inspect.getdoc(cls) or "", re.MULTILINE)

    def test_explains_every_argument(self, name: str, cls: Any) -> None:
        text = (inspect.getdoc(cls) or "").split("\nArgs:\n")[1].split("\n\n")[0]
        told = re.findall(r"^    (\w+): ", text, re.MULTILINE)
        assert told == list(inspect.signature(cls).parameters)

    def test_says_the_equation_in_the_arguments_names(self, name: str, cls: Any) -> None:
        before = (inspect.getdoc(cls) or "").split("\nArgs:\n")[0]
        for argument in arguments(cls):
            if argument not in ("direction", *SWITCHES, *TORCH_WORDS, *cls.words):
                assert argument in before, f"{argument} is not in the equation"

    def test_says_the_units_of_the_decay(self, name: str, cls: Any) -> None:
        text = " ".join((inspect.getdoc(cls) or "").split())
        if cls.composition.decay.name == "decoupled":
            assert "per update: multiplied by η_t, **not by lr**" in text
        elif cls.composition.decay.name == "lr_coupled":
            assert "multiplied by the learning rate" in text

    def test_names_errors_and_has_an_example(self, name: str, cls: Any) -> None:
        text = inspect.getdoc(cls) or ""
        assert "\nRaises:\n    ValueError: " in text
        assert f">>> optimizer = unyoke.{name}(" in text  # test_documentation.py runs it


class TestOwnOptimizer:
    """A class statement in somebody's own file is a whole optimizer."""

    @pytest.fixture
    def module(self, tmp_path: Path) -> ModuleType:
        file = tmp_path / "my_optimizers.py"
        file.write_text(
            "from unyoke.equation import decay, direction\n"
            "from unyoke.optimizers import Named\n"
            "from unyoke.primitives import sign\n\n"
            "def rate(lr, scale):\n"
            '    return {"lr": lr * scale}\n\n'
            '@direction(coefficients=rate, defaults={"scale": 1.0})\n'
            "def signed(grad, lr):\n"
            '    """step = α·η_t·scale·sign(g_t)"""\n'
            "    return lr * sign(grad)\n\n"
            "@decay\n"
            "def lasso(weight):\n"
            '    """pull = sign(θ)"""\n'
            "    return sign(weight)\n\n"
            "class Signed(Named, direction=signed, decay=lasso, lr=0.5):\n"
            '    """Steps of one size, decay of one size."""\n'
        )
        spec = importlib.util.spec_from_file_location("my_optimizers", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def test_has_a_signature_and_a_row(self, module: ModuleType) -> None:
        assert positional(module.Signed) == ["params", "lr", "scale", "weight_decay"]
        assert arguments(module.Signed) == {"lr": 0.5, "scale": 1.0, "weight_decay": 1e-5}
        row = optimizers.row("Signed", module.Signed)
        assert row[1:4] == ("signed", "lasso", "Steps of one size, decay of one size.")
        assert "Signed" not in optimizers.ALL

    def test_steps_by_place_and_by_name(self, module: ModuleType) -> None:
        for made in (((0.5, 2.0, 0.01), {}), ((), {"scale": 2.0, "weight_decay": 0.01})):
            p = torch.nn.Parameter(torch.tensor([1.0, -1.0]))
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # an L1 of 0.01 is no part of the weight
                optimizer = module.Signed([p], *made[0], **made[1])
            p.grad = torch.tensor([3.0, -0.1])
            optimizer.step()
            torch.testing.assert_close(p.detach(), torch.tensor([-0.01, 0.01]))

    def test_is_checked_like_ours(self, module: ModuleType) -> None:
        with pytest.raises(ValueError, match="Invalid scale value: -1"):
            module.Signed([parameter()], scale=-1)
        with pytest.raises(TypeError, match=r"Signed .*parameter 'scael': did you mean 'scale'"):
            module.Signed([parameter()], scael=1)

    @pytest.mark.parametrize("state_dtype", [torch.float32, torch.bfloat16, "int8"])
    def test_goes_with_every_format_and_checkpoint(
        self, module: ModuleType, state_dtype: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "my_optimizers", module)  # for pickle
        optimizer = module.Signed([parameter()], state_dtype=state_dtype)
        other = module.Signed([parameter()], state_dtype=state_dtype)
        other.load_state_dict(optimizer.state_dict())
        assert pickle.loads(pickle.dumps(optimizer)).direction is module.signed

    def test_another_decay_for_a_class(self) -> None:
        class CautiousAdam(unyoke.AdamW, decay="cautious", weight_decay=1e-4):
            """AdamW with cautious decay."""

        group = CautiousAdam([parameter()]).param_groups[0]
        assert (group["decay"], group["weight_decay"], group["direction"]) == (
            "cautious",
            1e-4,
            "adam",
        )
        assert arguments(unyoke.AdamW)["weight_decay"] == 1e-5

    def test_other_defaults_for_a_class_without_a_constructor_of_its_own(self) -> None:
        class Coarse(unyoke.AdaBeliefW, eps=1e-3):
            """AdaBeliefW with a larger ε."""

        assert Coarse([parameter()]).param_groups[0]["eps"] == 1e-3
        assert arguments(Coarse) == arguments(unyoke.AdaBeliefW) | {"eps": 1e-3}

    def test_one_class_line_makes_an_optimizer(self) -> None:
        from unyoke.optimizers.adam import AdamLike

        class AdamC(AdamLike, direction="adam", decay="corrected", weight_decay=0.05):
            """AdamC."""

        group = AdamC([parameter()]).param_groups[0]
        assert (group["decay"], group["weight_decay"], group["lr"]) == ("corrected", 0.05, 1e-3)

    def test_what_a_class_line_cannot_say(self) -> None:
        with pytest.raises(TypeError, match="nonsense"):

            class Wrong(optimizers.Named, direction="adam", nonsense=1):
                pass

        with pytest.raises(TypeError, match="give a direction"):

            class Nothing(optimizers.Named, decay="l2"):
                pass

        with pytest.raises(ValueError, match="use decay='none'"):

            class Senseless(optimizers.Named, direction="nd_adam", decay="l2"):
                pass

        with pytest.raises(TypeError, match="base class"):
            optimizers.Named([parameter()])

    def test_two_directions_of_one_name_in_one_optimizer(self) -> None:
        def made(sign: float) -> Any:
            @direction(coefficients=lambda lr: {"lr": sign * lr})
            def own(grad: Any, lr: Any) -> Any:
                return lr * grad

            return own

        groups = [{"params": [parameter()], "direction": made(-1.0)}]
        with pytest.raises(ValueError, match="two directions of this optimizer are called 'own'"):
            unyoke.Optimizer(groups, direction=made(1.0))

    def test_two_decays_of_one_name_in_one_optimizer(self) -> None:
        def made(target: float) -> Any:
            @decay
            def own(weight: Any) -> Any:
                return weight - target

            return own

        groups = [{"params": [parameter()], "decay": made(-1.0)}]
        with pytest.raises(ValueError, match="two decays of this optimizer are called 'own'"):
            unyoke.Optimizer(groups, decay=made(1.0))


class TestTables:
    def test_every_direction_has_a_name(self) -> None:
        """Some optimizer runs it, by itself or through a word of torch's or an argument."""
        reached = {row.direction for row in optimizers.rows()}
        by_word = {form for cls in optimizers.ALL.values() for form in cls.forms}
        assert reached | by_word == set(directions.names())

    def test_rows_say_what_is_read_off_the_directions(self) -> None:
        rows = {row.name: row for row in optimizers.rows()}
        states = {"SGD": 0, "LionW": 1, "AdamW": 2, "AdEMAMixW": 3, "AdanW": 4}
        assert {name: rows[name].state for name in states} == states
        assert rows["NDAdam"].backends == "eager, compile"
        assert rows["LambW"].backends == rows["MuonW"].backends == "cpu, eager, compile"
        assert rows["AdamW"].backends == "every"
        assert rows["AdamW"].goes_with == "every decay"
        assert rows["LionW"].goes_with == "every decay but L2 in one moment"
        assert rows["NDAdam"].goes_with == "no decay; two dimensions or more"
        assert rows["SGD"].goes_with.endswith("; sparse gradients")
        assert "matrices only" in rows["MuonW"].goes_with
        assert all(re.search(r"\d|torch|timm", row.source) for row in rows.values())

    def test_names_have_one_line_each(self) -> None:
        names = optimizers.names()
        assert list(names) == [row.name for row in optimizers.rows()]
        assert all(line and "\n" not in line for line in names.values())

    def test_the_paper_s_come_first(self) -> None:
        assert list(optimizers.names())[:4] == ["SGDW", "SGD", "AdamW", "Adam"]

    def test_what_is_written_out_is_up_to_date(self) -> None:
        """The names for type checkers, and the tables of the page: `make names`."""
        names = tool("write_names")
        assert names.NAMES.read_text(encoding="utf-8") == names.names(), "run `make names`"
        text = names.PAGE.read_text(encoding="utf-8")
        assert optimizers.table() in text, "run `make names`"
        assert names.refusals() in text, "run `make names`"
        assert names.with_tables(text) == text

    def test_who_multiplies_decay_by_the_rate_is_said_in_words(self) -> None:
        """In the package's docstring and on the page, which list them alike."""
        coupled = {row.name for row in optimizers.rows() if row.decay == "lr_coupled"}
        for text in (optimizers.__doc__, tool("write_names").PAGE.read_text(encoding="utf-8")):
            (said,) = re.findall(r"(AdaBelief, [^.]*? and \w+)", str(text).split("``decay")[0])[:1]
            assert set(re.findall(r"\w+", said)) - {"and"} == coupled

    def test_the_page_shows_the_file_of_ademamix(self) -> None:
        """All of it but the documentation of the classes."""
        source = (ROOT / "src/unyoke/optimizers/ademamix.py").read_text(encoding="utf-8")
        page = (ROOT / "docs/adding-a-direction.md").read_text(encoding="utf-8")
        code = source[source.index("import math") : source.index("class AdEMAMixW")]
        lines = [line for line in source.splitlines() if line.startswith("class ")]
        assert code in page
        assert all(line in page for line in lines)


class TestRenamed:
    def test_nadamw_is_nesterov_adam(self) -> None:
        with pytest.warns(DeprecationWarning, match="'nadamw' is called 'nesterov_adam'"):
            assert directions.get("nadamw") is directions.nesterov_adam
        with pytest.warns(DeprecationWarning, match="nesterov_adam"):
            assert directions.nadamw is directions.nesterov_adam
        assert "nadamw" not in directions.names()

    def test_old_checkpoints_load(self) -> None:
        saved = unyoke.NAdamW([parameter()]).state_dict()
        saved["param_groups"][0]["direction"] = "nadamw"
        other = unyoke.NAdamW([parameter()], lr=0.5)
        with pytest.warns(DeprecationWarning, match="nesterov_adam"):
            other.load_state_dict(saved)
        assert other.param_groups[0]["direction"] == "nesterov_adam"
        assert other.param_groups[0]["lr"] == 1e-3


def test_nd_adam_takes_no_decay_but_the_0_of_a_factory() -> None:
    weight = torch.nn.Parameter(torch.ones(3, 2))
    assert unyoke.NDAdam([weight], weight_decay=0.0).param_groups[0]["weight_decay"] == 0
    with pytest.raises(ValueError, match=r"NDAdam has no weight decay, and weight_decay=0\.1"):
        unyoke.NDAdam([weight], weight_decay=0.1)
