"""Seeds by number, clipped gradients, and weights that do not decay, in a map."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from asking import asked

from unyoke import SGDW, groups, schedules
from unyoke.population import BatchOrder
from unyoke.population.generators import seed_all
from unyoke.study.errors import StudyError
from unyoke.study.landscape.landscape import Cell, Landscape
from unyoke.study.planning import words
from unyoke.study.planning.commands import map_command
from unyoke.study.tasks import registry
from unyoke.study.training.training import train_together


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("3", (0, 1, 2)), ("7,3, 11", (3, 7, 11)), ("7,", (7,)), ("0,0", (0,))],
)
def test_seeds_are_counted_or_listed(text: str, seeds: tuple[int, ...]) -> None:
    assert words.seeds(text) == seeds
    landscape = asked(seeds=text)
    assert landscape.seeds == seeds
    command = map_command(landscape, Path("out"))
    assert asked(seeds=command.split("--seeds ")[1].split()[0]).seeds == seeds


@pytest.mark.parametrize("text", ["0", "-1", "1,-2", "1.5,2", ",", "a"])
def test_what_is_no_seed_is_refused(text: str) -> None:
    with pytest.raises(StudyError):
        words.seeds(text)


def test_cells_without_them_have_the_keys_that_they_had() -> None:
    """Ledgers from before there was clipping go on."""
    plain = next(asked().cells())
    assert "clip" not in plain.to_json()
    assert "groups" not in plain.to_json()
    clipped = next(asked(clip="0.5", groups="split").cells())
    assert Cell.from_json(clipped.to_json()) == clipped
    assert (clipped.clip, clipped.groups) == (0.5, "split")
    assert asked(groups="all") == asked()


def test_another_clipping_is_another_landscape() -> None:
    plain, clipped, split = asked(), asked(clip="0.5"), asked(groups="split")
    assert plain.difference(clipped) == "gradients clipped at None, not 0.5"
    assert plain.difference(split) == "groups all, not split"
    assert not plain.is_part_of(clipped)
    assert not plain.is_part_of(split)
    assert Landscape.from_json(split.to_json()) == split
    command = map_command(asked(clip="0.5", groups="split", device="cuda"), Path("out"))
    assert command.endswith("--clip 0.5 --groups split --device cuda")
    assert "biases and norms too" in plain.decaying
    assert "clipped at 0.5" in clipped.decaying
    assert "do not decay" in split.decaying


@pytest.mark.filterwarnings("ignore:weight_decay")
@pytest.mark.parametrize("engine", ["stacked", "one_by_one"])
@pytest.mark.parametrize(("clip", "split"), [(0.05, None), (None, "split")])
def test_trained_as_by_hand(
    line_file: Path, engine: str, clip: float | None, split: str | None
) -> None:
    """As one trains it with torch's clipping and `groups.split`."""
    reference = registry.refer(f"{line_file}:line")
    build = registry.load(reference)
    plain = Cell("line", "0", "SGDW", "cosine", 8, 0.1, 0.1, 0)
    cell = replace(plain, clip=clip, groups=split)
    cells = [cell, replace(cell, lr=0.05)]
    found = train_together(cells, build, time.perf_counter, engine, 1)[0]
    other = train_together([plain], build, time.perf_counter, "one_by_one", 1)[0]

    seed_all(0)
    task = build(0)
    parameters = task.model.parameters() if split is None else groups.split(task.model, 0.1)
    schedule = schedules.cosine(8)
    optimizer = SGDW(parameters, lr=0.1, weight_decay=0.1, schedule=schedule)
    order = BatchOrder(len(task.train[1]), task.batch_size, [0])
    for update in range(8):
        chosen = order.at(update).reshape(-1)
        optimizer.zero_grad()
        task.loss(task.model(task.train[0][chosen]), task.train[1][chosen]).backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(task.model.parameters(), clip)
        optimizer.step()
    loss = task.loss(task.model.eval()(task.train[0]), task.train[1]).item()
    assert found.train_loss == pytest.approx(loss, rel=1e-5)
    assert other.train_loss != pytest.approx(loss, rel=3e-4)
