"""Whole runs: to the end, interrupted, killed; each cell once, and the same whoever trains it."""

from __future__ import annotations

import gc
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from asking import asked
from click.testing import CliRunner

from unyoke.cli import main
from unyoke.study.errors import StudyError
from unyoke.study.landscape.batches import FIRST, batches
from unyoke.study.landscape.landscape import Cell, Landscape
from unyoke.study.landscape.outcome import Outcome
from unyoke.study.ledger.ledger import FILE_NAME, Count, Ledger
from unyoke.study.running import dispatch, driver, workers
from unyoke.study.training.training import train

WORDS = {"optimizers": "AdamW,SGD", "lr": "0.01,0.1", "weight_decay": "0,0.001", "seeds": "12"}


class Seen:
    """A watcher that remembers what it was told."""

    def __init__(self) -> None:
        self.began: list[Count] = []
        self.cells: list[Cell] = []
        self.ended = 0

    def begin(self, count: Count) -> None:
        self.began.append(count)

    def advance(self, cell: Cell, outcome: Outcome) -> None:
        self.cells.append(cell)

    def end(self) -> None:
        self.ended += 1


@pytest.fixture
def small(line_file: Path) -> Landscape:
    """96 trainings of a few milliseconds each."""
    return asked(
        task=f"{line_file}:line",
        optimizers=WORDS["optimizers"],
        lr=[WORDS["lr"]],
        weight_decay=[WORDS["weight_decay"]],
        seeds=WORDS["seeds"],
        updates="8",
    )


def start(
    folder: Path, line_file: Path, *, seconds: float, task: str = "line"
) -> subprocess.Popen[str]:
    """`unyoke map` of the same landscape in a process of its own; each cell takes `seconds`."""
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in WORDS.items()]
    return subprocess.Popen(
        [
            *(sys.executable, "-c", "from unyoke.cli import main; main()", "map"),
            *("--out", str(folder), "--task", f"{line_file}:{task}", *flags),
            *("--updates=8", "--workers=2"),
        ],
        env={**os.environ, "LINE_SECONDS": str(seconds), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # as in a terminal, however these tests were started: shells ignore it for what they start
        # in the background
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def recorded(folder: Path) -> int:
    path = folder / FILE_NAME
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        query = "SELECT count(*) FROM cells WHERE state = 'done'"
        return int(connection.execute(query).fetchone()[0])


def wait_until_recorded(process: subprocess.Popen[str], folder: Path, cells: int) -> None:
    deadline = time.monotonic() + 60
    while recorded(folder) < cells:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "the run records nothing"
        time.sleep(0.05)


def processes_of_session(session: int) -> list[int]:
    """Living processes that were started in `session`, zombies left out."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, _, its_session = (
                    (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                )
            except (OSError, ValueError):
                continue
            if int(its_session) == session and state != "Z":
                found.append(int(entry.name))
    return found


def wait_until_gone(session: int) -> None:
    deadline = time.monotonic() + 20
    while processes_of_session(session):
        assert time.monotonic() < deadline, processes_of_session(session)
        time.sleep(0.1)


def cells_of(folder: Path) -> list[Cell]:
    with Ledger.open_to_read(folder) as ledger:
        return [record.cell for record in ledger.records()]


@pytest.mark.slow
def test_a_run_records_every_cell_once_and_a_second_run_nothing(
    tmp_path: Path, small: Landscape
) -> None:
    seen = Seen()
    assert driver.run(small, tmp_path, seen, workers=2) == Count(96, 96, 0)
    assert sorted(cell.key for cell in seen.cells) == sorted(cell.key for cell in small.cells())
    assert (len(seen.began), seen.ended) == (1, 1)
    again = Seen()
    assert driver.run(small, tmp_path, again, workers=2).done == 96
    assert again.cells == []


def test_a_worker_gives_what_this_process_gives(tmp_path: Path, small: Landscape) -> None:
    from unyoke.study.tasks.registry import load

    driver.run(small, tmp_path, Seen(), workers=2)
    build = load(small.task)
    with Ledger.open_to_read(tmp_path) as ledger:
        for record in list(ledger.records())[::7]:
            mine = train(record.cell, build, lambda: 0.0)
            theirs = record.outcome
            assert (mine.status, mine.updates) == (theirs.status, theirs.updates)
            # sums in float32 in another order
            assert mine.train_loss == pytest.approx(theirs.train_loss, rel=1e-5)
            assert mine.test_error == pytest.approx(theirs.test_error)
            for one, other in zip(mine.curve, ledger.curve(record.cell), strict=True):
                assert one == pytest.approx(other, rel=1e-5)


@pytest.mark.slow
def test_killed_and_run_again_no_cell_is_lost_or_doubled(
    tmp_path: Path, small: Landscape, line_file: Path
) -> None:
    folder = tmp_path / "out"
    process = start(folder, line_file, seconds=1.0)
    with process:
        wait_until_recorded(process, folder, 3)
        process.kill()
    wait_until_gone(process.pid)
    before = cells_of(folder)
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        query = "SELECT count(*) FROM cells WHERE state = 'claimed'"
        largest = sorted(map(len, batches(list(small.cells()), 2)))
        in_flight = sum(largest[-2 * dispatch.IN_FLIGHT_PER_WORKER :])
        assert connection.execute(query).fetchone()[0] <= in_flight
    assert 3 <= len(before) < 96
    seen = Seen()
    driver.run(small, folder, seen, workers=2)
    assert not {cell.key for cell in before} & {cell.key for cell in seen.cells}
    assert cells_of(folder) == list(small.cells())


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(
    tmp_path: Path, small: Landscape, line_file: Path
) -> None:
    folder = tmp_path / "out"
    process = start(folder, line_file, seconds=1.0)
    with process:
        wait_until_recorded(process, folder, 3)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to the workers as well
        output, errors = process.communicate(timeout=20)
    assert process.returncode == 130, (output, errors)
    assert "what is done is kept" in errors
    assert "Traceback" not in errors
    wait_until_gone(process.pid)
    before = cells_of(folder)
    assert 3 <= len(before) < 96
    seen = Seen()
    driver.run(small, folder, seen, workers=2)
    assert len(seen.cells) == 96 - len(before)
    assert cells_of(folder) == list(small.cells())


def test_workers_never_see_ctrl_c() -> None:
    with workers.worker_pool(1) as pool:
        blocked = pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, ()).result()
    assert signal.SIGINT in blocked


def test_nothing_is_created_for_a_batch_that_is_too_large(tmp_path: Path, line_file: Path) -> None:
    landscape = asked(task=f"{line_file}:line", batch_size="16,33")
    with pytest.raises(StudyError, match="batch of 33 samples is more than the 32"):
        driver.run(landscape, tmp_path / "out", Seen(), workers=1)
    assert not (tmp_path / "out").exists()


def test_nothing_is_created_for_a_task_that_cannot_be_used(tmp_path: Path, line_file: Path) -> None:
    folder = tmp_path / "out"
    for function in ("missing", "fails", "not_a_task", "scalar_error"):
        landscape = asked(task=f"{line_file}:{function}")
        with pytest.raises(StudyError):
            driver.run(landscape, folder, Seen(), workers=1)
    assert not folder.exists()


@pytest.mark.slow
def test_a_dead_worker_is_an_error_that_keeps_what_is_done(tmp_path: Path) -> None:
    file = tmp_path / "deadly.py"
    file.write_text(
        "import os, torch\nfrom unyoke.study import Task\n"
        "def task(seed):\n"
        "    if seed == 1: os.kill(os.getpid(), 9)\n"
        "    x, y = torch.randn(8, 2), torch.zeros(8).long()\n"
        "    return Task(torch.nn.Linear(2, 2), (x, y), (x, y), (x, y))\n"
    )
    landscape = asked(
        task=f"{file}:task",
        optimizers="SGD",
        lr=[",".join(f"{rate}" for rate in range(FIRST))],
        weight_decay=["0"],
        seeds="2",
        updates="2",
    )
    with pytest.raises(StudyError, match="worker process died"):
        driver.run(landscape, tmp_path / "out", Seen(), workers=1)
    assert len(cells_of(tmp_path / "out")) == FIRST


FAILING = """
import torch
from unyoke.study import Task

class Broken(Exception):
    def __init__(self, one, two):  # cannot be made again from what was sent
        super().__init__(one + two)

def data():
    x = torch.linspace(-1, 1, 16).reshape(8, 2)
    return x, (x.sum(dim=1) > 0).long()

def seed_one(seed):
    if seed == 1:
        raise ValueError("seed one")
    return Task(torch.nn.Linear(2, 2), data(), data(), data(), batch_size=4)

def large_weights(seed):
    # Its loss raises as soon as the outputs are large, as they are where the learning rate is.
    def loss(outputs, targets):
        if float(outputs.detach().abs().max()) > 50:
            raise Broken("outputs\\nare large" + 3_000 * "!", "")
        return torch.nn.functional.cross_entropy(outputs, targets)

    return Task(torch.nn.Linear(2, 2), data(), data(), data(), batch_size=4, loss=loss)
"""


@pytest.fixture
def failing(tmp_path: Path) -> Path:
    file = tmp_path / "failing.py"
    file.write_text(FAILING)
    return file


def outcomes(folder: Path) -> dict[Cell, Outcome]:
    with Ledger.open_to_read(folder) as ledger:
        return {record.cell: record.outcome for record in ledger.records()}


@pytest.mark.parametrize("engine", ["auto", "one_by_one"])
def test_cells_that_raise_have_failed_and_the_others_are_trained(
    tmp_path: Path, failing: Path, engine: str
) -> None:
    """Every third learning rate; a batch is halved until it is found."""
    words = {
        "task": f"{failing}:large_weights",
        "optimizers": "SGD",
        "weight_decay": ["0"],
        "seeds": "3",
        "updates": "12",
    }
    rates = [0.01 * (number + 1) if number % 3 else 1e3 + number for number in range(12)]
    whole = asked(**words, lr=[",".join(map(str, rates))])
    healthy = asked(**words, lr=[",".join(str(rate) for rate in rates if rate < 1e3)])
    count = driver.run(whole, tmp_path / "whole", Seen(), workers=2, engine=engine)
    assert count == Count(36, 36, 0, 12)
    driver.run(healthy, tmp_path / "healthy", Seen(), workers=2, engine="one_by_one")
    alone = outcomes(tmp_path / "healthy")
    for cell, outcome in outcomes(tmp_path / "whole").items():
        if cell.lr >= 1e3:
            assert outcome.status == "failed"
            assert outcome.failure is not None
            assert outcome.failure.startswith("Broken: outputs are large!!!")
            assert len(outcome.failure) == 2_000
            assert outcome.test_error is None
        else:
            assert outcome.failure is None
            assert outcome.test_error == pytest.approx(alone[cell].test_error, abs=1e-6)
    seen = Seen()
    driver.run(whole, tmp_path / "whole", seen, workers=1)  # nothing is left to do
    assert not seen.cells


def test_the_cells_of_a_seed_whose_task_cannot_be_built_have_failed(
    tmp_path: Path, failing: Path
) -> None:
    landscape = asked(
        task=f"{failing}:seed_one",
        optimizers="SGD",
        lr=["0.1,0.2"],
        weight_decay=["0"],
        seeds="3",
        updates="2",
    )
    count = driver.run(landscape, tmp_path / "out", Seen(), workers=1)
    assert count == Count(6, 6, 0, 2)
    for cell, outcome in outcomes(tmp_path / "out").items():
        assert (outcome.failure is not None) == (cell.seed == 1)
        if outcome.failure is not None:
            assert "failed for seed 1: ValueError: seed one" in outcome.failure


def test_a_map_of_which_everything_fails_says_what(tmp_path: Path, failing: Path) -> None:
    words = ["map", "--task", f"{failing}:large_weights", "--optimizers", "SGD", "--lr", "1e3,1e4"]
    more = ["--weight-decay", "0", "--seeds", "1", "--updates", "9", "--workers", "1"]
    result = CliRunner().invoke(main, [*words, *more, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "2 of 2 trainings failed, 2 of them by Broken: outputs are large" in result.stderr
    assert (tmp_path / "out" / "report.html").exists()


def test_workers_look_as_often_as_asked(tmp_path: Path, small: Landscape) -> None:
    few = replace(small, seeds=(0,), evaluations=2)
    driver.run(few, tmp_path, Seen(), workers=1)
    with Ledger.open_to_read(tmp_path) as ledger:
        assert {len(ledger.curve(cell)) for cell in few.cells()} == {2}


@pytest.mark.slow
def test_the_engine_is_the_one_asked_for(tmp_path: Path, small: Landscape) -> None:
    for engine in ("stacked", "one_by_one"):
        driver.run(small, tmp_path / engine, Seen(), workers=1, engine=engine)
        with Ledger.open_to_read(tmp_path / engine) as ledger:
            assert {record.outcome.engine for record in ledger.records()} == {engine}


@pytest.mark.slow
def test_a_refined_map_leaves_cells_open_and_goes_on(tmp_path: Path, line_file: Path) -> None:
    landscape = asked(
        task=f"{line_file}:line",
        optimizers="SGD",
        lr=["2^-8:2^0"],
        weight_decay=["2^-9:2^-1"],
        seeds="3",
        updates="4",
    )
    few = driver.run(landscape, tmp_path, Seen(), workers=2, refine=driver.Refine(most=30))
    assert (few.total, few.done) == (243, 30)
    seen = Seen()
    more = driver.run(landscape, tmp_path, seen, workers=2, refine=driver.Refine())
    assert 60 < more.done < 150
    assert len(seen.cells) == more.done - 30
    again = Seen()
    assert driver.run(landscape, tmp_path, again, workers=2, refine=driver.Refine()) == more
    assert again.cells == []


def test_the_server_has_imported_what_workers_need_and_collects_garbage_again() -> None:
    with workers.worker_pool(1) as pool:
        loaded, collecting, kept = pool.submit(_state_of_a_worker).result()
    assert {"torch._dynamo", "unyoke.study.training.training"} <= loaded
    assert collecting
    assert kept > 100_000


def _state_of_a_worker() -> tuple[set[str], bool, int]:
    return set(sys.modules), gc.isenabled(), gc.get_freeze_count()


def test_workers_hash_strings_alike_in_every_run() -> None:
    words = [sys.executable, "-c", "print(hash('unyoke'))"]
    environment = {**os.environ, "PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED", "0")}
    expected = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    with workers.worker_pool(1) as pool:
        assert pool.submit(hash, "unyoke").result() == int(expected.stdout)


def test_a_task_whose_code_was_changed_goes_on_where_that_is_accepted(
    line_file: Path, tmp_path: Path
) -> None:
    """By the command line, workers and all; a comment alone changes nothing."""
    task = tmp_path / "task.py"
    task.write_text(line_file.read_text())
    command = ["map", "--out", str(tmp_path / "out"), "--task", f"{task}:line", "--workers", "1"]
    command += ["--optimizers", "SGD", "--lr", "0.1,0.2", "--weight-decay", "0", "--updates", "4"]
    first = CliRunner().invoke(main, [*command, "--seeds", "1"])
    assert first.exit_code == 0, first.output
    more = [*command, "--seeds", "2", "--extend"]
    task.write_text("# A comment.\n" + line_file.read_text())
    again = CliRunner().invoke(main, [*command, "--seeds", "1"])
    assert again.exit_code == 0, again.output
    task.write_text(f"{line_file.read_text()}\nanother = 1\n")
    refused = CliRunner().invoke(main, more)
    assert refused.exit_code == 2
    assert "other code of the task task.py:line: task.py)" in refused.output
    accepted = CliRunner().invoke(main, [*more, "--accept-code"])
    assert accepted.exit_code == 0, accepted.output
    assert "4 of 4 cells" in accepted.output
    assert "accepted change: other code of the task task.py:line: task.py" in accepted.output


def test_shards_are_whole_maps_of_some_seeds(landscape: Landscape) -> None:
    wide = replace(landscape, seeds=(3, 5, 7))
    parts = [driver.Shard(index, 2).cells(wide) for index in (1, 2)]
    assert [{cell.seed for cell in part} for part in parts] == [{3, 7}, {5}]
    assert sorted(map(len, parts)) == [18, 36]
    parts = [driver.Shard(index, 4).cells(wide) for index in (1, 2, 3, 4)]  # more than seeds
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert set().union(*parts) == set(wide.cells())
