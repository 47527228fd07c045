"""Before a map begins: its time, whether a seed decides all; and limits on a training's time."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from asking import asked
from click.testing import CliRunner

from unyoke.cli import main
from unyoke.study.claims import estimate
from unyoke.study.landscape.landscape import Landscape
from unyoke.study.running import driver, executors, first_cell, workers
from unyoke.study.running.time_limit import time_limit

TASK = """
import time, torch
from unyoke.study import Task

def made(seed, model):
    x = torch.linspace(-1, 1, 40)[:, None]
    part = (x, (x > 0).long().squeeze(1))
    return Task(model=model, train=part, validation=part, test=part, batch_size=10)

def steady(seed):
    return made(seed, torch.nn.Linear(1, 2))

times = []

def drifting(seed):
    times.append(1)
    torch.manual_seed(time.perf_counter_ns())
    return made(seed, torch.nn.Linear(1, 2))

class Slow(torch.nn.Linear):
    def forward(self, x):
        try:
            time.sleep(60 if self.training and x.shape[0] == 10 and len(times) else 0)
        except Exception:
            raise SystemExit
        return super().forward(x)

def hanging(seed):
    times.append(1)
    return made(seed, Slow(1, 2))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "task.py"
    path.write_text(TASK)
    return path


def small(file: Path, name: str) -> Landscape:
    axis = {"lr": "0.1", "weight_decay": "0", "updates": "5", "seeds": "1"}
    return asked(task=f"{file}:{name}", optimizers="SGDW", **axis)


@pytest.mark.parametrize(("name", "differs"), [("steady", False), ("drifting", True)])
def test_a_task_that_its_seed_does_not_decide_is_named(
    file: Path, name: str, differs: bool
) -> None:
    landscape = small(file, name)
    with executors.start("processes", 1) as started:
        cell = next(landscape.cells())
        said = first_cell.difference(started, landscape.task, cell, 1e-3)
    assert (said is not None and "two trainings of the first cell differ" in said) == differs


def _sleep_on() -> None:
    with time_limit(0.2, "nothing"):
        while True:
            try:
                time.sleep(5)
            except Exception:
                pytest.fail("interrupted as an Exception")


def test_python_that_hangs_is_interrupted_whatever_it_catches() -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"nothing took longer than 0\.2 s"):
        _sleep_on()
    assert time.monotonic() - began < 4
    with time_limit(0.2, "nothing"):
        pass
    time.sleep(0.4)


def test_a_batch_has_as_much_time_as_its_cells(file: Path) -> None:
    landscape = small(file, "hanging")
    cells = list(landscape.cells())
    with pytest.raises(TimeoutError, match=r"1 training took longer than 0\.3 s"):
        workers.run_cells(landscape.task, cells, "one_by_one", 1, 0.3)


def test_a_dry_run_says_how_long_and_writes_nothing(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "map"
    words = ["map", "--out", str(out), "--task", f"{file}:steady", "--optimizers", "SGDW"]
    words += ["--lr", "0.1,0.2", "--weight-decay", "0", "--updates", "5", "--seeds", "3,7"]
    result = CliRunner().invoke(main, [*words, "--dry-run", "--workers", "1"])
    assert result.exit_code == 0, result.output
    assert "4 trainings to do, 20 updates: about" in result.output
    assert "start and report included" in result.output
    assert int(re.findall(r"about (\d+) seconds", result.output)[0]) >= estimate.REPORT
    assert re.search(r"timed here: [1-9]\d* updates", result.output)
    assert not (out / "ledger.sqlite").exists()


def test_the_driver_says_it_before_it_records_anything(file: Path, tmp_path: Path) -> None:
    from unyoke.study.running.progress import ProgressBar

    said: list[bool] = []
    out = tmp_path / "map"
    driver.run(
        small(file, "drifting"),
        out,
        ProgressBar(),
        workers=1,
        warn=lambda text: said.append((out / "ledger.sqlite").exists()),
    )
    assert said == [False]
