"""Optimizers for matrices alone in a map: hidden layers are theirs, and Adam has the rest."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asking import asked

from unyoke import MuonW, groups, schedules
from unyoke.population import BatchOrder
from unyoke.population.generators import seed_all
from unyoke.study.errors import StudyError
from unyoke.study.landscape.landscape import Axes, Cell, Landscape
from unyoke.study.ledger.ledger import Ledger
from unyoke.study.ledger.merge import merge
from unyoke.study.planning import defaults, extending
from unyoke.study.planning.commands import map_command
from unyoke.study.report.report import write_report
from unyoke.study.running import driver
from unyoke.study.running.progress import ProgressBar
from unyoke.study.tasks import registry
from unyoke.study.training import training

WORDS = """
import torch
from torch import nn
from unyoke.optimizers import Named
from unyoke.study import Task

def words(seed):
    torch.manual_seed(seed)
    inputs = torch.randint(5, (96,))
    parts = [(inputs[i : i + 32], inputs[i : i + 32] % 2) for i in (0, 32, 64)]
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))
    return Task(model, *parts, batch_size=16)

class Mine(Named, direction="muon"):
    "Muon once more."

class Half(Named, direction="muon"):
    "Muon with half the steps."
    def __init__(self, params, lr, weight_decay, **options):
        super().__init__(params, lr / 2, weight_decay, **options)

from unyoke.equation import direction

@direction(
    coefficients=lambda lr: {"lr": lr},
    objection=lambda weight: None if weight.dim() == 2 else "it is no matrix",
)
def descent(grad, lr):
    "Gradient descent, of matrices."
    return lr * grad

class Own(Named, direction=descent):
    "Gradient descent of matrices, with decoupled weight decay."

def convolution(seed):
    torch.manual_seed(seed)
    inputs = torch.randn(96, 1, 2, 2)
    parts = [(inputs[i : i + 32], torch.arange(32) % 2) for i in (0, 32, 64)]
    return Task(nn.Sequential(nn.Conv2d(1, 2, 2), nn.Flatten()), *parts, batch_size=16)
"""


@pytest.fixture
def words(tmp_path: Path) -> Path:
    file = tmp_path / "words.py"
    file.write_text(WORDS)
    return file


def small(words: Path, optimizers: str = "MuonW", **options: Any) -> Landscape:
    return asked(
        task=f"{words}:words",
        optimizers=optimizers,
        lr="0.01,0.05",
        weight_decay="0.01",
        updates="8",
        seeds="1",
        **options,
    )


def test_what_a_cell_trains_is_in_its_key_and_old_ledgers_keep_theirs(words: Path) -> None:
    hidden, every = small(words, "MuonW,AdamW"), small(words, "MuonW,AdamW", matrices="all")
    assert {name: axes.matrices for name, axes in hidden.axes.items()} == {
        "MuonW": "hidden",
        "AdamW": None,
    }
    assert every.axes["MuonW"] == Axes((0.01, 0.05), (0.01,))
    assert all(("matrices" in c.to_json()) == (c.optimizer == "MuonW") for c in hidden.cells())
    assert not any("matrices" in cell.to_json() for cell in every.cells())
    cell = next(hidden.cells())
    assert Cell.from_json(cell.to_json()) == cell
    assert Landscape.from_json(hidden.to_json()) == hidden
    assert small(words, "MuonW,AdamW", matrices="hidden") == hidden
    assert not every.is_part_of(hidden)
    assert every.difference(hidden) == "MuonW with matrices all, not hidden (--matrices all)"


def test_the_choice_is_said_and_is_in_the_command(words: Path, tmp_path: Path) -> None:
    hidden, every = small(words), small(words, matrices="all")
    assert "MuonW: the matrices of hidden layers, and Adam everything else" in hidden.decaying
    assert "MuonW: every matrix, and Adam everything else" in every.decaying
    assert "matrices" not in small(words, "AdamW").decaying
    assert "--matrices" not in map_command(hidden, tmp_path)
    assert "--matrices all" in map_command(every, tmp_path)
    with pytest.raises(StudyError, match=r"--matrices all is for optimizers of matrices alone"):
        small(words, "AdamW,LarsW", matrices="all")


@pytest.mark.parametrize("optimizer", ["Muon", "NorMuonW", "MuonW(ns_steps=3)+l2", "{}:Mine"])
def test_every_direction_for_matrices_alone_is_meant(words: Path, optimizer: str) -> None:
    ((_, axes),) = small(words, optimizer.format(words)).axes.items()
    assert axes.matrices == "hidden"


@pytest.mark.parametrize("name", ["Mine", "Half", "Own"])
def test_the_choice_of_a_class_of_ones_own_is_in_its_command_too(
    words: Path, tmp_path: Path, name: str
) -> None:
    """Also where its direction is not known, as of Half, and where it is one's own."""
    hidden, every = (small(words, f"{words}:{name}", matrices=each) for each in ("hidden", "all"))
    own = f"words.py:{name}"
    assert (hidden.axes[own].matrices, every.axes[own].matrices) == ("hidden", None)
    again = Landscape.from_json(every.to_json())
    assert again == every
    assert "--matrices all" in map_command(again, tmp_path)
    assert "--matrices" not in map_command(hidden, tmp_path)
    assert f"{own}: every matrix, and Adam everything else" in again.decaying
    plain = json.loads(every.to_json())
    plain["task"]["own"] = [each[:5] for each in plain["task"]["own"]]
    old = Landscape.from_json(json.dumps(plain))  # of which only a direction of unyoke's tells it
    assert ("--matrices all" in map_command(old, tmp_path)) == (name == "Mine")


@pytest.mark.filterwarnings("ignore:weight_decay")
@pytest.mark.parametrize("engine", ["stacked", "one_by_one"])
def test_trained_as_by_hand(words: Path, engine: str) -> None:
    """As `groups.hidden_matrices` divides the model, with one α and λ for all."""
    reference = registry.refer(f"{words}:words")
    build = registry.load(reference)
    cell = Cell("words", "0", "MuonW", "cosine", 8, 0.05, 0.02, 0, matrices="hidden")
    cells = [cell, replace(cell, lr=0.01)]
    found = training.train_together(cells, build, time.perf_counter, engine, 1)[0]
    every = replace(cell, matrices=None)
    other = training.train_together([every], build, time.perf_counter, "one_by_one", 1)[0]

    seed_all(0)
    task = build(0)
    rule = groups.hidden_matrices(task.model, "muon", rest="adam")
    divided = groups.split(task.model, rule=lambda *_: True, directions=rule, weight_decay=0.02)
    assert [len(group["params"]) for group in divided] == [4, 1]
    assert divided[1]["params"][0][0] == "1.weight"
    optimizer = MuonW(divided, lr=0.05, weight_decay=0.02, schedule=schedules.cosine(8))
    order = BatchOrder(len(task.train[1]), task.batch_size, [0])
    for update in range(8):
        chosen = order.at(update).reshape(-1)
        optimizer.zero_grad()
        task.loss(task.model(task.train[0][chosen]), task.train[1][chosen]).backward()
        optimizer.step()
    loss = task.loss(task.model.eval()(task.train[0]), task.train[1]).item()
    assert found.train_loss == pytest.approx(loss, rel=1e-3)  # bfloat16 stages
    assert other.train_loss != pytest.approx(loss, rel=1e-2)


def test_a_map_of_it_is_recorded_and_goes_on_with_the_same_choice_only(
    words: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "map"
    driver.run(small(words), folder, ProgressBar(), workers=1)
    lines = write_report(folder).lines
    assert any("hidden layers" in line for line in lines)
    assert ",hidden," in (folder / "cells.csv").read_text()
    with Ledger.open_to_read(folder) as ledger:
        records = list(ledger.records())
    assert {record.outcome.status for record in records} == {"finished"}
    with pytest.raises(StudyError, match=r"matrices hidden, not all \(--matrices hidden\)") as said:
        driver.run(small(words, matrices="all"), folder, ProgressBar(), workers=1)
    assert "--extend" not in str(said.value)


def test_ledgers_with_the_other_choice_are_not_merged(words: Path, tmp_path: Path) -> None:
    """Wherever among them they stand: the first has no such optimizer."""
    landscapes = {
        "adam": small(words, "AdamW"),
        "hidden": small(words),
        "all": small(words, matrices="all"),
        "norm": replace(small(words), axes={"MuonW": Axes((0.01,), (0.01,), "norm", "hidden")}),
    }
    folders = {name: tmp_path / name for name in landscapes}
    for name, landscape in landscapes.items():
        Ledger.open_to_write(folders[name], landscape).close()
    for names in (("hidden", "all"), ("adam", "all", "hidden")):
        with pytest.raises(StudyError, match="MuonW gets other matrices") as refused:
            merge([folders[name] for name in names], tmp_path / "merged")
        assert f"{folders[names[-2]]} and {folders[names[-1]]}" in str(refused.value)
    with pytest.raises(StudyError, match="MuonW's weight decay is in other units"):
        merge([folders[name] for name in ("adam", "hidden", "norm")], tmp_path / "merged")
    merge([folders[name] for name in ("adam", "hidden")], tmp_path / "merged")


def test_what_is_added_to_a_map_goes_as_what_is_there(words: Path) -> None:
    preset = defaults.full("words.py:words")
    old, plain = small(words, matrices="all"), small(words, "AdamW")
    more = extending.extended(old, preset, {"optimizers": ("NorMuonW",)})
    assert {axes.matrices for axes in more.axes.values()} == {None}
    assert old.is_part_of(more)
    more = extending.extended(plain, preset, {"optimizers": ("NorMuonW",)})
    assert (more.axes["AdamW"].matrices, more.axes["NorMuonW"].matrices) == (None, "hidden")
    more = extending.extended(small(words), preset, {"seeds": (1,)})
    assert more.axes["MuonW"].matrices == "hidden"
    with pytest.raises(StudyError, match="this ledger has --matrices all, and --matrices hidden"):
        extending.extended(old, preset, {"matrices": "hidden"})
    with pytest.raises(StudyError, match="this ledger has --matrices hidden, and --matrices all"):
        extending.extended(small(words), preset, {"matrices": "all"})


def test_a_model_without_a_hidden_matrix_is_refused_before_anything_is_made(
    line_file: Path,
) -> None:
    given = {"task": f"{line_file}:line", "optimizers": "MuonW", "lr": "0.1", "updates": "2"}
    landscape = asked(**given, weight_decay="0.001", seeds="1")
    with pytest.raises(StudyError, match=r"MuonW would get no weight.*give --matrices all"):
        driver.try_here(landscape)
    driver.try_here(asked(**given, weight_decay="0.001", seeds="1", matrices="all"))


def test_a_model_without_any_matrix_is_told_what_helps_it(words: Path) -> None:
    given = {"optimizers": "MuonW", "lr": "0.1", "weight_decay": "0.001", "seeds": "1"}
    with pytest.raises(StudyError, match=r"MuonW would get no weight.*; map another optimizer$"):
        driver.try_here(asked(task=f"{words}:convolution", **given, updates="2"))


def test_another_mistake_of_the_model_keeps_its_own_words(
    words: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def split(*_: object, **__: object) -> None:
        raise ValueError("two names of one layer")

    monkeypatch.setattr(groups, "split", split)
    with pytest.raises(StudyError, match=r"^--matrices hidden: two names of one layer$"):
        training.hidden(next(small(words).cells()), registry.load(small(words).task)(0))
