"""What the tests of the study share: a tiny landscape, and outcomes made up for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from made_up import VERSIONS, outcome

from unyoke.study.landscape.landscape import Axes, Cell, Landscape, TaskReference
from unyoke.study.ledger.ledger import Ledger


@pytest.fixture
def landscape() -> Landscape:
    """Two optimizers, 3 × 3 cells with λ = 0, two seeds."""
    axes = Axes((0.25, 0.5, 1.0), (0.0, 0.25, 0.5))
    return Landscape(
        task=TaskReference("made up", "0123"),
        axes={"AdamW": axes, "SGD": axes},
        schedules=("cosine",),
        updates=(10,),
        seeds=(0, 1),
    )


@pytest.fixture
def fill() -> Callable[..., None]:
    """Writes a ledger in which each cell has the error that a function gives it."""

    def write(
        folder: Path,
        landscape: Landscape,
        error: Callable[[Cell], float | None],
        *,
        evaluations: int = 1,
    ) -> None:
        with Ledger.open_to_write(folder, landscape) as ledger:
            while (cell := ledger.claim()) is not None:
                ledger.record(cell, outcome(error(cell), evaluations), VERSIONS)

    return write


@pytest.fixture
def dask() -> Iterator[str]:
    """The address of a scheduler with two workers, in processes of their own."""
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, protocol="tcp://"
    )
    with cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="session")
def line_file() -> Path:
    return Path(__file__).with_name("line.py")
