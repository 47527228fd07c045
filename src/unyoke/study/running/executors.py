"""Who trains: processes of this machine, or a cluster of Dask's, Ray's or Slurm's.

Each is an existing engine behind the `submit` of `concurrent.futures`. They only train; what comes
back is written down by the driver. See docs/scale-out.md.
"""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from unyoke.study.errors import StudyError
from unyoke.study.landscape.landscape import TaskReference
from unyoke.study.running import workers as worker_processes

PATIENCE = 10
"""Seconds in which a scheduler must answer."""

KINDS = ("processes", "dask:ADDRESS", "ray:ADDRESS", "slurm[:NAME=VALUE,…]")


class Executor(ABC):
    """Something that trains batches.

    Attributes:
        workers: how many batches it trains at the same time.
    """

    workers: int

    @abstractmethod
    def submit(
        self, function: Callable[..., Any], reference: TaskReference, *arguments: Any
    ) -> Future[Any]:
        """Have a function of this package, of a task and more, called by a worker.

        What the function raises is the result of the call, as a StudyError or TaskFailure; the call
        itself fails where a worker dies or cannot be reached.
        """

    def is_a_death(self, error: BaseException) -> bool:
        """Whether a call failed because its worker died, not by itself."""
        return False

    def renew(self) -> bool:
        """Replace workers that died; whether every other call in flight is lost with them."""
        return False


class Processes(Executor):
    """Processes of this machine, one thread each."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pools = ExitStack()
        self._pool = self._start()

    def _start(self) -> Any:
        return self._pools.enter_context(worker_processes.worker_pool(self.workers))

    def submit(
        self, function: Callable[..., Any], reference: TaskReference, *arguments: Any
    ) -> Future[Any]:
        try:
            future: Future[Any] = self._pool.submit(
                worker_processes.told, function, reference, arguments
            )
        except BrokenProcessPool as error:  # a worker has died since
            future = Future()
            future.set_exception(error)
        return future

    def is_a_death(self, error: BaseException) -> bool:
        return isinstance(error, BrokenProcessPool)

    def renew(self) -> bool:
        self._pools.close()
        self._pool = self._start()
        return True

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *raised: Any) -> None:
        self._pools.__exit__(*raised)


class Dask(Executor):
    """A cluster of Dask's; it gives a dead worker's batch to another by itself."""

    def __init__(self, client: Any) -> None:
        self._executor = client.get_executor()
        workers = client.scheduler_info(n_workers=-1)["workers"]
        self.workers = len(workers)
        if not workers:
            raise StudyError("the Dask cluster has no workers yet: start some, then run again")
        if any(worker["nthreads"] != 1 for worker in workers.values()):
            raise StudyError(
                "Dask's workers must have one thread each, since trainings in one process would "
                "share torch's random numbers: dask worker ADDRESS --nworkers N --nthreads 1"
            )

    def submit(
        self, function: Callable[..., Any], reference: TaskReference, *arguments: Any
    ) -> Future[Any]:
        call = worker_processes.on_one_thread
        future: Future[Any] = self._executor.submit(call, function, reference, arguments)
        return future

    def is_a_death(self, error: BaseException) -> bool:
        return type(error).__name__ == "KilledWorker"


class Ray(Executor):
    """A cluster of Ray's; it tries a dead worker's batch again by itself."""

    def __init__(self, ray: Any) -> None:
        self._call = ray.remote(num_cpus=1, max_retries=3)(worker_processes.on_one_thread)
        self._died = (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError)
        self.workers = max(1, int(ray.cluster_resources().get("CPU", 1)))

    def submit(
        self, function: Callable[..., Any], reference: TaskReference, *arguments: Any
    ) -> Future[Any]:
        future: Future[Any] = self._call.remote(function, reference, arguments).future()
        return future

    def is_a_death(self, error: BaseException) -> bool:
        return isinstance(error, self._died)


class Slurm(Executor):
    """Jobs of Slurm's, one for each batch, through submitit."""

    def __init__(self, submitit: Any, folder: Path, workers: int, settings: dict[str, str]) -> None:
        self.workers = workers
        self._jobs = submitit.AutoExecutor(folder, cluster=settings.pop("cluster", "slurm"))
        self._jobs.update_parameters(
            **{"cpus_per_task": 1, "timeout_min": 240, "name": "unyoke"}
            | {name: int(value) if value.isdigit() else value for name, value in settings.items()}
        )
        self._running: list[Any] = []
        self._waiters = ThreadPoolExecutor(2 * workers, "unyoke-slurm")

    def submit(
        self, function: Callable[..., Any], reference: TaskReference, *arguments: Any
    ) -> Future[Any]:
        job = self._jobs.submit(worker_processes.on_one_thread, function, reference, arguments)
        self._running.append(job)
        return self._waiters.submit(job.result)

    def is_a_death(self, error: BaseException) -> bool:
        return type(error).__name__ in ("UncompletedJobError", "FailedJobError") and (
            "Traceback" not in str(error)
        )

    def close(self) -> None:
        """Cancel what still runs."""
        for job in self._running:
            if not job.done():
                job.cancel(check=False)
        self._waiters.shutdown(wait=False, cancel_futures=True)


@contextmanager
def start(name: str, workers: int) -> Iterator[Executor]:
    """The executor of that name, gone when the context ends.

    Args:
        name: one of `KINDS`.
        workers: how many processes or jobs at the same time; a cluster knows it by itself.

    Raises:
        StudyError: there is no such executor, its library is missing, or it does not answer.
    """
    kind, _, rest = name.partition(":")
    if kind == "processes" and not rest:
        with Processes(workers) as processes:
            yield processes
    elif kind == "dask" and rest:
        with _dask(rest) as client:
            yield Dask(client)
    elif kind == "ray" and rest:
        with _ray(rest) as ray:
            yield Ray(ray)
    elif kind == "slurm":
        with _slurm(workers, rest) as slurm:
            yield slurm
    else:
        raise StudyError(f"unknown executor {name!r}; there are {', '.join(KINDS)}")


@contextmanager
def _dask(address: str) -> Iterator[Any]:
    try:
        from distributed import Client
    except ImportError as error:
        raise _missing("dask", "distributed") from error
    connect = partial(Client, address, timeout=PATIENCE)
    try:
        client: Any = _within(PATIENCE + 5, connect)
    # Whoever listens there may answer anything, which Dask takes for the size of a message.
    except (Exception, MemoryError) as error:
        text = " ".join(str(error).split())
        raise StudyError(f"no Dask scheduler answers at {address}: {text}") from error
    with client:
        yield client


def _within(seconds: float, function: Callable[[], Any]) -> Any:
    """What a function returns in that time; one that hangs is left behind in its thread.

    Raises:
        TimeoutError: it has not returned.
    """
    future: Future[Any] = Future()

    def call() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    if not wait([future], seconds).done:
        raise TimeoutError(f"it has not answered in {seconds:.0f} s")
    return future.result()


@contextmanager
def _ray(address: str) -> Iterator[Any]:
    try:
        import ray
    except ImportError as error:
        raise _missing("ray", "ray") from error
    host, _, port = address.rpartition(":")
    try:
        if port.isdecimal():  # where nobody listens ray.init itself waits for minutes
            socket.create_connection((host, int(port)), PATIENCE).close()
            _try_ray(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, OverflowError, ValueError, RuntimeError) as error:
        text = " ".join(str(error).split())
        raise StudyError(f"no Ray cluster answers at {address}: {text}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _try_ray(address: str) -> None:
    """Connect to a cluster of Ray's in a process of its own.

    Where something else listens, `ray.init` waits for two minutes and then ends its process.

    Raises:
        OSError: it has not connected in time.
    """
    words = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False)"
    try:
        run = subprocess.run(
            [sys.executable, "-c", words, address], capture_output=True, timeout=2 * PATIENCE
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"it has not answered in {2 * PATIENCE} s") from error
    if run.returncode:
        last = run.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise OSError(" ".join(last) or "it does not answer as Ray does")


@contextmanager
def _slurm(workers: int, text: str) -> Iterator[Slurm]:
    try:
        import submitit
    except ImportError as error:
        raise _missing("slurm", "submitit") from error
    settings = dict(part.partition("=")[::2] for part in text.split(",") if part)
    if not all(settings.values()):
        raise StudyError(f"--executor slurm:{text}: give NAME=VALUE,…, such as partition=gpu")
    with TemporaryDirectory(prefix="unyoke-slurm-", dir=Path.cwd()) as folder:
        try:
            slurm = Slurm(submitit, Path(folder), workers, settings)
        except (RuntimeError, NameError, KeyError) as error:
            raise StudyError(f"Slurm cannot be used here: {error}") from error
        try:
            yield slurm
        finally:
            slurm.close()


def _missing(extra: str, library: str) -> StudyError:
    return StudyError(f"--executor {extra} needs {library}: pip install 'unyoke[{extra}]'")
