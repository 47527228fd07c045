"""Worker processes: started once, each with one thread, handed one cell after another.

They are forked from a server that has imported torch once, so a worker costs milliseconds. They
never see Ctrl-C (the driver decides what happens then), and they end when the driver does, however
it ends.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from multiprocessing import forkserver, resource_tracker
from typing import Any, NamedTuple

from unyoke.study.errors import StudyError, in_one_line
from unyoke.study.landscape.landscape import Cell, TaskReference
from unyoke.study.landscape.outcome import Outcome
from unyoke.study.running.time_limit import time_limit
from unyoke.study.tasks.registry import check_trainer, load, load_own
from unyoke.study.tasks.task import Task


class Trained(NamedTuple):
    """What a worker hands back for a batch of cells."""

    outcomes: list[Outcome]
    versions: str


class TaskFailure(Exception):
    """What a task raised in a worker, as text.

    Its own class may be one that cannot be sent, or that cannot be made again from what was sent,
    and a pool whose worker sends such an exception breaks.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)

    @classmethod
    def of(cls, error: BaseException) -> TaskFailure:
        """The class and the message of an exception, on one line."""
        return cls(in_one_line(error))


def available_cores() -> int:
    """Processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def start_server() -> None:
    """Start the process that workers are forked from, if it has not begun.

    It imports what they need once; this process goes on meanwhile. The server ends with it.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["unyoke.study.running.preloaded"])
    # Workers walk through sets of strings in the same order in every run.
    hash_seed = os.environ.get("PYTHONHASHSEED")
    os.environ.setdefault("PYTHONHASHSEED", "0")
    # What is blocked here stays blocked in the server and in all that it forks. The tracker that it
    # needs unblocks as it starts, so that comes first.
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        if hash_seed is None:
            del os.environ["PYTHONHASHSEED"]


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of `workers` processes, all gone when the context ends, whatever they were doing."""
    start_server()
    context = multiprocessing.get_context("forkserver")
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)
    try:
        yield pool
    except BaseException:
        for worker in set(multiprocessing.active_children()) - others:
            worker.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def probe(
    reference: TaskReference,
    seed: int,
    batch_size: int | None = None,
    tried: Sequence[Cell] = (),
) -> float:
    """Build the task once and try its model, loss and error; run in a worker.

    Args:
        batch_size: the largest that it will be trained with; None is the task's own.
        tried: cells whose optimizers and schedules are made once, where they are the user's own.

    Returns:
        Seconds that the gradient of one batch takes.

    Raises:
        StudyError: the task cannot be used, and why.
    """
    from unyoke.population.generators import seed_all
    from unyoke.population.inputs import call_in_words, called, taken
    from unyoke.study.tasks import requirements
    from unyoke.study.training.training import evaluate, hidden

    seed_all(seed)
    task = _builder(reference)(seed)
    requirements.check(reference.name, task)
    samples = len(task.train[1])
    if batch_size is not None and batch_size > samples:
        raise StudyError(
            f"a batch of {batch_size} samples is more than the {samples} for training of the task "
            f"{reference.name}; give a smaller --batch-size"
        )
    inputs, targets = taken(task.test, slice(2))
    try:
        outputs = called(task.model.eval(), inputs)
        _refuse(reference, requirements.of_outputs(outputs))
        _refuse(reference, requirements.of_classes(task, outputs))
        _refuse(reference, requirements.of_loss(task.loss(outputs, targets), len(targets)))
        shape = tuple(task.error(outputs, targets).shape)
        if shape != targets.shape[:1]:
            raise StudyError(
                f"the task {reference.name} has an error of shape {shape} for {len(targets)} "
                f"samples; it must be one number per sample, of shape ({len(targets)},)"
            )
        evaluate(task, task.test)
        for cell in tried:
            hidden(cell, task)
        _try_own(reference, task, tried)
        return min(_seconds_per_gradient(task) for _ in range(2))
    except StudyError:
        raise
    except Exception as error:
        failure = TaskFailure.of(error)  # whose message can be read, whatever was raised
        types = requirements.of_types(task) if "dtype" in str(failure) else None
        raise StudyError(
            f"the task {reference.name} cannot be evaluated, its model being called as "
            f"{call_in_words(inputs)}: {failure}" + (f"; {types}" if types else "")
        ) from error


def _try_own(reference: TaskReference, task: Task, tried: Sequence[Cell]) -> None:
    from unyoke.study.landscape import calls, optimizers, schedules

    own = _own(reference)
    weights = [weight for weight in task.model.parameters() if weight.requires_grad]
    for cell in tried:
        what = cell.optimizer
        try:
            if calls.parse(what).own_parts:
                _make(optimizers.factory(what, own), weights, cell)
            what = cell.schedule
            schedules.make(what, cell.updates, own)(0)
        except StudyError:
            raise
        except Exception as error:
            raise StudyError(f"{what} cannot be made: {TaskFailure.of(error)}") from error


def _make(factory: Callable[..., Any], weights: list[Any], cell: Cell) -> None:
    with warnings.catch_warnings():  # a map has such weight decays on purpose
        warnings.filterwarnings("ignore", message=".*weight_decay", category=UserWarning)
        factory(weights, lr=cell.lr, weight_decay=cell.weight_decay)


def _refuse(reference: TaskReference, objection: str | None) -> None:
    if objection is not None:
        raise StudyError(f"the task {reference.name}: {objection}")


def _seconds_per_gradient(task: Task) -> float:
    from unyoke.population.inputs import called, taken

    inputs, targets = taken(task.train, slice(task.batch_size))
    started = time.perf_counter()
    task.loss(called(task.model.train(), inputs), targets).backward()  # type: ignore[no-untyped-call]
    return time.perf_counter() - started


def run_cells(
    reference: TaskReference,
    cells: Sequence[Cell],
    engine: str,
    evaluations: int | None,
    cell_timeout: float | None = None,
) -> Trained:
    """Train a batch of cells; run in a worker.

    Args:
        cell_timeout: seconds that a cell may take; a batch may take as many times more as it has
            cells.

    Raises:
        TimeoutError: it takes longer.
    """
    from unyoke.study.training.training import train_together

    own = _own(reference)
    build = _builder(reference)
    limit = None if cell_timeout is None else cell_timeout * len(cells)
    what = f"{len(cells)} training{'s' * (len(cells) > 1)}"
    with time_limit(limit, what):
        outcomes = train_together(cells, build, time.perf_counter, engine, evaluations, own)
    return Trained(outcomes, versions(reference.device))


def told(function: Callable[..., Any], reference: TaskReference, arguments: Sequence[Any]) -> Any:
    """Call a function of a task in a worker; what it raises is returned, as what can be sent.

    Clusters wrap what is raised into reports of many lines. A task that ends its process by
    `sys.exit` has failed, too.
    """
    try:
        return function(reference, *arguments)
    except StudyError as error:
        return error
    except (Exception, SystemExit) as error:
        return TaskFailure.of(error)


def on_one_thread(
    function: Callable[..., Any], reference: TaskReference, arguments: Sequence[Any]
) -> Any:
    """`told` in a worker that somebody else has started."""
    import torch

    torch.set_num_threads(1)
    try:
        check_trainer(reference)
    except StudyError as error:
        return error
    return told(function, reference, arguments)


def _begin() -> None:
    """The first thing in each worker."""
    import torch

    torch.set_num_threads(1)
    threading.Thread(target=_end_with_the_driver, daemon=True).start()


def _end_with_the_driver() -> None:
    driver = multiprocessing.parent_process()
    assert driver is not None
    driver.join()
    os._exit(1)


@cache
def _builder(reference: TaskReference) -> Callable[[int], Task]:
    return load(reference)


@cache
def _own(reference: TaskReference) -> dict[str, Any]:
    return load_own(reference.own)


@cache
def versions(device: str | None) -> str:
    """What a cell was trained with, as the ledger keeps it."""
    import torch

    import unyoke

    versions = {
        "unyoke": unyoke.__version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }
    return json.dumps(versions if device is None else {**versions, "device": device})
