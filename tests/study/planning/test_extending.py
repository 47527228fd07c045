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
