"""A ledger for other programs: CSV, JSON, Parquet, or a study of Optuna's for its dashboard."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from unyoke.study.errors import StudyError
from unyoke.study.ledger.ledger import Ledger
from unyoke.study.report.tables import rows, write_csv

Table = list[dict[str, Any]]


def export(folder: Path, path: Path, *, force: bool = False) -> int:
    """Write one row for each finished cell of the ledger in `folder`; how many they are.

    The file's suffix says in which form: .csv, .json, .parquet, or .db for an Optuna storage.

    Raises:
        StudyError: there is no ledger, the suffix is unknown, a library is missing, or the file
            exists and `force` is not given.
    """
    write = WRITERS.get(path.suffix)
    if write is None:
        raise StudyError(f"{path}: unknown suffix; there are {', '.join(WRITERS)}")
    if path.exists() and not force:
        raise StudyError(f"{path} exists already; give another name, or --force")
    with Ledger.open_to_read(folder) as ledger:
        table = rows(ledger.records(), ledger.landscape.task.own)
    draft = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        write(table, draft)
        draft.replace(path)
    except OSError as error:
        raise StudyError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
    return len(table)


def _json(table: Table, path: Path) -> None:
    path.write_text(json.dumps(table, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _parquet(table: Table, path: Path) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise _missing("parquet", "pyarrow") from error
    parquet.write_table(pyarrow.Table.from_pylist(table), path)


def _optuna(table: Table, path: Path) -> None:
    """A study for each optimizer, schedule and budget; a trial is a training."""
    try:
        import optuna
    except ImportError as error:
        raise _missing("optuna", "optuna") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(f"sqlite:///{path.absolute()}")
    studies: dict[tuple[Any, ...], Table] = {}
    for row in table:
        kind = tuple(row[name] for name in ("optimizer", "schedule", "updates", "batch_size"))
        studies.setdefault(kind, []).append(row)
    for (optimizer, schedule, updates, batch_size), own in studies.items():
        name = f"{own[0]['task']}: {optimizer}, {schedule}, {updates} updates"
        name += "" if batch_size is None else f" of {batch_size} samples"
        study = optuna.create_study(storage=storage, study_name=name, direction="minimize")
        study.add_trials([_trial(optuna, row, own) for row in own])
    storage.remove_session()
    storage.engine.dispose()


def _trial(optuna: Any, row: Mapping[str, Any], own: Table) -> Any:
    """A training as a trial; one that diverged or failed has failed."""
    names = ("lr", "weight_decay", "seed")
    choices = {name: sorted({other[name] for other in own}) for name in names}
    lost = row["validation_error"] is None
    return optuna.trial.create_trial(
        state=optuna.trial.TrialState.FAIL if lost else optuna.trial.TrialState.COMPLETE,
        value=row["validation_error"],
        params={name: row[name] for name in names},
        distributions={
            name: optuna.distributions.CategoricalDistribution(values)
            for name, values in choices.items()
        },
        user_attrs={name: value for name, value in row.items() if name not in names},
    )


def _missing(extra: str, library: str) -> StudyError:
    return StudyError(f"this form needs {library}: pip install 'unyoke[{extra}]'")


WRITERS: Mapping[str, Callable[[Table, Path], None]] = {
    ".csv": write_csv,
    ".json": _json,
    ".parquet": _parquet,
    ".db": _optuna,
}
"""Every form by its suffix."""
