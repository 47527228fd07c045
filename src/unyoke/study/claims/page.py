"""The page of the claims: Markdown, HTML, CSV and one figure, from the rows alone."""

from __future__ import annotations

import platform
import subprocess
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from unyoke.study import output_files
from unyoke.study.claims import catalogue, intervals_figure, paper_figures
from unyoke.study.claims.claim import Verdict
from unyoke.study.claims.maps import Maps
from unyoke.study.claims.request import Request
from unyoke.study.claims.rows import command, words, write_table
from unyoke.study.claims.verdicts import Answer
from unyoke.study.errors import StudyError
from unyoke.study.report.templates import rendered
from unyoke.study.running.workers import available_cores

PACKAGE = "unyoke.study.claims"
NAMES = tuple(f"claims.{kind}" for kind in ("csv", "md", "html", "svg", "png"))
"""Every file that the page may have in its folder."""


def write(request: Request, rows: Sequence[Answer], maps: dict[str, Maps]) -> list[Path]:
    """Write claims.md, claims.html, claims.csv and claims.svg into the request's folder.

    Raises:
        StudyError: the folder cannot be written, or holds something else of these names.
    """
    data = {**page_data(request, rows, maps), "figures": []}
    try:
        with output_files.written(request.out, NAMES, _is_filled) as drafts:
            write_table(rows, drafts / "claims.csv")
            pictures = intervals_figure.draw(rows, drafts)
            data["picture"] = "claims.svg" if pictures else ""
            svg = next((path for path in pictures if path.suffix == ".svg"), None)
            data["svg"] = "" if svg is None else _inline(svg)
            for kind in ("md", "html"):
                text = rendered(PACKAGE, f"claims.{kind}", data)
                (drafts / f"claims.{kind}").write_text(text, encoding="utf-8")
    except OSError as error:
        raise StudyError(
            f"the page cannot be written into {request.out}: {error.strerror}; make room there"
        ) from error
    made = ("claims.csv", "claims.md", "claims.html", *(path.name for path in pictures))
    return [request.out / name for name in made]


def check_folder(request: Request, published: Path | None = None) -> None:
    """Whether the page may be written, checked before anything is trained.

    Args:
        published: where a copy of it is to be published, if anywhere.

    Raises:
        StudyError: something there that is not a page of claims has the name of a part of one.
    """
    output_files.check(request.out, NAMES, _is_filled)
    if published is not None:
        recognise = _published_before(published)
        output_files.check(published.parent, (published.name,), recognise)
        output_files.check(_images(published), _pictures(request), recognise)


def _images(published: Path) -> Path:
    """The folder of the pictures of a published page."""
    return published.parent / "images" / "results"


def _pictures(request: Request) -> list[str]:
    """Every name that a picture of the published page may have."""
    figures = [
        request.folder(task, "main").parent / f"figure-{number}.svg"
        for task in request.listed
        for number in paper_figures.FIGURES
    ]
    return ["claims.svg", *(_published_name(figure, request) for figure in figures)]


def _published_before(published: Path) -> output_files.Recognise:
    """Whether the page there is one of claims, for folders without a list, as in a fresh clone."""

    def is_one(_: Path) -> bool:
        try:
            with published.open(encoding="utf-8", errors="replace") as file:
                return "Made by `unyoke claims" in file.read(500)
        except OSError:
            return False

    return is_one


def _is_filled(folder: Path) -> bool:
    """Whether a version of unyoke that kept no list of its files has written a page here."""
    try:
        with (folder / "claims.html").open(encoding="utf-8", errors="replace") as file:
            return "<title>unyoke claims</title>" in file.read(500)
    except OSError:
        return False


def publish(
    request: Request,
    rows: Sequence[Answer],
    maps: dict[str, Maps],
    written: Sequence[Path],
    figures: Sequence[Path],
    page: Path,
) -> list[Path]:
    """Write the Markdown as `page`, its pictures into images/results beside it.

    Args:
        written: what `write` wrote.
        figures: of the paper, as SVG, each in the folder of its task.

    Raises:
        StudyError: they cannot be written, or something that is not theirs has one of the names.
    """
    images, recognise = _images(page), _published_before(page)
    data = page_data(request, rows, maps)
    pictures = [path for path in written if path.suffix == ".svg"]
    copies = [_published_name(figure, request) for figure in figures]
    names = [picture.name for picture in pictures] + copies
    data["picture"] = f"images/results/{pictures[0].name}" if pictures else ""
    data["figures"] = [f"images/results/{name}" for name in copies]
    try:
        with output_files.written(images, names, recognise) as drafts:
            for source, name in zip([*pictures, *figures], names, strict=True):
                (drafts / name).write_bytes(source.read_bytes())
        with output_files.written(page.parent, (page.name,), recognise) as drafts:
            text = rendered(PACKAGE, "claims.md", data)
            (drafts / page.name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StudyError(f"{page} cannot be written: {error.strerror}; choose another") from error
    return [page, *(images / name for name in names)]


def _published_name(figure: Path, request: Request) -> str:
    """The figures of the first task keep their names, those of others have the task's before."""
    task = figure.parent.name
    first = request.folder(request.listed[0], "main").parent.name
    return figure.name if task == first else f"{task}-{figure.name}"


def page_data(request: Request, rows: Sequence[Answer], maps: dict[str, Maps]) -> dict[str, Any]:
    """Everything that the templates show, as plain words."""
    asked = Counter(row.claim.name for row in rows)
    aside = set_aside(request, rows)
    return {
        "command": command(request),
        "counts": counted(rows),
        "of_paper": _listed(counted([row for row in rows if row.claim.of_paper])),
        "of_others": _listed(counted([row for row in rows if not row.claim.of_paper])),
        "set_aside": aside,
        "tasks": list(dict.fromkeys(row.task for row in rows if row.task)),
        "glance": at_a_glance(rows, {(row["task"], row["name"]) for row in aside}),
        "rows": [words(row, request, asked[row.claim.name]) for row in rows],
        "studies": [study for task, read in maps.items() for study in _studies(task, read)],
        "machine": machine(),
    }


def counted(rows: Sequence[Answer]) -> dict[str, int]:
    """How many rows have each verdict, the classes in the order in which the docs explain them."""
    verdicts = [row.verdict for row in rows]
    return {name: verdicts.count(name) for name in get_args(Verdict) if name in verdicts}


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def set_aside(request: Request, rows: Sequence[Answer]) -> list[dict[str, str]]:
    """The rows that are asked only where they are named, and are not here."""
    asked = {(row.task, row.claim.name) for row in rows}
    return [
        {"task": task, "name": claim.name, "sentence": claim.sentence, "needed": needed}
        for task in request.claims()
        for claim in catalogue.claims(task)
        if claim.studies and request.size.studies(task).keys() >= set(claim.studies)
        for needed in (request.seeds_needed(task, claim),)
        if needed is not None and (task, claim.name) not in asked and not request.names
    ]


def at_a_glance(rows: Sequence[Answer], aside: Collection[tuple[str, str]]) -> list[dict[str, Any]]:
    """Each claim that is tested on tasks, in the catalogue's order, with its verdict on each.

    Args:
        aside: task and name of the rows that are set aside.
    """
    tasks = list(dict.fromkeys(row.task for row in rows if row.task))
    verdicts = dict.fromkeys(aside, "set aside")
    verdicts |= {(row.task, row.claim.name): row.verdict for row in rows}
    shown = {name for task, name in verdicts if task}
    return [
        {
            "name": claim.name,
            "sentence": claim.sentence,
            "verdicts": [verdicts.get((task, claim.name), "") for task in tasks],
        }
        for claim in catalogue.every_claim()
        if claim.name in shown
    ]


def machine() -> str:
    """Where this page was made."""
    import torch

    import unyoke

    return (
        f"{available_cores()} cores ({platform.machine()}), Python {platform.python_version()}, "
        f"torch {torch.__version__}, unyoke {unyoke.__version__}{_commit()}"
    )


def _commit() -> str:
    """The commit of the checkout that runs, if it is one."""
    words = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        found = subprocess.run(words, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return f" at commit {found.stdout.strip()}"


def _studies(task: str, maps: Maps) -> list[dict[str, Any]]:
    """What was run, with what extended it and what still lies on an edge."""
    found = [
        {
            "task": task,
            "name": name,
            "summary": source.survey.landscape.summary(),
            "done": f"{source.survey.done} of {source.survey.total}",
            "diverged": source.survey.diverged,
            "hours": f"{source.survey.seconds / 60:.1f}",
            "edges": maps.on_edge(name),
            "other_code": "; ".join(source.survey.versions) if source.by_other_code else "",
        }
        for name, source in maps.sources.items()
    ]
    return found + [
        {
            "task": task,
            "name": name,
            "summary": why,
            "done": "–",
            "diverged": "–",
            "hours": "–",
            "edges": [],
            "other_code": "",
        }
        for name, why in maps.missing.items()
    ]


def _inline(path: Path) -> str:
    """An SVG file as a part of a page."""
    text = path.read_text(encoding="utf-8")
    return text[text.index("<svg") :]
