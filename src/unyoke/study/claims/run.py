"""Running what the claims need, and reading it again: ledgers, and one file of exact figures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from unyoke.study.claims import exact
from unyoke.study.claims.claim import Claim
from unyoke.study.claims.maps import Maps, inner_edges
from unyoke.study.claims.plan import STUDIES
from unyoke.study.claims.request import Needed, Request
from unyoke.study.claims.verdicts import Answer, judge
from unyoke.study.errors import StudyError
from unyoke.study.landscape.landscape import Landscape
from unyoke.study.ledger import code_digest
from unyoke.study.ledger.ledger import FILE_NAME, Ledger
from unyoke.study.ledger.merge import covering
from unyoke.study.planning.commands import beyond
from unyoke.study.report.survey import survey
from unyoke.study.running import driver
from unyoke.study.running.driver import Shard, Watcher
from unyoke.study.statistics import Edge

EXACT_FILE = "exact.json"
ROUNDS = 2
"""How often a study's grid is extended past an edge at which a best cell lies."""
LONGEST_GROWTH = 3 * ROUNDS
"""Values that an axis gains at one end, at most."""


@dataclass(frozen=True)
class Workers:
    """Who trains, as `unyoke.study.running.driver.run` has it.

    Attributes:
        processes: where the executor does not know by itself.
        shard: only this part of every study's trainings; grids are not extended then.
        accept_code: go on with ledgers that other code has filled.
    """

    processes: int
    executor: str = "processes"
    shard: Shard | None = None
    accept_code: bool = False


def run(
    request: Request,
    landscapes: Mapping[tuple[str, str], Landscape],
    watcher: Callable[[], Watcher],
    workers: Workers,
    say: Callable[[str], None],
) -> None:
    """Compute what is exact and train what is not in the ledgers yet; see `fill`."""
    compute_exact(request)
    fill(request, landscapes, watcher, workers, say)


def fill(
    request: Request,
    landscapes: Mapping[tuple[str, str], Landscape],
    watcher: Callable[[], Watcher],
    workers: Workers,
    say: Callable[[str], None],
) -> None:
    """Train what is not in the ledgers yet; extend grids whose best cell lies on an edge.

    A damaged ledger is left as it is, and said; its rows will be incomplete.

    Raises:
        StudyError: a ledger in the folder answers another claim, or cannot be written.
    """
    maps = {key: each for key, each in landscapes.items() if STUDIES[key[1]].of is None}
    whole = {}
    for (task, study), planned in maps.items():
        try:
            whole[task, study] = _accepted(request.folder(task, study), planned, workers)
        except Damaged as error:
            say(f"{task}, {study}: {error}; left out")
    for (task, study), landscape in whole.items():
        say(f"{task}, {study}: {landscape.summary()}")
        planned, folder = landscapes[task, study], request.folder(task, study)
        _fill(landscape, planned, folder, watcher, workers, say)
    for (task, study), planned in landscapes.items():
        if (task, study) not in maps:
            _fill_best(request, task, study, planned, watcher, workers, say)


def _fill_best(
    request: Request,
    task: str,
    study: str,
    planned: Landscape,
    watcher: Callable[[], Watcher],
    workers: Workers,
    say: Callable[[str], None],
) -> None:
    """Train the best cells of another study's maps, once these are whole."""
    folder, found = request.folder(task, study), request.on_best_cells(task, study, planned)
    if found is None:
        say(f"{task}, {study}: left out, the maps of {STUDIES[study].of} are not whole")
        return
    try:
        landscape = _accepted(folder, found, workers)
    except Damaged as error:
        say(f"{task}, {study}: {error}; left out")
        return
    say(f"{task}, {study}: {landscape.summary()}")
    _train(landscape, folder, watcher, workers)


class Damaged(StudyError):
    """A ledger that cannot be read."""


def _accepted(folder: Path, planned: Landscape, workers: Workers) -> Landscape:
    """What is to be trained: the landscape that is planned, with what its ledger has already."""
    if not (folder / FILE_NAME).exists():
        return planned
    try:
        with Ledger.open_to_read(folder) as ledger:
            there, own = ledger.landscape, ledger.own(planned)
            change = None if workers.accept_code else ledger.other_code(planned.task)
    except StudyError as error:
        raise Damaged(str(error)) from error
    difference = change or replace(there, axes=planned.axes, seeds=planned.seeds).difference(own)
    if difference is None:
        return covering([planned, there])
    raise StudyError(
        f"{folder / FILE_NAME} belongs to another landscape ({difference}); "
        "choose another folder with --out, report what is there with --report-only, or go on with "
        "other code with --accept-code"
    )


def _fill(
    landscape: Landscape,
    planned: Landscape,
    folder: Path,
    watcher: Callable[[], Watcher],
    workers: Workers,
    say: Callable[[str], None],
) -> None:
    while True:
        _train(landscape, folder, watcher, workers)
        if workers.shard is not None:
            return
        larger = extended(landscape, planned, folder)
        if larger == landscape:
            return
        say(f"a best cell lies on an edge; extended: {larger.summary()}")
        landscape = larger


def _train(
    landscape: Landscape, folder: Path, watcher: Callable[[], Watcher], workers: Workers
) -> None:
    driver.run(
        landscape,
        folder,
        watcher(),
        workers=workers.processes,
        extend=True,
        executor=workers.executor,
        shard=workers.shard,
        accept_code=workers.accept_code,
    )


def extended(landscape: Landscape, planned: Landscape, folder: Path) -> Landscape:
    """`landscape` past the edges at which a best cell lies, as far as `LONGEST_GROWTH` allows."""
    with Ledger.open_to_read(folder) as ledger:
        panels = survey(landscape, ledger.records()).panels
    edges: dict[str, list[Edge]] = {}
    for panel in panels:
        if panel.optimizer not in planned.axes:
            continue
        for edge in inner_edges(panel):
            if _growth(landscape, planned, panel.optimizer, edge) < LONGEST_GROWTH:
                edges.setdefault(panel.optimizer, []).append(edge)
    return beyond(landscape, edges) if edges else landscape


def _growth(landscape: Landscape, planned: Landscape, optimizer: str, edge: Edge) -> int:
    """How many values the axis has gained at this end."""
    here = getattr(landscape.axes[optimizer], edge.axis)
    first = [value for value in getattr(planned.axes[optimizer], edge.axis) if value > 0]
    if edge.end == "high":
        return sum(value > first[-1] for value in here)
    return sum(0 < value < first[0] for value in here)


def compute_exact(request: Request) -> None:
    """Compute the figures of the exact claims that are needed and not recorded yet."""
    recorded = read_exact(request.out)
    wanted = {row.name for rows in request.claims().values() for row in rows} & set(exact.FIGURES)
    missing = sorted(wanted - set(recorded))
    if not missing:
        return
    for name in missing:
        recorded[name] = tuple(exact.FIGURES[name](problem) for problem in range(exact.PROBLEMS))
    path = request.out / EXACT_FILE
    try:
        request.out.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps({"code": _code(), "figures": recorded}, indent=1))
        draft.replace(path)
    except OSError as error:
        raise StudyError(
            f"{path} cannot be written: {error.strerror}; choose another --out"
        ) from error


def read_exact(out: Path) -> dict[str, tuple[float, ...]]:
    """The recorded figures; those of other code, or of a damaged file, do not count."""
    try:
        there = json.loads((out / EXACT_FILE).read_text())
        if there["code"] != _code():
            return {}
        return {name: tuple(map(float, values)) for name, values in there["figures"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _code() -> str:
    return code_digest.of_package(exact.__name__).digest


def read(request: Request, needed: Needed) -> dict[str, Maps]:
    """The maps of each task, from what is recorded."""
    return {task: maps_of(request, task, needed) for task in request.claims()}


def maps_of(request: Request, task: str, needed: Needed) -> Maps:
    """The maps of one task, from what is recorded."""
    figures = read_exact(request.out)
    planned = needed.recorded if task in needed.missing else needed.landscapes
    plans = {study: plan for (name, study), plan in planned.items() if name == task}
    folders = {study: request.folder(task, study) for study in plans}
    maps = Maps.read(folders, plans, figures)
    if task not in needed.missing:
        return maps
    lacking = dict.fromkeys(request.size.studies(task), needed.missing[task])
    without = {study: why for study, why in lacking.items() if study not in plans}
    return Maps(maps.sources, {**without, **maps.missing}, figures)


def answer(request: Request, maps: dict[str, Maps]) -> list[Answer]:
    """All rows, from what is recorded."""
    return judge(_about(request.claims(), maps))


def _about(
    planned: dict[str, list[Claim]], maps: dict[str, Maps]
) -> Iterator[tuple[str, Claim, Maps]]:
    for task, rows in planned.items():
        for row in rows:
            yield (task if row.studies else ""), row, maps[task]
