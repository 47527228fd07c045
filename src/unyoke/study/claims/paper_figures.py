"""The paper's figures in their own layouts, drawn from ledgers, with the data beside each.

| number | shows |
|---|---|
| 1 | Adam + L2 and AdamW × fixed rate, step drops, cosine: error over α × λ |
| 2 | SGD + L2, SGDW, Adam + L2, AdamW with cosine: error over α × λ |
| 3 | learning curves of Adam + L2 and AdamW for each λ, and test error over training loss |
| 4 | AdamWR and SGDWR beside AdamW and SGDW over the run |
| s1 | example schedules |
| s2 | Adam + L2 and AdamW with a fixed rate on the long budget: error over α × λ |
| s3 | the best raw λ and λ_norm for each budget |
| s4 | Adam + L2 and AdamW on other data: a table instead of the paper's EEG recordings |
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unyoke.study import output_files
from unyoke.study.claims import curve_figures, heat_maps
from unyoke.study.claims.heat_maps import Data
from unyoke.study.claims.maps import Incomplete, Maps
from unyoke.study.claims.request import Request
from unyoke.study.errors import StudyError
from unyoke.study.ledger.ledger import FILE_NAME

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class PaperFigure:
    """One figure.

    Attributes:
        studies: of `plan.STUDIES`.
        draw: fills a figure from maps and gives the data that it shows.
        task: on which it is drawn where none is named; None is the scale's first.
    """

    number: str
    title: str
    studies: tuple[str, ...]
    draw: Callable[[Figure, Maps], Data]
    task: str | None = None


def get(number: str) -> PaperFigure:
    """The figure of this number.

    Raises:
        StudyError: there is none.
    """
    if number.lower() not in FIGURES:
        raise StudyError(f"unknown figure {number!r}; known: {', '.join(FIGURES)}")
    return FIGURES[number.lower()]


def draw(figure: PaperFigure, request: Request, task: str, maps: Maps) -> list[Path]:
    """Write figure-N.svg, .png and .csv into the folder of the task.

    Raises:
        StudyError: a map lacks trainings, or the folder cannot be written.
    """
    import matplotlib
    from matplotlib.figure import Figure

    canvas = Figure(layout="constrained")
    folder, names = _place(figure, request, task)
    style: dict[Any, Any] = {"svg.fonttype": "none", "font.size": 9, "svg.hashsalt": "unyoke"}
    try:
        data = figure.draw(canvas, maps)
        canvas.suptitle(f"{figure.title}; task {task}")
        with (
            output_files.written(folder, names, _is_filled) as drafts,
            matplotlib.rc_context(style),
        ):
            canvas.savefig(drafts / names[0], metadata={"Date": None})
            canvas.savefig(drafts / names[1], dpi=130)
            _write(data, drafts / names[2])
    except Incomplete as lacking:
        raise StudyError(
            f"figure {figure.number} cannot be drawn yet; missing: {lacking}"
        ) from None
    except OSError as error:
        raise StudyError(
            f"{folder / names[0]} cannot be written: {error.strerror}; choose another --out"
        ) from error
    return [folder / name for name in names]


def check_folder(figure: PaperFigure, request: Request, task: str) -> None:
    """Whether the figure may be written, checked before anything is trained.

    Raises:
        StudyError: something there that is not this figure has the name of a part of it.
    """
    output_files.check(*_place(figure, request, task), _is_filled)


def _place(figure: PaperFigure, request: Request, task: str) -> tuple[Path, list[str]]:
    """The folder of a figure and the names of its files."""
    stem = request.folder(task, f"figure-{figure.number}")
    return stem.parent, [f"{stem.name}.{kind}" for kind in ("svg", "png", "csv")]


def _is_filled(folder: Path) -> bool:
    """Whether studies of a task lie here, beside which older versions drew and kept no list."""
    return any(folder.glob(f"*/{FILE_NAME}"))


def _write(data: Data, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in data for key in row)))
        writer.writeheader()
        writer.writerows(data)


FIGURES: Mapping[str, PaperFigure] = {
    figure.number: figure
    for figure in (
        PaperFigure(
            "1",
            "Figure 1: Adam and AdamW under three schedules",
            ("main", "schedules"),
            heat_maps.figure_1,
        ),
        PaperFigure("2", "Figure 2: decay coupled and decoupled", ("main",), heat_maps.figure_2),
        PaperFigure(
            "3", "Figure 3: learning curves and generalisation", ("long",), curve_figures.figure_3
        ),
        PaperFigure("4", "Figure 4: warm restarts", ("restarts",), curve_figures.figure_4),
        PaperFigure("s1", "Supplementary figure: schedules", (), curve_figures.figure_s1),
        PaperFigure(
            "s2",
            "Supplementary figure: fixed rate, long budget",
            ("long-fixed",),
            heat_maps.figure_s2,
        ),
        PaperFigure(
            "s3",
            "Supplementary figure: best decay by budget",
            ("budgets",),
            curve_figures.figure_s3,
        ),
        PaperFigure(
            "s4",
            "Supplementary figure: other data",
            ("main",),
            heat_maps.figure_s4,
            "breast-cancer",
        ),
    )
}
