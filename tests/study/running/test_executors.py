"""The same landscape by other machines' engines, started here with two workers each."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from asking import asked
from test_driver import (
    WORDS,
    processes_of_session,
    start,
    wait_until_gone,
    wait_until_recorded,
)

from unyoke.cli import main
from unyoke.study.errors import StudyError
from unyoke.study.landscape.landscape import Cell, Landscape
from unyoke.study.landscape.outcome import Outcome
from unyoke.study.ledger.ledger import FILE_NAME, Count, Ledger
from unyoke.study.planning import words
from unyoke.study.running import dispatch, driver, executors


class Watcher:
    """Calls a function at each recorded cell."""

    def __init__(self, advance: Callable[[int], None] = lambda cells: None) -> None:
        self._advance = advance
        self.began: list[Count] = []
        self.cells: list[Cell] = []

    def begin(self, count: Count) -> None:
        self.began.append(count)

    def advance(self, cell: Cell, outcome: Outcome) -> None:
        self.cells.append(cell)
        self._advance(len(self.cells))

    def end(self) -> None: ...


@pytest.fixture
def small(line_file: Path) -> Landscape:
    """36 trainings of a few milliseconds each, in several batches."""
    return asked(
        task=f"{line_file}:line",
        optimizers="AdamW,SGD,SGDW",
        lr=["0.01,0.1"],
        weight_decay=["0,0.001"],
        seeds="3",
        updates="8",
    )


def results(folder: Path) -> list[tuple[Cell, float | None]]:
    with Ledger.open_to_read(folder) as ledger:
        return [(record.cell, record.outcome.validation_error) for record in ledger.records()]


@pytest.fixture
def expected(small: Landscape, tmp_path: Path) -> list[tuple[Cell, float | None]]:
    folder = tmp_path / "one machine"
    driver.run(small, folder, Watcher(), workers=1, engine="one_by_one")
    return results(folder)


class TestDask:
    @pytest.mark.slow
    def test_gives_the_same_and_survives_a_killed_worker(
        self, dask: str, small: Landscape, tmp_path: Path, expected: object
    ) -> None:
        from distributed import Client

        with Client(dask) as client:  # type: ignore[no-untyped-call]
            victim = next(iter(client.run(os.getpid).values()))

        def kill(cells: int) -> None:
            if cells == 1:
                os.kill(victim, signal.SIGKILL)

        folder = tmp_path / "dask"
        watcher = Watcher(kill)
        count = driver.run(
            small, folder, watcher, workers=1, engine="one_by_one", executor=f"dask:{dask}"
        )
        assert count == Count(36, 36, 0)
        assert len(set(watcher.cells)) == len(watcher.cells) == 36
        assert results(folder) == expected

    def test_nobody_there(
        self, small: Landscape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("distributed")
        monkeypatch.setattr(executors, "PATIENCE", 1)
        with pytest.raises(StudyError, match="no Dask scheduler answers at nowhere"):
            driver.run(small, tmp_path, Watcher(), workers=1, executor="dask:nowhere:1")


@pytest.mark.slow
def test_ray_gives_the_same_and_survives_a_killed_worker(
    small: Landscape, tmp_path: Path, expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")  # tests tell nobody that they ran
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    try:
        folder = tmp_path / "ray"

        def kill(cells: int) -> None:
            if cells == 1:
                os.kill(busy_worker_of_rays(), signal.SIGKILL)

        name = f"ray:{cluster.address}"
        count = driver.run(
            small, folder, Watcher(kill), workers=1, engine="one_by_one", executor=name
        )
    finally:
        cluster.shutdown()
    assert count == Count(36, 36, 0)
    assert results(folder) == expected


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:99999", "auto"])
def test_no_cluster_of_rays(
    address: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with (
        pytest.raises(StudyError, match=f"no Ray cluster answers at {address}: ") as refused,
        executors.start(f"ray:{address}", 1),
    ):
        pass
    assert "\n" not in str(refused.value)
    assert capfd.readouterr() == ("", "")


@pytest.fixture(params=["says nothing", "is a web server", "hangs up"])
def stranger(request: pytest.FixtureRequest) -> Iterator[int]:
    """A port at which something listens that is no scheduler."""
    server, held = socket.create_server(("127.0.0.1", 0)), []

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            held.append(connection)
            if request.param == "is a web server":
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            if request.param == "hangs up":
                connection.close()

    threading.Thread(target=serve, daemon=True).start()
    with server:
        yield server.getsockname()[1]
    for connection in held:
        connection.close()


@pytest.mark.parametrize(
    ("kind", "library", "says"),
    [("dask", "distributed", "no Dask scheduler"), ("ray", "ray", "no Ray cluster")],
)
def test_whatever_listens_at_the_port_the_answer_comes_in_time(
    stranger: int, kind: str, library: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(library)
    monkeypatch.setattr(executors, "PATIENCE", 2)
    address = f"127.0.0.1:{stranger}"
    started = time.monotonic()
    with (
        pytest.raises(StudyError, match=f"{says} answers at {address}: ") as refused,
        executors.start(f"{kind}:{address}", 1),
    ):
        pass
    assert "\n" not in str(refused.value)
    assert time.monotonic() - started < 60  # where it hung for minutes; not a matter of speed


def busy_worker_of_rays() -> int:
    """A worker is named after the function that it runs."""
    names = {path.parent: path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")}
    return next(int(path.name) for path, name in names.items() if name.startswith(b"ray::on_one"))


@pytest.mark.slow
def test_slurms_jobs_as_processes_here_give_the_same(
    line_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One job tries the task and one trains; each imports torch anew."""
    pytest.importorskip("submitit")
    monkeypatch.chdir(tmp_path)
    landscape = asked(
        task=f"{line_file}:line",
        optimizers="SGD",
        lr=["0.01,0.1"],
        weight_decay=["0,0.001"],
        seeds="1",
        updates="8",
    )
    folders = tmp_path / "slurm", tmp_path / "here"
    for folder, executor in zip(folders, ("slurm:cluster=local", "processes"), strict=True):
        count = driver.run(landscape, folder, Watcher(), workers=2, executor=executor)
        assert count == Count(4, 4, 0)
    assert results(folders[0]) == results(folders[1])
    assert not list(tmp_path.glob("unyoke-slurm-*"))


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["processes", "slurm:cluster=local"])
def test_workers_with_another_file_than_the_driver_end_the_run_with_one_line(
    small: Landscape, executor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if executor.startswith("slurm"):
        pytest.importorskip("submitit")
    monkeypatch.chdir(tmp_path)
    other = replace(small, task=replace(small.task, digest="another"))
    with pytest.raises(StudyError, match="is not what the driver has read") as refused:
        driver.run(other, tmp_path / "out", Watcher(), workers=1, executor=executor)
    assert "\n" not in str(refused.value)
    assert "Traceback" not in str(refused.value)
    assert not (tmp_path / "out").exists()


class TestShards:
    def test_are_every_cell_once(self, small: Landscape) -> None:
        parts = [driver.Shard(index, 5).cells(small) for index in (1, 2, 3, 4, 5)]
        assert sorted(cell.key for part in parts for cell in part) == sorted(
            cell.key for cell in small.cells()
        )
        assert max(map(len, parts)) - min(map(len, parts)) <= 1

    def test_one_runs_its_own_cells_and_leaves_the_others_open(
        self, small: Landscape, tmp_path: Path
    ) -> None:
        shard, watcher = driver.Shard(2, 3), Watcher()
        count = driver.run(small, tmp_path, watcher, workers=1, shard=shard)
        assert count == Count(36, 12, 0)
        assert watcher.began == [Count(12, 0, 0)]
        assert {cell for cell, _ in results(tmp_path)} == set(shard.cells(small))
        assert driver.run(small, tmp_path, Watcher(), workers=1, shard=shard) == count

    @pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/", "/2", "a/b", "-1/2", "1/2/3"])
    def test_words_that_are_no_shard(self, text: str) -> None:
        with pytest.raises(StudyError, match="such as 1/4"):
            words.shard(text)

    def test_a_shard_cannot_be_refined(self, tmp_path: Path) -> None:
        command = ["map", "--out", str(tmp_path / "out"), "--shard", "1/2", "--refine"]
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code == 2
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cluster", "unknown executor 'cluster'; there are processes, dask:ADDRESS"),
        ("dask", "unknown executor 'dask'"),
        ("processes:4", "unknown executor"),
        ("slurm:partition", "give NAME=VALUE"),
    ],
)
def test_names_that_are_no_executor(name: str, message: str, tmp_path: Path) -> None:
    if name.startswith("slurm"):
        pytest.importorskip("submitit")
    with pytest.raises(StudyError, match=message), executors.start(name, 1):
        pass


@pytest.mark.parametrize(
    ("name", "library"),
    [("dask:tcp://x:1", "distributed"), ("ray:auto", "ray"), ("slurm", "submitit")],
)
def test_a_missing_library_names_the_extra(
    name: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    extra = name.partition(":")[0]
    with (
        pytest.raises(StudyError, match=rf"needs {library}: pip install 'unyoke\[{extra}\]'"),
        executors.start(name, 1),
    ):
        pass


class Fragile(executors.Executor):
    """Answers at once; its worker dies at the calls that it is told."""

    workers = 1

    def __init__(self, deaths: set[int]) -> None:
        self._deaths = deaths
        self.batches: list[int] = []

    def submit(self, function, *arguments):  # type: ignore[no-untyped-def]
        from concurrent.futures import Future

        future: Future[object] = Future()
        self.batches.append(len(arguments[1]))
        if len(self.batches) in self._deaths:
            future.set_exception(ConnectionError("died"))
        else:
            outcomes = [Outcome("diverged", 1, *[None] * 5, 1, "%", 0.0, ()) for _ in arguments[1]]
            future.set_result((outcomes, "{}"))
        return future

    def is_a_death(self, error: BaseException) -> bool:
        return isinstance(error, ConnectionError)


def through(small: Landscape, folder: Path, deaths: set[int]) -> tuple[Fragile, Count]:
    executor = Fragile(deaths)
    job = dispatch.Job(executor, small.task, "auto", None, 0.0)
    with Ledger.open_to_write(folder, small) as ledger:
        dispatch.Run(ledger, job, Watcher()).through(ledger.open_cells())
        return executor, ledger.count()


def test_a_batch_whose_worker_died_is_tried_in_halves(small: Landscape, tmp_path: Path) -> None:
    usual, _ = through(small, tmp_path / "usual", set())
    executor, count = through(small, tmp_path / "deaths", {1})
    first = usual.batches[0]
    assert count == Count(36, 36, 36)
    assert sum(executor.batches) == 36 + first
    assert first // 2 in executor.batches


def test_workers_that_keep_dying_end_the_run(small: Landscape, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="those that took its place"):
        through(small, tmp_path, set(range(1, 100)))
    with Ledger.open_to_write(tmp_path, small) as ledger:
        assert len(ledger.open_cells()) == 36


@pytest.mark.slow
@pytest.mark.parametrize(("task", "rates"), [("line", "0.01,0.1"), ("storm", "0.01,0.1,1000")])
def test_ten_kills_of_workers_and_drivers_lose_and_double_nothing(
    task: str, rates: str, tmp_path: Path, line_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers; eight of the kills hit a worker and two the driver.

    In the storm every third cell raises, and batches are halved to find it.
    """
    monkeypatch.setitem(WORDS, "seeds", "12")
    monkeypatch.setitem(WORDS, "lr", rates)
    chance, folder, killed = Random(0), tmp_path / "out", 0
    for seconds, records in ((1.0, 0), (0.5, 1)):
        process = start(folder, line_file, seconds=seconds, task=task)  # for each batch
        with process:
            wait_for_the_ledger(process, folder)
            wait_until_recorded(process, folder, records)
            for _ in range(4):
                os.kill(chance.choice(two_workers(process)), signal.SIGKILL)
                killed += 1
                time.sleep(chance.uniform(0.0, 0.2))
            process.kill()
        wait_until_gone(process.pid)
    assert killed == 8
    landscape = asked(
        task=f"{line_file}:{task}",
        optimizers=WORDS["optimizers"],
        lr=[WORDS["lr"]],
        weight_decay=[WORDS["weight_decay"]],
        seeds=WORDS["seeds"],
        updates="8",
    )
    before = results(folder)
    planned = list(landscape.cells())
    assert 0 < len(before) < len(planned)
    watcher = Watcher()
    count = driver.run(landscape, folder, watcher, workers=2)
    failing = sum(cell.lr == 1000 for cell in planned)
    assert count == Count(len(planned), len(planned), 0, failing)
    assert failing == (len(planned) // 3 if task == "storm" else 0)
    assert len(watcher.cells) == len(planned) - len(before)
    assert [cell for cell, _ in results(folder)] == planned
    with Ledger.open_to_read(folder) as ledger:
        for record in ledger.records():
            assert (record.outcome.status == "failed") == (record.cell.lr == 1000)


def wait_for_the_ledger(process: subprocess.Popen[str], folder: Path) -> None:
    deadline = time.monotonic() + 30
    while not (folder / FILE_NAME).exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def two_workers(process: subprocess.Popen[str]) -> list[int]:
    """The workers of a run, as soon as there are two."""
    deadline = time.monotonic() + 30
    while len(found := [pid for pid in processes_of_session(process.pid) if is_worker(pid)]) < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def is_worker(pid: int) -> bool:
    """Whether it was forked by the server of workers, which only they are."""
    try:
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        return b"forkserver" in Path(f"/proc/{parent}/cmdline").read_bytes()
    except OSError:
        return False
