"""What `unyoke claims` and `unyoke figure` do, in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from unyoke.study.claims import page, paper_figures, plan, run
from unyoke.study.claims.estimate import estimates
from unyoke.study.claims.run import Request
from unyoke.study.errors import StudyError
from unyoke.study.landscape import Landscape
from unyoke.study.progress import ProgressBar
from unyoke.study.workers import available_cores

Say = Callable[[str], None]


def claims(
    names: Sequence[str],
    *,
    scale: str,
    tasks: str | None,
    data: str | None,
    out: Path,
    workers: int | None,
    draw: bool,
    dry_run: bool,
    results: Path | None,
    say: Say,
) -> None:
    """Train what is missing, answer, write the page and say the verdicts."""
    listed = tuple(part.strip() for part in (tasks or "").split(",") if part.strip())
    request = Request(out, scale, listed, tuple(dict.fromkeys(names)), data)
    landscapes = request.landscapes()
    processes = workers or available_cores()
    if not draw:
        _say_estimates(request, landscapes, processes, say)
        if dry_run:
            return
        run.run(request, ProgressBar, processes, say)
    maps = run.read(request)
    rows = run.answer(request, maps)
    for line in page.lines(rows):
        say(line)
    for path in page.write(request, rows, maps):
        say(str(path))
    if results is not None:
        figures = _drawable(request, landscapes, say)
        for path in page.publish(request, rows, maps, figures, results):
            say(str(path))


def _drawable(
    request: Request, landscapes: Mapping[tuple[str, str], Landscape], say: Say
) -> list[Path]:
    """The figures, as SVG, of which all studies are among `landscapes` and whole."""
    found = []
    first = (request.tasks or request.size.tasks)[0]
    for asked in paper_figures.FIGURES.values():
        task = asked.task or first
        if all((task, study) in landscapes for study in asked.studies):
            try:
                found.append(paper_figures.draw(asked, request, task, landscapes)[0])
            except StudyError as error:
                say(str(error))
    return found


def figure(
    number: str,
    *,
    scale: str,
    task: str | None,
    data: str | None,
    out: Path,
    workers: int | None,
    draw: bool,
    dry_run: bool,
    say: Say,
) -> None:
    """Train what the figure lacks and draw it, with its data beside it."""
    asked = paper_figures.get(number)
    request = Request(out, scale, (task,) if task else (), (), data)
    name = task or asked.task or request.size.tasks[0]
    landscapes = {
        (name, study): plan.landscape(study, name, request.size, data) for study in asked.studies
    }
    processes = workers or available_cores()
    if not draw:
        _say_estimates(request, landscapes, processes, say)
        if dry_run:
            return
        run.fill(request, landscapes, ProgressBar, processes, say)
    for path in paper_figures.draw(asked, request, name, landscapes):
        say(str(path))


def _say_estimates(
    request: Request, landscapes: Mapping[tuple[str, str], Landscape], workers: int, say: Say
) -> None:
    total = 0.0
    for part in estimates(request, landscapes, workers):
        total += part.seconds
        say(
            f"{part.task}, {part.study}: {part.trainings} trainings, {part.updates} updates, "
            f"about {_duration(part.seconds)}"
        )
    say(f"about {_duration(total)} with {workers} processes, before extensions past edges")


def _duration(seconds: float) -> str:
    if seconds < 5400:
        return f"{seconds / 60:.1f} minutes"
    return f"{seconds / 3600:.1f} hours"
