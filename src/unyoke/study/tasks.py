"""Finding a task: a built-in one by its name, a user's own as `file.py:function`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

from unyoke.study.built_in import BUILT_IN, TABULAR, resolve
from unyoke.study.devices import Mover
from unyoke.study.errors import StudyError
from unyoke.study.landscape import TaskReference
from unyoke.study.task import Task

_DIGEST_LENGTH = 16


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
        return TaskReference(text, _code_digest(text))
    name, separator, function = text.rpartition(":")
    if not separator or not function.isidentifier():
        raise StudyError(
            f"unknown task {text!r}; built in: {', '.join(BUILT_IN)}, {TABULAR}; "
            "or give your own as file.py:function"
        )
    file = Path(name)
    if not file.is_file():
        raise StudyError(f"the task {text!r} needs the file {name!r}, and there is none")
    return TaskReference(f"{file.name}:{function}", _digest(file), str(file.resolve()))


def load(reference: TaskReference) -> Callable[[int], Task]:
    """The function that builds the task from a seed. Runs the task's file.

    Raises:
        StudyError: the file cannot be run, or has no such function; or the data are not those
            that the reference was made for.
    """
    function: object
    if reference.file is None:
        function = _built_in_function(reference)
    else:
        name = reference.name.rpartition(":")[2]
        module = _run_file(Path(reference.file), reference.name)
        function = getattr(module, name, None)
        if not callable(function):
            raise StudyError(
                f"the file {reference.file} has no function {name!r}; "
                f"define one: def {name}(seed): return unyoke.study.Task(...)"
            )

    mover = None if reference.device is None else Mover(reference.device)

    def build(seed: int) -> Task:
        task = _checked(reference.name, function, seed)
        return task if mover is None else mover.moved(task)

    return build


def training_size(reference: TaskReference) -> tuple[int, int]:
    """How many training samples the task has, and its own batch size. Builds it once.

    Raises:
        StudyError: it cannot be built.
    """
    import torch

    torch.manual_seed(0)
    task = load(reference)(0)
    samples = len(task.train[1])
    return samples, min(task.batch_size, samples)


def _refer_with_data(name: str, data: str | None) -> TaskReference:
    source = BUILT_IN[name].source
    assert source is not None
    folder = source.find(data)
    return TaskReference(
        name, _code_digest(name), data=str(folder), data_digest=source.digest(folder)
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


def _code_digest(name: str) -> str:
    """The digest of a built-in task's code, its models included."""
    task = BUILT_IN[name]
    digests = [_digest(_origin(module)) for module in (task.module, task.models) if module]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()[:_DIGEST_LENGTH]


def _origin(module: str) -> Path:
    specification = importlib.util.find_spec(module)
    assert specification is not None
    assert specification.origin is not None
    return Path(specification.origin)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:_DIGEST_LENGTH]


def _run_file(file: Path, name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"unyoke_task_{file.stem}", file)
    if specification is None or specification.loader is None:
        raise StudyError(f"the task {name} is not in a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))  # so that the file can import its neighbours
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        raise StudyError(f"the file {file} cannot be run: {_where(error)}") from error
    return module


def _checked(name: str, function: Callable[[int], object], seed: int) -> Task:
    try:
        task = function(seed)
    except StudyError:
        raise
    except Exception as error:
        raise StudyError(f"the task {name} failed for seed {seed}: {_where(error)}") from error
    if not isinstance(task, Task):
        raise StudyError(
            f"the task {name} returned {type(task).__name__}; it must return unyoke.study.Task"
        )
    for part in ("train", "validation", "test"):
        inputs, targets = getattr(task, part)
        if len(inputs) != len(targets) or len(targets) == 0:
            raise StudyError(
                f"the task {name} has {len(inputs)} inputs and {len(targets)} targets for {part}; "
                "it needs as many of one as of the other, and at least one"
            )
    return task


def _where(error: BaseException) -> str:
    """The error on one line, with the place it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{place}"
