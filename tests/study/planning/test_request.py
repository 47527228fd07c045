"""The words of a command line, read strictly."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from asking import asked

from unyoke.study.errors import StudyError
from unyoke.study.landscape.landscape import Axes, Landscape
from unyoke.study.planning import defaults, request
from unyoke.study.planning.commands import beyond, map_command
from unyoke.study.statistics import Edge


def test_the_default_is_the_must_reach() -> None:
    landscape = asked()
    assert set(landscape.axes) == set(defaults.OPTIMIZERS)
    for axes in landscape.axes.values():
        assert len(axes.lr) >= 7
        assert len(axes.weight_decay) >= 7
        assert axes.weight_decay[0] == 0
    assert len({axes.weight_decay for axes in landscape.axes.values()}) == 1  # one range for all
    assert landscape.seeds == tuple(range(10))
    assert landscape.schedules == ("cosine",)


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("tabular", "breast-cancer"),
        ("tabular:breast-cancer", "breast-cancer"),
        ("tabular:diabetes", "diabetes"),
    ],
)
def test_tabular_is_another_name_of_the_tables(word: str, name: str) -> None:
    """The same ledger, axes and command as by the table's own name."""
    tables = asked(task=word)
    assert tables == asked(task=name)
    assert tables.task.name == name
    assert tables.axes != asked().axes
    assert defaults.quick(word) == defaults.quick(name)
    command = map_command(tables, Path("out"))
    assert command == f"unyoke map --out out --task {name}"


def test_a_table_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(StudyError, match="tabular:breast-cancer and tabular:diabetes"):
        asked(task="tabular:iris")


def test_an_axis_is_for_all_optimizers_or_for_one() -> None:
    landscape = asked(
        optimizers="SGDW, AdamW", lr=["0.1,0.2", "SGDW=0.5"], weight_decay=["AdamW=0,1e-3"]
    )
    assert landscape.axes == {
        "SGDW": Axes((0.5,), defaults.full("digits").axes("SGDW").weight_decay),
        "AdamW": Axes((0.1, 0.2), (0.0, 1e-3)),
    }


def test_a_task_of_ones_own_begins_small(line_file: Path) -> None:
    own = asked(task=f"{line_file}:line")
    assert len(own.seeds) == 3
    assert sum(1 for _ in own.cells()) < sum(1 for _ in asked().cells()) / 4


def test_schedules_budgets_and_seeds() -> None:
    landscape = asked(schedule="cosine,constant", updates="200,100", seeds="2")
    assert landscape.schedules == ("cosine", "constant")
    assert landscape.updates == (100, 200)
    assert landscape.batch_sizes == (None,)
    assert asked(batch_size="50, 25").batch_sizes == (25, 50)
    assert landscape.seeds == (0, 1)


def test_evaluations_are_given_and_kept() -> None:
    few = asked(evaluations="3")
    assert (few.evaluations, asked().evaluations) == (3, None)
    assert Landscape.from_json(few.to_json()) == few
    assert "--evaluations 3" in map_command(few, Path("out"))
    assert "--evaluations" not in map_command(asked(), Path("out"))


def test_any_optimizer_with_any_decay_rule() -> None:
    axes = asked(optimizers="Adam+l2, AMSGradW, Adam+l2_second_moment, NDAdam").axes
    full = defaults.full("digits")
    assert axes == {
        "Adam": full.axes("Adam"),
        "AMSGradW": full.axes("AdamW"),
        "Adam+l2_second_moment": full.axes("Adam"),
        "NDAdam": Axes(full.axes("Adam").lr, (0.0,)),
    }
    lion = asked(optimizers="Lion", lr=["Lion=0.1"], weight_decay=["0"])
    assert lion.axes == {"Lion": Axes((0.1,), (0.0,))}


def test_epochs_are_counted_in_updates() -> None:
    """The digits have 200 training samples and batches of 50."""
    assert asked(epochs="10,30").budgets() == ((40, None), (120, None))
    assert asked(epochs="10", batch_size="60").budgets() == ((30, 60),)
    several = asked(epochs="10,20", batch_size="25,60,200")
    assert several.budgets() == ((80, 25), (30, 60), (10, 200), (160, 25), (60, 60), (20, 200))
    assert several.updates == (10, 20, 30, 60, 80, 160)
    assert {cell.budget for cell in several.cells()} == set(several.budgets())
    assert Landscape.from_json(several.to_json()) == several
    assert "10,20 epochs of 25,60,200 samples" in several.summary()
    larger = asked(epochs="10,20,40", batch_size="25,60,200")
    assert several.is_part_of(larger)
    assert not larger.is_part_of(several)
    assert several.difference(larger) == "epochs 10,20, not 10,20,40"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"task": "digts"}, "unknown task 'digts'"),
        ({"optimizers": "AdamX"}, "unknown optimizer 'AdamX'; did you mean"),
        ({"optimizers": ","}, "empty"),
        ({"schedule": "linear"}, "unknown schedule 'linear'"),
        ({"optimizers": "Adam+l3"}, "unknown decay rule 'l3'; known: none, decoupled"),
        ({"optimizers": "SGD+l2_first_moment"}, "does not have two"),
        ({"optimizers": "Lion"}, "Lion has no usual axes"),
        ({"optimizers": "NDAdam", "weight_decay": ["0.1"]}, "NDAdam has no weight decay"),
        ({"batch_size": "0"}, "batch size '0'"),
        ({"epochs": "0"}, "epochs '0'"),
        ({"epochs": "5", "updates": "5"}, "both budgets; give one of the two"),
        ({"epochs": "5", "batch_size": "50,201"}, "more than the 200 for training"),
        ({"lr": ["-1"]}, "learning rate '-1'"),
        ({"lr": ["nan"]}, "learning rate 'nan'"),
        ({"lr": ["fast"]}, "learning rate 'fast' is not a number"),
        ({"lr": [""]}, "empty"),
        ({"lr": ["AdamW="]}, "empty"),
        ({"lr": ["Lion=0.1"]}, "'Lion', which this map does not have"),
        ({"lr": ["Lyon=0.1"]}, "unknown optimizer 'Lyon'"),
        ({"weight_decay": ["-2^-3"]}, "weight decay '-2^-3'"),
        ({"weight_decay": ["inf"]}, "weight decay 'inf'"),
        ({"updates": "0"}, "updates '0'"),
        ({"updates": "1.5"}, "updates '1.5'"),
        ({"seeds": "none"}, "seeds 'none'"),
        ({"seeds": "-1"}, "seeds '-1'"),
        ({"evaluations": "0"}, "evaluations '0'"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(words: dict[str, object], reason: str) -> None:
    with pytest.raises((StudyError, click.UsageError)) as refused:
        asked(**words)  # type: ignore[arg-type]
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_learning_rate_of_zero_is_a_rate() -> None:
    assert asked(lr=["0,0.1"]).axes["SGD"].lr == (0.0, 0.1)


def words_of(command: str) -> dict[str, object]:
    """The keyword arguments that a command's flags stand for."""
    import shlex

    flags = shlex.split(command)[2:]
    words: dict[str, object] = {"lr": [], "weight_decay": []}
    while flags:
        flag = flags.pop(0).removeprefix("--").replace("-", "_")
        if flag == "extend":
            continue
        value = flags.pop(0)
        if flag in ("lr", "weight_decay"):
            words[flag].append(value)  # type: ignore[attr-defined]
        elif flag != "out":
            words[flag] = value
    return words


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"preset": defaults.quick("digits")},
        {"optimizers": "SGDW", "lr": ["1e-3,0.3"], "schedule": "constant", "seeds": "5"},
        {"optimizers": "AdamW,SGD", "lr": ["1e-3,0.3"], "weight_decay": ["0.1", "SGD=0.2"]},
        {"updates": "10,20", "weight_decay": ["Adam=0,2^-5:2^-1"]},
        {"epochs": "3,5"},
        {"epochs": "3,5", "batch_size": "20,50"},
        {"batch_size": "20,40", "optimizers": "Adam+l2_first_moment,NDAdam,AMSGradW"},
    ],
)
def test_the_command_of_a_landscape_asks_for_it_again(words: dict[str, object]) -> None:
    landscape = asked(**words)  # type: ignore[arg-type]
    command = map_command(landscape, Path("some folder"))
    assert asked(**words_of(command)) == landscape  # type: ignore[arg-type]


def test_an_axis_that_all_optimizers_have_is_named_once() -> None:
    landscape = asked(optimizers="AdamW,SGD", lr=["1e-3,1e-2"], weight_decay=["0,0.1"])
    command = map_command(landscape, Path("out"))
    assert command.endswith("--lr 0.001,0.01 --weight-decay 0,0.1")
    larger = beyond(landscape, {"SGD": [Edge("lr", "high")]})
    assert larger.axes["SGD"].lr == (0.001, 0.01, 0.1, 1.0, 10.0)
    assert "--lr AdamW=0.001,0.01 --lr 'SGD=0.001,0.01,0.1,2^0,10.0'" in map_command(
        larger, Path("out")
    )


def test_the_command_of_a_file_task_names_the_file(line_file: Path) -> None:
    landscape = asked(task=f"{line_file}:line")
    assert f"--task {line_file}:line" in map_command(landscape, Path("out"))


@pytest.mark.parametrize(
    ("edge", "lr", "weight_decay"),
    [
        (Edge("lr", "low"), "2^-6:2^-1", "0,2^-5:4"),
        (Edge("lr", "high"), "2^-3:2^2", "0,2^-5:4"),
        (Edge("weight_decay", "high"), "2^-3:2^-1", "0,2^-5:2^5:4"),
        (Edge("weight_decay", "zero"), "2^-3:2^-1", "0,2^-11:2^-1:4"),
    ],
)
def test_an_extension_goes_past_the_edge(edge: Edge, lr: str, weight_decay: str) -> None:
    small = asked(optimizers="AdamW,SGD", lr=["2^-3:2^-1"], weight_decay=["0,2^-5:2^-1:4"])
    larger = beyond(small, {"AdamW": [edge]})
    expected = asked(
        optimizers="AdamW",
        lr=[lr],
        weight_decay=[weight_decay.replace("0,2^-5:4", "0,2^-5:2^-1:4")],
    )
    assert larger.axes["AdamW"] == expected.axes["AdamW"]
    assert larger.axes["SGD"] == small.axes["SGD"]
    assert small.is_part_of(larger)


def test_one_value_is_a_list_of_one_and_text_is_read_as_the_command_line_reads_it() -> None:
    short = request.landscape(
        optimizers="AdamW,SGDW",
        lr="AdamW=2^-4:2^-2",
        weight_decay="norm:0.5,1",
        schedule="constant",
        updates=20,
        batch_size=16,
    )
    assert list(short.axes) == ["AdamW", "SGDW"]
    assert short.axes["AdamW"].lr == (2**-4, 2**-3, 2**-2)
    assert (short.axes["SGDW"].weight_decay, short.axes["SGDW"].decay_unit) == ((0.5, 1), "norm")
    assert (short.schedules, short.updates, short.batch_sizes) == (("constant",), (20,), (16,))
    with pytest.raises(StudyError, match="unknown optimizer 'AdmW'"):
        request.landscape(optimizers="AdmW")
