"""What `unyoke claims` and `unyoke figure` do, in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unyoke.study.claims import page, paper_figures, run
from unyoke.study.claims.estimate import estimates
from unyoke.study.claims.maps import Maps
from unyoke.study.claims.request import Needed, Request, data_folders
from unyoke.study.claims.rows import lines
from unyoke.study.claims.run import Workers
from unyoke.study.errors import StudyError
from unyoke.study.landscape.landscape import Landscape
from unyoke.study.ledger.ledger import FILE_NAME
from unyoke.study.planning.words import ShardWord
from unyoke.study.running.driver import Shard
from unyoke.study.running.executors import KINDS
from unyoke.study.running.progress import ProgressBar
from unyoke.study.running.workers import available_cores

Say = Callable[[str], None]

RENAMED: Mapping[str, str] = {"knobs": "coupling"}
"""Groups of claims by the names that they had before version 0.2; they work for one release."""


@dataclass(frozen=True)
class How:
    """How the trainings are run.

    Attributes:
        workers: processes; None is one per core, or one where a device is named.
        executor: as `unyoke map` has it.
        shard: only this part of every ledger's trainings.
        device: on which they are trained, as torch names it; None is the CPU.
        report_only: nothing is trained.
        accept_code: go on with ledgers that other code has filled.
        dry_run: nothing is trained nor drawn, only said.
    """

    workers: int | None = None
    executor: str = "processes"
    shard: ShardWord | None = None
    device: str | None = None
    report_only: bool = False
    accept_code: bool = False
    dry_run: bool = False

    @property
    def trainers(self) -> Workers:
        """Who trains.

        Raises:
            StudyError: there is no such executor.
        """
        if self.executor.partition(":")[0] not in {kind.partition(":")[0] for kind in KINDS}:
            raise StudyError(f"unknown executor {self.executor!r}; there are {', '.join(KINDS)}")
        part = None if self.shard is None else Shard(self.shard.index, self.shard.count)
        most = available_cores() if self.device is None else 1
        return Workers(self.workers or most, self.executor, part, self.accept_code)


def claims(
    names: Sequence[str],
    *,
    scale: str,
    tasks: Sequence[str],
    data: Sequence[str],
    out: Path,
    how: How,
    results: Path | None,
    say: Say,
) -> None:
    """Train what is missing, answer, write the page and say the verdicts."""
    request = _request(
        Request(out, scale, tuple(tasks), _today(names, say), device=how.device), data
    )
    page.check_folder(request, results)
    workers, needed = how.trainers, request.needed()
    if how.report_only:
        _check_recorded(request, needed)
    for task, why in needed.missing.items():
        say(f"{task}: nothing is trained, what its ledgers lack stays incomplete: {why}")
    if not _trained(request, needed, how, workers, say):
        return
    maps = run.read(request, request.needed())  # with the cells that maps have chosen meanwhile
    rows = run.answer(request, maps)
    for line in lines(rows):
        say(line)
    written = page.write(request, rows, maps)
    for path in written:
        say(str(path))
    if results is not None:
        figures = _drawable(request, maps, say)
        for path in page.publish(request, rows, maps, written, figures, results):
            say(str(path))


def figure(
    number: str,
    *,
    scale: str,
    task: str | None,
    data: Sequence[str],
    out: Path,
    how: How,
    say: Say,
) -> None:
    """Train what the figure lacks and draw it, with its data beside it."""
    drawn = paper_figures.get(number)
    name = task or drawn.task or Request(out, scale).listed[0]
    request = _request(Request(out, scale, (name,), device=how.device), data)
    paper_figures.check_folder(drawn, request, name)
    workers, needed = how.trainers, request.studies({name: drawn.studies})
    if needed.missing and not how.report_only:
        raise StudyError(needed.missing[name])
    if _trained(request, needed, how, workers, say):
        maps = run.maps_of(request, name, needed)
        for path in paper_figures.draw(drawn, request, name, maps):
            say(str(path))


def _today(names: Sequence[str], say: Say) -> tuple[str, ...]:
    """The names of claims as they are today, each once."""
    found = []
    for name in names:
        group, stroke, part = name.partition("/")
        new = f"{RENAMED.get(group, group)}{stroke}{part}"
        if new != name:
            say(
                f"DeprecationWarning: {name} is called {new}; the old name goes with the next "
                "release"
            )
        found.append(new)
    return tuple(dict.fromkeys(found))


def _request(bare: Request, data: Sequence[str]) -> Request:
    """The request, with each folder of data given to its task."""
    return replace(bare, data=data_folders(data, bare.listed))


def _trained(request: Request, needed: Needed, how: How, workers: Workers, say: Say) -> bool:
    """Whether there is something to be drawn, after training what is missing."""
    if how.report_only:
        return True
    if how.dry_run or workers.executor == Workers.executor:  # a cluster's machines are not this one
        _say_estimates(request, needed.landscapes, workers, say)
    if how.dry_run:
        return False
    run.run(request, needed.landscapes, ProgressBar, workers, say)
    return True


def _check_recorded(request: Request, needed: Needed) -> None:
    """Refuse to report a folder in which nothing of the request is recorded: a slip in its name.

    Raises:
        StudyError: there is no ledger of these studies, and no exact figures.
    """
    studies = {**needed.landscapes, **needed.recorded}
    ledgers = [request.folder(task, study) / FILE_NAME for task, study in studies]
    if not any(path.exists() for path in (*ledgers, request.out / run.EXACT_FILE)):
        raise StudyError(
            f"{request.out} holds nothing that unyoke claims has recorded of these rows, so there "
            "is nothing to report; name the folder of a run with --out, or leave out --report-only"
        )


def _drawable(request: Request, maps: Mapping[str, Maps], say: Say) -> list[Path]:
    """The figures, as SVG, of which all studies are planned and whole.

    Of the first task all of them, of the others those that show trainings.
    """
    found = []
    for task, own in maps.items():
        for drawn in paper_figures.FIGURES.values():
            first = task == (drawn.task or request.listed[0])
            shown = first or (drawn.studies and drawn.task is None)
            if shown and own.sources.keys() >= set(drawn.studies):
                try:
                    found.append(paper_figures.draw(drawn, request, task, own)[0])
                except StudyError as error:
                    say(str(error))
    return found


def _say_estimates(
    request: Request, landscapes: Mapping[tuple[str, str], Landscape], workers: Workers, say: Say
) -> None:
    total, timed = 0.0, set()
    for part in estimates(request, landscapes, workers.processes):
        total += part.seconds
        new = [f"{part.task}, {text}" for text in part.samples]
        say(
            f"{part.task}, {part.study}: {part.trainings} trainings, {part.updates} updates, "
            f"about {_duration(part.seconds)}"
        )
        timed.update(new)
    for text in sorted(timed):
        say(f"timed here: {text}")
    say(
        f"about {_duration(total)} with {workers.processes} processes of this machine, "
        "before extensions past edges"
    )


def _duration(seconds: float) -> str:
    if seconds < 5400:
        return f"{seconds / 60:.1f} minutes"
    return f"{seconds / 3600:.1f} hours"
