"""Finding a task: a built-in one by its name, a user's own as `file.py:function`."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from unyoke.study.errors import StudyError, TaskError
from unyoke.study.landscape.calls import Call
from unyoke.study.landscape.task_reference import OwnCode, TaskReference
from unyoke.study.ledger import code_digest
from unyoke.study.ledger.code_digest import Code
from unyoke.study.tasks.built_in import BUILT_IN, TABULAR, resolve
from unyoke.study.tasks.devices import Mover
from unyoke.study.tasks.task import Task

if TYPE_CHECKING:
    from unyoke.study.tasks.reading import Reader


def refer(text: str, data: str | None = None) -> TaskReference:
    """The task that `text` names, without running any of its code.

    A built-in task that reads files looks for them in the folder `data`, or else where they are
    found by themselves.

    Raises:
        StudyError: there is no such task, no such file, or no data for it.
    """
    text = resolve(text)
    if text in BUILT_IN and BUILT_IN[text].source is not None:
        return _refer_with_data(text, data)
    if data is not None:
        reading = ", ".join(name for name, task in BUILT_IN.items() if task.source is not None)
        raise StudyError(
            f"the task {text!r} reads no data from --data {data}; those that do: {reading}"
        )
    if text in BUILT_IN:
        return _with_code(TaskReference(text, ""), code_digest.of_package(BUILT_IN[text].module))
    name, separator, function = text.rpartition(":")
    if not separator or not function.isidentifier():
        raise StudyError(
            f"unknown task {text!r}; built in: {', '.join(BUILT_IN)}, {TABULAR}; "
            "or give your own as file.py:function"
        )
    file = Path(name)
    if not file.is_file():
        raise StudyError(f"the task {text!r} needs the file {name!r}, and there is none")
    bare = TaskReference(f"{file.name}:{function}", "", file=str(file.resolve()))
    return _with_code(bare, code_digest.of_file(file))


def load(reference: TaskReference) -> Callable[[int], Task]:
    """The function that builds the task from a seed. Runs the task's file.

    Raises:
        StudyError: the file cannot be run, or has no such function; or the code or the data are
            not those that the reference was made for.
    """
    function: object
    if reference.file is None:
        _check_code(reference, code_digest.of_package(BUILT_IN[reference.name].module).digest)
        function = _built_in_function(reference)
    else:
        code = code_digest.of_file(Path(reference.file))
        _check_code(reference, code.digest)
        name = reference.name.rpartition(":")[2]
        module = _run_file(Path(reference.file), reference.name, code.own)
        function = getattr(module, name, None)
        if not callable(function):
            raise StudyError(
                f"the file {reference.file} has no function {name!r}; "
                f"define one: def {name}(seed): return unyoke.study.Task(...)"
            )

    from unyoke.study.tasks.reading import Reader  # torch's names, without which a command begins

    mover = None if reference.device is None else Mover(reference.device)
    reader = Reader()

    def build(seed: int) -> Task:
        task = _checked(reference.name, function, reader, seed)
        return task if mover is None else mover.moved(task)

    return build


def refer_own(call: Call) -> Iterator[OwnCode]:
    """The parts of a call that stand in a user's own files, without running their code.

    Raises:
        StudyError: there is no such file.
    """
    for name, part in ((call.name, call.own), (call.rule, call.own_rule)):
        if part is None:
            continue
        file = Path(name.rpartition(":")[0])
        if not file.is_file():
            raise StudyError(f"{name!r} needs the file {str(file)!r}, and there is none")
        yield OwnCode(part, code_digest.of_file(file).digest, str(file.resolve()))


def load_own(codes: Iterable[OwnCode]) -> dict[str, Any]:
    """The user's own optimizers, decay rules and schedules, by `file.py:name`. Runs their files.

    Raises:
        StudyError: a file cannot be run, has no such name, or is another than the driver's.
    """
    found: dict[str, Any] = {}
    for own in codes:
        code = code_digest.of_file(Path(own.file))
        if code.digest != own.digest:
            raise StudyError(f"{own.file} is not what the driver has read: it was changed since")
        module = _run_file(Path(own.file), own.name, code.own)
        name = own.name.rpartition(":")[2]
        if not hasattr(module, name):
            raise StudyError(f"the file {own.file} has no function or class {name!r}")
        found[own.name] = getattr(module, name)
    return found


def check_trainer(reference: TaskReference) -> None:
    """Raise StudyError where this process would train by other code than the driver's.

    To be called in processes that the driver has not started itself.
    """
    if reference.trainer != code_digest.of_training().digest:
        raise StudyError(
            "the unyoke that trains is not the one that drives: another is installed on the "
            "worker's machine, or its code was changed since the worker began; restart the "
            "workers with the same"
        )


def training_size(reference: TaskReference) -> tuple[int, int]:
    """How many training samples the task has, and its own batch size. Builds it once.

    Raises:
        StudyError: it cannot be built.
    """
    from unyoke.population.generators import seed_all

    seed_all(0)
    task = load(reference)(0)
    samples = len(task.train[1])
    return samples, min(task.batch_size, samples)


def _refer_with_data(name: str, data: str | None) -> TaskReference:
    source = BUILT_IN[name].source
    assert source is not None
    folder = source.find(data)
    bare = TaskReference(name, "", data=str(folder), data_digest=source.digest(folder))
    return _with_code(bare, code_digest.of_package(BUILT_IN[name].module))


def _with_code(bare: TaskReference, own: Code) -> TaskReference:
    """The reference with the digests of the task's own code and of what trains it."""
    trainer = code_digest.of_training()
    named = {name or Path(bare.file or "").name: digest for name, digest in own.files.items()}
    return replace(
        bare, digest=own.digest, trainer=trainer.digest, files={**trainer.files, **named}
    )


def _check_code(reference: TaskReference, digest: str) -> None:
    """Raise StudyError where a worker, here or elsewhere, would run other code than the driver."""
    if reference.digest != digest:
        raise StudyError(
            f"the code of the task {reference.name} is not what the driver has read: its file or "
            "what it imports was changed since the run began, or is another on this machine"
        )


def _built_in_function(reference: TaskReference) -> Callable[..., object]:
    task = BUILT_IN[reference.name]
    function: Callable[..., object] = getattr(importlib.import_module(task.module), task.function)
    if task.source is None or reference.data is None:
        return function
    folder = Path(reference.data)
    if task.source.digest(folder) != reference.data_digest:
        raise StudyError(
            f"the data of the task {reference.name} in {folder} are not those that the run "
            "began with"
        )
    return partial(function, folder=folder)


def _run_file(file: Path, name: str, own: Iterable[str]) -> ModuleType:
    """Run a task's file, and its own modules as they are now, whatever was imported before."""
    specification = importlib.util.spec_from_file_location(f"unyoke_task_{file.stem}", file)
    if specification is None or specification.loader is None:
        raise StudyError(f"the task {name} is not in a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    for each in own:
        sys.modules.pop(each, None)
    if str(file.parent) in sys.path:
        sys.path.remove(str(file.parent))
    sys.path.insert(0, str(file.parent))  # so that the file can import its neighbours
    importlib.invalidate_caches()
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        raise StudyError(f"the file {file} cannot be run: {_where(error)}") from error
    return module


def _takes_nothing(function: Callable[[int], object]) -> bool:
    try:
        return not inspect.signature(function).parameters
    except (TypeError, ValueError):  # of some callables nothing is known
        return False


def _checked(name: str, function: Callable[[int], object], reader: Reader, seed: int) -> Task:
    if _takes_nothing(function):
        raise TaskError(f"the task {name} takes no seed: define it with one argument, the seed")
    try:
        task = function(seed)
        if isinstance(task, Task):
            return reader.read(task)
    except TaskError as error:
        raise TaskError(f"the task {name}: {error}") from error
    except StudyError:
        raise
    except Exception as error:
        raise TaskError(f"the task {name} failed for seed {seed}: {_where(error)}") from error
    raise TaskError(
        f"the task {name} returned {type(task).__name__}; it must return unyoke.study.Task"
    )


def _where(error: BaseException) -> str:
    """The error on one line, with the place it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{place}"
