"""Tasks on a device: the same numbers, copied once, refused where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from unyoke.cli import main
from unyoke.study.errors import StudyError
from unyoke.study.landscape.landscape import Cell, Landscape, TaskReference
from unyoke.study.running import workers
from unyoke.study.tasks import registry
from unyoke.study.tasks.devices import Mover

DIGITS = registry.refer("digits-plain")


def cells(reference: TaskReference) -> list[Cell]:
    return [
        Cell(reference.name, reference.version, "AdamW", "cosine", 12, lr, 0.01, seed)
        for seed in (0, 1)
        for lr in (0.01, 0.1)
    ]


def test_the_cpu_by_name_is_the_cpu() -> None:
    named = replace(DIGITS, device="cpu")
    assert named.version == DIGITS.version
    one, other = (
        workers.run_cells(reference, cells(reference), "stacked", None)
        for reference in (DIGITS, named)
    )
    assert [replace(o, seconds=0.0) for o in one.outcomes] == [
        replace(o, seconds=0.0) for o in other.outcomes
    ]
    assert '"device": "cpu"' in other.versions
    assert "device" not in one.versions


def test_everything_moves_and_shared_samples_once() -> None:
    build = registry.load(replace(DIGITS, device="meta"))
    first, second = build(0), build(1)
    for task in (first, second):
        parts = [*task.train, *task.validation, *task.test, *task.model.parameters()]
        assert {tensor.device.type for tensor in parts} == {"meta"}
    mover, task = Mover("meta"), registry.load(DIGITS)(0)
    assert mover.moved(task).train[0] is mover.moved(replace(task, loss=task.loss)).train[0]
    assert registry.load(DIGITS)(0).train[0].device.type == "cpu"


def test_copies_of_many_seeds_own_data_are_let_go() -> None:
    mover = Mover("meta")
    task = registry.load(DIGITS)(0)
    for _ in range(20):
        mover.moved(replace(task, train=(task.train[0].clone(), task.train[1].clone())))
    assert len(mover._copies) <= 12


def test_the_device_is_no_part_of_the_question() -> None:
    landscape = Landscape(DIGITS, {}, ("cosine",), (1,), (0,))
    moved = replace(landscape, task=replace(DIGITS, device="cuda"))
    assert landscape.difference(moved) is None
    assert Landscape.from_json(moved.to_json()) == moved


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_a_device_that_is_not_there(device: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=f"--device {device}"):
        Mover(device)
    words = ["figure", "2", "--scale", "smoke", "--device", device, "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert f"--device {device}" in result.output
    assert result.output.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_a_gpu_learns_what_the_cpu_learns() -> None:
    on_gpu = replace(DIGITS, device="cuda")
    one, other = (
        workers.run_cells(reference, cells(reference), "auto", None)
        for reference in (DIGITS, on_gpu)
    )
    for a, b in zip(one.outcomes, other.outcomes, strict=True):
        assert a.train_loss is not None
        assert b.train_loss == pytest.approx(a.train_loss, rel=1e-3)
