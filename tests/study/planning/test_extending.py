"""A map that takes more cells: the command that says so, and the one that does it."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import Any

import pytest
from asking import asked

from unyoke.study.errors import StudyError
from unyoke.study.planning import defaults, words
from unyoke.study.planning.commands import beyond, extend_command
from unyoke.study.planning.extending import extended
from unyoke.study.statistics import Edge


@pytest.mark.parametrize(
    ("factor", "added"), [(2, 3), (4, 2), (16, 1), (256, 1), (math.sqrt(2), 3)]
)
def test_an_extension_in_large_steps_is_short(factor: float, added: int) -> None:
    values = ",".join(str(0.001 * factor**step) for step in range(3))
    coarse = asked(optimizers="SGD", lr=[values], weight_decay=["0"])
    larger = beyond(coarse, {"SGD": [Edge("lr", "high")]}, farthest=16)
    assert len(larger.axes["SGD"].lr) == 3 + added


def test_the_command_that_extends_names_the_new_values_only() -> None:
    old = asked(
        optimizers="AdamW,SGD", lr=["2^-8:2^0:16"], weight_decay=["SGD=norm:0.5", "AdamW=0,0.1"]
    )
    edges = {"SGD": [Edge("lr", "high"), Edge("weight_decay", "high")]}
    command = extend_command(old, beyond(old, edges, farthest=16), Path("my map"))
    added = ["--lr", "SGD=2^4", "--weight-decay", "SGD=norm:2^0:2^2"]
    assert shlex.split(command) == ["unyoke", "map", "--out", "my map", "--extend", *added]
    edges = {name: [Edge("lr", "low")] for name in old.axes}
    command = extend_command(old, beyond(old, edges, farthest=16), Path("out"))
    assert command.endswith("--extend --lr '2^-12'")  # the same for all


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"lr": "SGD=2^1"}, {"lr": ["2^-2:2^0", "SGD=2^-2:2^1"]}),
        ({"lr": "2^1"}, {"lr": ["2^-2:2^1"]}),
        ({"weight_decay": "AdamW=0,0.5"}, {"weight_decay": ["AdamW=0,0.1,0.5", "SGD=0,0.1"]}),
        ({"seeds": 5}, {"seeds": "5"}),
        ({"seeds": (7,)}, {"seeds": "0,1,7"}),
        ({"updates": (40,)}, {"updates": "20,40"}),
        ({"schedule": ("constant",)}, {"schedule": "cosine,constant"}),
        (
            {"optimizers": ("SGDW",), "weight_decay": "SGDW=0.2"},
            {"optimizers": "AdamW,SGD,SGDW", "weight_decay": ["0,0.1", "SGDW=0.2"]},
        ),
    ],
)
def test_what_extends_a_map_joins_what_is_there(
    given: dict[str, Any], expected: dict[str, Any]
) -> None:
    options: dict[str, Any] = {
        "optimizers": "AdamW,SGD",
        "lr": ["2^-2:2^0"],
        "weight_decay": ["0,0.1"],
        "updates": "20",
        "seeds": "2",
    }
    old = asked(**options)
    for axis, name in (("lr", "learning rate"), ("weight_decay", "weight decay")):
        if axis in given:
            given = {**given, axis: [words.axis(given[axis], name)]}
    larger = extended(old, defaults.full("digits"), given)
    if "SGDW" in expected.get("optimizers", ""):
        expected = {**expected, "lr": ["2^-2:2^0", "SGDW=2^-8:2^0"]}
    assert larger == asked(**{**options, **expected})
    assert old.is_part_of(larger)


def test_other_units_do_not_extend_a_map() -> None:
    old = asked(optimizers="SGDW", lr=["0.1"], weight_decay=["norm:0.5"])
    more = {"weight_decay": [words.axis("0.1", "weight decay")]}
    with pytest.raises(StudyError, match=r"SGDW are norm in this ledger.* to add are λ"):
        extended(old, defaults.full("digits"), more)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    file = tmp_path / "own.py"
    file.write_text(
        "import unyoke\nclass Mine(unyoke.AdamW): pass\ndef half(updates): return lambda t: 0.5\n"
    )
    return file


def test_a_schedule_beside_one_s_own(own: Path) -> None:
    options = {"optimizers": "AdamW", "lr": ["0.1"], "weight_decay": ["0"]}
    old = asked(**options, schedule=f"{own}:half")
    larger = extended(old, defaults.full("digits"), {"schedule": ("cosine",)})
    assert larger == asked(**options, schedule=f"{own}:half,cosine")
    assert old.is_part_of(larger)


def test_a_file_that_has_moved_is_taken_where_it_is_given(own: Path, tmp_path: Path) -> None:
    old = asked(optimizers=f"{own}:Mine", lr=["0.1"], weight_decay=["0"])
    moved = tmp_path / "there" / own.name
    moved.parent.mkdir()
    own.rename(moved)
    larger = extended(old, defaults.full("digits"), {"optimizers": (f"{moved}:Mine",)})
    assert [*larger.axes] == [*old.axes]
    assert old.is_part_of(larger)


def test_a_batch_size_of_a_map_in_epochs_is_one_more_map(own: Path) -> None:
    options = {"optimizers": "AdamW", "lr": ["0.1"], "weight_decay": ["0"], "epochs": "2"}
    old = asked(**options, batch_size="20,40")
    larger = extended(old, defaults.full("digits"), {"batch_size": (50,)})
    assert larger == asked(**options, batch_size="20,40,50")
    assert old.is_part_of(larger)


@pytest.mark.parametrize(
    ("there", "more", "said"),
    [
        ({"epochs": "2"}, {"updates": (40,)}, "in epochs, and those to add in updates"),
        ({"updates": "20"}, {"epochs": (4,)}, "in updates, and those to add in epochs"),
    ],
)
def test_budgets_are_added_in_the_ledger_s_unit(
    there: dict[str, Any], more: dict[str, Any], said: str
) -> None:
    two = {"batch_size": "20,40", **there}
    old = asked(optimizers="AdamW", lr=["0.1"], weight_decay=["0"], **two)
    with pytest.raises(StudyError, match=said):
        extended(old, defaults.full("digits"), more)


def test_epochs_are_added_as_the_updates_that_they_are() -> None:
    options = {"optimizers": "AdamW", "lr": ["0.1"], "weight_decay": ["0"]}
    old = asked(**options, epochs="2")
    larger = extended(old, defaults.full("digits"), {"epochs": (4,)})
    assert larger == asked(**options, epochs="2,4")
